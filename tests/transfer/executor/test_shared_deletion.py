"""Long deletions that are shared out by key ranges: the same end and the same report as in one process."""

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
from xml.etree import ElementTree as ET

import pytest
from aiohttp import web

from dxflow_async import (
    AccessDeniedError,
    AsyncSession,
    AzureSettings,
    DeleteResult,
    ExecutorError,
    GCPSettings,
    NotFoundError,
    Progress,
    Settings,
    TransferError,
)
from dxflow_async.providers.aws.provider import _features as amazon_features
from dxflow_async.storage import deletion
from dxflow_async.transfer.executor.range_listing import list_range, unpack
from dxflow_async.transfer.executor.shard import ListingRange, Shard
from tests.dialects.azure_quirks import AzureQuirks
from tests.dialects.azure_server import AzureServer
from tests.dialects.google_quirks import GoogleQuirks
from tests.dialects.google_server import GoogleServer
from tests.dialects.s3_exchange import Answer, Ask
from tests.dialects.s3_operations import Operation
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_subject import aws_settings
from tests.transfer.executor.listed_server import COUNT, PAGE, SHAPES, ListedServer, cuts_of, know_order
from tests.transfer.executor.losing_executor import LosingExecutor

pytestmark = pytest.mark.timeout(60)

_BESIDE = ("source", "source-1/a", "source/", "source.x", "source0", "sourc", "zz/source/a")
"""Keys that are no part of the directory, but for its marker."""


class DeletingServer(ListedServer):
    """An S3 server that knows how often each key was deleted, and refuses to delete some.

    Attributes:
        deleted: the keys of all deletions.
        locked: says which keys are refused.
        before, after: called with the keys of a request before and after they are deleted.
        shut: while it is set, requests to delete wait, and are not done.
        opens, waiting: such requests are answered; one has come.
    """

    def __init__(self, quirks: Quirks) -> None:
        super().__init__(quirks)
        self.deleted: Counter[str] = Counter()
        self.locked: Callable[[str], bool] = lambda _: False
        self.before: Callable[[list[str]], None] = lambda _: None
        self.after: Callable[[list[str]], None] = lambda _: None
        self.shut = False
        self.opens, self.waiting = asyncio.Event(), asyncio.Event()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.shut and request.method == "POST":
            self.waiting.set()
            await self.opens.wait()
            return web.Response(status=503)
        return await super()._serve(request)

    def _answer(self, operation: Operation, ask: Ask) -> Answer:
        if operation.name == "DeleteObject":
            self.deleted[ask.key] += 1
        if operation.name != "DeleteObjects":
            return super()._answer(operation, ask)
        keys = [each.text or "" for each in ET.fromstring(ask.body).iter() if each.tag.endswith("Key")]
        self.before(keys)
        refused = {key: self.stored(key) for key in keys if self.locked(key)}
        answer = super()._answer(operation, ask)
        self.deleted.update(key for key in keys if key not in refused)
        self._service.buckets["bucket"].objects |= refused
        rows = "".join(
            f"<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>locked</Message></Error>" for key in refused
        )
        self.after(keys)
        return Answer(200, answer.headers, f"<DeleteResult>{rows}</DeleteResult>".encode()) if refused else answer

    def names(self) -> list[str]:
        """The names below `source/` that are left."""
        return sorted(key[len("source/") :] for key in self.objects() if key.startswith("source/"))


@asynccontextmanager
async def opened(
    home: Path, names: list[str], page_size: int = PAGE
) -> AsyncIterator[tuple[DeletingServer, AsyncSession]]:
    """A server with objects below `source/` and others beside it, and a session with it."""
    async with DeletingServer(Quirks(page_size=page_size)) as server:
        fill(server, names)
        async with AsyncSession(settings=Settings(home=home, aws=aws_settings(server))) as session:
            await know_order(session, "aws:/bucket/source/")
            yield server, session


def fill(server: DeletingServer, names: list[str]) -> None:
    for name in (*(f"source/{name}" for name in names), *_BESIDE):
        server.store(name, name.encode())


async def deleted(session: AsyncSession, pool: LosingExecutor | None = None, **options: Any) -> DeleteResult:
    """Deletes the directory, on a pool or in this process."""
    storage = session.get_storage_manager().at("aws")
    if pool is None:
        return await storage.try_delete("/bucket/source/", **options)
    with pool:
        return await storage.try_delete("/bucket/source/", executor=pool, credentials="send", **options)


