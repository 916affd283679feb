"""Syncing directories at real servers."""

from __future__ import annotations

import asyncio
import os
from itertools import product
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, SyncPlan, TransferReport
from dxflow_async.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    NotFoundError,
    StorageError,
    TransferError,
    UnsafePathError,
)
from dxflow_async.providers.contract import Page
from tests.servers import SeaweedFS
from tests.sessions import MiB
from tests.storage.scratch_directories import DAILY_PAIRS, PROVIDERS, CloudSpot, LocalSpot, Spot
from tests.storage.tested_accounts import Spots

TREE = {
    "a": b"1",
    "a-b": b"22",
    "a.d/x": b"333",
    "a.d/y": b"",
    "data.csv": b"4444",
    "data/1": b"5",
    "data/2": b"66",
    "ü/日本": b"7",
}
OLD = 1234567890.123457


def names(report: TransferReport) -> set[str]:
    return {os.path.basename(result.destination) for result in report if not result.deleted}


def actions(plan: SyncPlan) -> list[tuple[str, str]]:
    return [(action.kind, action.path) for action in plan]


def age(spot: Spot, *only: str) -> None:
    """Gives local files a time in the past."""
    assert isinstance(spot, LocalSpot)
    for path in [spot.path / name for name in only] or spot.path.rglob("*"):
        os.utime(path, (1, OLD))


@pytest.mark.parametrize(("one", "other"), DAILY_PAIRS)
async def test_a_second_sync_moves_nothing(everywhere: AsyncSession, spots: Spots, one: str, other: str) -> None:
    """The first makes the two alike, and what has been kept of times tells the second that they are."""
    source, target = spots(one, "from"), spots(other, "to")
    await source.put(TREE | {"large": os.urandom(11 * MiB)})
    first = await everywhere.sync(source.location, target.location, delete=True)
    assert len(first) == len(TREE) + 1
    assert await target.tree() == await source.tree()
    assert len(await everywhere.sync(source.location, target.location, delete=True)) == 0
    plan = await everywhere.sync(source / "", target / "", delete=True, dry_run=True)
    assert (len(plan), plan.unchanged) == (0, len(TREE) + 1)


@pytest.mark.parametrize("other", PROVIDERS)
async def test_the_time_of_a_file_comes_back(everywhere: AsyncSession, spots: Spots, other: str) -> None:
    """There and back again it is as it was, to the microsecond; and nothing differs on the way."""
    start, there, back = spots("LOCAL", "x"), spots(other, "y"), spots("LOCAL", "z")
    assert isinstance(back, LocalSpot)
    await start.put({"small": b"1", "large": bytes(11 * MiB)})
    age(start)
    await everywhere.sync(start.location, there.location)
    await everywhere.sync(there.location, back.location)
    for name in ("small", "large"):
        assert (back.path / name).stat().st_mtime == pytest.approx(OLD, abs=2e-6)
    assert len(await everywhere.sync(back.location, start.location, dry_run=True)) == 0


@pytest.mark.parametrize(("one", "other"), [("LOCAL", "AWS"), ("AWS", "LOCAL"), ("LOCAL", "LOCAL"), ("AWS", "AWS")])
async def test_what_is_new_or_differs_is_copied(everywhere: AsyncSession, spots: Spots, one: str, other: str) -> None:
    """And nothing else; what only the destination has stays, or goes with `delete`."""
    source, target = spots(one, "from"), spots(other, "to")
    await source.put(TREE)
    await everywhere.sync(source.location, target.location)
    await target.put({"extra": b"x", "data/extra": b"y", "zz/deep/extra": b"z"})
    await asyncio.sleep(1.1)  # S3 tells the time of what it has stored to the second
    await source.put({"new": b"new", "data/1": b"longer", "a": b"9"})
    plan = await everywhere.sync(source.location, target.location, dry_run=True)
    assert sorted(actions(plan)) == [("copy", "a"), ("copy", "data/1"), ("copy", "new")]
    assert {action.path: action.reason for action in plan}["new"] == "new"
    report = await everywhere.sync(source.location, target.location)
    assert names(report) == {"new", "1", "a"}
    assert set(await target.tree()) == set(await source.tree()) | {"extra", "data/extra", "zz/deep/extra"}
    plan = await everywhere.sync(source.location, target.location, delete=True, dry_run=True)
    assert actions(plan) == [("delete", "zz/deep/extra"), ("delete", "extra"), ("delete", "data/extra")]
    report = await everywhere.sync(source.location, target.location, delete=True)
    assert [result.destination for result in report.deleted] == [target / action.path for action in plan]
    assert await target.tree() == await source.tree()


