"""Long listings that are shared out by key ranges: every object is copied once, whatever its key, and by workers."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import (
    AlreadyExistsError,
    AsyncSession,
    ExecutorError,
    Progress,
    Settings,
    TransferError,
    TransferReport,
)
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.transfer.context import Place
from dxflow_async.transfer.executor.range_items import RangeItems
from dxflow_async.transfer.executor.shard import ItemReceipt, KeyRange, Shard, ShardPlace
from dxflow_async.transfer.executor.worker_items import Redone
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.sessions import MiB
from tests.transfer.executor.listed_server import COUNT, PAGE, SHAPES, ListedServer, cuts_of, opened, ranges
from tests.transfer.executor.losing_executor import LosingExecutor

pytestmark = pytest.mark.timeout(60)


def content(server: S3Server, top: str) -> dict[str, bytes]:
    """The objects below a directory, by their names in it."""
    return {key[len(top) :]: data for key, data in server.objects().items() if key.startswith(top)}


def copies(server: S3Server) -> Counter[str]:
    """How often each object was copied."""
    return Counter(each.key for each in server.requests if each.operation == "CopyObject" and each.status < 300)


async def copied(session: AsyncSession, pool: LosingExecutor, **options: Any) -> TransferReport:
    """Copies everything on a pool."""
    with pool:
        return await session.copy(
            "aws:/bucket/source/", "aws:/bucket/copy/", executor=pool, credentials="send", **options
        )


@pytest.mark.parametrize("shape", SHAPES)
async def test_each_object_is_copied_once(tmp_path: Path, shape: str) -> None:
    """Ranges of keys are listed by workers; each object is copied and reported once, and progress ends at the sums."""
    names, pool, seen = SHAPES[shape], LosingExecutor(), list[Progress]()
    async with opened(tmp_path, names) as (server, session):
        report = await copied(session, pool, on_progress=seen.append)
        assert content(server, "copy/") == content(server, "source/")
        assert set(copies(server).values()) == {1}
        assert sorted(each.destination for each in report) == sorted(f"aws:/bucket/copy/{name}" for name in names)
        assert (report.failed, report.bytes) == ([], sum(len(name.encode()) for name in names))
        last = seen[-1]
        assert (last.files_done, last.files_total) == (len(names), len(names))
        assert last.bytes_done == last.bytes_total == report.bytes
    assert len(ranges(pool)) > 3
    assert sum(len(shard.items) for shard in pool.shards) <= 3 * PAGE
    assert not list((tmp_path / "jobs").glob("*.sqlite3"))


async def test_services_of_unknown_order(tmp_path: Path) -> None:
    """Where the order of a service is not known, this process lists: a key may come too late for its range."""
    pool = LosingExecutor()
    async with opened(tmp_path, SHAPES["digests"]) as (server, session):
        location = await session._resolver.resolve("aws:/bucket/source/", "private")
        assert location.area is not None
        location.area.provider.features = replace(location.area.provider.features, key_order=False)
        report = await copied(session, pool)
        assert content(server, "copy/") == content(server, "source/")
    assert len(report) == len(SHAPES["digests"])
    assert not ranges(pool)


async def test_a_range_ends_with_its_last_key(tmp_path: Path) -> None:
    """A range has the keys behind its first one, up to and including its last one, and tells what follows."""
    async with opened(tmp_path, SHAPES["flat"]) as (_, session):
        location = await session._resolver.resolve("aws:/bucket/source/", "private")
        assert location.area is not None
        source = location.area.place(location.path)
        target = Place(source.provider, "bucket/copy/", "copy/")
        low, last, beyond = (f"{source.key}file-0000{number}.bin" for number in (3, 7, 8))
        span = KeyRange(ShardPlace.of(*source), ShardPlace.of(*target), low, last, 1000, MiB, ObjectOptions())
        context = session._resources.context(None)
        planned = RangeItems(context, source, target, span, "copy", Redone(certain=False, possible=False, began=0.0))
        found = [item.ends[1] async for item in planned.items()]
        listed, _ = planned.listed(defaultdict(ItemReceipt))
    assert found == [f"copy/file-0000{number}.bin" for number in (4, 5, 6, 7)]
    assert (listed.position, listed.last, listed.beyond, listed.ended) == (last, last, beyond, True)


@pytest.mark.parametrize("mode", ["moved", "ignored", "empty"])
async def test_services_that_begin_elsewhere(tmp_path: Path, mode: str) -> None:
    """A service that lists from another key than it was asked to costs another listing, and no object."""
    names = SHAPES["deep"]
    async with opened(tmp_path, names) as (server, session):
        server.mode = mode
        report = await copied(session, LosingExecutor())
        assert content(server, "copy/") == content(server, "source/")
        assert set(copies(server).values()) == {1}
        assert len(report) == len(names)


async def test_listings_that_end_early(tmp_path: Path) -> None:
    """Objects behind the end of a worker's listing, which others show to be wrong, are copied as well."""
    names, pool = SHAPES["digests"], LosingExecutor()
    async with opened(tmp_path, names) as (server, session):
        server.cuts = cuts_of(pool)
        report = await copied(session, pool)
        assert content(server, "copy/") == content(server, "source/")
        assert set(copies(server).values()) == {1}
    assert len(report) == len(names)
    assert len(ranges(pool)) > 3


