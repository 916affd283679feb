"""Accounts of Azure with a hierarchical namespace, where directories are real."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AzureSettings, Settings
from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, StorageError, TransferError
from dxflow_async.providers.azure.directories import Cursor, Directory, sort_out
from dxflow_async.providers.contract import Entry, ObjectOptions
from tests.providers.connected_providers import ConnectAzure
from tests.providers.in_memory_bodies import body, read
from tests.servers.hierarchical_azure import HierarchicalAzure

TREE = {"top/a.txt": b"a", "top/sub-x": b"x", "top/sub/b.txt": b"b", "top/sub/deep/c.txt": b"c"}
DIRECTORIES = ["top", "top/empty", "top/sub", "top/sub/deep"]
OPTIONS = ObjectOptions()


@pytest.fixture(params=[(True, 5000), (False, 5000), (True, 1)], ids=["typed", "untyped", "pages of one"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[HierarchicalAzure]:
    """A server with `TREE` and an empty directory, that tells directories by type or by metadata."""
    typed, page_size = request.param
    async with HierarchicalAzure(typed=typed, page_size=page_size) as server:
        for name, data in TREE.items():
            server.put(name, data)
        server.put("top/empty/")
        yield server


@pytest.fixture
async def session(server: HierarchicalAzure, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session that works with it."""
    azure = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5", checksum="md5")
    async with AsyncSession(settings=Settings(home=tmp_path / "home", azure=azure)) as session:
        yield session


def files(top: Path) -> dict[str, bytes]:
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def directories(top: Path) -> set[str]:
    return {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_dir()}


# Deleting


async def test_delete_of_a_tree(server: HierarchicalAzure, session: AsyncSession) -> None:
    """Files go first, then directories from the deepest up, and the directory itself last."""
    storage = session.get_storage_manager()
    server.put("topmost", b"t")
    assert await storage.delete("/container/top/", "AZURE") == len(TREE) + len(DIRECTORIES)
    assert (server.files, server.directories) == ({"topmost": b"t"}, [])
    assert not await storage.exists("/container/top", "AZURE")


async def test_delete_of_a_part_of_a_tree(server: HierarchicalAzure, session: AsyncSession) -> None:
    """Directories beside and above the one that is deleted stay, also such as start alike."""
    await session.get_storage_manager().delete("/container/top/sub/", "AZURE")
    assert set(server.files) == {"top/a.txt", "top/sub-x"}
    assert server.directories == ["top", "top/empty"]


async def test_delete_of_an_empty_directory(server: HierarchicalAzure, session: AsyncSession) -> None:
    """It goes, and deleting it again, or what is a file, changes nothing."""
    storage = session.get_storage_manager()
    for _ in range(2):
        await storage.delete("/container/top/empty/", "AZURE")
        assert server.directories == ["top", "top/sub", "top/sub/deep"]
    assert await storage.delete("/container/top/a.txt/", "AZURE") == 0
    assert server.files == TREE


async def test_delete_of_all(server: HierarchicalAzure, session: AsyncSession) -> None:
    """Of a container nothing is left."""
    await session.get_storage_manager().delete("/container/", "AZURE")
    assert server.content == {}


async def test_directory_written_without_a_slash(server: HierarchicalAzure, session: AsyncSession) -> None:
    """A directory that something is in is not deleted as if it were a file, and the error says what to do."""
    with pytest.raises(AlreadyExistsError, match=r"DirectoryIsNotEmpty.*end its path in a slash"):
        await session.get_storage_manager().delete("/container/top/sub", "AZURE")
    assert server.files == TREE


async def test_file_that_stays_keeps_its_directories(server: HierarchicalAzure, connect_azure: ConnectAzure) -> None:
    """Directories above a file that could not be deleted are not tried, and fail as it did; others go."""
    azure = connect_azure(server.url)
    await azure.list_page("container/", recursive=True)
    server.put("top/sub/deep/late", b"l")
    keys = ["container/top/sub/b.txt", "container/top/sub/deep/", "container/top/sub/", "container/top/empty/"]
    failed = await azure.delete(keys)
    assert {key: error.code for key, error in failed.items()} == {
        "container/top/sub/deep/": "DirectoryIsNotEmpty",
        "container/top/sub/": "DirectoryIsNotEmpty",
    }
    assert ("DELETE in a batch", "top/sub") not in server.requests
    assert server.directories == ["top", "top/sub", "top/sub/deep"]


# Looking


