"""A directory that became a file, and the other way round."""

from __future__ import annotations

import pytest

from dxflow_async import AsyncSession
from dxflow_async.exceptions import AlreadyExistsError, TransferError
from tests.storage.scratch_directories import LocalSpot
from tests.storage.tested_accounts import Spots

BECAME_A_FILE = ({"x": b"file"}, {"x/old": b"1", "x/deep/old": b"2", "x/empty/": b""})
BECAME_A_DIRECTORY = ({"x/a": b"1", "x/b/c": b"2"}, {"x": b"file"})
BECAME_AN_EMPTY_DIRECTORY = ({"x/": b""}, {"x": b"file"})
BECAME_A_FILE_FOR_AN_EMPTY_ONE = ({"x": b"file"}, {"x/": b""})
BESIDE = {"x-1": b"b", "x.y": b"b", "x!/z": b"b", "xx": b"b", "a": b"b"}
CASES = [BECAME_A_FILE, BECAME_A_DIRECTORY, BECAME_AN_EMPTY_DIRECTORY, BECAME_A_FILE_FOR_AN_EMPTY_ONE]
PAIRS = [("LOCAL", "LOCAL"), ("AWS", "LOCAL"), ("LOCAL", "UNIT"), ("UNIT", "LOCAL"), ("LOCAL", "AWS")]


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.parametrize(("ours", "theirs"), CASES)
@pytest.mark.parametrize("where", ["", "d/"])
async def test_mirror_converges(
    everywhere: AsyncSession,
    spots: Spots,
    one: str,
    other: str,
    ours: dict[str, bytes],
    theirs: dict[str, bytes],
    where: str,
) -> None:
    """With `delete` what is in the way goes first; the plan says so; a second sync has nothing to do."""
    if other == "AWS" and "x/" in ours | theirs:
        pytest.skip("SeaweedFS has no object of the name of a directory, as S3 has")
    source, target = spots(one, "from"), spots(other, "to")
    await source.put({where + name: data for name, data in (ours | BESIDE).items()})
    await target.put({where + name: data for name, data in (theirs | BESIDE | {"gone": b"1"}).items()})
    plan = await everywhere.sync(source.location, target.location, delete=True, dry_run=True)
    report = await everywhere.sync(source.location, target.location, delete=True)
    assert await target.tree() == await source.tree()
    planned = sorted(action.path for action in plan if action.kind == "delete")
    assert sorted(result.destination for result in report.deleted) == [target / name for name in planned]
    assert f"{where}gone" in planned
    assert len(await everywhere.sync(source.location, target.location, delete=True)) == 0


@pytest.mark.parametrize("other", ["LOCAL", "UNIT"])
@pytest.mark.parametrize(("ours", "theirs"), CASES)
async def test_without_delete_it_fails(
    everywhere: AsyncSession, spots: Spots, other: str, ours: dict[str, bytes], theirs: dict[str, bytes]
) -> None:
    """Each item says what is in its way and how to replace it; the others are copied, and nothing is lost."""
    source, target = spots("LOCAL", "from"), spots(other, "to")
    await source.put(ours | {"fine": b"1"})
    await target.put(theirs | {"kept": b"2"})
    with pytest.raises(TransferError, match="--delete") as raised:
        await everywhere.sync(source.location, target.location)
    assert len(raised.value.report.failed) == len(ours)
    assert all(isinstance(result.error, AlreadyExistsError) for result in raised.value.report.failed)
    assert await target.tree() == theirs | {"kept": b"2", "fine": b"1"}


async def test_protected_content_stays_in_the_way(everywhere: AsyncSession, spots: Spots) -> None:
    """A file that is not included is not deleted, nor is what has another spelling of something unreadable's name."""
    source, target = spots("LOCAL", "from"), spots("LOCAL", "to")
    assert isinstance(source, LocalSpot)
    await source.put({"y/a": b"1", "x/a": b"1", "z": b"1"})
    (source.path / "X").symlink_to(source.path / "nowhere")
    (source.path / "Z").symlink_to(source.path / "nowhere")
    await target.put({"y": b"kept", "x": b"kept", "z/kept": b"1", "gone/a": b"1"})
    with pytest.raises(TransferError) as raised:
        await everywhere.sync(source.location, target.location, delete=True, include=["*/a", "x", "z", "*/kept"])
    assert {result.source for result in raised.value.report.failed} == {source / name for name in ("y/a", "x/a", "z")}
    assert await target.tree() == {"y": b"kept", "x": b"kept", "z/kept": b"1", "gone/a": b"1"}


async def test_link_in_the_place_of_a_directory(everywhere: AsyncSession, spots: Spots) -> None:
    """With `delete` the link goes, and what it leads to is not touched."""
    source, target, outside = spots("LOCAL", "from"), spots("LOCAL", "to"), spots("LOCAL", "outside")
    assert isinstance(target, LocalSpot)
    assert isinstance(outside, LocalSpot)
    await source.put({"x/a": b"1"})
    await target.put({"b": b"1"})
    await outside.put({"precious": b"1"})
    (target.path / "x").symlink_to(outside.path)
    await everywhere.sync(source.location, target.location, delete=True)
    assert await target.tree() == {"x/a": b"1"}
    assert await outside.tree() == {"precious": b"1"}
