"""Workers that are stopped: others do their work, or the error says which process hangs and what to do."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dxflow_async import AsyncSession, ExecutorError, Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.storage import transfer_service
from dxflow_async.transfer.executor import dispatcher
from dxflow_async.transfer.executor.channel import Channel, WorkerChannel
from dxflow_async.transfer.executor.monitor import Monitor
from dxflow_async.transfer.executor.seam import FuturesExecutor
from dxflow_async.transfer.progress import Meter
from tests.dialects.s3_subject import aws_settings
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files, settings_for, tasks, unfinished_uploads
from tests.transfer.executor.halfway_servers import StoppingServer
from tests.transfer.executor.pool_functions import import_providers, read_from
from tests.transfer.executor.process_relay import ProcessRelay, Sent
from tests.transfer.executor.trees import content, make_files

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[float], None]:
    """Takes workers for hanging soon, and keeps what calls tell their workers in a directory of the test.

    It is a function that changes how soon.
    """
    monkeypatch.setattr(transfer_service, "_HANGS", 0)
    monkeypatch.setattr(transfer_service, "_LEAST_HANG_SECONDS", 1.0)
    monkeypatch.setattr(dispatcher, "_END_SECONDS", 0.5)
    (tmp_path / "calls").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "calls"))
    return lambda seconds: monkeypatch.setattr(transfer_service, "_LEAST_HANG_SECONDS", seconds)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(weed: SeaweedFS) -> AsyncIterator[ProcessRelay]:
    """A relay before SeaweedFS."""
    async with ProcessRelay(weed.endpoint) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relayed(weed: SeaweedFS, relay: ProcessRelay, home: Path) -> AsyncIterator[AsyncSession]:
    """A session that reaches SeaweedFS through the relay."""
    settings = settings_for(weed, home, endpoint=relay.endpoint, part_size=5 * MiB)
    async with AsyncSession(settings=settings) as session:
        yield session


@pytest.fixture(scope="module")
def users_pool() -> Iterator[ProcessPoolExecutor]:
    """A user's pool of two processes, which have imported what they need and so are soon heard of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[3]))  # the workers import this folder
        with ProcessPoolExecutor(2, get_context("spawn"), import_providers) as pool:
            wait([pool.submit(os.getpid) for _ in range(8)])
            yield pool


@pytest_asyncio.fixture(loop_scope="module")
async def pool(users_pool: ProcessPoolExecutor) -> AsyncIterator[ProcessPoolExecutor]:
    """The same, whose processes go on at the end of the test."""
    yield users_pool
    await let_go_on(users_pool)


def pids(pool: ProcessPoolExecutor) -> list[int]:
    """The processes of a pool."""
    return [process.pid for process in (pool._processes or {}).values() if process.pid is not None]


async def let_go_on(pool: ProcessPoolExecutor) -> None:
    """Has the processes of a pool go on, and waits until they have done what they had."""
    for pid in pids(pool):
        os.kill(pid, signal.SIGCONT)
    while pool._pending_work_items:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def waiting() -> list[Any]:
    """The tasks that wait for a shard."""
    return [task for task in tasks() if getattr(task.get_coro(), "__qualname__", "").endswith("Executor.submit")]


def once(wanted: Callable[[Sent], bool]) -> Callable[[Sent], bool]:
    """Says yes to the first request of a worker that is wanted."""
    found: list[Sent] = []

    def first(sent: Sent) -> bool:
        if found or sent.pid in (0, os.getpid()) or not wanted(sent):
            return False
        found.append(sent)
        return True

    return first


_WANTED: dict[str, Callable[[Sent], bool]] = {
    "an object": lambda sent: sent.method == "PUT" and sent.path.endswith("/00003"),
    "a part": lambda sent: sent.method == "PUT" and "partNumber=2" in sent.path,
}


