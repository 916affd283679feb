"""A coordinator that is killed before it has written down its workers, which have temporary files."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.transfer.executor import killed_calls
from dxflow_async.transfer.executor.channel import CALL, Channel, WorkerChannel
from dxflow_async.transfer.executor.killed_calls import remove_channels_of, remove_dead_channels, workers_left_by
from tests.dialects.s3_subject import aws_settings
from tests.faults.killed_processes import Program
from tests.sessions import MiB, part_files
from tests.transfer.executor.holding_server import HoldingServer
from tests.transfer.executor.told_channels import begun_in, first_worker
from tests.transfer.executor.trees import content, make_files

pytestmark = pytest.mark.timeout(120)

_NAMES = [f"{number}" for number in range(4)]
_HELD = "source/3"


def left_in(channels: Path) -> list[Path]:
    """The channels that are there."""
    return list(channels.iterdir())


async def test_a_resumed_job(channels: Path, tmp_path: Path) -> None:
    """It knows the workers of the killed process by what they told it, and removes the temporary files they left."""
    back = tmp_path / "back"
    async with HoldingServer(_HELD, back) as server:
        for name in _NAMES:
            server.store(f"source/{name}", name.encode() * MiB * 4)
        program = Program(tmp_path / "home", aws_settings(server))
        process = await program._start("cp", "aws:/bucket/source/", f"{back}/", "--processes", "1")
        await server.held.wait()
        while not program.jobs:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        worker = first_worker(channels)
        os.kill(worker, signal.SIGKILL)
        process.kill()
        await process.wait()
        server.released.set()
        assert part_files(back)
        (job,) = program.jobs
        with closing(sqlite3.connect(tmp_path / f"home/jobs/{job}.sqlite3")) as database, database:
            database.execute("DELETE FROM runs WHERE pid = ?", (worker,))  # it may not have been written yet
        await program.run("jobs", "resume", job)
    assert sorted(content(back)) == _NAMES
    assert not part_files(back)
    assert not left_in(channels)


def killed_call(owner_id: str = "0" * 8, *, same_machine: bool = True) -> Channel:
    """The channel of a call whose coordinator was killed."""
    channel = Channel.create(owner_id, same_machine=same_machine)
    os.close(channel._descriptor)  # which lets go of the lock
    return channel


def begun(channel: Channel, owner_id: str = "1" * 8, number: int = 1) -> WorkerChannel:
    """A worker of a call, which is at a shard."""
    worker = WorkerChannel(channel.path, number, owner_id)
    worker.beat(0)
    return worker


def age(channel: Channel) -> None:
    """Makes a channel two days old."""
    time = os.stat(channel.path).st_mtime - 2 * 86400
    os.utime(channel.path, (time, time))


def test_workers_that_are_slow_to_end(channels: Path) -> None:
    """They are waited for until they let go of their shards; those of a live coordinator are nobody's business."""
    alive = Channel.create("3" * 8, same_machine=True)
    begun(alive, "4" * 8)
    assert workers_left_by(["3" * 8]) == set()
    channel = killed_call()
    killed, ends = begun(channel, number=1), begun(channel, "2" * 8, number=2)
    assert channels.exists()
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(workers_left_by, ["0" * 8, "5" * 8])
        with pytest.raises(TimeoutError):
            found.result(0.5)
        ends.close()
        with pytest.raises(TimeoutError):
            found.result(0.5)
        os.close(killed._descriptor)  # as if it were killed
        assert found.result(60) == {"1" * 8}  # the other one has removed its files itself


_STOPPED = """
import os, signal, sys
from dxflow_async.transfer.executor.channel import WorkerChannel
WorkerChannel(sys.argv[1], 1, "1" * 8).beat(0)
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whether a process is stopped")
def test_a_stopped_worker(channels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for, and its channel stays while it may go on."""
    monkeypatch.setattr(killed_calls, "_MOST_SECONDS", 1e9)
    channel = killed_call()
    process = subprocess.Popen([sys.executable, "-c", _STOPPED, channel.path])
    try:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert workers_left_by(["0" * 8]) == {"1" * 8}
        remove_channels_of(["0" * 8])
        age(channel)
        remove_dead_channels()
        assert left_in(channels) == [Path(channel.path)]
    finally:
        process.kill()
        process.wait()
    remove_channels_of(["0" * 8])
    assert not left_in(channels)


def test_dead_channels(channels: Path) -> None:
    """They are removed when nobody is at their shards, and nothing is left to tell or nobody has asked for a day."""
    quiet, ended, telling, cluster = (killed_call(f"{number:08}", same_machine=number < 3) for number in range(4))
    begun(ended).close()
    os.close(begun(telling)._descriptor)
    remove_dead_channels()
    assert {Path(each.path) for each in (telling, cluster)} == set(left_in(channels))
    assert not Path(quiet.path).exists()
    for each in (telling, cluster):
        age(each)
    remove_dead_channels()
    assert not left_in(channels)


def test_channels_that_may_be_alive(channels: Path, tmp_path: Path) -> None:
    """Those that are locked, at work, just begun, of another machine or another user, or links to one, all stay."""
    kept = [Channel.create("0" * 8, same_machine=True), killed_call(), killed_call(), killed_call(), killed_call()]
    workers = [begun(kept[1])]
    for each in kept[:4]:
        age(each)
    Path(kept[2].path, CALL).write_text("another machine\nsame machine\n")
    if os.geteuid() == 0:
        os.chown(kept[3].path, 12345, -1)
    else:
        kept.pop(3)
    Path(kept[-1].path, CALL).write_text("")  # it is being created
    dead = killed_call()
    aside = tmp_path / "aside"
    os.rename(dead.path, aside)
    Path(dead.path).symlink_to(aside)
    before = sorted(channels.rglob("*"))
    remove_dead_channels()
    remove_channels_of(["0" * 8])
    assert sorted(channels.rglob("*")) == before
    assert (aside / CALL).exists()
    workers[0].close()


def test_several_that_remove_the_same(channels: Path) -> None:
    """Processes that do so at the same time end well, and nothing is left."""
    for number in range(40):
        channel = killed_call(f"{number:08}")
        for shard in range(5):
            begun(channel, number=shard).close()
    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(remove_dead_channels) for _ in range(8)]:
            each.result()
    assert not left_in(channels)


async def test_a_new_call(channels: Path, tmp_path: Path) -> None:
    """It removes the channels of calls that were killed, and its own."""
    killed_call()
    make_files(tmp_path / "files", 3)
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        report = await session.copy(f"{tmp_path}/files/", f"{tmp_path}/back/", processes=1)
    assert report.ok
    assert not left_in(channels)


async def test_cleaning(channels: Path, tmp_path: Path) -> None:
    """`jobs clean` removes what a killed call has left, its channel as well, and dead channels of other calls."""
    source, back = tmp_path / "source", tmp_path / "back"
    make_files(source, 3, large=20 * MiB)
    program = Program(tmp_path / "home", max_bandwidth=MiB)
    process = await program._start("cp", f"{source}/", f"{back}/", "--processes", "1")
    while not (program.jobs and begun_in(channels)):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    worker = first_worker(channels)
    process.kill()
    os.kill(worker, signal.SIGKILL)
    await process.wait()
    killed_call()
    assert len(left_in(channels)) == 2
    await program.run("jobs", "clean", "--yes")
    assert not left_in(channels)
    assert not part_files(back)
