"""Paths that read, write, list and transfer, at every kind of storage."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from dxflow_async import (
    AlreadyExistsError,
    AsyncSession,
    AsyncStoragePath,
    ConfigurationError,
    NotFoundError,
    ObjectOptions,
    PreconditionFailedError,
    Session,
    Settings,
    TransferError,
)
from tests.storage.tested_accounts import Spots

pytestmark = pytest.mark.server

TREE = {"a.csv": "a", "b.txt": "b", "d/c.csv": "c", "d/e/f.csv": "f", "d-x": "x"}


@pytest.fixture(params=["AWS", "AZURE", "GCP", "UNIT", "LOCAL"])
def top(everywhere: AsyncSession, spots: Spots, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncStoragePath:
    """A directory of the test's own."""
    provider = request.param
    if provider == "LOCAL":
        return everywhere.path(tmp_path / "top")
    if provider == "UNIT":
        return everywhere.path("unit:/Demo/top")
    return everywhere.path(spots(provider, "top").location)


async def test_a_tree(top: AsyncStoragePath, everywhere: AsyncSession, tmp_path: Path) -> None:
    """What `pathlib` does with a directory works everywhere, and a path is a source and a destination."""
    for name, text in TREE.items():
        assert await (top / name).write_text(text) == len(text)
    assert await top.exists()
    assert await top.is_dir()
    assert await (top / "a.csv").is_file()
    assert not await (top / "missing").exists()
    assert (await (top / "a.csv").stat()).size == 1
    assert [path.name async for path in top.iterdir()] in (
        ["a.csv", "b.txt", "d", "d-x"],
        ["a.csv", "b.txt", "d-x", "d"],
    )
    for pattern in ("*.csv", "**/*.csv", "d/*", "*/*.csv", "d/e/f.csv", "**", "nothing/*", "d", "*/", "d/", "a.csv/"):
        local = tmp_path / "model"
        for name in TREE:
            (local / name).parent.mkdir(parents=True, exist_ok=True)
            (local / name).touch()
        found = sorted([path.relative_to(top) async for path in top.glob(pattern)])
        if pattern == "**":
            assert found == ["", *sorted({*TREE, "d", "d/e"})]
        else:
            assert found == sorted(each.relative_to(local).as_posix() for each in local.glob(pattern)), pattern
    assert sorted([path.name async for path in top.rglob("*.csv")]) == ["a.csv", "c.csv", "f.csv"]
    async with (top / "b.txt").open("r") as file:
        assert await file.read() == "b"
    moved = await (top / "b.txt").rename(top / "moved.txt")
    assert await moved.read_bytes() == b"b"
    copy = everywhere.path(tmp_path / "copy")
    assert len(await top.copy_to(copy)) == len(TREE)
    assert await (copy / "d" / "c.csv").read_text() == "c"
    assert (await top.sync_to(copy, dry_run=True)).bytes == 0
    assert (await everywhere.sync(copy, top, delete=True)).bytes == 0
    await moved.unlink()
    with pytest.raises(NotFoundError):
        await moved.unlink()
    await moved.unlink(missing_ok=True)
    assert await (top / "d").exists()


async def test_options_of_writes_and_copies(top: AsyncStoragePath, tmp_path: Path) -> None:
    """What is stored and what is replaced is decided as in the session's calls."""
    one, other = top / "one.bin", top / "other.bin"
    assert await one.write_bytes(b"first", overwrite=False) == 5
    for refused in (one.write_bytes(b"x", overwrite=False), one.write_text("x", overwrite=False)):
        with pytest.raises(AlreadyExistsError):
            await refused
    await one.write_text("x", overwrite="skip")
    assert await one.read_bytes() == b"first"
    await other.write_text("second")
    for call in (one.copy_to, one.rename):
        with pytest.raises(TransferError) as caught:
            await call(other, overwrite=False)
        assert isinstance(caught.value.report.failed[0].error, AlreadyExistsError)
    assert (await one.copy_to(other, overwrite="skip")).skipped
    assert (await one.read_text(), await other.read_text()) == ("first", "second")
    report = await top.copy_to(tmp_path / "some", include="o*.bin", exclude="one*", larger=1, timeout=60)
    assert report.ok
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["other.bin"]
    etag = (await one.stat()).etag
    if etag is not None and top.text.startswith(("aws:", "azure:")):
        await one.write_bytes(b"third", if_match=etag, content_type="text/x-odd", metadata={"name": "value"})
        with pytest.raises(PreconditionFailedError):
            await one.write_bytes(b"fourth", if_match=etag)
        await one.copy_to(top / "copy.bin", options=ObjectOptions(content_type="text/x-other"))
        moved = await one.rename(top / "moved.bin", options=ObjectOptions(cache_control="no-store"))
        found, copied = await moved.stat(), await (top / "copy.bin").stat()
        assert (found.content_type, dict(found.metadata)["name"]) == ("text/x-odd", "value")
        assert (copied.content_type, copied.size) == ("text/x-other", 5)


