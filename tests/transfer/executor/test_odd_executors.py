"""Executors of the user's that are small, shared, broken or misused: the call works, or the error says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, ConfigurationError, ExecutorError, TransferError
from dxflow_async.transfer.executor.sealed import Sealed
from dxflow_async.transfer.executor.seam import OwnedPoolExecutor, result_of
from dxflow_async.transfer.executor.shard import Budget, Shard, ShardReceipt
from dxflow_async.transfer.executor.sizes import SHARDS_PER_WORKER
from dxflow_async.transfer.executor.work import ItemsWork
from tests.servers import SeaweedFS
from tests.sessions import MiB, unfinished_uploads
from tests.transfer.executor.losing_executor import LosingExecutor
from tests.transfer.executor.trees import content, make_files

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

_COUNT = 31


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files and a large one."""
    return make_files(tmp_path_factory.mktemp("files") / "tree", _COUNT - 1, large=11 * MiB)


async def test_two_calls_on_one_pool_of_threads(session: AsyncSession, files: Path, place: str, tmp_path: Path) -> None:
    """Two calls at the same time share a pool; one thread is enough for both."""
    with ThreadPoolExecutor(1) as pool:
        where: Any = {"executor": pool, "credentials": "send"}
        targets = [f"aws:{place}{number}/" for number in range(2)]
        reports = await asyncio.gather(*(session.copy(f"{files}/", each, **where) for each in targets))
        assert [(len(each), each.failed) for each in reports] == [(_COUNT, [])] * 2
        await session.copy(targets[1], f"{tmp_path}/back/", **where)
        assert pool.submit(len, "open").result() == 4
    assert content(tmp_path / "back") == content(files)


async def test_a_pool_that_is_shut_down(
    session: AsyncSession, weed: SeaweedFS, bucket: str, files: Path, place: str
) -> None:
    """A pool that its user shuts down in mid-call ends the call: the job can be resumed, and no upload is left."""
    with pytest.raises(ExecutorError, match=r"takes no work .*then resume job") as caught:
        await session.copy(f"{files}/", f"aws:{place}", executor=_Ending(1), credentials="send")
    assert caught.value.job_id is not None
    assert not (await session.resume(caught.value.job_id)).failed
    assert not unfinished_uploads(weed, bucket)


class _Ending(ThreadPoolExecutor):
    """A pool that is shut down once it has been given two shards."""

    given = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        self.given += 1
        if self.given == 2:
            self.shutdown(wait=False, cancel_futures=True)
        return future