async def test_a_last_range_that_ends_early(tmp_path: Path) -> None:
    """Its end is confirmed by an empty listing; keys that follow are copied by workers, without a listing here."""
    names, pool = SHAPES["digests"], LosingExecutor()
    async with opened(tmp_path, names) as (server, session):
        cuts, cut = cuts_of(pool, last=True), list[str]()
        server.cuts = lambda after: cuts(after) and not cut.append(after)  # type: ignore[func-returns-value]
        report = await copied(session, pool)
        assert content(server, "copy/") == content(server, "source/")
        assert set(copies(server).values()) == {1}
    assert len(report) == len(names)
    assert cut
    assert sum(len(shard.items) for shard in pool.shards) <= 3 * PAGE


@pytest.mark.parametrize("overwrite", [True, False])
async def test_lost_workers(tmp_path: Path, overwrite: bool) -> None:
    """A worker that is lost after it has copied a range costs that range, also where nothing may be replaced."""
    lost = set[str | None]()

    def loses(shard: Shard) -> bool:
        first = shard.range is not None and shard.range.low not in lost
        if first and shard.range is not None:
            lost.add(shard.range.low)
        return first

    pool = LosingExecutor(loses=loses)
    async with opened(tmp_path, SHAPES["flat"]) as (server, session):
        report = await copied(session, pool, overwrite=overwrite)
        assert content(server, "copy/") == content(server, "source/")
        assert len(report) == len({each.source for each in report}) == COUNT
    assert pool.lost == len(lost) > 3


async def test_a_range_that_ends_its_workers(tmp_path: Path) -> None:
    """Of a range that ends each worker, only the object that does so fails; the job goes on with it."""
    poison = "file-00047.bin"

    def loses(shard: Shard) -> bool:
        span = shard.range
        if span is None:
            return any(record.source.key.endswith(poison) for record in shard.items)
        return span.low < f"bucket/source/{poison}" and (span.high is None or f"bucket/source/{poison}" <= span.high)

    async with opened(tmp_path, SHAPES["flat"]) as (server, session):
        with pytest.raises(TransferError, match="workers ended while they worked on it") as caught:
            await copied(session, LosingExecutor(loses=loses, before=True))
        report = caught.value.report
        assert [Path(each.source).name for each in report.failed] == [poison]
        assert len(report) == COUNT
        assert content(server, "copy/").keys() == content(server, "source/").keys() - {poison}
        assert report.job_id is not None
        assert len(await session.resume(report.job_id)) == 1
        assert content(server, "copy/") == content(server, "source/")


async def test_a_job_of_ranges_is_resumed(tmp_path: Path) -> None:
    """The journal has what workers have copied: a call that broke off goes on without copying it again."""
    async with opened(tmp_path, SHAPES["digests"]) as (server, session):
        with pytest.raises(ExecutorError) as caught:
            await copied(session, LosingExecutor(1, closes_after=3))
        assert caught.value.job_id is not None
        report = await session.resume(caught.value.job_id, processes=None)
        assert content(server, "copy/") == content(server, "source/")
        assert 0 < len(report) < COUNT


async def test_a_job_of_which_only_workers_know(tmp_path: Path) -> None:
    """A call whose items were all listed by workers, and failed, is kept as a job as any other one."""
    late = {"include": "file-000[3-5]*", "overwrite": False}
    async with opened(tmp_path, SHAPES["flat"]) as (server, session):
        for name in SHAPES["flat"]:
            server.store(f"copy/{name}", b"taken")
        with pytest.raises(TransferError) as caught:
            await copied(session, LosingExecutor(), **late)
        assert len(caught.value.report.failed) == 30
        assert caught.value.report.job_id is not None
        with pytest.raises(TransferError) as again:
            await session.resume(caught.value.report.job_id)
        assert len(again.value.report.failed) == 30


async def test_rules_of_a_call(tmp_path: Path) -> None:
    """Overwriting and selections are the same as in one process."""
    async with opened(tmp_path, SHAPES["flat"]) as (server, session):
        report = await copied(session, LosingExecutor(), include="*7.bin", exclude="*17.bin")
        wanted = {name for name in SHAPES["flat"] if name.endswith("7.bin") and not name.endswith("17.bin")}
        assert content(server, "copy/").keys() == wanted
        assert len(report) == len(wanted)
        server.store("source/file-00057.bin", b"new")
        again = await copied(session, LosingExecutor(), overwrite="skip")
        assert (len(again), len(again.skipped)) == (COUNT, len(wanted))
        with pytest.raises(TransferError) as caught:
            await copied(session, LosingExecutor(), overwrite=False)
        assert {type(each.error) for each in caught.value.report.failed} == {AlreadyExistsError}
        assert len(caught.value.report.failed) == COUNT


async def test_large_objects_in_a_range(tmp_path: Path) -> None:
    """A large object that a worker finds is cut into parts by the coordinator, and finished once."""
    names = [f"{number:04}" for number in range(60)]
    async with opened(tmp_path / "a", names) as (server, _), ListedServer(buckets=("other",)) as other:
        server.store("source/0037-large", bytes(12 * MiB))
        ends = aws_settings(server), {"other": aws_settings(other)}
        settings = Settings(home=tmp_path / "b", part_size=5 * MiB, aws=ends[0], remotes=ends[1])
        async with AsyncSession(settings=settings) as session:
            pool = LosingExecutor()
            with pool:
                where: Any = {"executor": pool, "credentials": "send"}
                report = await session.copy("aws:/bucket/source/", "other:/other/copy/", **where)
        assert len(report) == 61
        found = {key[len("copy/") :]: len(data) for key, data in other.objects("other").items()}
        assert found == {key: len(data) for key, data in content(server, "source/").items()}
        assert other.operations()["CompleteMultipartUpload"] == 1
        assert not other.unfinished("other")
    assert [shard for shard in pool.shards if shard.parts is not None]