def pieces(pool: LosingExecutor) -> list[ListingRange]:
    """The ranges that were handed out to be listed."""
    return [shard.listing for shard in pool.shards if shard.listing is not None]


def failures(result: DeleteResult) -> list[tuple[str, type[Any], str]]:
    """What a result says of each key that failed."""
    if not isinstance(result.error, TransferError):
        return []
    return sorted((each.source, type(each.error), str(each.error)) for each in result.error.report.failed)


def untouched(server: DeletingServer) -> bool:
    """Whether everything beside the directory is there."""
    return server.objects().keys() >= {key for key in _BESIDE if key != "source/"}


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_same_as_in_one_process(tmp_path: Path, shape: str) -> None:
    """Workers list ranges and delete each key once; the result is that of one process, and nothing else is deleted."""
    names, pool, seen = SHAPES[shape], LosingExecutor(), list[Progress]()
    async with opened(tmp_path, names) as (server, session):
        alone = await deleted(session)
        assert server.names() == []
        fill(server, names)
        server.deleted.clear()
        shared = await deleted(session, pool, on_progress=seen.append)
        assert shared == alone == DeleteResult(len(names) + 1, len(names) + 1)
        assert server.names() == []
        assert untouched(server)
        assert server.deleted == Counter(f"source/{name}" for name in ("", *names))
    assert (seen[-1].files_done, seen[-1].files_total) == (len(names) + 1, len(names) + 1)
    assert len(pieces(pool)) > 1
    assert sum(len(shard.keys) for shard in pool.shards) <= 3 * PAGE


@pytest.mark.parametrize("count", [7, 10, 11, 12, 13, 17])
async def test_short_rests(tmp_path: Path, count: int) -> None:
    """Where little or nothing is left behind the pages that the coordinator lists, ranges are empty; no key stays."""
    names, pool = SHAPES["digests"][:count], LosingExecutor()
    async with opened(tmp_path, names) as (server, session):
        assert await deleted(session, pool) == DeleteResult(count + 1, count + 1)
        assert server.names() == []
        assert max(server.deleted.values()) == 1
        assert untouched(server)


async def test_ranges_are_done_in_pieces(tmp_path: Path) -> None:
    """A range that is longer than a shard is handed out piece by piece; each piece begins where one has ended."""
    names, pool = [f"{number:05}" for number in range(7000)], LosingExecutor(1)
    async with opened(tmp_path, names, page_size=500) as (server, session):
        server.store("source/~", b"~")
        assert await deleted(session, pool) == DeleteResult(7002, 7002)
        assert server.names() == []
        assert set(server.deleted.values()) == {1}
        listings = [each.query for each in server.requests if each.operation == "ListObjects"]
    assert len(pieces(pool)) > 4
    whole = [query for query in listings if "start-after" not in query and "continuation-token" not in query]
    assert len(whole) <= 2  # by the coordinator, and by a worker that looks whether the service lists from a key


async def test_what_a_worker_lists(tmp_path: Path) -> None:
    """A worker lists the keys behind the first one of a range up to its last one, and stops after enough of them."""
    async with opened(tmp_path, SHAPES["flat"]) as (_, session):
        location = await session._resolver.resolve("aws:/bucket/source/", "private")
        assert location.area is not None
        provider, resources = location.area.provider, session._resources
        key = "bucket/source/file-{:05}.bin".format

        async def listed(low: int, high: int | None, most: int) -> Any:
            span = ListingRange("bucket/source/", key(low), None if high is None else key(high), most)
            found, error = await list_range(provider, span, limits=resources.limits, policy=resources.policy)
            assert error is None
            names = [f"bucket/source/{name}" for name in unpack(found.keys.content)] if found.keys.number else []
            assert len(names) == found.keys.number
            return names, found

        names, found = await listed(3, 7, 1000)
        assert names == [key(number) for number in (4, 5, 6, 7)]
        assert (found.first, found.position, found.beyond, found.ended) == (key(4), key(7), key(8), True)
        names, found = await listed(7, None, 15)
        assert names == [key(number) for number in range(8, 23)]
        assert (found.first, found.position, found.beyond, found.ended) == (key(8), key(22), key(23), False)
        names, found = await listed(7, 5, 15)
        assert names == []
        assert (found.first, found.position, found.beyond, found.ended) == (key(8), key(7), key(8), True)
        names, found = await listed(200, None, 15)
        assert (names, found.first, found.position, found.beyond, found.ended) == ([], None, key(200), None, True)