async def test_what_is_there(session: AsyncSession) -> None:
    """Empty and full directories exist, with and without a slash; a file is no directory."""
    storage = session.get_storage_manager()
    for name in ("top", "top/", "top/empty", "top/empty/", "top/sub/"):
        assert await storage.exists(f"/container/{name}", "AZURE")
        assert (await storage.stat(f"/container/{name}", "AZURE")).directory
    for name in ("tip", "tip/", "top/a.txt/", "top/empt"):
        assert not await storage.exists(f"/container/{name}", "AZURE")
    assert await storage.list("AZURE", "/container/top/empty/") == []
    items = await storage.list("AZURE", "/container/top/")
    found = sorted((item.name, item.directory) for item in items)
    assert found == [("a.txt", False), ("empty", True), ("sub", True), ("sub-x", False)]


async def test_recursive_listing(session: AsyncSession) -> None:
    """All files come once, and of the directories those that nothing is in."""
    storage = session.get_storage_manager()
    items = await storage.list("AZURE", "/container/top/", recursive=True)
    assert sorted(item.path for item in items) == sorted(
        [*(f"/container/{name}" for name in TREE), "/container/top/empty/"]
    )


async def test_directories_are_not_read(server: HierarchicalAzure, connect_azure: ConnectAzure) -> None:
    """A directory is no empty object."""
    azure = connect_azure(server.url)
    with pytest.raises(NotFoundError, match="it is a directory"):
        await read(azure, "container/top")


# Copying


async def test_download(session: AsyncSession, tmp_path: Path) -> None:
    """Directories come as directories, the empty one too, and no file has the name of one."""
    report = await session.copy("azure:/container/top", f"{tmp_path}/here/")
    assert files(tmp_path / "here") == TREE
    assert directories(tmp_path / "here") == set(DIRECTORIES)
    assert len(report) == len(TREE) + 1


async def test_move_to_disk(server: HierarchicalAzure, session: AsyncSession, tmp_path: Path) -> None:
    """A move takes the directories with it: all, or but the one of which the content was meant."""
    await session.move("azure:/container/top/sub/", f"{tmp_path}/sub/")
    assert server.directories == ["top", "top/empty", "top/sub"]
    await session.move("azure:/container/top", f"{tmp_path}/here/")
    assert (server.files, server.directories) == ({}, [])
    assert directories(tmp_path / "here") == {"top", "top/empty", "top/sub"}
    assert files(tmp_path / "sub") == {"b.txt": b"b", "deep/c.txt": b"c"}


async def test_move_within_the_account(server: HierarchicalAzure, session: AsyncSession) -> None:
    """Files are copied by the service, the empty directory is made anew, and of the source nothing is left."""
    storage = session.get_storage_manager()
    await storage.copy("/container/top/", "/container/copied/", "AZURE")
    await storage.move("/container/top", "/container/moved/", "AZURE")
    copied = {name.replace("top", "copied", 1): data for name, data in TREE.items()}
    assert server.files == copied | {f"moved/{name}": data for name, data in TREE.items()}
    assert server.directories == sorted(
        [name.replace("top", "copied", 1) for name in DIRECTORIES]
        + ["moved"]
        + [f"moved/{name}" for name in DIRECTORIES]
    )


async def test_upload_of_a_tree(server: HierarchicalAzure, session: AsyncSession, tmp_path: Path) -> None:
    """An empty directory becomes a real one; one that is there already, or a file in its place, stays as it is."""
    server.put("up/full/x", b"x")
    for name in ("full", "new"):
        (tmp_path / "here" / name).mkdir(parents=True)
    await session.copy(f"{tmp_path}/here/", "azure:/container/up/")
    assert server.directories == [*DIRECTORIES, "up", "up/full", "up/new"]
    assert server.files == TREE | {"up/full/x": b"x"}
    (tmp_path / "other" / "a.txt").mkdir(parents=True)
    with pytest.raises(TransferError):
        await session.copy(f"{tmp_path}/other/", "azure:/container/top/")
    assert server.files["top/a.txt"] == b"a"


async def test_names_in_the_way(server: HierarchicalAzure, connect_azure: ConnectAzure) -> None:
    """A file cannot take the place of a directory, nor lie below a file, and the error says so."""
    azure = connect_azure(server.url, checksum="md5")
    for key in ("container/top/sub", "container/top/a.txt/below"):
        with pytest.raises(
            StorageError, match="a directory has that name, or a file has the name of a directory above"
        ):
            await azure.write(key, body(b"x"), OPTIONS)
    assert server.files == TREE


# Syncing


async def test_sync_to_disk(session: AsyncSession, tmp_path: Path) -> None:
    """A mirror has all files and the empty directory; then there is nothing to do, and what went goes there, too."""
    place = f"{tmp_path}/mirror/"
    await session.sync("azure:/container/top/", place, delete=True)
    assert directories(tmp_path / "mirror") == {"empty", "sub", "sub/deep"}
    assert not await session.sync("azure:/container/top/", place, delete=True, dry_run=True)
    await session.get_storage_manager().delete("/container/top/sub/", "AZURE")
    await session.sync("azure:/container/top/", place, delete=True)
    assert files(tmp_path / "mirror") == {"a.txt": b"a", "sub-x": b"x"}
    assert directories(tmp_path / "mirror") == {"empty"}