async def test_a_listing_out_of_order_is_no_reason_to_copy_or_delete(
    everywhere: AsyncSession, spots: Spots, weed: SeaweedFS
) -> None:
    """SeaweedFS lists `a/b` before `a-b`: nothing is missing, and nothing is superfluous."""
    source, target = spots("LOCAL", "x"), spots("AWS", "y")
    assert isinstance(target, CloudSpot)
    tree = {f"{name}{end}": b"1" for name in ("a", "b", "c") for end in ("/1", "/2", "-1", ".txt", " 2", "!/x")}
    await source.put(tree)
    await everywhere.sync(source.location, target.location, delete=True)
    bucket, _, prefix = target.path[1:].partition("/")
    listed = [each["Key"] for each in weed.client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")["Contents"]]
    assert listed != sorted(listed), "the server keeps the order by now: this test needs another one"
    for one, other in ((source, target), (target, source)):
        assert len(await everywhere.sync(one.location, other.location, delete=True)) == 0
    await target.put({"b-0": b"extra", "b/0": b"extra", "a#": b"extra"})
    report = await everywhere.sync(source.location, target.location, delete=True)
    assert len(report) == len(report.deleted) == 3
    assert await target.tree() == tree
    assert isinstance(source, LocalSpot)
    (source.path / "c-1").unlink()
    report = await everywhere.sync(target.location, source.location, delete=True)
    assert names(report) == {"c-1"}
    assert await source.tree() == tree


@pytest.mark.parametrize("other", PROVIDERS)
async def test_checksums_tell_what_times_do_not(everywhere: AsyncSession, spots: Spots, other: str) -> None:
    """Equal bytes with other times are the same; other bytes of equal size and time are not."""
    source, target = spots("LOCAL", "x"), spots(other, "y")
    await source.put({"touched": b"same", "edited": b"1234", "large": bytes(9 * MiB)})
    age(source)
    await everywhere.sync(source.location, target.location)
    await source.put({"touched": b"same", "edited": b"4321"})
    age(source, "edited")
    assert len(await everywhere.sync(source.location, target.location, compare="size")) == 0
    plan = await everywhere.sync(source.location, target.location, compare="checksum", dry_run=True)
    assert actions(plan) == [("copy", "edited")]
    await everywhere.sync(source.location, target.location, compare="checksum")
    assert (await target.tree())["edited"] == b"4321"
    assert len(await everywhere.sync(source.location, target.location, compare="checksum")) == 0


async def test_objects_without_a_checksum_are_read_for_it(
    everywhere: AsyncSession, spots: Spots, weed: SeaweedFS
) -> None:
    """Also what others have stored is compared by its bytes; times are not asked for."""
    source, target = spots("LOCAL", "x"), spots("AWS", "y")
    assert isinstance(target, CloudSpot)
    await source.put({"same": b"same" * 20_000, "other": b"1234" * 20_000})
    age(source)
    bucket, _, prefix = target.path[1:].partition("/")
    for name, data in {"same": b"same", "other": b"4321"}.items():
        weed.client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=data * 20_000)
    plan = await everywhere.sync(source.location, target.location, compare="checksum", dry_run=True)
    assert [(action.path, action.reason) for action in plan] == [("other", "checksum differs")]
    plan = await everywhere.sync(source.location, target.location, dry_run=True)
    assert (len(plan), plan.unchanged, plan.compared_by_age) == (0, 2, 2)  # they are not older


async def test_what_others_have_stored_keeps_its_time(everywhere: AsyncSession, spots: Spots, weed: SeaweedFS) -> None:
    """An object that no time is kept with has the one at which it was stored, on a disk and in a copy of it."""
    source, disk, copy = spots("AWS", "x"), spots("LOCAL", "y"), spots("AWS", "z")
    assert isinstance(source, CloudSpot)
    assert isinstance(disk, LocalSpot)
    bucket, _, prefix = source.path[1:].partition("/")
    weed.client.put_object(Bucket=bucket, Key=f"{prefix}/a", Body=b"1", CacheControl="no-cache", Metadata={"k": "v"})
    stored = weed.client.head_object(Bucket=bucket, Key=f"{prefix}/a")["LastModified"].timestamp()
    await asyncio.sleep(1.1)
    for spot in (disk, copy):
        assert len(await everywhere.sync(source.location, spot.location)) == 1
        assert len(await everywhere.sync(source.location, spot.location)) == 0
    assert (disk.path / "a").stat().st_mtime == stored
    assert isinstance(copy, CloudSpot)
    head = weed.client.head_object(Bucket=bucket, Key=f"{copy.path.removeprefix(f'/{bucket}/')}/a")
    assert (head["CacheControl"], head["Metadata"]["k"]) == ("no-cache", "v")