class _Refusing(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        raise OSError("no more")


class _Failing(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(KeyError("mine"))
        return future


class _Returning(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result("done")
        return future


class _Blocking(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return 5


@pytest.mark.parametrize(
    ("executor", "text"),
    [
        (_Refusing(), r"takes no work \(OSError: no more\)"),
        (_Failing(), "a worker failed with KeyError: 'mine'"),
        (_Returning(), "returned str in place of"),
        (_Blocking(), "submit of the executor returned int in place of"),
    ],
    ids=["refusing", "failing", "returning", "blocking"],
)
async def test_executors_that_fail(
    session: AsyncSession, weed: SeaweedFS, bucket: str, files: Path, place: str, executor: Executor, text: str
) -> None:
    """Whatever an executor raises becomes an error of the library's own, and leaves no upload."""
    with pytest.raises(ExecutorError, match=text):
        await session.copy(f"{files}/", f"aws:{place}", executor=executor, credentials="send")
    assert not unfinished_uploads(weed, bucket)


async def test_an_item_that_ends_its_workers(session: AsyncSession, files: Path, place: str) -> None:
    """An item that ends each worker that tries it is a failed item; the others are stored, and the job goes on."""

    def loses(shard: Shard) -> bool:
        return any(record.source.key.endswith("/00002") for record in shard.items)

    with (
        LosingExecutor(loses=loses, before=True) as pool,
        pytest.raises(TransferError, match="workers ended") as caught,
    ):
        await session.copy(f"{files}/", f"aws:{place}", executor=pool, credentials="send")
    report = caught.value.report
    assert [Path(each.source).name for each in report.failed] == ["00002"]
    assert len(report) == _COUNT
    assert 3 <= pool.lost <= 3 + 5  # after three losses, one for each time that 30 items are halved
    assert report.job_id is not None
    assert len(await session.resume(report.job_id)) == 1
    assert len(await session.get_storage_manager().list("AWS", place, recursive=True)) == _COUNT


async def test_parts_that_end_their_workers(
    session: AsyncSession, weed: SeaweedFS, bucket: str, files: Path, place: str
) -> None:
    """An object whose parts end each worker is a failed item after three of them, and leaves no upload."""
    with (
        LosingExecutor(loses=lambda shard: shard.parts is not None) as pool,
        pytest.raises(TransferError, match="3 workers ended while they worked on it") as caught,
    ):
        await session.copy(f"{files}/", f"aws:{place}", executor=pool, credentials="send")
    assert [Path(each.source).name for each in caught.value.report.failed] == ["large"]
    assert not unfinished_uploads(weed, bucket)


async def test_workers_without_memory(
    session: AsyncSession, weed: SeaweedFS, bucket: str, place: str, files: Path
) -> None:
    """Workers that have no memory to begin anything end the call with an error that says so, and hang nobody."""
    with LosingExecutor(loses=lambda _: True, before=True) as pool, pytest.raises(ExecutorError, match="more memory"):
        await session.copy(f"{files}/", f"aws:{place}", executor=pool, credentials="send")
    assert 40 <= pool.lost <= 60
    assert not unfinished_uploads(weed, bucket)


async def test_the_budget_follows_the_workers(session: AsyncSession, files: Path, tmp_path: Path) -> None:
    """Whichever workers come and go, those that work share the limits of the call, and leave none of them unused."""
    settings = replace(session.settings, max_concurrency=64, max_bandwidth=1 << 30, home=tmp_path / "home")
    pool = _Growing()
    async with AsyncSession(settings=settings) as limited:
        await limited.copy(f"{files}/", f"{tmp_path}/copy/", executor=pool, credentials="send")
    pool.close()
    assert len({shard.budget for shard in pool.seen}) > 1
    for each in pool.seen:
        share, bytes_a_second = each.budget
        assert bytes_a_second is not None
        assert any(
            64 - count < share * count <= 64 and (1 << 30) - count < bytes_a_second * count <= 1 << 30
            for count in pool.told
        )


async def test_a_plan_is_read_as_far_as_workers_are(session: AsyncSession, files: Path, place: str) -> None:
    """Of a list of files that does not end, only what the workers are handed is read, and no secret is in it."""
    read, pool = 0, _Waiting()

    def pairs() -> Iterator[tuple[str, str]]:
        nonlocal read
        for read in count():
            yield f"{files}/00001", f"{place}{read}"

    storage = session.get_storage_manager().at("aws")
    call = asyncio.ensure_future(storage.upload_many(pairs(), executor=pool))
    before = -1
    while before < read or not pool.shards:
        before = read
        await asyncio.sleep(0.2)
    assert len(pool.shards) == SHARDS_PER_WORKER
    items = sum(len(sealed.opened().items) for sealed in pool.shards)
    assert items <= read < items + 500
    assert all(str(session.settings.aws.secret_key).encode() not in bytes_of(sealed) for sealed in pool.shards)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def bytes_of(sealed: Sealed) -> bytes:
    """The bytes that go to a worker."""
    return sealed.__reduce__()[1][0]  # type: ignore[no-any-return]


class _Waiting(Executor):
    """A pool of one worker that begins nothing.

    Attributes:
        shards: that were handed to it.
    """

    num_workers = 1

    def __init__(self) -> None:
        self.shards: list[Sealed] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.shards.append(args[1])
        assert args[2] is None  # credentials are found
        return Future()


class _Growing(Executor):
    """A pool that has one more worker each time somebody asks how many it has.

    Attributes:
        told: the numbers of workers that it told.
        seen: the shards that were handed out.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self.told = [1]
        self.seen: list[Shard] = []

    @property
    def num_workers(self) -> int:
        self.told.append(self.told[-1] + 1)
        return self.told[-1]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.seen.append(args[1].opened())
        return self._pool.submit(fn, *args)

    def close(self) -> None:
        """Ends the pool."""
        self._pool.shutdown()


async def test_what_cannot_be_pickled() -> None:
    """The error says that it cannot be pickled; a sealed value shows nothing of itself."""
    with pytest.raises(ExecutorError, match="cannot be pickled"):
        Sealed.of(lambda: None)
    sealed = Sealed.of("secret-value")
    assert sealed.opened() == "secret-value"
    assert "secret" not in f"{sealed} {sealed!r}"


def _copy_on_processes(home: str) -> str:
    from dxflow_async import Session, Settings

    try:
        with Session(settings=Settings(home=Path(home) / "home"), progress=False) as session:
            session.copy(f"{home}/file", f"{home}/copy", processes=1)
    except ConfigurationError as error:
        return str(error)
    return "copied"


@pytest.mark.long
async def test_a_call_from_within_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of a process pool may start processes of its own; a daemonic one may not, and the error says so."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))  # the workers import this module
    (tmp_path / "file").write_text("file")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert await asyncio.wrap_future(pool.submit(_copy_on_processes, str(tmp_path))) == "copied"
    with get_context("spawn").Pool(1) as pool:
        text = await asyncio.to_thread(pool.apply, _copy_on_processes, (str(tmp_path),))
    assert "daemonic process" in text
    assert (tmp_path / "copy").read_text() == "file"


class OneShardPool:
    """A pool that is given one shard, which no worker begins."""

    def __init__(self) -> None:
        self.future: Future[ShardReceipt] = Future()

    async def submit(self, _: Sealed) -> Future[ShardReceipt]:
        return self.future


@pytest.mark.parametrize("owned", [True, False], ids=["the session's pool", "the user's executor"])
async def test_a_shard_that_nobody_has_begun(*, owned: bool) -> None:
    """A cancelled call withdraws it from an executor of the user's; from a pool of its own it waits for the worker."""
    pool = OneShardPool()
    shard = Shard(
        number=1, operation="copy", areas=(None, None), account=None, settings={}, budget=Budget(1, None), channel=""
    )
    call = asyncio.ensure_future(OwnedPoolExecutor(pool).submit(shard) if owned else result_of(pool.future))  # type: ignore[arg-type]
    await asyncio.sleep(0.1)
    call.cancel()
    await asyncio.sleep(0.1)
    assert (call.done(), pool.future.cancelled()) == (not owned, not owned)
    if owned:
        pool.future.set_result(ShardReceipt(seconds=0.0))
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_halves_keep_what_was_lost() -> None:
    """Halved work knows the workers that were lost with it, whose temporary files are removed when it is done."""
    work = ItemsWork([object()] * 5, [object()] * 5, None, None)  # type: ignore[list-item, arg-type]
    work.losses, work.owners = 3, {"a lost worker"}
    pieces = work.halves()
    assert [(piece.requests, piece.losses, piece.owners) for piece in pieces] == [
        (2, 2, {"a lost worker"}),
        (3, 2, {"a lost worker"}),
    ]
