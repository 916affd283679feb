"""Workers on another machine: what they see, what they are refused, and how they end."""

from __future__ import annotations

import asyncio
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, ConfigurationError
from tests.faults.killed_processes import Program
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for, unfinished_uploads
from tests.transfer.executor.other_machine import can_hide, environment_of, other_machine, shards_in_progress
from tests.transfer.executor.trees import content, make_files

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(90),
    pytest.mark.filterwarnings("default"),  # Dask's own
    pytest.mark.skipif(not can_hide(), reason="a process may not have mounts of its own here"),
]


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of this machine only, where its temporary files are."""
    top = tmp_path_factory.mktemp("hidden")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(top))
        patch.setenv("TMPDIR", str(top))
        yield top


@pytest.fixture(scope="module")
def client(weed: SeaweedFS, hidden: Path) -> Iterator[Any]:
    """A cluster whose only worker is on another machine."""
    variables = {**environment_of(settings_for(weed, hidden).aws), "TMPDIR": "/tmp"}
    cluster = distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=":0", silence_logs=50)
    with cluster, other_machine(cluster.scheduler_address, hidden, variables), distributed.Client(cluster) as client:
        client.wait_for_workers(1, timeout=60)
        yield client


async def test_local_paths_are_refused(
    session: AsyncSession, weed: SeaweedFS, bucket: str, client: Any, hidden: Path, place: str
) -> None:
    """A local path means nothing on another machine: the error says so, and nothing is stored."""
    files = make_files(hidden / "files", 20, large=11 * MiB)
    with pytest.raises(ConfigurationError, match=f"{files}/.* is a local path, and a worker is on another machine"):
        await session.copy(f"{files}/", f"aws:{place}", executor=client)
    assert "Contents" not in weed.client.list_objects_v2(Bucket=bucket, Prefix=place.split("/", 2)[2])
    assert not unfinished_uploads(weed, bucket)
    assert not list((session.settings.home / "jobs").glob("*.lock"))


async def test_shared_directories(session: AsyncSession, client: Any, place: str, tmp_path: Path) -> None:
    """Files in a directory that `shared=` names are copied there and back; its neighbour is refused."""
    files = make_files(tmp_path / "shared/files", 30, large=11 * MiB)
    where: Any = {"executor": client, "shared": [tmp_path / "shared"]}
    report = await session.copy(f"{files}/", f"aws:{place}", **where)
    within = await session.copy(f"aws:{place}", f"aws:{place[:-1]}-again/", **where)
    back = await session.copy(f"aws:{place[:-1]}-again/", f"{tmp_path}/shared/back/", **where)
    assert [len(each) for each in (report, within, back)] == [31] * 3
    assert content(tmp_path / "shared/back") == content(files)
    with pytest.raises(ConfigurationError, match="shared="):
        await session.copy(f"aws:{place}", f"{tmp_path}/shared-not/", **where)
    assert not content(tmp_path / "shared-not")


async def until_busy(client: Any, count: int) -> None:
    """Waits until workers do as many shards; those of a cancelled call take long to end by themselves."""
    for _ in range(300):
        if sum((await asyncio.to_thread(client.run, shards_in_progress)).values()) == count:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError


async def test_a_cancelled_call_ends_there(
    session: AsyncSession, weed: SeaweedFS, bucket: str, client: Any, place: str, tmp_path: Path
) -> None:
    """A cancelled call has ended its shards on other machines before it ends, and leaves no upload."""
    make_files(tmp_path / "shared/files", 3, large=60 * MiB)
    slow = replace(session.settings, max_bandwidth=MiB, home=tmp_path / "home")
    async with AsyncSession(settings=slow) as slower:
        call = asyncio.ensure_future(
            slower.copy(f"{tmp_path}/shared/files/", f"aws:{place}", executor=client, shared=[tmp_path])
        )
        await until_busy(client, 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert set((await asyncio.to_thread(client.run, shards_in_progress)).values()) == {0}
    assert not unfinished_uploads(weed, bucket)


@pytest.mark.long
async def test_a_killed_coordinator(weed: SeaweedFS, bucket: str, client: Any, place: str, tmp_path: Path) -> None:
    """When the coordinator is killed, workers on other machines end their shards, and the job can be resumed."""
    files = make_files(tmp_path / "files", 3, large=60 * MiB)
    aws = settings_for(weed, tmp_path).aws
    options = ("--dask", client.scheduler.address, "--shared", str(tmp_path))
    slow = Program(tmp_path / "home", aws, max_bandwidth=MiB, part_size=5 * MiB)
    assert await slow.kill("cp", f"{files}/", f"aws:{place}", *options, when=lambda: until_busy(client, 1))
    await until_busy(client, 0)
    (job,) = slow.jobs
    await Program(tmp_path / "home", aws).run("jobs", "resume", job, *options)
    found = weed.client.list_objects_v2(Bucket=bucket, Prefix=place.split("/", 2)[2])["Contents"]
    assert sorted(each["Size"] for each in found) == [1000] * 3 + [60 * MiB]
    assert not unfinished_uploads(weed, bucket)