@pytest.mark.parametrize("wanted", [pytest.param("an object", marks=pytest.mark.long), "a part"])
async def test_a_stopped_worker_of_a_user(
    relayed: AsyncSession,
    relay: ProcessRelay,
    pool: ProcessPoolExecutor,
    weed: SeaweedFS,
    bucket: str,
    place: str,
    tmp_path: Path,
    wanted: str,
) -> None:
    """Another worker does what a stopped one had, each object is finished once, and nothing changes when it goes on."""
    files = make_files(tmp_path / "files", 6, large=11 * MiB)
    relay.reset()
    relay.stops = once(_WANTED[wanted])
    report = await relayed.copy(f"{files}/", f"aws:{place}", executor=pool, credentials="send")
    assert (len(report), report.failed, len(relay.stopped)) == (7, [], 1)
    assert not waiting()
    assert not list((tmp_path / "calls").iterdir())
    await let_go_on(pool)
    finished = [sent.pid for sent in relay.sent if sent.method == "POST" and "uploadId=" in sent.path]
    assert finished == [os.getpid()]
    await relayed.copy(f"aws:{place}", f"{tmp_path}/back/")
    assert content(tmp_path / "back") == content(files)
    assert not unfinished_uploads(weed, bucket)


async def test_a_stopped_worker_of_the_session(relayed: AsyncSession, place: str, tmp_path: Path) -> None:
    """A worker of the session's own that stops before it begins a shard is ended, and another one does the work."""
    files = make_files(tmp_path / "files", 6)
    await relayed.copy(f"{files}/", f"aws:{place}", processes=1)
    (pool,) = relayed._resources.pools.values()
    (idle,) = pids(pool.executor())
    os.kill(idle, signal.SIGSTOP)
    report = await relayed.copy(f"{files}/", f"aws:{place}again/", processes=1)
    assert (len(report), report.failed) == (6, [])
    assert idle not in pids(pool.executor())


@pytest.mark.parametrize("count", [6, 60], ids=["items", "ranges"])
async def test_a_worker_that_stops_while_it_downloads(tmp_path: Path, pool: ProcessPoolExecutor, count: int) -> None:
    """What a stopped worker was writing is removed at the end of the call; it does not come back when it goes on."""
    names = [f"run-{number // 10}/{number:03}" for number in range(count)]
    async with StoppingServer(names[-3], tmp_path / "back") as server:
        for name in names:
            server.store(f"source/{name}", name.encode())
        server.store(f"source/{names[-3]}", bytes(4 * MiB))
        settings = Settings(home=tmp_path / "home", aws=aws_settings(server))
        async with AsyncSession(settings=settings) as session:
            where: Any = {"executor": pool, "credentials": "send"}
            report = await session.copy("aws:/bucket/source/", f"{tmp_path}/back/", **where)
            assert (len(report), report.failed) == (count, [])
            assert server.left
            assert not part_files(tmp_path)
            before = content(tmp_path / "back")
            assert sorted(before) == names
            await let_go_on(pool)
    assert content(tmp_path / "back") == before
    assert not part_files(tmp_path)


@pytest.mark.parametrize("moment", ["idle", "working"])
async def test_no_worker_is_left(
    relayed: AsyncSession,
    relay: ProcessRelay,
    pool: ProcessPoolExecutor,
    weed: SeaweedFS,
    bucket: str,
    place: str,
    tmp_path: Path,
    patience: Callable[[float], None],
    moment: str,
) -> None:
    """A pool whose processes are all stopped ends the call with an error that names them; the job can be resumed."""
    # Of a large object the coordinator has begun the upload, which can be resumed, before any worker is silent.
    files = make_files(tmp_path / "files", 0 if moment == "idle" else 6, large=11 * MiB)
    relay.reset()
    where: Any = {"executor": pool, "credentials": "send"}
    await relayed.copy(__file__, f"aws:{place}first", **where)
    patience(0.7)
    if moment == "idle":
        patience(0.2)
        for pid in pids(pool):
            os.kill(pid, signal.SIGSTOP)
    else:
        relay.stops = lambda sent: sent.method == "PUT" and sent.pid in pids(pool)
    expected = rf"worker process {', '.join(map(str, sorted(pids(pool))))} \(stopped\).*; then resume job"
    with pytest.raises(ExecutorError, match=expected) as caught:
        await relayed.copy(f"{files}/", f"aws:{place}", **where)
    assert not waiting()
    relay.reset()
    await let_go_on(pool)
    patience(5.0)
    assert caught.value.job_id is not None
    report = await relayed.resume(caught.value.job_id, **where)
    assert report.failed == []
    await relayed.copy(f"aws:{place}", f"{tmp_path}/back/")
    assert {name: digest for name, digest in content(tmp_path / "back").items() if name != "first"} == content(files)
    assert not unfinished_uploads(weed, bucket)


