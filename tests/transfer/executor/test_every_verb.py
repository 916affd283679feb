"""Every call on every executor, asynchronous and blocking: the result of one process, and the work of others."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dxflow_async import AsyncSession, Session, TransferError
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for, unfinished_uploads
from tests.transfer.executor.other_machine import environment_of
from tests.transfer.executor.process_relay import ProcessRelay
from tests.transfer.executor.trees import content, make_files

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("default"),  # Dask's own, and those of processes that are forked beside threads
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(weed: SeaweedFS) -> AsyncIterator[ProcessRelay]:
    """A relay before SeaweedFS."""
    async with ProcessRelay(weed.endpoint) as found:
        yield found


class Executors:
    """One executor of each kind, whose workers find the credentials in their environment. They start when needed.

    Args:
        stack: ends them.
        environment: the variables.
    """

    def __init__(self, stack: ExitStack, environment: dict[str, str]) -> None:
        self._stack = stack
        self._environment = environment
        self._made: dict[str, Any] = {}

    def __getitem__(self, kind: str) -> Any:
        if kind not in self._made:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in self._environment.items():
                    patch.setenv(name, value)
                self._made[kind] = self._make(kind)
        return self._made[kind]

    def _make(self, kind: str) -> Any:
        if kind == "threads":
            return self._stack.enter_context(ThreadPoolExecutor(1))
        if kind in ("spawn", "fork"):
            pool = self._stack.enter_context(ProcessPoolExecutor(1, get_context(kind)))
            assert pool.submit(len, "started").result() == 7  # in the environment of now
            return pool
        cluster = distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
        )
        client = distributed.Client(self._stack.enter_context(cluster), set_as_default=False)
        return self._stack.enter_context(closing(client))  # its own `with` has to end in the context it began in


@pytest.fixture(scope="module")
def executors(weed: SeaweedFS, relay: ProcessRelay) -> Iterator[Executors]:
    """The executors of this module."""
    with ExitStack() as stack:
        yield Executors(stack, environment_of(settings_for(weed, Path("/nowhere"), endpoint=relay.endpoint).aws))


_KINDS = ["processes", "spawn", "fork", "threads", "dask", "dask async", "get_executor"]


@asynccontextmanager
async def where_of(executors: Executors, kind: str) -> AsyncIterator[dict[str, Any]]:
    """Yields the arguments of a call."""
    if kind == "processes":
        yield {"processes": 1}
    elif kind == "threads":
        yield {"executor": executors[kind], "credentials": "send"}
    elif kind == "dask async":
        async with distributed.Client(executors["dask"].scheduler.address, asynchronous=True) as client:
            yield {"executor": client}
    elif kind == "get_executor":
        yield {"executor": executors["dask"].get_executor()}
    else:
        yield {"executor": executors[kind]}


def check_workers(relay: ProcessRelay, kind: str) -> None:
    """Checks that workers have sent all objects, and deleted them."""
    bulk = {sent.pid for sent in relay.sent if sent.method == "PUT" or "delete" in sent.path.partition("?")[2]}
    assert bulk
    assert (os.getpid() in bulk) == (kind == "threads")


async def make_every_call(run: Callable[..., Any], session: Any, place: str, top: Path, where: dict[str, Any]) -> None:
    """Uploads, downloads, copies, moves, syncs, deletions and resumed jobs, of directories, lists and one file.

    Args:
        run: calls a method, and returns what its result is awaited from.
        session: a session of either kind.
        place: a directory at S3.
        top: a local directory.
        where: the arguments that say where calls run.
    """
    files, here, storage = (
        make_files(top / "files", 9, large=11 * MiB),
        f"aws:{place}",
        session.get_storage_manager().at("aws"),
    )
    assert len(await run(storage.upload, f"{files}/", f"{place}up/", **where)) == 10
    assert len(await run(storage.upload, f"{files}/00001", f"{place}up/one", **where)) == 1
    assert len(await run(storage.upload_many, [(f"{files}/00002", f"{place}up/two")], **where)) == 1
    assert len(await run(session.copy, f"{here}up/", f"{here}copy/", **where)) == 12
    assert len(await run(session.move, f"{here}copy/", f"{here}moved/", **where)) == 12
    assert len(await run(storage.download, f"{place}moved/", f"{top}/back/", **where)) == 12
    assert len(await run(storage.download_many, [(f"{place}up/one", f"{top}/back/three")], **where)) == 1
    (top / "back/two").unlink()
    synced = await run(session.sync, top / "back", f"{here}moved/", delete=True, **where)
    assert (len(synced), len(synced.deleted)) == (2, 1)
    with pytest.raises(TransferError):
        await run(storage.upload_many, [(f"{top}/late", f"{place}late"), (f"{files}/00003", f"{place}four")], **where)
    (job,) = await run(session.jobs)
    (top / "late").write_text("late")
    assert len(await run(session.resume, job.id, **where)) == 1
    (top / "empty").mkdir()
    assert len(await run(session.copy, f"{top}/empty/", f"{here}empty/", **where)) == 0
    assert await run(storage.delete, f"{place}up/two", **where) == 1
    assert await run(storage.delete, place, **where) == 10 + 1 + 2 + 12
    assert not await run(storage.list, place, recursive=True)
    wanted = content(files)
    assert content(top / "back") == wanted | {"one": wanted["00001"], "three": wanted["00001"]}


def kinds(everyday: str) -> pytest.MarkDecorator:
    """Each kind of executor; all but one are tried on demand."""
    long = [pytest.param(each, marks=pytest.mark.long) for each in _KINDS if each != everyday]
    return pytest.mark.parametrize("kind", [everyday, *long])


@kinds("threads")
async def test_the_asynchronous_session(
    executors: Executors, weed: SeaweedFS, relay: ProcessRelay, bucket: str, place: str, tmp_path: Path, kind: str
) -> None:
    """Each call does the same as in one process, and workers send, copy and delete the objects."""
    settings = settings_for(weed, tmp_path / "home", endpoint=relay.endpoint, part_size=5 * MiB)
    relay.reset()

    async def run(call: Callable[..., Any], *args: Any, **how: Any) -> Any:
        return await call(*args, **how)

    async with AsyncSession(settings=settings) as session, where_of(executors, kind) as where:
        await make_every_call(run, session, place, tmp_path, where)
    check_workers(relay, kind)
    assert not unfinished_uploads(weed, bucket)


@kinds("processes")
async def test_the_blocking_session(
    executors: Executors, weed: SeaweedFS, relay: ProcessRelay, bucket: str, place: str, tmp_path: Path, kind: str
) -> None:
    """So does each blocking call; an asynchronous client of Dask may belong to another event loop that runs."""
    settings = settings_for(weed, tmp_path / "home", endpoint=relay.endpoint, part_size=5 * MiB)
    relay.reset()
    with Session(settings=settings, progress=False) as session:
        async with where_of(executors, kind) as where:
            await make_every_call(asyncio.to_thread, session, place, tmp_path, where)
        await asyncio.to_thread(session.close)
    check_workers(relay, kind)
    assert not unfinished_uploads(weed, bucket)
