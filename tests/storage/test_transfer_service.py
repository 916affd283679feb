"""Copying and moving from anywhere to anywhere, at real servers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession
from dxflow_async.exceptions import (
    ConfigurationError,
    NotFoundError,
    SessionClosedError,
    SourceChangedError,
    TransferError,
    UnsafePathError,
)
from dxflow_async.providers.http import HTTP, Call, Response
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files
from tests.storage.scratch_directories import DAILY_PAIRS, PROVIDERS, CloudSpot, LocalSpot
from tests.storage.tested_accounts import Spots

TREE = {"a.txt": b"a", "deep/er/b.csv": b"bb", "a-b": b"beside", "a/b": b"below", "zero": b""}


@pytest.mark.parametrize(("one", "other"), DAILY_PAIRS)
async def test_a_tree_goes_from_each_to_each(everywhere: AsyncSession, spots: Spots, one: str, other: str) -> None:
    """Names and bytes arrive, the source stays, and the report has every item."""
    source, target = spots(one, "from"), spots(other, "to")
    await source.put(TREE)
    report = await everywhere.copy(source / "", target / "")
    assert await target.tree() == TREE
    assert await source.tree() == TREE
    assert len(report) == len(TREE)
    assert report.bytes == sum(map(len, TREE.values()))


@pytest.mark.parametrize(("one", "other"), DAILY_PAIRS)
async def test_a_large_object_goes_from_each_to_each(
    everywhere: AsyncSession, spots: Spots, one: str, other: str, tmp_path: Path
) -> None:
    """In parallel parts, compared where either side tells a checksum; nothing is left of it on the disk.

    Of what was put on a unit's disk behind its back, the unit knows none.
    """
    data = os.urandom(23 * MiB + 17)
    source, target = spots(one, "from"), spots(other, "to")
    await source.put({"large": data})
    (result,) = await everywhere.copy(source / "large", target / "new/name")
    assert await target.tree() == {"new/name": data}
    assert result.bytes == len(data)
    assert result.verified or one in (other, "UNIT")
    assert part_files(tmp_path) == []


@pytest.mark.parametrize("start", ["UNIT"])
@pytest.mark.parametrize("other", PROVIDERS[:-1])
async def test_what_a_unit_was_sent_is_compared_on_its_way_on(
    everywhere: AsyncSession, spots: Spots, tmp_path: Path, start: str, other: str
) -> None:
    """Small and large: the unit keeps the checksum that came with a file."""
    source, target = spots(start, "from"), spots(other, "to")
    data = {"large": os.urandom(11 * MiB), "small": b"small"}
    await spots("LOCAL", "tree").put(data)
    up = await everywhere.copy(f"{tmp_path}/tree/", source / "")
    onward = await everywhere.copy(source / "", target / "")
    assert await target.tree() == data
    assert (up.verified, onward.verified) == (2, 2)


@pytest.mark.parametrize(("one", "other"), DAILY_PAIRS)
async def test_a_move_leaves_nothing_behind(everywhere: AsyncSession, spots: Spots, one: str, other: str) -> None:
    """The target has it, and the source is gone, its directories too."""
    source, target = spots(one, "from"), spots(other, "to")
    await source.put(TREE | {"large": bytes(11 * MiB)})
    await everywhere.move(source.location, target.location)
    assert await target.tree() == TREE | {"large": bytes(11 * MiB)}
    assert await source.tree() == {}
    if isinstance(source, LocalSpot):
        assert not source.path.exists()


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("c/a", "e/", {"e/a"}),
        ("c/a", "e/name", {"e/name"}),
        ("c/", "e/", {"e/a", "e/sub/b"}),
        ("c/", "e", {"e/a", "e/sub/b"}),
        ("c", "e/", {"e/c/a", "e/c/sub/b"}),
        ("c", "e", {"e/a", "e/sub/b"}),
    ],
)
@pytest.mark.parametrize(("one", "other"), list(product(["LOCAL", "AWS"], ["LOCAL", "AWS"])))
@pytest.mark.parametrize("move", [False, True])
async def test_slashes_mean_the_same_everywhere(
    everywhere: AsyncSession,
    spots: Spots,
    one: str,
    other: str,
    source: str,
    target: str,
    expected: set[str],
    *,
    move: bool,
) -> None:
    """At the target a slash means into it, at the source its content; without, the exact name."""
    start, goal = spots(one, "x"), spots(other, "y")
    await start.put({"c/a": b"1", "c/sub/b": b"2"})
    await (everywhere.move if move else everywhere.copy)(start / source, goal / target)
    assert set(await goal.tree()) == expected


async def test_an_existing_local_directory_is_one_to_put_things_into(everywhere: AsyncSession, spots: Spots) -> None:
    """As if it were written with a slash."""
    start, goal = spots("AWS", "x"), spots("LOCAL", "y")
    await start.put({"c/a": b"1"})
    await goal.put({"there/": b""})
    await everywhere.copy(start / "c/a", goal / "there")
    await everywhere.copy(start / "c", goal / "there")
    assert set(await goal.tree()) == {"there/a", "there/c/a"}


async def test_a_local_pattern_is_expanded(everywhere: AsyncSession, spots: Spots) -> None:
    """What matches is copied; several matches for one name are refused."""
    start, goal = spots("LOCAL", "x"), spots("AWS", "y")
    await start.put({"a.csv": b"1", "b.csv": b"2", "c.txt": b"3"})
    await everywhere.copy(start / "*.csv", goal / "")
    assert set(await goal.tree()) == {"a.csv", "b.csv"}
    with pytest.raises(ConfigurationError, match="matches 2 files"):
        await everywhere.copy(start / "*.csv", goal / "one")


@pytest.mark.parametrize("provider", ["LOCAL", "AWS", "GCP"])
async def test_a_source_that_is_not_there_is_an_error(everywhere: AsyncSession, spots: Spots, provider: str) -> None:
    """And nothing is made for it."""
    goal = spots("LOCAL", "y")
    for name in ("none", "none/"):
        with pytest.raises(NotFoundError):
            await everywhere.copy(spots(provider, "x") / name, goal / "z")
    assert await goal.tree() == {}


@pytest.mark.parametrize("provider", ["LOCAL", "AWS"])
@pytest.mark.parametrize(
    ("source", "target"),
    [("c/a", "c/a"), ("c/a", "c/"), ("c/", "c/"), ("c", "c/deep/"), ("c/", "c/deep/er"), ("c", "c/")],
)
@pytest.mark.parametrize("move", [False, True])
async def test_onto_itself_is_refused(
    everywhere: AsyncSession, spots: Spots, provider: str, source: str, target: str, *, move: bool
) -> None:
    """The source as its own destination, or within itself, is an error, and nothing is lost."""
    spot = spots(provider, "x")
    await spot.put({"c/a": b"1", "c/b": b"2"})
    with pytest.raises(UnsafePathError, match="source, or lies in it"):
        await (everywhere.move if move else everywhere.copy)(spot / source, spot / target)
    assert await spot.tree() == {"c/a": b"1", "c/b": b"2"}


async def test_onto_itself_through_a_link_is_refused(everywhere: AsyncSession, spots: Spots) -> None:
    """Another way to the same directory is no other directory."""
    spot = spots("LOCAL", "x")
    assert isinstance(spot, LocalSpot)
    await spot.put({"c/a": b"1"})
    (spot.path / "link").symlink_to(spot.path / "c")
    for target in ("link/", "link/below/"):
        with pytest.raises(UnsafePathError, match="source, or lies in it"):
            await everywhere.move(spot / "c/", spot / target)
    assert (spot.path / "c/a").read_bytes() == b"1"


async def test_a_move_on_one_disk_is_a_rename(everywhere: AsyncSession, spots: Spots) -> None:
    """The file itself is at the new place; into a directory that has content the trees are merged."""
    spot = spots("LOCAL", "x")
    assert isinstance(spot, LocalSpot)
    await spot.put({"c/a": b"1", "c/sub/b": b"2", "e/sub/old": b"3", "e/a": b"replaced"})
    numbers = {name: (spot.path / "c" / name).stat().st_ino for name in ("a", "sub/b")}
    await everywhere.move(spot / "c", spot / "e")
    assert await spot.tree() == {"e/c/a": b"1", "e/c/sub/b": b"2", "e/sub/old": b"3", "e/a": b"replaced"}
    await everywhere.move(spot / "e/c/", spot / "e/")
    assert await spot.tree() == {"e/a": b"1", "e/sub/b": b"2", "e/sub/old": b"3", "e/c/": b""}
    assert numbers == {name: (spot.path / "e" / name).stat().st_ino for name in numbers}


async def test_a_move_to_another_hard_link(everywhere: AsyncSession, spots: Spots) -> None:
    """A file moves to another name of the same file, in a tree too: the old name is gone, and the file is there."""
    spot = spots("LOCAL", "x")
    assert isinstance(spot, LocalSpot)
    await spot.put({"c/a": b"1", "c/sub/b": b"2", "one": b"3"})
    (spot.path / "e/c/sub").mkdir(parents=True)
    for name, other in (("c/a", "e/c/a"), ("c/sub/b", "e/c/sub/b"), ("one", "other")):
        (spot.path / other).hardlink_to(spot.path / name)
    await everywhere.move(spot / "one", spot / "other")
    await everywhere.move(spot / "c/", spot / "e/c/")
    assert {name: data for name, data in (await spot.tree()).items() if data} == {
        "e/c/a": b"1",
        "e/c/sub/b": b"2",
        "other": b"3",
    }


async def test_a_link_is_renamed_itself(everywhere: AsyncSession, spots: Spots) -> None:
    """What it leads to stays, also where its name is taken by a directory."""
    spot, outside = spots("LOCAL", "x"), spots("LOCAL", "outside")
    assert isinstance(spot, LocalSpot)
    assert isinstance(outside, LocalSpot)
    await spot.put({"c/a": b"1", "e/taken/b": b"2", "e/c": b"3"})
    await outside.put({"precious": b"3"})
    for name in ("taken", "free"):
        (spot.path / "c" / name).symlink_to(outside.path)
    with pytest.raises(TransferError, match="1 of 3 items"):
        await everywhere.move(spot / "c/", spot / "e/")
    assert (spot.path / "e/free").is_symlink()
    assert (spot.path / "c/taken").is_symlink()
    assert await outside.tree() == {"precious": b"3"}


async def test_a_move_from_disk_to_disk_copies_and_deletes(
    everywhere: AsyncSession, spots: Spots, other_disk: Path
) -> None:
    """Where no rename can be, every file is there with its time before it goes here."""
    spot, goal = spots("LOCAL", "x"), LocalSpot(other_disk)
    assert isinstance(spot, LocalSpot)
    await spot.put({"c/a": b"1", "c/sub/b": b"2", "c/empty/": b""})
    os.utime(spot.path / "c/a", (1, 1234567890.25))
    await everywhere.move(spot / "c", goal / "c")
    assert await goal.tree() == {"c/a": b"1", "c/sub/b": b"2", "c/empty/": b""}
    assert (other_disk / "c/a").stat().st_mtime == pytest.approx(1234567890.25, abs=1e-5)
    assert not (spot.path / "c").exists()


async def test_a_directory_written_with_a_slash_stays_when_it_is_emptied(
    everywhere: AsyncSession, spots: Spots
) -> None:
    """Only its content was meant."""
    spot, goal = spots("LOCAL", "x"), spots("AWS", "y")
    await spot.put({"spool/a": b"1", "spool/sub/b": b"2"})
    await everywhere.move(spot / "spool/", goal / "")
    assert await spot.tree() == {"spool/": b""}
    assert set(await goal.tree()) == {"a", "sub/b"}


async def test_what_lies_behind_a_link_is_not_deleted(everywhere: AsyncSession, spots: Spots) -> None:
    """It is copied, as by a copy; a link to a file goes, and not the file."""
    spot, outside, goal = spots("LOCAL", "x"), spots("LOCAL", "outside"), spots("AWS", "y")
    assert isinstance(spot, LocalSpot)
    assert isinstance(outside, LocalSpot)
    await spot.put({"c/a": b"1", "c/sub/b": b"2"})
    await outside.put({"d/precious": b"3", "d/deep/precious": b"4", "file": b"5", "d/empty/": b""})
    (spot.path / "c/sub/link").symlink_to(outside.path / "d")
    (spot.path / "c/file").symlink_to(outside.path / "file")
    await everywhere.move(spot / "c", goal / "c")
    copied = {"c/sub/link/precious": b"3", "c/sub/link/deep/precious": b"4", "c/sub/link/empty/": b"", "c/file": b"5"}
    assert await goal.tree() == {"c/a": b"1", "c/sub/b": b"2"} | copied
    assert await outside.tree() == {"d/precious": b"3", "d/deep/precious": b"4", "file": b"5", "d/empty/": b""}
    assert [path.name for path in (spot.path / "c").rglob("*")] == ["sub", "link"]


async def test_what_could_not_be_moved_stays(everywhere: AsyncSession, spots: Spots) -> None:
    """A name that the destination refuses is still at the source; the others have gone."""
    spot, goal = spots("LOCAL", "x"), spots("AWS", "y")
    hostile = "/".join(["d" * 250] * 5)
    await spot.put({"c/a": b"1", f"c/{hostile}": b"2"})
    with pytest.raises(TransferError, match="1 of 2 items"):
        await everywhere.move(spot / "c", goal / "c")
    assert await spot.tree() == {f"c/{hostile}": b"2"}
    assert await goal.tree() == {"c/a": b"1"}


@pytest.fixture
def after_put(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], object]]]:
    """What is done as soon as the first PUT has been answered."""
    changes: list[Callable[[], object]] = []
    send = HTTP.send

    async def meddling(self: HTTP, call: Call, method: str, *arguments: Any, **options: Any) -> Response:
        response = await send(self, call, method, *arguments, **options)
        if method == "PUT" and changes:
            await asyncio.to_thread(changes.pop())
        return response

    monkeypatch.setattr(HTTP, "send", meddling)
    yield changes
    assert changes == []


@pytest.mark.parametrize("one", ["LOCAL", "AWS"])
async def test_a_source_that_is_replaced_while_it_is_moved_stays(
    everywhere: AsyncSession,
    spots: Spots,
    weed: SeaweedFS,
    after_put: list[Callable[[], object]],
    one: str,
) -> None:
    """Its new version was not copied, so it is not deleted."""
    source, target = spots(one, "x"), spots("AWS", "y")
    await source.put({"a": b"old"})

    def replace() -> None:
        if isinstance(source, LocalSpot):
            (source.path / "a").write_bytes(b"newer")
        elif isinstance(source, CloudSpot):
            bucket, _, prefix = source.path[1:].partition("/")
            weed.client.put_object(Bucket=bucket, Key=f"{prefix}/a", Body=b"newer")

    after_put.append(replace)
    with pytest.raises(TransferError, match="changed while it was moved") as raised:
        await everywhere.move(source / "a", target / "a")
    assert isinstance(raised.value.report[0].error, SourceChangedError)
    assert await source.tree() == {"a": b"newer"}
    assert await target.tree() == {"a": b"old"}


async def test_a_source_stays_when_its_copy_is_not_there(
    everywhere: AsyncSession, spots: Spots, weed: SeaweedFS, after_put: list[Callable[[], object]]
) -> None:
    """What no checksum was compared for is looked at before the source is deleted."""
    source, target = spots("AWS", "x"), spots("AWS", "y")
    assert isinstance(target, CloudSpot)
    await source.put({"a": b"old", "b": b"old"})
    bucket, _, prefix = target.path[1:].partition("/")
    after_put.append(lambda: weed.client.delete_object(Bucket=bucket, Key=f"{prefix}/a"))
    with pytest.raises(TransferError) as raised:
        await everywhere.move(source / "a", target / "a")
    assert isinstance(raised.value.report[0].error, NotFoundError)
    after_put.extend(
        [lambda: weed.client.put_object(Bucket=bucket, Key=f"{prefix}/b", Body=b"c")] * 3
    )  # it tries again
    with pytest.raises(TransferError, match="something else is stored"):
        await everywhere.move(source / "b", target / "b")
    assert await source.tree() == {"a": b"old", "b": b"old"}


async def test_the_cache_stays_true(everywhere: AsyncSession, spots: Spots) -> None:
    """What was copied, moved away, synced and deleted shows in the listings that the session keeps."""
    spot, start = spots("AWS", "c"), spots("LOCAL", "x")
    storage = everywhere.get_storage_manager()
    await start.put({"a": b"1", "b": b"2"})
    path = spot.location.removeprefix("aws:")

    async def check(*expected: str) -> None:
        content = storage._get_content_from_path("AWS", path) or []
        assert sorted(each["name"] for each in content) == sorted(expected)
        assert sorted(each.name for each in await storage.list(path=path + "/")) == sorted(expected)

    await everywhere.copy(start / "a", spot / "")
    await storage.update_path_items(path)
    await check("a")
    await everywhere.copy(start / "b", spot / "")
    await check("a", "b")
    await everywhere.move(spot / "a", start / "moved")
    await check("b")
    await everywhere.sync(start.location, spot.location)
    await check("a", "b", "moved")
    os.unlink(start / "b")
    await everywhere.sync(start.location, spot.location, delete=True)
    await check("a", "moved")


async def test_media_type_and_time_go_along(everywhere: AsyncSession, spots: Spots) -> None:
    """From provider to provider, small or large, what was said of an object is said of its copy."""
    start, first, second = spots("LOCAL", "x"), spots("AWS", "c"), spots("AZURE", "e")
    assert isinstance(start, LocalSpot)
    await start.put({"table.csv": b"1", "large.json": bytes(11 * MiB)})
    for name in ("table.csv", "large.json"):
        os.utime(start.path / name, (1, 1234567890.125))
    await everywhere.copy(start / "*", first / "")
    await everywhere.copy(first / "table.csv", second / "renamed")
    await everywhere.copy(first / "large.json", second / "large")
    storage = everywhere.get_storage_manager()
    for name, expected in [("renamed", "text/csv"), ("large", "application/json")]:
        item = await storage.stat(f"{second.location.removeprefix('azure:')}/{name}", "AZURE")
        assert item.content_type == expected
    back = spots("LOCAL", "back")
    assert isinstance(back, LocalSpot)
    await everywhere.copy(second / "", back / "")
    for name in ("renamed", "large"):
        assert (back.path / name).stat().st_mtime == pytest.approx(1234567890.125, abs=1e-5)


async def test_closed_sessions_refuse(everywhere: AsyncSession) -> None:
    """Also between local places."""
    await everywhere.aclose()
    for call in (everywhere.copy("a", "b"), everywhere.move("a", "b"), everywhere.sync("a", "b")):
        with pytest.raises(SessionClosedError):
            await call