async def test_a_pool_that_is_busy(
    relayed: AsyncSession, pool: ProcessPoolExecutor, place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A pool that does other work of its user's is waited for, however long it takes, and a warning says so."""
    files = make_files(tmp_path / "files", 6)
    where: Any = {"executor": pool, "credentials": "send"}
    await relayed.copy(f"{files}/00001", f"aws:{place}first", **where)
    fifos = [tmp_path / "fifo1", tmp_path / "fifo2"]
    for fifo in fifos:
        os.mkfifo(fifo)
    others = [pool.submit(read_from, str(fifo)) for fifo in fifos]
    with caplog.at_level(logging.WARNING, "dxflow_async"):
        call = asyncio.ensure_future(relayed.copy(f"{files}/", f"aws:{place}", **where))
        while "busy with other work" not in caplog.text and not call.done():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for fifo in fifos:
        await asyncio.to_thread(fifo.write_bytes, b"go on")
    report = await call
    assert [other.result() for other in others] == [b"go on"] * 2
    assert (len(report), report.failed) == (6, [])


async def test_all_shards_of_a_process_are_given_up() -> None:
    """A process with several threads that hangs costs all shards that it holds, not only one of them."""
    threads, channel = Threads(2), Channel.create("0" * 8, same_machine=True)
    given_up: list[int] = []
    monitor = Monitor(channel, threads, Meter(), FuturesExecutor(_Two(), None, None), None, 0.3)  # type: ignore[arg-type]
    for number in (1, 2):
        monitor.began(number, lambda number=number: given_up.append(number))  # type: ignore[misc]
        WorkerChannel(channel.path, number, "0" * 8).beat(0)
    watching = asyncio.ensure_future(monitor.watch())
    while len(set(given_up)) < 2 and not watching.done():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    watching.cancel()
    channel.close(abandoned=False)
    threads.close()
    assert set(given_up) == {1, 2}


async def test_a_program_that_is_stopped_as_a_whole(caplog: pytest.LogCaptureFixture) -> None:
    """Time in which the coordinator does not run either, as after Ctrl-Z, is no silence of its workers."""
    threads, channel = Threads(2), Channel.create("0" * 8, same_machine=True)
    given_up: list[int] = []
    monitor = Monitor(channel, threads, Meter(), FuturesExecutor(_Two(), None, None), None, 1.0)  # type: ignore[arg-type]
    monitor.began(1, lambda: given_up.append(1))
    worker = WorkerChannel(channel.path, 1, "0" * 8)
    worker.beat(1)
    watching = asyncio.ensure_future(monitor.watch())
    while monitor._shards[1].beat is None:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    time.sleep(1.2)  # noqa: ASYNC251 - both are stopped
    for _ in range(3):
        await asyncio.sleep(0.1)  # the coordinator looks before the worker is back
        worker.beat(1)
    watching.cancel()
    worker.close()
    channel.close(abandoned=False)
    threads.close()
    assert not given_up
    assert not caplog.records


class _Two:
    """An executor with two workers."""

    num_workers = 2
