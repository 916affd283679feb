"""Calls on a Dask cluster of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, ConfigurationError, ExecutorError, Progress
from dxflow_async.cli.workers import OnWorkers
from dxflow_async.storage.shard_worker import do_shard
from dxflow_async.transfer.executor.sealed import Sealed
from tests.faults.killed_processes import Program
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for, unfinished_uploads
from tests.transfer.executor.trees import content, make_files

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("default"),  # Dask's own
]


_NAMES = ("endpoint", "region", "access_key", "secret_key")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files and a large one."""
    return make_files(tmp_path_factory.mktemp("files") / "tree", 140, large=11 * MiB + 7)


@pytest.fixture(scope="module")
def cluster(weed: SeaweedFS) -> Iterator[Any]:
    """A process that finds the credentials in its environment."""
    aws = settings_for(weed, Path("/nowhere")).aws
    variables = {f"DXFLOW_AWS_{name.upper()}": str(getattr(aws, name)) for name in _NAMES}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        cluster = distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
        )
    yield cluster
    cluster.close()


async def test_a_synchronous_client(
    session: AsyncSession, cluster: Any, files: Path, place: str, tmp_path: Path
) -> None:
    """A client is taken as it is: everything arrives, up and down, and the client stays open."""

    def session_of_worker() -> tuple[int, bool]:
        from dxflow_async.storage.shard_worker import _process

        (worker,) = _process._workers.values()
        return worker._settings.part_size, worker._settings.journal

    with distributed.Client(cluster) as client:
        report = await session.copy(f"{files}/", f"aws:{place}", executor=client)
        back = await session.copy(f"aws:{place}", f"{tmp_path}/back/", executor=client)
        assert (len(report), len(back), report.failed, back.failed) == (141, 141, [], [])
        assert client.submit(len, "open").result() == 4
        # The worker keeps one session, with those settings of the call that matter.
        assert list(client.run(session_of_worker).values()) == [(session.settings.part_size, False)]
    assert content(tmp_path / "back") == content(files)


async def test_an_asynchronous_client(session: AsyncSession, cluster: Any, files: Path, place: str) -> None:
    """An asynchronous client is taken, too."""
    async with distributed.Client(cluster.scheduler_address, asynchronous=True) as client:
        report = await session.copy(f"{files}/", f"aws:{place}", executor=client)
    assert (len(report), report.failed) == (141, [])


async def test_secrets_need_tls(session: AsyncSession, cluster: Any, files: Path, place: str) -> None:
    """Credentials are not sent to a cluster without TLS."""
    with distributed.Client(cluster) as client, pytest.raises(ConfigurationError, match="no TLS"):
        await session.copy(f"{files}/", f"aws:{place}", executor=client, credentials="send")


async def test_secrets_go_over_tls(session: AsyncSession, files: Path, place: str, tmp_path: Path) -> None:
    """A cluster with TLS gets the credentials, which its workers do not find by themselves."""
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, security=True, dashboard_address=":0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert client.scheduler.address.startswith("tls://")
        report = await session.copy(f"{files}/", f"aws:{place}", executor=client, credentials="send")
        with pytest.raises(ConfigurationError, match="credentials='send'"):
            await session.copy(f"aws:{place}", f"{tmp_path}/back/", executor=client)
    assert (len(report), report.failed) == (141, [])


async def test_a_cancelled_call_leaves_nothing(
    session: AsyncSession, weed: SeaweedFS, bucket: str, cluster: Any, files: Path, place: str
) -> None:
    """A cancelled call leaves no unfinished upload."""
    begun = asyncio.Event()
    with distributed.Client(cluster) as client:
        call = asyncio.ensure_future(
            session.copy(f"{files}/", f"aws:{place}", executor=client, on_progress=lambda _: begun.set())
        )
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert not unfinished_uploads(weed, bucket)


_CLUSTER = """
import sys
from distributed import LocalCluster
cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
print(cluster.scheduler_address, flush=True)
sys.stdin.read()
"""