async def test_excluded_names_are_neither_copied_nor_deleted(everywhere: AsyncSession, spots: Spots) -> None:
    """On whichever side they are; include and exclude work together, and take one pattern or several."""
    source, target = spots("LOCAL", "x"), spots("AWS", "y")
    await source.put({"a.csv": b"1", "b.txt": b"2", "raw/c.csv": b"3", "raw/d.txt": b"4", "tmp/e.csv": b"5"})
    await target.put({"old.csv": b"o", "old.txt": b"o", "tmp/old.csv": b"o"})
    await everywhere.sync(source.location, target.location, include="*.csv", exclude=["tmp/", "x"], delete=True)
    assert set(await target.tree()) == {"a.csv", "raw/c.csv", "old.txt", "tmp/old.csv"}
    await everywhere.sync(source.location, target.location, exclude="*.csv", delete=True)
    assert set(await target.tree()) == {"a.csv", "b.txt", "raw/c.csv", "raw/d.txt", "tmp/old.csv"}


@pytest.mark.parametrize("option", [{"include": ""}, {"exclude": ["a//b"]}, {"exclude": "../x"}, {"compare": "md5"}])
async def test_wrong_options_are_refused(everywhere: AsyncSession, spots: Spots, option: dict[str, object]) -> None:
    """Before anything is looked at; the message says what is allowed."""
    with pytest.raises(ConfigurationError, match="is not allowed"):
        await everywhere.sync(spots("LOCAL", "none").location, "aws:/b/", **option)  # type: ignore[call-overload]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_missing_source_deletes_nothing(
    everywhere: AsyncSession, spots: Spots, provider: str, *, dry_run: bool
) -> None:
    """It is an error, and nothing is made either."""
    target, other = spots("LOCAL", "y"), spots("LOCAL", "never")
    await target.put(TREE)
    for goal in (target, other):
        with pytest.raises(NotFoundError):
            await everywhere.sync(spots(provider, "none").location, goal.location, delete=True, dry_run=dry_run)  # type: ignore[call-overload]
    assert await target.tree() == TREE
    assert isinstance(other, LocalSpot)
    assert not other.path.exists()


