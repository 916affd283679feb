"""A coordinator that is killed before it has written down its workers, which have temporary files."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from dxflow_async.transfer.executor import killed_calls
from dxflow_async.transfer.executor.channel import Channel, WorkerChannel
from dxflow_async.transfer.executor.killed_calls import workers_left_by
from tests.dialects.s3_exchange import Answer
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.faults.killed_processes import Program
from tests.sessions import MiB, part_files
from tests.transfer.executor.trees import content

pytestmark = pytest.mark.timeout(120)

_NAMES = [f"{number}" for number in range(4)]
_HELD = "source/3"


class _Holding(S3Server):
    """Sends half of an object, once, and the rest when `released` is set.

    Attributes:
        top: the directory of the temporary file that it goes to.
        held: half of it was sent, and its temporary file is there.
    """

    def __init__(self, top: Path) -> None:
        super().__init__(Quirks())
        self.top, self.held, self.released = top, asyncio.Event(), asyncio.Event()

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if self.held.is_set() or request.method != "GET" or not request.path.endswith(_HELD):
            return await super()._send(request, answer)
        data = self.objects()[_HELD]
        response = web.StreamResponse(headers={**answer.headers, "Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        while not part_files(self.top):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        self.held.set()
        await self.released.wait()
        return response


@pytest.fixture
def channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where calls and their workers see each other."""
    directory = tmp_path / "channels"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def first_worker(channels: Path) -> int:
    """The process of the worker of the only call's first shard."""
    (told,) = channels.glob("dxflow-call-*/1")
    return int(told.read_text().split()[0])


async def test_a_resumed_job(channels: Path, tmp_path: Path) -> None:
    """It knows the workers of the killed process by what they told it, and removes the temporary files they left."""
    back = tmp_path / "back"
    async with _Holding(back) as server:
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


def test_workers_that_are_slow_to_end(channels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are waited for while they are heard of; those of a coordinator that is alive are nobody's business."""
    monkeypatch.setattr(killed_calls, "_SILENT_SECONDS", 0.5)
    channel = Channel.create("0" * 8)
    worker = WorkerChannel(channel.path, 1, "1" * 8)
    worker.beat(0)
    assert workers_left_by(["0" * 8]) == set()
    os.close(channel._descriptor)  # as if it were killed
    assert channels.exists()
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(workers_left_by, ["0" * 8, "2" * 8])
        for _ in range(20):
            worker.beat(0)
            with pytest.raises(TimeoutError):
                found.result(0.05)
        assert found.result(60) == {"1" * 8}
    worker.close()
