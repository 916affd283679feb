"""Long moves that are shared out by key ranges: the same end and the same report as in one process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dxflow_async import AsyncSession, ExecutorError, Progress, Settings, TransferError, TransferReport
from tests.dialects.s3_exchange import Answer, Ask, S3Error
from tests.dialects.s3_operations import Operation
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_subject import aws_settings
from tests.sessions import MiB, part_files
from tests.transfer.executor.listed_server import COUNT, PAGE, SHAPES, ListedServer, know_order
from tests.transfer.executor.losing_executor import LosingExecutor
from tests.transfer.executor.trees import content

pytestmark = pytest.mark.timeout(60)

_BESIDE = {"source": b"1", "source-1": b"2", "source0": b"3", "copy": b"4", "copy-1/a": b"5"}


class MovingServer(ListedServer):
    """An S3 server that refuses to delete some keys.

    Attributes:
        locked: says which keys are not deleted.
        after: called with each key that was deleted.
        shut: while it is set, deletions wait, and are not done.
        opens, waiting: such requests are answered; one has come.
    """

    def __init__(self, quirks: Quirks) -> None:
        super().__init__(quirks)
        self.locked: Callable[[str], bool] = lambda _: False
        self.after: Callable[[str], None] = lambda _: None
        self.shut = False
        self.opens, self.waiting = asyncio.Event(), asyncio.Event()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.shut and request.method == "DELETE":
            self.waiting.set()
            await self.opens.wait()
            return web.Response(status=503)
        return await super()._serve(request)

    def _answer(self, operation: Operation, ask: Ask) -> Answer:
        if operation.name == "DeleteObject" and self.locked(ask.key):
            raise S3Error(403, "AccessDenied", "locked")
        answer = super()._answer(operation, ask)
        if operation.name == "DeleteObject":
            self.after(ask.key)
        return answer

    def below(self, top: str) -> dict[str, bytes]:
        """The objects below a directory, by their names in it."""
        return {key[len(top) :]: data for key, data in self.objects().items() if key.startswith(top)}


@asynccontextmanager
async def opened(
    home: Path, names: list[str], page_size: int = PAGE
) -> AsyncIterator[tuple[MovingServer, AsyncSession]]:
    """A server with objects below `source/` and others beside it, and a session with it."""
    async with MovingServer(Quirks(page_size=page_size)) as server:
        fill(server, names)
        async with AsyncSession(settings=Settings(home=home, aws=aws_settings(server))) as session:
            await know_order(session, "aws:/bucket/source/")
            yield server, session


def fill(server: MovingServer, names: list[str]) -> None:
    for key, data in [*((f"source/{name}", name.encode()) for name in names), *_BESIDE.items()]:
        server.store(key, data)


async def moved(
    session: AsyncSession, pool: LosingExecutor | None = None, target: str = "aws:/bucket/copy/", **options: Any
) -> TransferReport:
    """Moves the directory, on a pool or in this process; failed items are part of the report."""
    try:
        if pool is None:
            return await session.move("aws:/bucket/source/", target, **options)
        with pool:
            return await session.move("aws:/bucket/source/", target, executor=pool, credentials="send", **options)
    except TransferError as error:
        return error.report


def outcome(report: TransferReport) -> list[tuple[Any, ...]]:
    """What a report says of each item."""
    return sorted(
        (
            each.source,
            each.destination,
            each.bytes,
            each.checksum,
            each.verified,
            each.skipped,
            None if each.error is None else (type(each.error), str(each.error).partition(" (request ")[0]),
        )
        for each in report
    )


def listed(pool: LosingExecutor) -> int:
    """How many pieces workers were asked to list."""
    return sum(shard.listing is not None for shard in pool.shards)


def untouched(server: MovingServer) -> bool:
    """Whether everything beside the directories is as it was."""
    return {key: server.objects().get(key) for key in _BESIDE} == _BESIDE


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_same_as_in_one_process(tmp_path: Path, shape: str) -> None:
    """Workers list ranges and move what is in them; the objects and the report are those of one process."""
    names, pool, seen = SHAPES[shape], LosingExecutor(), list[Progress]()
    expected = {name: name.encode() for name in names}
    async with opened(tmp_path, names) as (server, session):
        alone = await moved(session)
        fill(server, names)
        for name in names:
            server._service.buckets["bucket"].objects.pop(f"copy/{name}")
        before = len(server.requests)
        shared = await moved(session, pool, on_progress=seen.append)
        assert server.below("source/") == {}
        assert server.below("copy/").keys() == expected.keys()
        assert {n: d for n, d in server.below("copy/").items() if not n.endswith("/")} == {
            n: d for n, d in expected.items() if not n.endswith("/")
        }
        assert untouched(server)
        copies = Counter(each.key for each in server.requests[before:] if each.operation == "CopyObject")
    assert set(copies.values()) == {1}
    assert outcome(shared) == outcome(alone)
    assert len(shared) == len(names)
    assert (seen[-1].files_done, seen[-1].files_total) == (len(names), len(names))
    assert listed(pool) > 1
    assert sum(len(shard.items) for shard in pool.shards) <= 3 * PAGE


@pytest.mark.parametrize("mode", ["moved", "ignored", "empty"])
async def test_services_that_begin_elsewhere(tmp_path: Path, mode: str) -> None:
    """A service that lists from another key than it was asked to costs another listing, and no object."""
    names = SHAPES["digests"]
    async with opened(tmp_path, names) as (server, session):
        server.mode = mode
        report = await moved(session, LosingExecutor())
        assert server.below("source/") == {}
        assert server.below("copy/") == {name: name.encode() for name in names}
        assert untouched(server)
    assert sorted(each.source for each in report) == sorted(f"aws:/bucket/source/{name}" for name in names)


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("before", [True, False])
async def test_lost_workers(tmp_path: Path, overwrite: bool, before: bool) -> None:
    """Objects that a lost worker has moved are in the report, though no listing has them any more."""
    lost = set[object]()

    def loses(shard: Any) -> bool:
        work = shard.listing or (shard.range and shard.range.entries)
        first = work is not None and work not in lost
        lost.add(work)
        return first

    names, pool = SHAPES["flat"], LosingExecutor(loses=loses, before=before)
    async with opened(tmp_path, names) as (server, session):
        report = await moved(session, pool, overwrite=overwrite)
        assert server.below("source/") == {}
        assert server.below("copy/") == {name: name.encode() for name in names}
        assert untouched(server)
    assert report.failed == []
    assert sorted(Path(each.source).name for each in report) == names
    assert pool.lost > 6


@pytest.mark.parametrize("before", [True, False])
async def test_a_piece_that_ends_its_workers(tmp_path: Path, before: bool) -> None:
    """Of a piece that ends each worker, the objects are tried in smaller shards; none is missing in the report."""

    def loses(shard: Any) -> bool:
        return shard.range is not None

    names = SHAPES["flat"]
    async with opened(tmp_path, names) as (server, session):
        report = await moved(session, LosingExecutor(loses=loses, before=before))
        assert server.below("source/") == {}
        assert server.below("copy/") == {name: name.encode() for name in names}
        assert untouched(server)
    assert report.failed == []
    assert sorted(Path(each.source).name for each in report) == names


async def test_a_killed_process(tmp_path: Path) -> None:
    """A process that is killed once the service has deleted a source costs no object and no line of the report."""
    names, killed = SHAPES["flat"], list[int]()

    def kill(key: str) -> None:
        if not killed and key > "source/file-00024.bin":
            (worker,) = active_children()
            assert worker.pid is not None
            killed.append(worker.pid)
            os.kill(worker.pid, signal.SIGKILL)

    async with opened(tmp_path, names) as (server, session):
        server.after = kill
        report = await session.move("aws:/bucket/source/", "aws:/bucket/copy/", processes=1, overwrite=False)
        assert server.below("source/") == {}
        assert server.below("copy/") == {name: name.encode() for name in names}
        assert untouched(server)
    assert len(killed) == 1
    assert sorted(Path(each.source).name for each in report) == names


async def test_single_objects_that_fail(tmp_path: Path) -> None:
    """Sources that cannot be deleted are the failures of one process, and stay; a resumed job moves them."""
    names, pool = SHAPES["flat"], LosingExecutor()
    async with opened(tmp_path, names) as (server, session):
        server.locked = lambda key: key.endswith("7.bin")
        alone = await moved(session)
        left = server.below("source/")
        assert len(left) == 6
        fill(server, names)
        for name in names:
            server._service.buckets["bucket"].objects.pop(f"copy/{name}")
        shared = await moved(session, pool)
        assert server.below("source/") == left
        assert outcome(shared) == outcome(alone)
        assert listed(pool) > 1
        server.locked = lambda _: False
        assert shared.job_id is not None
        again = await session.resume(shared.job_id)
        assert sorted(Path(each.source).name for each in again) == sorted(left)
        assert server.below("source/") == {}
        assert server.below("copy/") == {name: name.encode() for name in names}


async def test_rules_of_a_call(tmp_path: Path) -> None:
    """Selections and overwriting are those of one process: what is not moved stays."""
    names = SHAPES["flat"]
    async with opened(tmp_path, names) as (server, session):
        pool = LosingExecutor()
        report = await moved(session, pool, include="*7.bin", exclude="*17.bin")
        wanted = {name for name in names if name.endswith("7.bin") and not name.endswith("17.bin")}
        assert listed(pool) > 1
        assert server.below("copy/").keys() == {Path(each.source).name for each in report} == wanted
        assert server.below("source/").keys() == set(names) - wanted
        for name in names[40:55]:
            server.store(f"copy/{name}", b"other")
        kept = {key: data for key, data in server.below("copy/").items() if data == b"other"}
        report = await moved(session, LosingExecutor(), overwrite=False)
        assert {Path(each.source).name for each in report.failed} == set(names[40:55]) - wanted
        assert server.below("source/").keys() == set(names[40:55]) - wanted
        assert {key: data for key, data in server.below("copy/").items() if data == b"other"} == kept
        report = await moved(session, LosingExecutor(), overwrite="skip")
        assert len(report.skipped) == len(report) == len(set(names[40:55]) - wanted)
        assert len(server.below("source/")) == len(report)


async def test_a_job_of_ranges_is_resumed(tmp_path: Path) -> None:
    """A call that broke off goes on with what is left."""
    names = SHAPES["digests"]
    async with opened(tmp_path, names) as (server, session):
        with pytest.raises(ExecutorError) as caught:
            await moved(session, LosingExecutor(1, closes_after=4))
        assert caught.value.job_id is not None
        assert server.below("source/")
        report = await session.resume(caught.value.job_id, processes=None)
        assert server.below("source/") == {}
        assert server.below("copy/") == {name: name.encode() for name in names}
        assert 0 < len(report) <= COUNT
        assert untouched(server)


async def test_cancelled_calls(tmp_path: Path) -> None:
    """A cancelled call ends its workers, and every object is at one place at least; another call moves the rest."""
    pool, names = LosingExecutor(), SHAPES["flat"]
    async with opened(tmp_path, names) as (server, session):

        def close(key: str) -> None:
            server.shut = server.shut or key > "source/file-00020.bin"

        server.after = close
        call = asyncio.ensure_future(moved(session, pool))
        await server.waiting.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        server.shut, server.after = False, lambda _: None
        server.opens.set()
        left = server.below("source/")
        assert left
        assert left.keys() | server.below("copy/").keys() == set(names)
        report = await moved(session)
        assert sorted(Path(each.source).name for each in report) == sorted(left)
        assert server.below("source/") == {}
        assert server.below("copy/") == {name: name.encode() for name in names}


async def test_objects_that_appear(tmp_path: Path) -> None:
    """What appears where the listing has been stays where it is, as in one process; so does what is beside it."""
    pool, names = LosingExecutor(), SHAPES["flat"]
    async with opened(tmp_path, names) as (server, session):

        def appear(_: str) -> None:
            if listed(pool):
                for key in ("source/early", "source-new", "source0-new"):
                    server.store(key, b"new")

        server.after = appear
        report = await moved(session, pool)
        assert server.below("source/") == {"early": b"new"}
        assert server.objects().keys() >= {"source-new", "source0-new"}
        assert untouched(server)
    assert len(report) == COUNT


async def test_services_of_unknown_order(tmp_path: Path) -> None:
    """Where a service is not known to list in the order of its keys, the coordinator lists."""
    pool = LosingExecutor()
    async with MovingServer(Quirks(page_size=PAGE)) as server:
        fill(server, SHAPES["flat"])
        async with AsyncSession(settings=Settings(home=tmp_path, aws=aws_settings(server))) as session:
            assert len(await moved(session, pool)) == COUNT
        assert server.below("source/") == {}
    assert not listed(pool)


async def test_moves_to_a_directory_above(tmp_path: Path) -> None:
    """What a move puts into its own source, when a directory is moved up, is listed by one process, as before."""
    pool = LosingExecutor()
    async with opened(tmp_path, SHAPES["flat"]) as (server, session):
        await moved(session, pool, target="aws:/bucket/")
        assert server.below("source/") == {}
        assert {key for key in server.objects() if key.startswith("file-")} == set(SHAPES["flat"])
    assert not listed(pool)


async def test_moves_to_this_machine(tmp_path: Path) -> None:
    """Objects are moved to local files, too; each is deleted once its file is there."""
    pool, names = LosingExecutor(), SHAPES["deep"]
    async with opened(tmp_path / "home", names) as (server, session):
        report = await moved(session, pool, target=f"{tmp_path}/back/")
        assert server.below("source/") == {}
        assert untouched(server)
    assert listed(pool) > 1
    assert len(report) == len(names)
    assert sorted(content(tmp_path / "back")) == sorted(names)
    assert not part_files(tmp_path)


async def test_large_objects_and_markers(tmp_path: Path) -> None:
    """A large object that a worker was handed is cut into parts by the coordinator; it and markers are moved once."""
    names = [f"{number:04}" for number in range(60)]
    async with MovingServer(Quirks(page_size=PAGE)) as server, ListedServer(buckets=("other",)) as other:
        fill(server, names)
        server.store("source/0033/", b"")
        server.store("source/0037-large", bytes(12 * MiB))
        ends = aws_settings(server), {"other": aws_settings(other)}
        settings = Settings(home=tmp_path, part_size=5 * MiB, aws=ends[0], remotes=ends[1])
        async with AsyncSession(settings=settings) as session:
            await know_order(session, "aws:/bucket/source/")
            pool = LosingExecutor()
            report = await moved(session, pool, target="other:/other/copy/")
        assert server.below("source/") == {}
        assert untouched(server)
        assert report.failed == []
        assert len(report) == 62
        found = {key[len("copy/") :]: len(data) for key, data in other.objects("other").items()}
        assert found == {**dict.fromkeys(names, 4), "0033/": 0, "0037-large": 12 * MiB}
        assert other.operations()["CompleteMultipartUpload"] == 1
    assert listed(pool) > 1
    assert [shard for shard in pool.shards if shard.parts is not None]
