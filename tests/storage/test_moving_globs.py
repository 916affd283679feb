"""Several directories of this machine that are moved into one: nothing of one replaces anything of another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings, TransferError, UnsafePathError
from dxflow_async.providers.contract import Part
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.progress import Meter


def make(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def files(directory: Path, pattern: str) -> list[bytes]:
    """What is in the files that match, sorted."""
    return sorted(path.read_bytes() for path in directory.glob(pattern) if path.is_file())


async def test_directories_that_become_one(tmp_path: Path) -> None:
    """What an earlier directory of a move brought is never replaced by a later one: that stays where it was."""
    for top in "abc":
        make(tmp_path / top / "sub" / "same", top)
        make(tmp_path / top / "sub" / "deep" / "same", top)
        make(tmp_path / top / "sub" / top, top)
    (tmp_path / "out").mkdir()
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(TransferError) as raised:
            await session.move(f"{tmp_path}/[abc]/sub", f"{tmp_path}/out/")
    failed = [result for result in raised.value.report if result.error is not None]
    assert len(failed) == 4
    assert all(isinstance(result.error, UnsafePathError) for result in failed)
    assert sorted(files(tmp_path, "[abc]/**/*") + files(tmp_path, "out/**/*")) == sorted([b"a", b"b", b"c"] * 3)
    assert (tmp_path / "out" / "sub" / "a").read_text() == "a"
    assert {(tmp_path / "out" / "sub" / each).read_text() for each in "abc"} == set("abc")


@pytest.mark.parametrize("far", ["a", "b"])
async def test_directories_of_several_disks_that_become_one(tmp_path: Path, other_disk: Path, far: str) -> None:
    """That holds too where one of them cannot be renamed, but is copied while the next one is moved."""
    (tmp_path / far).symlink_to(other_disk)
    for top in "ab":
        for number in range(30):
            make(tmp_path / top / "sub" / "deep" / f"{number}", top)
            make(tmp_path / top / "sub" / f"{number}", top)
            make(tmp_path / top / "sub" / f"only {top}" / f"{number}", top)
    (tmp_path / "out").mkdir()
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(TransferError) as raised:
            await session.move(f"{tmp_path}/[ab]/sub", f"{tmp_path}/out/")
    assert len([result for result in raised.value.report if result.error is not None]) == 60
    assert files(tmp_path, "out/sub/only ?/*") == [b"a"] * 30 + [b"b"] * 30
    assert files(tmp_path, "out/sub/[0-9]*") + files(tmp_path, "out/sub/deep/*") == [b"a"] * 60
    assert files(tmp_path, "b/sub/**/*") == [b"b"] * 60


async def test_a_copy_that_has_not_begun(tmp_path: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still to be copied into a directory does not come over what a later one is renamed to."""
    planned, begin, end = asyncio.Event(), CopyItem.open, Meter.plan_ended

    def plan_ended(meter: Meter) -> None:
        planned.set()
        end(meter)

    async def begin_late(job: CopyItem) -> Iterator[Part]:
        await planned.wait()
        return await begin(job)

    monkeypatch.setattr(Meter, "plan_ended", plan_ended)
    monkeypatch.setattr(CopyItem, "open", begin_late)
    (tmp_path / "a").symlink_to(other_disk)
    for top in "ab":
        make(tmp_path / top / "sub" / "deep" / "same", top)
    (tmp_path / "out").mkdir()
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(TransferError):
            await session.move(f"{tmp_path}/[ab]/sub", f"{tmp_path}/out/")
    assert files(tmp_path, "out/sub/deep/same") == [b"a"]
    assert files(tmp_path, "b/sub/deep/same") == [b"b"]


async def test_links_to_directories(tmp_path: Path) -> None:
    """A link is moved as one, replaces no other, and what lies behind it stays where it is."""
    for top in "ab":
        make(tmp_path / "behind" / top / "file", top)
        make(tmp_path / top / "sub" / top, top)
        (tmp_path / top / "sub" / "link").symlink_to(tmp_path / "behind" / top)
    (tmp_path / "b" / "sub" / "alone").symlink_to(tmp_path / "behind" / "b")
    (tmp_path / "out").mkdir()
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(TransferError) as raised:
            await session.move(f"{tmp_path}/[ab]/sub", f"{tmp_path}/out/")
    assert [type(result.error) for result in raised.value.report if result.error] == [UnsafePathError]
    assert files(tmp_path, "behind/?/file") == [b"a", b"b"]
    assert files(tmp_path, "out/sub/link/file") == [b"a"]
    assert (tmp_path / "out" / "sub" / "alone").is_symlink()
    assert files(tmp_path, "b/sub/link/file") == [b"b"]


async def test_what_links_lead_to(tmp_path: Path) -> None:
    """With a slash at its end a link stands for the content of its directory, of which several become one."""
    for top in "ab":
        make(tmp_path / "behind" / top / top, top)
        (tmp_path / top).mkdir()
        (tmp_path / top / "link").symlink_to(tmp_path / "behind" / top)
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        await session.move(f"{tmp_path}/[ab]/link/", f"{tmp_path}/out/")
    assert files(tmp_path, "out/*") == [b"a", b"b"]


async def test_what_was_there_before_is_replaced(tmp_path: Path) -> None:
    """A file that was there before the call gives way to the first that comes, and then to none."""
    make(tmp_path / "out" / "sub" / "same", "old")
    for top in "ab":
        make(tmp_path / top / "sub" / "same", top)
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(TransferError) as raised:
            await session.move(f"{tmp_path}/[ab]/sub", f"{tmp_path}/out/")
    # Renames end when they are on the disk, and what was refused at once.
    assert {type(result.error) for result in raised.value.report} == {type(None), UnsafePathError}
    assert len(raised.value.report) == 2
    assert files(tmp_path, "out/sub/same") + files(tmp_path, "[ab]/sub/same") in ([b"a", b"b"], [b"b", b"a"])


async def test_directories_without_a_clash_become_one(tmp_path: Path) -> None:
    """Where nothing has the same name, directories become one."""
    for top in "ab":
        make(tmp_path / top / "sub" / top, top)
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        await session.move(f"{tmp_path}/[ab]/sub", f"{tmp_path}/out/")
    assert {(tmp_path / "out" / "sub" / each).read_text() for each in "ab"} == set("ab")
    assert not files(tmp_path, "[ab]/**/*")