async def test_a_source_that_vanishes_deletes_nothing(
    everywhere: AsyncSession, spots: Spots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look at it and its listing: a prefix of nothing is no empty directory."""
    source, target = spots("AWS", "x"), spots("LOCAL", "y")
    assert isinstance(source, CloudSpot)
    await source.put({"a": b"1"})
    await target.put(TREE)
    provider = (await everywhere.get_storage_manager()._resolver.area("AWS", "private")).provider
    list_page = provider.list_page

    async def vanishing(key: str, *, recursive: bool, cursor: object = None) -> Page:
        if recursive:
            await provider.delete([f"{key}a"])
        return await list_page(key, recursive=recursive, cursor=cursor)

    monkeypatch.setattr(provider, "list_page", vanishing)
    with pytest.raises(NotFoundError, match="it does not exist, or is empty"):
        await everywhere.sync(source.location, target.location, delete=True)
    assert await target.tree() == TREE


@pytest.mark.parametrize("provider", ["LOCAL", "AWS"])
@pytest.mark.parametrize(("source", "target"), [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a/", "a/b/")])
async def test_overlapping_directories_are_refused(
    everywhere: AsyncSession, spots: Spots, provider: str, source: str, target: str
) -> None:
    """One in the other, either way round, and itself; names that merely start alike are fine."""
    spot = spots(provider, "x")
    await spot.put({"a/1": b"1", "a/b/2": b"2"})
    with pytest.raises(UnsafePathError, match="lies in it"):
        await everywhere.sync(spot / source, spot / target, delete=True)
    await everywhere.sync(spot / "a/b", spot / "a-b", delete=True)
    assert await spot.tree() == {"a/1": b"1", "a/b/2": b"2", "a-b/2": b"2"}


async def test_overlap_through_a_link_is_refused(everywhere: AsyncSession, spots: Spots) -> None:
    """Another way to the same directory is no other directory."""
    spot = spots("LOCAL", "x")
    assert isinstance(spot, LocalSpot)
    await spot.put({"a/1": b"1"})
    (spot.path / "link").symlink_to(spot.path / "a")
    with pytest.raises(UnsafePathError, match="lies in it"):
        await everywhere.sync(spot / "a", spot / "link", delete=True)


async def test_links_at_the_destination_are_not_followed(everywhere: AsyncSession, spots: Spots) -> None:
    """One in the way is a failed item; a superfluous one goes itself; what they lead to stays."""
    source, target, outside = spots("LOCAL", "x"), spots("LOCAL", "y"), spots("LOCAL", "outside")
    assert isinstance(target, LocalSpot)
    assert isinstance(outside, LocalSpot)
    await source.put({"a": b"1"})
    await target.put({"d/": b""})
    await outside.put({"precious": b"1"})
    (target.path / "to-directory").symlink_to(outside.path)
    (target.path / "to-file").symlink_to(outside.path / "precious")
    (target.path / "a").symlink_to(outside.path / "precious")
    with pytest.raises(TransferError, match="a symbolic link has that name"):
        await everywhere.sync(source.location, target.location, delete=True)
    (target.path / "a").unlink()
    await everywhere.sync(source.location, target.location, delete=True)
    assert await outside.tree() == {"precious": b"1"}
    assert await target.tree() == {"a": b"1"}


async def test_a_failed_copy_deletes_nothing(everywhere: AsyncSession, spots: Spots) -> None:
    """A name that the destination refuses is an error of its own; the others arrive, and nothing goes."""
    source, target = spots("LOCAL", "x"), spots("AWS", "y")
    hostile = "/".join(["d" * 250] * 5)
    await source.put({"a": b"1", hostile: b"2"})
    await target.put({"old": b"3"})
    with pytest.raises(TransferError, match="1 of 2 items") as raised:
        await everywhere.sync(source.location, target.location, delete=True)
    assert raised.value.report.deleted == []
    assert await target.tree() == {"a": b"1", "old": b"3"}


async def test_a_listing_that_breaks_deletes_nothing(
    everywhere: AsyncSession, spots: Spots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever side's second page cannot be had: what is superfluous so far stays."""
    source, target = spots("AWS", "from"), spots("AWS", "to")
    for spot, count in ((source, 1100), (target, 1200)):
        local = spots("LOCAL", f"made-{count}")
        await local.put({f"{number:04}": b"" for number in range(count)})
        await everywhere.copy(local / "", spot / "")
    storage = everywhere.get_storage_manager()
    area = await storage._resolver.area("AWS", "private")
    list_page = area.provider.list_page
    for broken in (source, target):
        assert isinstance(broken, CloudSpot)
        prefix = area.key(broken.path)

        async def breaking(key: str, *, recursive: bool, cursor: object = None, prefix: str = prefix) -> object:
            if key.startswith(prefix) and cursor is not None:
                raise AccessDeniedError("the credentials ran out")
            return await list_page(key, recursive=recursive, cursor=cursor)

        monkeypatch.setattr(area.provider, "list_page", breaking)
        for dry_run in (True, False):
            with pytest.raises(StorageError, match="ran out"):
                await everywhere.sync(source.location, target.location, delete=True, dry_run=dry_run)
        monkeypatch.undo()
    assert len(await target.tree()) == 1200


async def test_a_name_that_is_listed_twice_is_not_superfluous(
    everywhere: AsyncSession, spots: Spots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a listing was out of order, what is to be deleted is looked up at the source first."""
    source, target = spots("LOCAL", "x"), spots("AWS", "y")
    await source.put({"a": b"1", "b": b"2", "c": b"3"})
    await everywhere.sync(source.location, target.location)
    await target.put({"superfluous": b"4"})
    area = await everywhere.get_storage_manager()._resolver.area("AWS", "private")
    list_page = area.provider.list_page

    async def repeating(key: str, *, recursive: bool, cursor: object = None) -> Page:
        page = await list_page(key, recursive=recursive, cursor=cursor)
        return Page([*page.entries, page.entries[0]], page.cursor)

    monkeypatch.setattr(area.provider, "list_page", repeating)
    report = await everywhere.sync(source.location, target.location, delete=True)
    monkeypatch.undo()
    assert [result.destination for result in report] == [target / "superfluous"]
    assert await target.tree() == {"a": b"1", "b": b"2", "c": b"3"}


async def test_what_cannot_be_read_at_the_source_is_not_deleted(
    everywhere: AsyncSession, spots: Spots, tmp_path: Path
) -> None:
    """A dangling link is skipped, and a directory that is not gone through protects all below its name."""
    source, target = spots("LOCAL", "x"), spots("AWS", "y")
    assert isinstance(source, LocalSpot)
    await source.put({"a/b/c": b"1", "file": b"2"})
    await everywhere.sync(source.location, target.location)
    (source.path / "file").unlink()
    (source.path / "file").symlink_to(tmp_path / "nowhere")
    (source.path / "a/b/c").unlink()
    (source.path / "a/b").rmdir()
    (source.path / "a/b").symlink_to(source.path)
    report = await everywhere.sync(source.location, target.location, delete=True)
    assert await target.tree() == {"a/b/c": b"1", "file": b"2"}
    assert {result.source for result in report.skipped} == {source / "file", source / "a/b/"}
    plan = await everywhere.sync(source.location, target.location, delete=True, dry_run=True)
    assert sorted(actions(plan)) == [("skip", "a/b/"), ("skip", "file")]


@pytest.mark.parametrize(("one", "other"), list(product(["LOCAL", "AWS"], ["LOCAL", "AWS"])))
async def test_directories(everywhere: AsyncSession, spots: Spots, one: str, other: str) -> None:
    """Empty ones are made, emptied ones go, ones that got content stay; and that is all after one sync."""
    source, target = spots(one, "from"), spots(other, "to")
    await source.put({"empty/": b"", "deep/empty/": b"", "emptied/": b"", "filled/x": b"1", "f": b"1"})
    await target.put({"gone/a/b": b"1", "gone/": b"", "emptied/x": b"1", "filled/": b"", "superfluous/": b""})
    await everywhere.sync(source.location, target.location, delete=True)
    assert await target.tree() == await source.tree()
    assert len(await everywhere.sync(source.location, target.location, delete=True)) == 0


async def test_a_superfluous_directory_that_got_content_meanwhile_stays(everywhere: AsyncSession, spots: Spots) -> None:
    """What was not listed is not deleted."""
    source, target = spots("LOCAL", "x"), spots("LOCAL", "y")
    assert isinstance(target, LocalSpot)
    await source.put({"a": b"1"})
    await target.put({"superfluous/": b""})
    late = target.path / "superfluous/late"
    await everywhere.sync(source.location, target.location, delete=True, on_progress=lambda _: late.touch())
    assert await target.tree() == {"a": b"1", "superfluous/late": b""}


async def test_an_empty_source_empties_the_destination_but_keeps_it(everywhere: AsyncSession, spots: Spots) -> None:
    """The directory itself is never deleted; a destination that is not there is made."""
    source, target, new = spots("LOCAL", "x"), spots("LOCAL", "y"), spots("LOCAL", "deep/new")
    assert isinstance(source, LocalSpot)
    assert isinstance(target, LocalSpot)
    assert isinstance(new, LocalSpot)
    source.path.mkdir()
    await target.put(TREE)
    report = await everywhere.sync(source.location, target.location, delete=True)
    assert len(report.deleted) == len(TREE)
    assert list(target.path.iterdir()) == []
    await everywhere.sync(source.location, new.location, delete=True)
    assert new.path.is_dir()


async def test_thousands_of_unchanged_objects(everywhere: AsyncSession, spots: Spots) -> None:
    """Several pages on both sides, compared by what is kept with each object; then some of them differ."""
    source, target = spots("LOCAL", "x"), spots("AWS", "y")
    assert isinstance(source, LocalSpot)
    await source.put({f"{number % 7}/{number:05}": b"%d" % number for number in range(2500)})
    assert len(await everywhere.sync(source.location, target.location)) == 2500
    assert len(await everywhere.sync(source.location, target.location, delete=True)) == 0
    await source.put({"3/00010": b"ten", "new": b""})
    (source.path / "4/00011").unlink()
    report = await everywhere.sync(source.location, target.location, delete=True)
    assert names(report) == {"00010", "new"}
    assert [result.destination for result in report.deleted] == [target / "4/00011"]


async def test_cancelled_sync_deletes_nothing_and_leaves_nothing(everywhere: AsyncSession, spots: Spots) -> None:
    """At whichever moment; afterwards a sync goes on from what is there."""
    source, target = spots("LOCAL", "x"), spots("AWS", "y")
    await source.put({f"{number:03}": b"1" for number in range(300)})
    await target.put({"superfluous": b"1"})
    before = asyncio.all_tasks()
    for moment in (0, 1, 3, 10, 30, 60):
        work = asyncio.ensure_future(everywhere.sync(source.location, target.location))
        for _ in range(moment):
            await asyncio.sleep(0.001)
        work.cancel()
        await asyncio.wait([work])
        assert asyncio.all_tasks() - {work} == before
    assert everywhere._resources.limits.memory.used == 0
    await everywhere.sync(source.location, target.location)
    assert len(await target.tree()) == 301