@pytest.mark.parametrize("mode", ["moved", "ignored", "empty"])
@pytest.mark.parametrize("shape", ["deep", "digests"])
async def test_services_that_begin_elsewhere(tmp_path: Path, mode: str, shape: str) -> None:
    """A service that lists from another key than it was asked to costs another listing, and leaves no key."""
    names = SHAPES[shape]
    async with opened(tmp_path, names) as (server, session):
        server.mode = mode
        assert await deleted(session, LosingExecutor()) == DeleteResult(len(names) + 1, len(names) + 1)
        assert server.names() == []
        assert set(server.deleted.values()) == {1}
        assert untouched(server)


async def test_listings_that_end_early(tmp_path: Path) -> None:
    """A worker's listing that ends though there are keys behind it is listed on, and leaves no key."""
    names, pool = SHAPES["digests"], LosingExecutor()
    async with opened(tmp_path, names) as (server, session):
        server.cuts = cuts_of(pool)
        assert await deleted(session, pool) == DeleteResult(len(names) + 1, len(names) + 1)
        assert server.names() == []
        assert set(server.deleted.values()) == {1}
    assert len(pieces(pool)) > 3


async def test_pieces_that_begin_elsewhere(tmp_path: Path) -> None:
    """A service that begins elsewhere where the key is gone that a listing follows leaves no key either."""
    names, pool = [f"{number:05}" for number in range(7000)], LosingExecutor(1)
    async with opened(tmp_path, names, page_size=500) as (server, session):
        server.mode = "moved"
        assert await deleted(session, pool) == DeleteResult(7001, 7001)
        assert server.names() == []
        assert set(server.deleted.values()) == {1}
    assert len(pieces(pool)) > 4


async def test_single_keys_that_fail(tmp_path: Path) -> None:
    """Keys that the service refuses to delete are the failures of one process; the others are gone."""
    names, pool = SHAPES["flat"], LosingExecutor()
    async with opened(tmp_path, names) as (server, session):
        server.locked = lambda key: key.endswith("7.bin")
        alone, left = await deleted(session), server.names()
        assert left == [name for name in names if name.endswith("7.bin")]
        fill(server, names)
        shared = await deleted(session, pool)
        assert server.names() == left
    assert (shared.asked, shared.deleted) == (alone.asked, alone.deleted) == (61, 55)
    assert failures(shared) == failures(alone)
    assert len(failures(shared)) == 6
    assert len(pieces(pool)) > 3


async def test_the_cache_after_failures(tmp_path: Path) -> None:
    """Listings that were cached before show afterwards what is left."""
    async with opened(tmp_path, SHAPES["deep"]) as (server, session):
        storage = session.get_storage_manager().at("aws")
        for path in ("/bucket/", "/bucket/source/", "/bucket/source/run-2/", "/bucket/source/run-2/step-0/"):
            assert len(await storage.list(path))
        server.locked = lambda key: key.endswith("run-2/step-0/rank-3.npy")
        await deleted(session, LosingExecutor())
        found = [
            [item.path for item in await storage.list(path)] for path in ("/bucket/source/", "/bucket/source/run-2/")
        ]
        assert found == [["/bucket/source/run-2/"], ["/bucket/source/run-2/step-0/"]]
        assert "/bucket/source/" in [item.path for item in await storage.list("/bucket/")]
        server.locked = lambda _: False
        await deleted(session, LosingExecutor())
        with pytest.raises(NotFoundError):
            await storage.list("/bucket/source/")
        assert "/bucket/source/" not in [item.path for item in await storage.list("/bucket/")]


async def test_a_service_that_deletes_nothing(tmp_path: Path) -> None:
    """An error of all deletions is that of one process, and ends the call."""
    async with opened(tmp_path, SHAPES["flat"]) as (server, session):
        object.__setattr__(server.quirks, "denied", frozenset({"DeleteObjects", "DeleteObject"}))
        alone, shared = await deleted(session), await deleted(session, LosingExecutor())
        assert type(alone.error) is type(shared.error) is AccessDeniedError
        assert len(server.names()) == COUNT + 1


