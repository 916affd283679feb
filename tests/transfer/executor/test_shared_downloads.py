"""Long listings of downloads that are shared out: the same files and the same report as in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, ConfigurationError, Settings, TransferError, TransferReport
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.storage.shard_worker import _check_shared
from dxflow_async.transfer.executor.shard import Budget, KeyRange, Shard, ShardPlace
from tests.dialects.s3_subject import aws_settings
from tests.sessions import MiB, part_files
from tests.transfer.executor.halfway_servers import KillingServer
from tests.transfer.executor.listed_server import COUNT, PAGE, SHAPES, opened, ranges
from tests.transfer.executor.losing_executor import LosingExecutor
from tests.transfer.executor.trees import content

pytestmark = pytest.mark.timeout(60)

_ODD = [
    *(f"run-{number // 5}/{number:03}" for number in range(60)),
    *(f"run-5/../{number}" for number in range(3)),
    *(f"run-6//{number}" for number in range(3)),
    *(f"run-7/empty-{number}/" for number in range(3)),
    *(f"run-8/{chr(code)} ?*:\\" for code in (0x2B, 0x25, 0xE9, 0x4E00, 0x1F600)),
    "run-9/" + "n" * 300,
    "run-9/link.dxlink",
]
"""Names with which a download can do nothing, and others that are unusual."""

_SIXTY = [f"run-{number // 10}/{number:03}" for number in range(60)]


async def downloaded(session: AsyncSession, target: Path, pool: Any = None, **options: Any) -> TransferReport:
    """Downloads everything, on a pool or in this process; failed items are part of the report."""
    where = {} if pool is None else {"executor": pool, "credentials": "send"}
    try:
        return await session.copy("aws:/bucket/source/", f"{target}/", **where, **options)
    except TransferError as error:
        return error.report


def outcome(report: TransferReport, target: Path) -> list[tuple[Any, ...]]:
    """What a report says of each item."""
    return sorted(
        (
            each.source,
            each.destination.removeprefix(str(target)),
            each.bytes,
            each.checksum,
            each.verified,
            each.skipped,
            None if each.error is None else (type(each.error), str(each.error).replace(str(target), "")),
        )
        for each in report
    )


def tree(top: Path) -> dict[str, tuple[int, bytes | None]]:
    """The time and the bytes of each file, and the directories, by their names."""
    return {
        str(path.relative_to(top)): (path.stat().st_mtime_ns, path.read_bytes()) if path.is_file() else (0, None)
        for path in top.rglob("*")
    }


@pytest.mark.parametrize("names", [SHAPES["digests"], SHAPES["deep"], SHAPES["one directory"], _ODD])
async def test_the_same_as_in_one_process(tmp_path: Path, names: list[str]) -> None:
    """Files, their times, empty directories, and what the report says are those of a download in one process."""
    one, many, pool = tmp_path / "one", tmp_path / "many", LosingExecutor()
    async with opened(tmp_path / "home", names) as (_, session):
        alone = await downloaded(session, one)
        with pool:
            shared = await downloaded(session, many, pool)
    assert len(ranges(pool)) > 3
    assert sum(len(shard.items) for shard in pool.shards) <= 3 * PAGE
    assert outcome(shared, many) == outcome(alone, one)
    assert len(shared) == len(names)
    assert tree(many) == tree(one)
    assert not part_files(tmp_path)


@pytest.mark.parametrize("overwrite", [True, False])
async def test_lost_workers(tmp_path: Path, overwrite: bool) -> None:
    """A worker that is lost after it has stored the files of a range costs that range, and no file."""
    lost = set[str]()

    def loses(shard: Any) -> bool:
        first = shard.range is not None and shard.range.low not in lost
        if first:
            lost.add(shard.range.low)
        return first

    names, pool = SHAPES["flat"], LosingExecutor(loses=loses)
    async with opened(tmp_path / "home", names) as (_, session):
        with pool:
            report = await downloaded(session, tmp_path / "back", pool, overwrite=overwrite)
    assert report.failed == []
    assert sorted(Path(each.source).name for each in report) == names
    assert sorted(content(tmp_path / "back")) == names
    assert pool.lost == len(lost) > 3


async def test_a_range_that_ends_its_workers(tmp_path: Path) -> None:
    """Of a range that ends each worker, only the object that does so fails; the files of the others are there."""
    poison = "file-00047.bin"

    def loses(shard: Any) -> bool:
        if (span := shard.range) is None:
            return any(record.source.key.endswith(poison) for record in shard.items)
        key = f"bucket/source/{poison}"
        return bool(span.low < key and (span.high is None or key <= span.high))

    pool = LosingExecutor(loses=loses, before=True)
    async with opened(tmp_path / "home", SHAPES["flat"]) as (_, session):
        with pool:
            report = await downloaded(session, tmp_path / "back", pool)
    assert [Path(each.source).name for each in report.failed] == [poison]
    assert len(report) == COUNT
    assert sorted(content(tmp_path / "back")) == [name for name in SHAPES["flat"] if name != poison]


@asynccontextmanager
async def killed(tmp_path: Path, then: str, **options: Any) -> AsyncIterator[tuple[KillingServer, AsyncSession]]:
    """A server that kills a worker which downloads a range of its 60 objects, and a session with it."""
    async with KillingServer("run-5/053", tmp_path / "back", then) as server:
        for name in _SIXTY:
            server.store(f"source/{name}", name.encode())
        server.store("source/run-5/053", bytes(4 * MiB))
        settings = Settings(home=tmp_path / "home", aws=aws_settings(server), **options)
        async with AsyncSession(settings=settings) as session:
            yield server, session


async def test_a_killed_worker_leaves_nothing(tmp_path: Path) -> None:
    """What a worker was writing when it was killed is removed once its range is done again."""
    async with killed(tmp_path, "answered") as (server, session):
        report = await session.copy("aws:/bucket/source/", f"{tmp_path}/back/", processes=1)
        assert server.left
    assert (len(report), report.failed) == (60, [])
    assert sorted(content(tmp_path / "back")) == _SIXTY
    assert not part_files(tmp_path)


@pytest.mark.parametrize("then", ["refused", "held", "answered"])
async def test_a_range_that_is_not_listed_again(tmp_path: Path, then: str) -> None:
    """What a killed worker was writing is removed as well where its range cannot be listed again, or the call ends."""
    async with killed(tmp_path, then, journal=False) as (server, session):
        call = asyncio.ensure_future(session.copy("aws:/bucket/source/", f"{tmp_path}/back/", processes=1))
        if then != "refused":
            await (server.holds if then == "held" else server.killed).wait()
            call.cancel()
        with pytest.raises(TransferError if then == "refused" else asyncio.CancelledError):
            await call
        server.released.set()
        assert server.left
    assert not part_files(tmp_path)


@pytest.mark.parametrize(("root", "seen"), [("/shared/back", True), ("/shared-not", False)])
def test_directories_that_workers_see(root: str, seen: bool) -> None:
    """On another machine a range is downloaded only into a directory that all workers see."""
    target = ShardPlace("", f"{root}/", root)
    span = KeyRange(ShardPlace("bucket/source/", "source/"), target, "", None, 1, 1, ObjectOptions())
    shard = Shard(
        number=1,
        operation="copy",
        areas=(("aws", "aws", "", ""), None),  # type: ignore[arg-type]
        account=None,
        settings={},
        budget=Budget(1, None),
        channel="",
        shared=["/shared"],
        range=span,
    )
    if seen:
        _check_shared(shard)
        return
    with pytest.raises(ConfigurationError, match="/shared-not/ is a local path"):
        _check_shared(shard)