async def test_sync_from_disk(server: HierarchicalAzure, session: AsyncSession, tmp_path: Path) -> None:
    """What only the destination has goes with its directories, the others stay; then there is nothing to do."""
    here, place = tmp_path / "here", "azure:/container/top/"
    for name in ("a.txt", "new/file"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(b"new")
    (here / "sub" / "deep").mkdir(parents=True)  # empty here, with something in it there
    (here / "hollow").mkdir()
    await session.sync(f"{here}/", place, delete=True)
    assert server.files == {"top/a.txt": b"new", "top/new/file": b"new"}
    assert server.directories == ["top", "top/hollow", "top/new", "top/sub", "top/sub/deep"]
    assert not await session.sync(f"{here}/", place, delete=True, dry_run=True)
    report = await session.sync(f"{here}/", place, delete=True)
    assert not len(report)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [({"sub": b"file"}, {}), ({"a.txt/b": b"1", "a.txt/c/d": b"2"}, {}), ({"old": b"file"}, {"top/old/x": b"1"})],
)
async def test_sync_where_a_directory_became_a_file(
    server: HierarchicalAzure, session: AsyncSession, tmp_path: Path, ours: dict[str, bytes], theirs: dict[str, bytes]
) -> None:
    """And the other way round: with `delete` what is in the way goes first, and the next sync has nothing to do."""
    here, place = tmp_path / "here", "azure:/container/top/"
    for name, data in ours.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(data)
    for name, data in theirs.items():
        server.put(name, data)
    await session.sync(f"{here}/", place, delete=True)
    assert server.files == {f"top/{name}": data for name, data in ours.items()}
    assert not await session.sync(f"{here}/", place, delete=True, dry_run=True)


async def test_sync_of_an_empty_directory(session: AsyncSession, tmp_path: Path) -> None:
    """An empty directory is a source; one that is not there is none."""
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "old").write_bytes(b"x")
    await session.sync("azure:/container/top/empty/", f"{tmp_path}/mirror/", delete=True)
    assert os.listdir(tmp_path / "mirror") == []
    with pytest.raises(NotFoundError):
        await session.sync("azure:/container/missing/", f"{tmp_path}/mirror/", delete=True)


async def test_copies_keep_the_time(server: HierarchicalAzure, session: AsyncSession) -> None:
    """A copy of another program's file tells when that was stored, and keeps what is stored with it."""
    server.put("top/a.txt", b"a", origin="lab")
    server.now += 60
    for _ in range(2):
        report = await session.sync("azure:/container/top/", "azure:/container/mirror/", delete=True)
        server.now += 60
    assert not len(report)
    stored = server.content["mirror/a.txt"]
    assert stored.metadata == {"origin": "lab", "mtime": "1700000000.000000"}
    server.put("top/a.txt", b"b", origin="lab")
    report = await session.sync("azure:/container/top/", "azure:/container/mirror/", delete=True)
    assert len(report) == 1
    assert server.content["mirror/a.txt"].data == b"b"


# Listings that are sorted out


def entry(name: str) -> Entry:
    return Entry(name, directory=name.endswith("/"))


def test_directories_end_after_their_content() -> None:
    """Wherever pages end, and whether a slash sorts first or not, a directory is told after all that is in it."""
    by_bytes = ["a", "b/", "b-", "b/c/", "b/c-", "b/c/d/", "b/c/d/e", "b/f", "g/", "h/"]
    tree = ["a", "b/", "b/c/", "b/c/d/", "b/c/d/e", "b/c-", "b/f", "b-", "g/", "h/"]
    for names in (by_bytes, tree):
        for size in range(1, len(names) + 1):
            told: list[str] = []
            empty: set[str] = set()
            pending: tuple[Directory, ...] = ()
            for start in range(0, len(names), size):
                part = sorted(names[start : start + size], key=str.encode)
                keys = {name for name in part if name.endswith("/")}
                page = sort_out(list(map(entry, part)), keys, pending, last=start + size >= len(names))
                told += [each.key for each in (*page.entries, *page.directories)]
                empty |= {each.key for each in page.entries if each.directory}
                pending = page.pending
            assert sorted(told) == sorted(names)
            assert empty == {"g/", "h/"}
            for name in told:
                within = [each for each in told if each.startswith(name) and each != name]
                assert all(told.index(each) < told.index(name) for each in within if name.endswith("/"))


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_listing_in_a_circle(length: int) -> None:
    """Markers that come again are noticed, however many pages lie between."""
    cursor = Cursor("start")
    for number in range(10 * length):
        marker = f"page {number % length}"
        if cursor.repeats(marker):
            return
        cursor = cursor.next(marker, ())
    pytest.fail("not noticed")
