"""What cannot be read at the source: a failure by itself, and no reason to delete its copy."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, Settings, TransferReport
from dxflow_async.exceptions import AccessDeniedError, NotFoundError, TransferError
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.local.root import Root
from dxflow_async.transfer.sync.filters import Protected
from dxflow_async.transfer.sync.merge_join import MergeJoin
from tests.ordinary_rights import ordinary_rights


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """A directory; the modes of files hold for the test until it ends."""
    with ordinary_rights():
        yield tmp_path
    for directory, _, _ in os.walk(tmp_path):
        os.chmod(directory, 0o700)


@pytest.fixture
async def session(top: Path) -> AsyncIterator[AsyncSession]:
    """A session of that user."""
    async with AsyncSession("you@example.com", "password", settings=Settings(home=top / "home")) as session:
        yield session


@pytest.fixture
def source(top: Path) -> Path:
    """a, d/x, d/deep/y."""
    put(top / "src", "a", "d/x", "d/deep/y")
    return top / "src"


def put(directory: Path, *names: str) -> None:
    """Makes files."""
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)


def files(directory: Path) -> set[str]:
    """The names of all files below."""
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()}


async def failing_sync(session: AsyncSession, source: Path, target: Path | str) -> TransferReport:
    """The report of a sync with `delete`, of which something fails."""
    with pytest.raises(TransferError) as raised:
        await session.sync(f"{source}/", f"{target}/", delete=True)
    return raised.value.report


async def test_unreadable_directory(session: AsyncSession, top: Path, source: Path) -> None:
    """What the destination has of it is kept; all else is copied and deleted; the call fails and names it."""
    target = top / "dst"
    await session.sync(f"{source}/", f"{target}/")
    put(target, "gone", "d/deep/only here", "d/gone")
    put(source, "new")
    (source / "d/deep").chmod(0)
    report = await failing_sync(session, source, target)
    assert files(target) == {"a", "new", "d/x", "d/deep/y", "d/deep/only here"}
    (failed,) = report.failed
    assert isinstance(failed.error, AccessDeniedError)
    assert failed.source == f"{source}/d/deep/"
    assert {result.destination for result in report.deleted} == {f"{target}/gone", f"{target}/d/gone"}


async def test_unreadable_file(session: AsyncSession, top: Path, source: Path) -> None:
    """It is a failure, its copy is kept, and what is superfluous elsewhere goes."""
    target = top / "dst"
    await session.sync(f"{source}/", f"{target}/")
    put(target, "gone")
    (source / "d/x").write_text("longer than it was")
    (source / "d/x").chmod(0)
    report = await failing_sync(session, source, target)
    assert files(target) == {"a", "d/x", "d/deep/y"}
    assert [result.source for result in report.failed] == [f"{source}/d/x"]


async def test_excluded_directory_need_not_be_read(session: AsyncSession, top: Path, source: Path) -> None:
    """It is no failure; one that is merely not included may hold what is, and is."""
    target = top / "dst"
    (source / "d").chmod(0)
    await session.sync(f"{source}/", f"{target}/", exclude="d/", delete=True)
    with pytest.raises(TransferError):
        await session.sync(f"{source}/", f"{target}/", include="*.csv", delete=True)
    assert files(target) == {"a"}


@pytest.mark.parametrize("spelled", ["data", "Data", "DATA"])
async def test_link_whose_target_is_away(session: AsyncSession, top: Path, spelled: str) -> None:
    """What was below the linked directory is kept, and the sync says that it could not delete it."""
    put(top / "nas", "f0", "deep/f1")
    put(top / "src", "notes")
    (top / "src" / spelled).symlink_to(top / "nas")
    target = top / "dst"
    await session.sync(f"{top}/src/", f"{target}/", delete=True)
    (top / "nas").rename(top / "away")
    put(target, "gone")
    if spelled != "data":
        (target / spelled).rename(target / "data")
    report = await failing_sync(session, top / "src", target)
    assert files(target) == {"notes", "data/f0", "data/deep/f1"}
    (failed,) = report.failed
    assert isinstance(failed.error, NotFoundError)
    assert "bring the target back" in str(failed.error)


async def test_link_to_nothing_that_nothing_was_copied_of(session: AsyncSession, top: Path, source: Path) -> None:
    """It is skipped, and no failure: an editor's lock is such a link."""
    (source / ".#a").symlink_to("nobody@nowhere:1")
    report = await session.sync(f"{source}/", f"{top}/dst/", delete=True)
    assert [result.skipped for result in report.skipped] == ["a symbolic link to nothing"]