@pytest.mark.long
async def test_a_scheduler_that_goes_away(session: AsyncSession, place: str, tmp_path: Path) -> None:
    """When the scheduler ends, the error says so and names the job, which goes on without it."""
    files = make_files(tmp_path / "files", 3000)
    aws = session.settings.aws
    variables = {f"DXFLOW_AWS_{name.upper()}": str(getattr(aws, name)) for name in _NAMES}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CLUSTER, stdin=PIPE, stdout=PIPE, env={**os.environ, **variables}
    )
    assert process.stdout is not None
    client = await distributed.Client((await process.stdout.readline()).decode().strip(), asynchronous=True, timeout=2)

    def end(now: Progress) -> None:
        if now.files_done and process.returncode is None:
            process.kill()

    with pytest.raises(ExecutorError, match="Dask") as caught:
        await session.copy(f"{files}/", f"aws:{place}", executor=client, on_progress=end)
    await client.close()
    await process.communicate()
    assert caught.value.job_id is not None
    report = await session.resume(caught.value.job_id, processes=1)
    assert not report.failed
    assert len(await session.get_storage_manager().list("AWS", place, recursive=True)) == 3000


async def test_more_shards_than_threads(session: AsyncSession, cluster: Any, place: str, tmp_path: Path) -> None:
    """Waiting for shards takes no thread of the loop: they are few, and others need them."""
    files = make_files(tmp_path / "files", 300)
    loop = asyncio.get_running_loop()
    with distributed.Client(cluster) as client, ThreadPoolExecutor(1) as few:
        before, loop._default_executor = loop._default_executor, few  # type: ignore[attr-defined]
        try:
            report = await session.copy(f"{files}/", f"aws:{place}", executor=client)
        finally:
            loop._default_executor = before  # type: ignore[attr-defined]
    assert (len(report), report.failed) == (300, [])


async def test_an_executor_of_a_client(session: AsyncSession, cluster: Any, files: Path, place: str) -> None:
    """`get_executor` stands for its client: its options are kept, and credentials are not sent without TLS either."""
    with distributed.Client(cluster) as client:
        (worker, *_) = client.nthreads()
        with client.get_executor(workers=[worker]) as executor:
            with pytest.raises(ConfigurationError, match="no TLS"):
                await session.copy(f"{files}/", f"aws:{place}", executor=executor, credentials="send")
            report = await session.copy(f"{files}/00001", f"aws:{place}1", executor=executor)
        assert (len(report), report.failed) == (1, [])


async def test_the_options_of_the_command_line(cluster: Any, tmp_path: Path) -> None:
    """`--dask` connects to a scheduler's address, `--dask-scheduler-file` to the one in the file, and both close it."""
    (tmp_path / "scheduler.json").write_text(json.dumps({"address": cluster.scheduler_address}))
    given = [OnWorkers(dask=cluster.scheduler_address), OnWorkers(dask_scheduler_file=tmp_path / "scheduler.json")]
    for each in given:
        async with each.options() as options:
            client: Any = options["executor"]
            assert client.scheduler.address == cluster.scheduler_address
            assert await client.submit(len, "open") == 4
        assert client.status == "closed"


@pytest.mark.parametrize("content", [b"", b"\xff", b"1", b"[]", b"{}", b'{"address": 5}'])
async def test_a_file_of_something_else(tmp_path: Path, content: bytes) -> None:
    """A `--dask-scheduler-file` that no scheduler has written is an error that names it."""
    (tmp_path / "scheduler.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"scheduler\.json is not allowed"):
        async with OnWorkers(dask_scheduler_file=tmp_path / "scheduler.json").options():
            pass


@pytest.mark.long
async def test_the_command_line(cluster: Any, weed: SeaweedFS, files: Path, place: str, tmp_path: Path) -> None:
    """`--dask` takes the scheduler's address, `--dask-scheduler-file` its file."""
    program = Program(tmp_path / "home", settings_for(weed, tmp_path).aws)
    (tmp_path / "scheduler.json").write_text(json.dumps({"address": cluster.scheduler_address}))
    await program.run("cp", f"{files}/", f"aws:{place}a/", "--dask", cluster.scheduler_address)
    await program.run("cp", f"aws:{place}a/", f"{tmp_path}/b/", "--dask-scheduler-file", f"{tmp_path}/scheduler.json")
    assert content(tmp_path / "b") == content(files)


async def test_another_version_is_refused(cluster: Any) -> None:
    """A worker compares versions before it opens a shard, which it might not be able to read."""
    with (
        distributed.Client(cluster) as client,
        pytest.raises(ConfigurationError, match=r"the call was made with 0\.0\.1; install the same version"),
    ):
        client.submit(do_shard, "0.0.1", Sealed(b"unreadable"), None, pure=False).result()
