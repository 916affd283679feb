"""Dask workers that come near their memory limit: their nanny ends them, and the error says what to do."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from dxflow_async import AsyncSession, Settings, TransferError
from tests.dialects.s3_exchange import Answer
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.sessions import MiB, part_files
from tests.transfer.executor.other_machine import environment_of
from tests.transfer.executor.trees import content

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.long,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default"),  # Dask's own
]

_LIMIT = 500 * MiB
_LARGE = "source/large"


class _Costly(S3Server):
    """Has the worker that reads an object take more memory than it may, so many times.

    Attributes:
        client: of the cluster.
        times: how often that happens again.
        killed: how often it has happened.
    """

    client: Any = None
    times = 0
    killed = 0

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if request.method != "GET" or not request.path.endswith(_LARGE) or not self.times:
            return await super()._send(request, answer)
        self.times -= 1
        self.killed += 1
        response = web.StreamResponse(headers={**answer.headers, "Content-Length": str(4 * MiB)})
        await response.prepare(request)
        await response.write(bytes(MiB))
        (address,) = await asyncio.to_thread(self.client.nthreads)
        await asyncio.to_thread(self.client.run, _hoard, workers=[address], on_error="ignore")
        return response


def _hoard() -> None:
    """Takes memory in a worker, and keeps it until the worker is ended."""
    hoard = b"x" * (_LIMIT + 100 * MiB)
    time.sleep(60)
    del hoard


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[_Costly]:
    """A server with two small objects and a large one."""
    async with _Costly(Quirks()) as found:
        for name in ("one", "two"):
            found.store(f"source/{name}", name.encode())
        found.store(_LARGE, bytes(4 * MiB))
        yield found


@pytest.fixture(scope="module")
def client(server: _Costly) -> Iterator[Any]:
    """A cluster of one worker with a memory limit, of which Dask hands no shard to a second one by itself."""
    with pytest.MonkeyPatch.context() as patch, dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        for name, value in environment_of(aws_settings(server)).items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(Path(__file__).parents[3]))  # the workers import this module
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        with (
            distributed.LocalCluster(
                n_workers=1,
                threads_per_worker=1,
                processes=True,
                memory_limit=_LIMIT,
                dashboard_address=":0",
                silence_logs=50,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            server.client = client
            yield client


async def test_a_worker_that_its_nanny_ends(server: _Costly, client: Any, tmp_path: Path) -> None:
    """It is a lost worker: another one does its shard, and what it was writing is removed."""
    server.times = 1
    (worker,) = client.nthreads()
    async with AsyncSession(settings=Settings(home=tmp_path / "home", aws=aws_settings(server))) as session:
        report = await session.copy("aws:/bucket/source/", f"{tmp_path}/back/", executor=client)
    assert (len(report), report.failed, server.times) == (3, [], 0)
    assert worker not in client.nthreads()
    assert sorted(content(tmp_path / "back")) == ["large", "one", "two"]
    assert not part_files(tmp_path)


async def test_an_object_that_costs_too_much_memory(server: _Costly, client: Any, tmp_path: Path) -> None:
    """The object that takes the memory of each worker fails; its error names the limit, and says what to change."""
    server.times, server.killed = 1000, 0
    async with AsyncSession(settings=Settings(home=tmp_path / "home", aws=aws_settings(server))) as session:
        with pytest.raises(TransferError) as caught:
            await session.copy("aws:/bucket/source/", f"{tmp_path}/back/", executor=client)
        server.times = 0
        (failed,) = caught.value.report.failed
        assert "near its memory limit (500 MiB); start workers with a higher --memory-limit" in str(failed.error)
        assert "or lower max_memory_bytes" in str(caught.value)
        assert server.killed >= 3
        assert sorted(content(tmp_path / "back")) == ["one", "two"]
        assert not part_files(tmp_path)
        assert caught.value.report.job_id is not None
        assert len(await session.resume(caught.value.report.job_id, executor=client)) == 1
    assert sorted(content(tmp_path / "back")) == ["large", "one", "two"]