async def test_paths_in_calls_of_an_area(tmp_path: Path) -> None:
    """Paths are sources and destinations of the calls of a storage area, unless they lie elsewhere."""
    async with AsyncSession("you@example.com", "password", settings=Settings(home=tmp_path / "home")) as session:
        storage, path = session.get_storage_manager().at("gcp"), session.path("gcp:/bucket/dir")
        local = session.path(tmp_path / "x")
        await local.write_text("x")
        await storage.upload(local, path / "x")  # type: ignore[arg-type]
        await storage.upload_many([(local, path / "y")])  # type: ignore[list-item]
        await storage.copy(path / "x", path / "z")  # type: ignore[arg-type]
        await storage.download_many([(path / "z", tmp_path / "z")])  # type: ignore[list-item]
        await storage.download(path, tmp_path)  # type: ignore[arg-type]
        assert sorted(os.listdir(tmp_path / "dir")) == ["x", "y", "z"]
        with pytest.raises(ConfigurationError, match="does not lie in"):
            await storage.upload(local, session.path("aws:/bucket/x"))  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="not a path of this machine"):
            await storage.upload(path, "/bucket/x")
        unbound = pickle.loads(pickle.dumps(path))
        with pytest.raises(ConfigurationError, match=r"session\.path"):
            await unbound.exists()
        assert await session.path(unbound / "x").read_text() == "x"


def test_the_blocking_twin(tmp_path: Path) -> None:
    """Without `await` everything is the same, and files are files of `io`."""
    with Session("you@example.com", "password", settings=Settings(home=tmp_path / "home")) as session:
        top = session.path("aws:/bucket/top")
        assert (top / "a.csv").write_bytes(b"a,b") == 3
        with (top / "d" / "b.csv").open("w") as file:
            file.write("c,d")
        assert [path.name for path in top.iterdir()] == ["a.csv", "d"]
        assert [path.text for path in top.rglob("*.csv")] == ["aws:/bucket/top/a.csv", "aws:/bucket/top/d/b.csv"]
        assert (top / "d" / "b.csv").rename(top / "b.csv").read_text() == "c,d"
        assert top.copy_to(tmp_path / "copy").ok
        assert top.sync_to(session.path(tmp_path / "copy"), dry_run=True).copies == 0
        assert session.copy(top / "a.csv", session.path("gcp:/bucket/x")).ok
        for refused in (
            lambda: (top / "a.csv").write_bytes(b"x", overwrite=False),
            lambda: (top / "a.csv").write_text("x", overwrite=False),
            lambda: (top / "a.csv").copy_to(top / "b.csv", overwrite=False),
            lambda: (top / "a.csv").rename(top / "b.csv", overwrite=False),
        ):
            with pytest.raises((AlreadyExistsError, TransferError)):
                refused()
        assert (top / "b.csv").read_text() == "c,d"
        (top / "a.csv").unlink()
        assert not (top / "a.csv").exists()
        assert (top.is_dir(), top.is_file(), (top / "b.csv").stat().size) == (True, False, 3)


async def test_sources_and_destinations_everywhere(tmp_path: Path) -> None:
    """Every call with a source and a destination takes paths, alone and in lists, of remotes, units and disks."""
    async with AsyncSession("you@example.com", "password", settings=Settings(home=tmp_path / "home")) as session:
        places = [session.path(each) for each in (tmp_path / "disk", "aws:/bucket/top", "unit:/Demo/top", "az://c/top")]
        for number, place in enumerate(places):
            here, there = place / "from", places[(number + 1) % len(places)] / "to"
            await (here / "tree/a.txt").write_text("a")
            await (here / "tree/b.txt").write_text("b")
            await session.copy([here / "tree/a.txt", here / "tree/b.txt"], there / "several")
            await session.copy(here / "tree", there / "copied")
            await session.move(there / "copied", there / "moved")
            assert (await session.check(here / "tree", there / "moved")).ok
            assert (await session.sync(here / "tree", there / "synced")).ok
            assert (await session.sync(here / "tree", there / "synced", dry_run=True)).copies == 0
            assert sorted([path.name async for path in there.glob("*")]) == ["moved", "several", "synced"]
            started = session.start.copy(here / "tree", there / "started")
            assert (await started).ok
            assert await (there / "several" / "b.txt").read_text() == "b"
            await (there / "started" / "a.txt").copy_to(here / "back.txt")
            await (here / "back.txt").rename(there / "renamed.txt")
            assert await (there / "renamed.txt").read_text() == "a"
            storage, path = await session.storage_at(there)
            await storage.delete(f"{path}/")


def test_hashed_and_pickled(tmp_path: Path) -> None:
    """Paths of both kinds are members of sets, are sorted, and come back from pickles as equal paths."""
    with Session(settings=Settings(home=tmp_path / "home")) as session:
        made = [session.path("aws:/b/x"), session.path("aws:/b/y") / ".." / "x", session.path("aws:/b/a")]
        assert len({*made, session.path("aws:/b/") / "x", session.path("aws:/b/a/")}) == 3
        assert min(made) == session.path("aws:/b/a")
        for path in made:
            copied = pickle.loads(pickle.dumps(path))
            assert (copied, hash(copied), str(copied)) == (path, hash(path), str(path))
            with pytest.raises(ConfigurationError, match=r"session\.path"):
                copied.exists()
        with pytest.raises(AttributeError):
            made[0].name = "y"  # type: ignore[misc]
        assert made[0] != "aws:/b/x"
        assert made[0] != session.path("gcp:/b/x")
