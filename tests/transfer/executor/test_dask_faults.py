"""Dask clusters that are restarted, or lose workers: the end is exact, or the error says what to do."""

from __future__ import annotations

import asyncio
import os
import signal
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from dxflow_async import AsyncSession, ExecutorError, Settings
from tests.dialects.s3_exchange import Answer
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.sessions import MiB, part_files
from tests.transfer.executor.trees import content

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("default"),  # Dask's own
]

_NAMES = ("endpoint", "region", "access_key", "secret_key")
_FILES = [f"{number:03}" for number in range(6)]
_HELD = "source/003"


class _Holding(S3Server):
    """Sends half of an object, once, and the rest when `released` is set.

    Attributes:
        top: the directory of the temporary file that it goes to.
        held: half of it was sent, and its temporary file is there.
        left: the temporary files at that moment.
    """

    def __init__(self) -> None:
        super().__init__(Quirks())
        self.hold(Path())

    def hold(self, top: Path) -> None:
        """Holds the object once more."""
        self.top, self.left = top, list[str]()
        self.held, self.released = asyncio.Event(), asyncio.Event()

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if self.left or request.method != "GET" or not request.path.endswith(_HELD):
            return await super()._send(request, answer)
        data = self.objects()[_HELD]
        response = web.StreamResponse(headers={**answer.headers, "Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        for _ in range(200):
            self.left = part_files(self.top)
            if self.left:
                break
            await asyncio.sleep(0.05)
        self.held.set()
        await self.released.wait()
        with suppress(ConnectionError):
            await response.write(data[len(data) // 2 :])
        return response


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[_Holding]:
    """A server with six objects, of which one is large enough for a temporary file."""
    async with _Holding() as found:
        for name in _FILES:
            found.store(f"source/{name}", name.encode())
        found.store(_HELD, bytes(4 * MiB))
        yield found
        found.released.set()


@pytest.fixture(scope="module")
def client(server: _Holding) -> Iterator[Any]:
    """A client of a cluster of one process with a nanny, which gives up silent workers within seconds."""
    aws = aws_settings(server)
    with pytest.MonkeyPatch.context() as patch, dask.config.set({"distributed.scheduler.worker-ttl": "3s"}):
        for name in _NAMES:
            patch.setenv(f"DXFLOW_AWS_{name.upper()}", str(getattr(aws, name)))
        with (
            distributed.LocalCluster(
                n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


def worker(client: Any) -> int:
    """The process of the worker."""
    (nanny,) = client.cluster.workers.values()
    return int(nanny.pid)


@asynccontextmanager
async def held_call(
    server: _Holding, client: Any, top: Path
) -> AsyncIterator[tuple[AsyncSession, asyncio.Future[Any]]]:
    """A download that holds in the middle of a file, without a journal."""
    server.hold(top)
    settings = Settings(home=top / "home", aws=aws_settings(server))
    async with AsyncSession(settings=settings) as session:
        call = asyncio.ensure_future(session.copy("aws:/bucket/source/", f"{top}/back/", executor=client))
        held = asyncio.ensure_future(server.held.wait())
        await asyncio.wait([held, call], return_when=asyncio.FIRST_COMPLETED)
        assert server.left
        yield session, call


async def test_a_worker_that_its_nanny_starts_again(server: _Holding, client: Any, tmp_path: Path) -> None:
    """Dask hands the shards of a killed worker to the next one; what the first was writing is removed."""
    async with held_call(server, client, tmp_path) as (_, call):
        os.kill(worker(client), signal.SIGKILL)
        report = await call
    assert (len(report), report.failed) == (6, [])
    assert sorted(content(tmp_path / "back")) == _FILES
    assert not part_files(tmp_path)


async def test_a_restarted_cluster(server: _Holding, client: Any, tmp_path: Path) -> None:
    """`client.restart()` ends the call with an error that says so and leaves nothing; the client can be used again."""
    async with held_call(server, client, tmp_path) as (session, call):
        await asyncio.to_thread(client.restart)
        with pytest.raises(ExecutorError, match="it was restarted; make the call again"):
            await call
        assert not part_files(tmp_path)
        report = await session.copy("aws:/bucket/source/", f"{tmp_path}/back/", executor=client)
    assert (len(report), report.failed) == (6, [])
    assert sorted(content(tmp_path / "back")) == _FILES
    assert not part_files(tmp_path)


@pytest.mark.long
async def test_a_worker_that_stops(server: _Holding, client: Any, tmp_path: Path) -> None:
    """Dask gives a worker up that the scheduler does not hear of; its nanny starts another one, and nothing is left."""
    async with held_call(server, client, tmp_path) as (_, call):
        os.kill(stopped := worker(client), signal.SIGSTOP)
        try:
            report = await call
        finally:
            with suppress(ProcessLookupError):
                os.kill(stopped, signal.SIGCONT)
    assert (len(report), report.failed) == (6, [])
    assert sorted(content(tmp_path / "back")) == _FILES
    assert not part_files(tmp_path)