async def test_many_failures_end_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the most failures that a call has, no further range is handed out, and nothing is listed again."""
    monkeypatch.setattr(deletion, "_MAX_FAILURES", 20)
    names, pool = [f"{number:05}" for number in range(9000)], LosingExecutor(1)
    async with opened(tmp_path, names, page_size=500) as (server, session):
        server.locked = lambda key: int(key[-2:]) % 2 == 0 if key[-2:].isdigit() else False
        result = await deleted(session, pool)
    assert "so many failed that the rest was not tried" in str(result.error)
    assert result.asked < 9000
    assert result.deleted == sum(server.deleted.values())


@pytest.mark.parametrize("before", [True, False])
async def test_lost_workers(tmp_path: Path, before: bool) -> None:
    """Ranges of lost workers are listed anew, and keys deleted anew: the result is that of one process."""
    lost = set[object]()

    def loses(shard: Shard) -> bool:
        work = shard.listing or shard.listed_keys
        first = work is not None and work not in lost
        lost.add(work)
        return first

    pool = LosingExecutor(loses=loses, before=before)
    async with opened(tmp_path, SHAPES["flat"]) as (server, session):
        server.locked = lambda key: key.endswith("7.bin")
        result = await deleted(session, pool)
        assert server.names() == [name for name in SHAPES["flat"] if name.endswith("7.bin")]
        assert untouched(server)
    assert pool.lost == len(lost) - 1 > 6  # one of them is None
    assert (result.asked, result.deleted, len(failures(result))) == (61, 55, 6)


async def test_a_range_that_ends_its_workers(tmp_path: Path) -> None:
    """What is in a range that ends each worker is listed by the coordinator, and deleted by others."""
    poison = "bucket/source/file-00047.bin"

    def loses(shard: Shard) -> bool:
        span = shard.listing
        return span is not None and span.low < poison and (span.high is None or poison <= span.high)

    async with opened(tmp_path, SHAPES["flat"]) as (server, session):
        result = await deleted(session, LosingExecutor(loses=loses, before=True))
        assert result == DeleteResult(COUNT + 1, COUNT + 1)
        assert server.names() == []
        assert set(server.deleted.values()) == {1}


async def test_keys_that_end_their_workers(tmp_path: Path) -> None:
    """Keys whose deletion ends each worker end the call with an error, as if the service had not answered."""

    def loses(shard: Shard) -> bool:
        return shard.listed_keys is not None

    async with opened(tmp_path, SHAPES["flat"]) as (server, session):
        result = await deleted(session, LosingExecutor(loses=loses, before=True))
        assert "workers ended while they worked on it" in str(result.error)
        assert result.asked == result.deleted == COUNT + 1 - len(server.names())
        assert untouched(server)


async def test_a_killed_process(tmp_path: Path) -> None:
    """A process that is killed once the service has deleted what it asked for costs nothing, not even in the number."""
    names, killed = [f"{number:05}" for number in range(3000)], list[int]()

    def kill(keys: list[str]) -> None:
        if not killed and keys[0] > "source/00290":
            (worker,) = active_children()
            assert worker.pid is not None
            killed.append(worker.pid)
            os.kill(worker.pid, signal.SIGKILL)

    async with opened(tmp_path, names, page_size=100) as (server, session):
        server.after = kill
        storage = session.get_storage_manager().at("aws")
        assert await storage.try_delete("/bucket/source/", processes=1) == DeleteResult(3001, 3001)
        assert server.names() == []
        assert untouched(server)
    assert len(killed) == 1


async def test_a_broken_pool_is_an_error(tmp_path: Path) -> None:
    """A pool that takes no more work ends the call with an error; another call deletes the rest."""
    async with opened(tmp_path, SHAPES["flat"]) as (server, session):
        with pytest.raises(ExecutorError, match="takes no work"):
            await deleted(session, LosingExecutor(1, closes_after=3))
        left = len(server.names())
        assert left
        assert await deleted(session) == DeleteResult(left, left)
        assert untouched(server)


async def test_cancelled_calls(tmp_path: Path) -> None:
    """A cancelled call ends its workers, also while the service does not answer; another call deletes the rest."""
    pool = LosingExecutor()
    async with opened(tmp_path, SHAPES["flat"]) as (server, session):

        def close(_: list[str]) -> None:
            server.shut = server.shut or len(pieces(pool)) > 1

        server.before = close
        call = asyncio.ensure_future(deleted(session, pool))
        await server.waiting.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        left = server.names()
        server.shut = False
        server.opens.set()
        assert left
        assert await deleted(session) == DeleteResult(len(left), len(left))
        assert untouched(server)


async def test_keys_that_appear(tmp_path: Path) -> None:
    """What appears where the listing has been stays, as in one process; what appears beside the directory stays."""
    pool = LosingExecutor()
    async with opened(tmp_path, SHAPES["flat"]) as (server, session):

        def appear(_: list[str]) -> None:
            if pieces(pool):
                for key in ("source/early", "source-new", "source0-new"):
                    server.store(key, b"new")

        server.before = appear
        assert await deleted(session, pool) == DeleteResult(COUNT + 1, COUNT + 1)
        assert server.names() == ["early"]
        assert untouched(server)
        assert server.objects().keys() >= {"source-new", "source0-new"}


async def test_keys_that_others_delete(tmp_path: Path) -> None:
    """Keys that somebody else deletes meanwhile cost another listing at most; each key that is left is deleted."""
    pool = LosingExecutor()
    async with opened(tmp_path, SHAPES["digests"]) as (server, session):

        def vanish(_: list[str]) -> None:
            if pieces(pool):
                for name in server.names()[::3]:
                    server._service.buckets["bucket"].objects.pop(f"source/{name}")

        server.before = vanish
        result = await deleted(session, pool)
        assert result.error is None
        assert server.names() == []
        assert untouched(server)


async def test_several_directories(tmp_path: Path) -> None:
    """Several directories and objects of one call are deleted as in one process, also a whole bucket."""
    async with opened(tmp_path, SHAPES["flat"]) as (server, session):
        for name in SHAPES["deep"]:
            server.store(f"other/{name}", b"")
        storage, pool = session.get_storage_manager().at("aws"), LosingExecutor()
        with pool:
            where: Any = {"executor": pool, "credentials": "send"}
            paths = ["/bucket/source/", "/bucket/zz/source/a", "/bucket/other/", "/bucket/not-there"]
            assert await storage.delete(paths, **where) == 2 * COUNT + 3
            assert server.objects().keys() == {"source", "source-1/a", "source.x", "source0", "sourc"}
            fill(server, SHAPES["flat"])
            assert await storage.delete("/bucket/", **where) == COUNT + len(_BESIDE)
        assert server.objects() == {}
        assert {span.prefix for span in pieces(pool)} == {"bucket/source/", "bucket/other/", "bucket/"}


async def test_google(tmp_path: Path) -> None:
    """Workers list from a key at Google Cloud, too."""
    names, pool = [f"{number:04}" for number in range(COUNT)], LosingExecutor()
    async with GoogleServer(GoogleQuirks(page_size=PAGE)) as server:
        for name in (*(f"source/{name}" for name in names), "source0"):
            server.put(name, b"")
        gcp = GCPSettings(endpoint=server.url, service_file=server.service_file(tmp_path))
        async with AsyncSession(settings=Settings(home=tmp_path / "home", gcp=gcp)) as session:
            await know_order(session, "gcp:/bucket/source/")
            with pool:
                storage = session.get_storage_manager().at("gcp")
                assert await storage.delete("/bucket/source/", executor=pool, credentials="send") == COUNT
        assert server.names == ["source0"]
    assert len(pieces(pool)) > 3


async def test_services_of_unknown_order(tmp_path: Path) -> None:
    """Where a service is not known to list in the order of its keys, the coordinator lists."""
    pool = LosingExecutor()
    async with DeletingServer(Quirks(page_size=PAGE)) as server:
        fill(server, SHAPES["flat"])
        async with AsyncSession(settings=Settings(home=tmp_path, aws=aws_settings(server))) as session:
            assert await deleted(session, pool) == DeleteResult(COUNT + 1, COUNT + 1)
        assert server.names() == []
    assert not pieces(pool)


def test_services_of_known_order() -> None:
    """Amazon S3 is known to list in that order; directory buckets and servers that speak like it are not."""
    hosts = {
        None: True,
        "https://s3.eu-west-1.amazonaws.com": True,
        "https://s3express-use1-az4.us-east-1.amazonaws.com": False,
        "http://127.0.0.1:9000": False,
    }
    assert {host: amazon_features(host).key_order for host in hosts} == hosts


async def test_azure_is_listed_here(tmp_path: Path) -> None:
    """Where directories may be real, what is in one is deleted before it: one batch after the other, in that order."""
    pool = LosingExecutor()
    async with AzureServer(AzureQuirks(page_size=PAGE, untyped=True)) as server:
        for number in range(COUNT // 2):
            server.put(f"source/{number:04}", b"")
        azure = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5")
        async with AsyncSession(settings=Settings(home=tmp_path / "home", azure=azure)) as session:
            with pool:
                storage = session.get_storage_manager().at("azure")
                assert await storage.delete("/container/source/", executor=pool, credentials="send") == COUNT // 2
        assert not [name for name in server.files if name.startswith("source/")]
    assert not pieces(pool)