@pytest.mark.parametrize("verb", ["copy", "move", "unit"])
async def test_unreadable_directory_of_a_tree(session: AsyncSession, top: Path, source: Path, verb: str) -> None:
    """Copying, moving and uploading a tree fail by that item, after all else was done."""
    (source / "d/deep").chmod(0)
    target = "unit:/Demo/dst/" if verb == "unit" else f"{top}/dst/"
    (top / "dst").mkdir()  # so that a move cannot rename the whole
    put(top / "dst", "d/here")
    with pytest.raises(TransferError) as raised:
        await (session.move if verb == "move" else session.copy)(f"{source}/", target)
    (failed,) = raised.value.report.failed
    assert isinstance(failed.error, AccessDeniedError)
    assert "deep" in failed.source
    assert raised.value.report.skipped == []
    (source / "d/deep").chmod(0o700)
    assert files(source) == ({"d/deep/y"} if verb == "move" else {"a", "d/x", "d/deep/y"})
    if verb != "unit":
        assert files(top / "dst") == {"a", "d/x", "d/here"}


async def test_unreadable_directory_of_a_unit(session: AsyncSession, top: Path, source: Path) -> None:
    """What a unit cannot read is kept at the destination, and is a failure."""
    await session.copy(f"{source}/", "unit:/Demo/src/")
    (volume,) = (path for path in (top / "home").rglob("src") if path.is_dir())
    await session.sync("unit:/Demo/src/", f"{top}/dst/")
    put(top / "dst", "gone")
    (volume / "d/deep").chmod(0)
    with pytest.raises(TransferError) as raised:
        await session.sync("unit:/Demo/src/", f"{top}/dst/", delete=True)
    (failed,) = raised.value.report.failed
    assert isinstance(failed.error, AccessDeniedError)
    assert files(top / "dst") == {"a", "d/x", "d/deep/y"}


@pytest.mark.parametrize("name", ["d", "d/", "d/x", "d/x/y/", "D/x", "Cafe\u0301", "caf\u00e9/x", "CAF\u00c9/"])
def test_spellings_of_a_protected_name(name: str) -> None:
    """A name is covered with all below it, with and without slash, in any case and normal form."""
    protected = Protected()
    protected.add("d/", Entry("d/"))
    protected.add("caf\u00e9", Entry("caf\u00e9"))
    assert protected.covers(name) is not None
    assert not any(protected.covers(other) for other in ("dd", "d-", "e/d", "cafe", "caf"))


def test_file_system_that_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is on another device after it was listed is a failure; of the root itself, of the listing."""
    put(tmp_path, "a/x", "mnt/y", "z")
    stat, away = os.stat, {"mnt"}

    def mounted(path: Any, **options: Any) -> os.stat_result:
        status, place = stat(path, **options), str(path).rstrip("/")
        if os.path.basename(place) in away and seen.count(place) > 1:
            fields = list(status)
            fields[2] += 1
            return os.stat_result(fields)
        seen.append(place)
        return status

    seen: list[str] = []
    monkeypatch.setattr(os, "stat", mounted)
    found = {entry.key: entry.read_error for entry in Root(tmp_path, follow_symlinks=True).walk("", recursive=True)}
    assert found == {"a/x": None, "mnt/y": None, "mnt/": "ESTALE", "z": None}
    away.add(tmp_path.name)
    seen.clear()
    with pytest.raises(OSError, match="went away"):
        list(Root(tmp_path, follow_symlinks=True).walk("", recursive=True))


def test_what_is_listed_late_protects(tmp_path: Path) -> None:
    """A directory that turns out to be unreadable after its content protects what the content's names did not."""
    assert tmp_path
    pairing = MergeJoin(("", ""))
    pairing.feed(0, [Entry("mnt/y"), Entry("mnt/", directory=True, unreadable="gone", read_error="ESTALE")])
    assert pairing.protected.covers("mnt/x")
    pairing.close()
