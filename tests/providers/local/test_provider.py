from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    SourceChangedError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.providers.contract import Entry, ObjectOptions, Part
from dxflow_async.providers.local.disk import Disk
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.providers.local.readable_file import READ_SIZE
from dxflow_async.providers.local.root import Root
from tests.ordinary_rights import ordinary_rights
from tests.providers.in_memory_bodies import body, read
from tests.sessions import open_files, part_files

OPTIONS = ObjectOptions()
HOSTILE = [
    "../x",
    "a/../../x",
    "/etc/passwd",
    "a//b",
    "./a",
    "a/.",
    "..",
    ".",
    "nul\0",
    "a/\0/b",
    "lone\ud800surrogate",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The provider's directory."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that is none of its business."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "secret").write_text("secret")
    return directory


@pytest.fixture
def local(root: Path, threads: Threads) -> Iterator[LocalProvider]:
    """A provider that follows no links out of its root."""
    yield LocalProvider(root, threads)
    assert open_files(root) == []
    assert part_files(root) == []


@pytest.fixture
def own(root: Path, threads: Threads) -> Iterator[LocalProvider]:
    """A provider of the user's own files, which follows links."""
    yield LocalProvider(root, threads, follow_symlinks=True)
    assert open_files(root) == []


def content(directory: Path) -> list[str]:
    """The names in a directory."""
    return sorted(os.listdir(directory))


async def listing(provider: LocalProvider, prefix: str = "", *, recursive: bool = True) -> list[Entry]:
    """A listing of one page."""
    return list((await provider.list_page(prefix, recursive=recursive)).entries)


# Containment


@pytest.mark.parametrize("key", HOSTILE, ids=ascii)
async def test_hostile_names(local: LocalProvider, key: str) -> None:
    """A name that climbs, is absolute, or is none, is refused by every operation."""
    source = Entry("a")
    (local.root.path / "a").touch()
    for attempt in (
        lambda: local.stat(key),
        lambda: local.read(key),
        lambda: local.write(key, body(b"x"), OPTIONS),
        lambda: local.start_upload(key, None, OPTIONS),
        lambda: local.delete_one(key),
        lambda: local.copy(source, key, OPTIONS),
        lambda: local.copy(Entry(key), "b", OPTIONS),
        lambda: local.rename("a", key),
        lambda: local.rename(key, "b"),
        lambda: local.make_directory(key),
        lambda: local.list_page(f"{key}/", recursive=True),
    ):
        with pytest.raises(UnsafePathError):
            await attempt()
    assert content(local.root.path) == ["a"]


async def test_links_that_lead_out(local: LocalProvider, root: Path, outside: Path) -> None:
    """What a link to the outside leads to is neither read, listed, written, made nor deleted."""
    (root / "link").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    for attempt in (
        lambda: local.read("file"),
        lambda: local.stat("file"),
        lambda: local.read("link/secret"),
        lambda: local.list_page("link/", recursive=False),
        lambda: local.write("link/new", body(b"x"), OPTIONS),
        lambda: local.write("link/deep/new", body(b"x"), OPTIONS),
        lambda: local.make_directory("link/deep/"),
        lambda: local.delete_one("link/secret"),
        lambda: local.delete_one("link/secret/"),
        lambda: local.copy(Entry("file"), "copied", OPTIONS),
        lambda: local.rename("link/secret", "moved"),
        lambda: local.rename("file", "link/moved"),
    ):
        with pytest.raises(UnsafePathError, match="symbolic link"):
            await attempt()
    assert content(outside) == ["secret"]
    for recursive in (False, True):
        found = await listing(local, recursive=recursive)
        assert [(entry.key, entry.directory) for entry in found] == [("file", False), ("link", False)]
        assert all(entry.unreadable == "a symbolic link, which is not followed" for entry in found)


async def test_directory_replaced_by_a_link(local: LocalProvider, root: Path, outside: Path) -> None:
    """A directory that was written to before, and is a link out now, is written to no more."""
    await local.write("dir/one", body(b"x"), OPTIONS)
    (root / "dir").rename(root / "old")
    (root / "dir").symlink_to(outside)
    with pytest.raises(UnsafePathError):
        await local.write("dir/two", body(b"x"), OPTIONS)
    assert not (outside / "two").exists()


async def test_directory_above_replaced_by_a_link(local: LocalProvider, root: Path, outside: Path) -> None:
    """A directory that was written into is not trusted once one above it leads out."""
    await local.write("a/dir/x", body(b"first"), OPTIONS)
    (root / "a").rename(outside / "a")
    (root / "a").symlink_to(outside / "a")
    with pytest.raises(UnsafePathError, match="symbolic link"):
        await local.write("a/dir/x", body(b"second"), OPTIONS)
    assert (outside / "a/dir/x").read_bytes() == b"first"


async def test_link_at_the_target(local: LocalProvider, root: Path, outside: Path) -> None:
    """A link that has the target's name is neither replaced nor followed; deleted, it is the link that goes."""
    (root / "name").symlink_to(outside / "secret")
    await local.write("other", body(b"new"), OPTIONS)
    other = await local.stat("other")
    for call in (
        lambda: local.write("name", body(b"new"), OPTIONS),
        lambda: local.write("name", body(bytes(2 << 20)), OPTIONS),
        lambda: local.start_upload("name", 3, OPTIONS),
        lambda: local.copy(other, "name", OPTIONS),
        lambda: local.rename("other", "name"),
    ):
        with pytest.raises(UnsafePathError, match="a symbolic link has that name"):
            await call()
    assert (root / "name").is_symlink()
    (root / "link").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    await local.delete(["link/", "file"])
    assert content(root) == ["name", "other"]
    assert (outside / "secret").read_text() == "secret"


async def test_links_inside(local: LocalProvider, root: Path) -> None:
    """A link that stays inside is followed to read and write."""
    (root / "real").mkdir()
    (root / "link").symlink_to("real")
    await local.write("link/name", body(b"x"), OPTIONS)
    assert await read(local, "real/name") == b"x"


async def test_root_itself_stays(local: LocalProvider, root: Path) -> None:
    """The root is not deleted."""
    for key in ("", "/"):
        with pytest.raises(UnsafePathError):
            await local.delete_one(key)
    assert content(root) == []


# Listing


async def test_missing_root(tmp_path: Path, threads: Threads) -> None:
    """A root that is not there is empty, and made by the first write."""
    local = LocalProvider(tmp_path / "not" / "yet", threads)
    assert await listing(local) == []
    await local.write("a/b", body(b"x"), OPTIONS)
    assert (tmp_path / "not/yet/a/b").read_bytes() == b"x"


async def test_missing_directory(local: LocalProvider) -> None:
    """A directory that is not there, or is a file, is said so."""
    await local.write("file", body(b"x"), OPTIONS)
    for prefix in ("missing/", "file/"):
        with pytest.raises(NotFoundError):
            await local.list_page(prefix, recursive=True)


async def test_order_across_directories(local: LocalProvider) -> None:
    """A directory's content comes where its slash puts it."""
    names = ["a-b", "a.b", "a/-", "a/b/c", "a/b0", "a0", "b"]
    for name in reversed(names):
        await local.write(name, body(b""), OPTIONS)
    assert [entry.key for entry in await listing(local)] == names


def relative(path: Path) -> str:
    """A socket's path may have 107 bytes."""
    return os.path.relpath(path)


async def test_special_files(own: LocalProvider, root: Path) -> None:
    """Sockets, pipes and dangling links are listed with the reason why they cannot be read; reading fails at once."""
    os.mkfifo(root / "pipe")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(relative(root / "socket"))
        found = {entry.key: entry.unreadable for entry in await listing(own)}
    assert set(found) == {"pipe", "dangling", "loop", "socket"}
    assert found["pipe"] == found["socket"] == "not a regular file"
    assert found["dangling"] == "a symbolic link to nothing"
    assert all(found.values())
    for name in ("pipe", "socket"):
        with pytest.raises(UnsupportedError, match="not a regular file"):
            await own.read(name)
    with pytest.raises(UnsafePathError):
        await own.read("loop")


async def test_link_to_a_directory_above(own: LocalProvider, root: Path) -> None:
    """A walk that follows links ends, and says which link it did not follow."""
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/up").symlink_to(root / "a")
    (root / "a/file").touch()
    found = {entry.key: entry.unreadable for entry in await listing(own)}
    assert found == {"a/b/up/": "a link to a directory above it", "a/file": None}


async def test_temporary_files_are_not_listed(local: LocalProvider, root: Path) -> None:
    """What is being written is not listed; what merely looks like it is."""
    upload = await local.start_upload("name", None, OPTIONS)
    (root / ".notes.dxpart").touch()
    assert [entry.key for entry in await listing(local)] == [".notes.dxpart"]
    await upload.abort()
    (root / ".notes.dxpart").unlink()


async def test_names_that_are_not_unicode(own: LocalProvider, root: Path) -> None:
    """A file's name of any bytes is listed and read."""
    (root / os.fsdecode(b"caf\xe9")).write_bytes(b"latin")
    (entry,) = await listing(own)
    assert await read(own, entry.key) == b"latin"


async def test_listing_while_files_go(local: LocalProvider, root: Path) -> None:
    """A directory that vanishes in the midst of a walk is left out."""
    for number in range(1500):
        (root / "a").mkdir(exist_ok=True)
        (root / f"a/{number:04}").touch()
    (root / "b").mkdir()
    (root / "b/c").touch()
    page = await local.list_page("", recursive=True)
    (root / "b/c").unlink()
    (root / "b").rmdir()
    entries = [*page.entries]
    assert len(entries) == 200  # of a tree few at first, so that work on it may begin
    while page.cursor is not None:
        page = await local.list_page("", recursive=True, cursor=page.cursor)
        entries += page.entries
    assert len(entries) == 1500


# Reading and writing


@pytest.mark.parametrize("change", ["longer", "shorter", "replaced", "touched"])
async def test_file_changed_while_read(local: LocalProvider, root: Path, change: str) -> None:
    """A file that is changed in the midst of a read is an error at its end, or is read in the old version."""
    path = root / "large"
    path.write_bytes(b"x" * 3 * READ_SIZE)
    reading = await local.read("large")
    await reading.read()
    if change == "longer":
        with path.open("ab") as file:
            file.write(b"more")
    elif change == "shorter":
        os.truncate(path, READ_SIZE)
    elif change == "touched":
        os.utime(path, (1, 1))
    else:
        path.unlink()
        path.write_bytes(b"y" * 3 * READ_SIZE)
        assert b"".join([bytes(chunk) async for chunk in reading]) == b"x" * 2 * READ_SIZE
        await reading.aclose()
        return
    with pytest.raises(SourceChangedError, match="changed meanwhile"):
        async for _ in reading:
            pass
    await reading.aclose()


async def test_replayable_body(local: LocalProvider, root: Path) -> None:
    """A part of a file is a body that can be sent twice, until the file is another one."""
    data = os.urandom(3 * READ_SIZE)
    (root / "large").write_bytes(data)
    async with await local.read("large", 100, 2 * READ_SIZE) as reading:
        again = await reading.buffer_or_reopen()
    wanted = data[100 : 2 * READ_SIZE]
    assert (again.size, again.crc32c) == (len(wanted), body(wanted).crc32c)
    for _ in range(2):
        assert b"".join([bytes(chunk) async for chunk in again]) == wanted
    os.utime(root / "large", (1, 1))
    with pytest.raises(PreconditionFailedError):
        [chunk async for chunk in again]


async def test_small_files_that_are_listed(own: LocalProvider, root: Path) -> None:
    """What was listed just now is read in the version that is there now."""
    for size in (0, 1, 1000, 65_536, 65_537):
        (root / f"{size}").write_bytes(b"x" * size)
    for entry in await listing(own):
        async with await own.read(entry.key, listed=entry) as reading:
            assert b"".join([bytes(chunk) async for chunk in reading]) == b"x" * entry.size
    (root / "1").write_bytes(b"longer")
    async with await own.read("1", listed=Entry("1", 1)) as reading:
        assert (reading.entry.size, await reading.read()) == (6, b"longer")
    (root / "1").unlink()
    with pytest.raises(NotFoundError):
        await own.read("1", listed=Entry("1", 1))


async def test_directories_are_no_objects(local: LocalProvider, root: Path) -> None:
    """A directory is not read as an object, nor replaced by one; nor is a file written under a directory's name."""
    await local.write("dir/name", body(b"x"), OPTIONS)
    with pytest.raises(NotFoundError):
        await local.read("dir")
    for attempt in (
        lambda: local.write("dir", body(b"y"), OPTIONS),
        lambda: local.write("new/", body(b""), OPTIONS),
        lambda: local.delete_one("dir"),
    ):
        with pytest.raises(AlreadyExistsError):
            await attempt()
    with pytest.raises(NotFoundError):
        await local.write("dir/name/below", body(b"y"), OPTIONS)
    assert not (root / "new").exists()
    assert await read(local, "dir/name") == b"x"


async def test_tree_that_cannot_go_as_a_whole(local: LocalProvider, root: Path) -> None:
    """What can be removed of a directory is; the error is that of what cannot."""
    for name in ("d/a", "d/locked/x", "d/z/y"):
        await local.write(name, body(b"x"), OPTIONS)
    with ordinary_rights():
        (root / "d/locked").chmod(0o500)
        threads = Threads(1)  # started with these rights
        with pytest.raises(AccessDeniedError, match="permission denied"):
            await LocalProvider(root, threads).delete_one("d/")
        threads.close()
        (root / "d/locked").chmod(0o700)
    assert [entry.key for entry in await listing(local)] == ["d/locked/x"]


async def test_directory_removed_behind_our_back(local: LocalProvider, root: Path) -> None:
    """A directory that was there a moment ago is made again."""
    await local.write("dir/deep/one", body(b"x"), OPTIONS)
    for name in ("dir/deep/one", "dir/deep", "dir"):
        (root / name).unlink() if name.endswith("one") else (root / name).rmdir()
    await local.write("dir/deep/two", body(b"y"), OPTIONS)
    assert (root / "dir/deep/two").read_bytes() == b"y"


async def test_modification_time(local: LocalProvider, root: Path) -> None:
    """A write keeps the time it is told."""
    await local.write("name", body(b"x"), ObjectOptions(modified=1_234_567_890.5))
    assert (root / "name").stat().st_mtime == 1_234_567_890.5


@pytest.mark.parametrize("size", [1000, 3 * READ_SIZE])
async def test_cancelled_write(local: LocalProvider, size: int) -> None:
    """Wherever a write is cancelled, no temporary file is left, and the name has all of it or nothing."""
    for steps in range(12):
        task = asyncio.create_task(local.write(f"{steps}", body(b"x" * size), OPTIONS))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert all(entry.size == size for entry in await listing(local))


# Errors

TABLE = {
    errno.ENOENT: NotFoundError,
    errno.ENOTDIR: NotFoundError,
    errno.EACCES: AccessDeniedError,
    errno.EPERM: AccessDeniedError,
    errno.EROFS: AccessDeniedError,
    errno.EEXIST: AlreadyExistsError,
    errno.EISDIR: AlreadyExistsError,
    errno.ENOTEMPTY: AlreadyExistsError,
    errno.ENAMETOOLONG: UnsafePathError,
    errno.ELOOP: UnsafePathError,
    errno.ENOSPC: StorageError,
    errno.EIO: StorageError,
    errno.EXDEV: UnsupportedError,
    errno.ENOSYS: UnsupportedError,
    errno.EOPNOTSUPP: UnsupportedError,
    errno.EBUSY: StorageError,
    errno.ESTALE: StorageError,
}


@pytest.mark.parametrize(("number", "expected"), TABLE.items(), ids=lambda each: errno.errorcode.get(each, ""))
async def test_what_the_system_says(threads: Threads, number: int, expected: type[StorageError]) -> None:
    """Each of the system's errors is one of ours, with its code, the path, and no retry."""

    def fail() -> None:
        raise OSError(number, os.strerror(number), "/dir/name")

    with pytest.raises(StorageError, match="LOCAL write of /dir/name failed: ") as raised:
        await Disk(threads, Root(Path("/root"))).run("write", "name", fail)
    error = raised.value
    assert type(error) is expected
    assert (error.code, error.path, error.retryable) == (errno.errorcode[number], "/dir/name", False)


@pytest.fixture
def full(tmp_path: Path, threads: Threads) -> Iterator[LocalProvider | None]:
    """A file system of 1 MiB, where one may be mounted."""
    directory = tmp_path / "full"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield LocalProvider(directory, threads) if mounted else None
    if mounted:
        subprocess.run(["umount", directory], check=True)


async def test_full_disk(full: LocalProvider | None) -> None:
    """A disk that is full is said before anything is written where the size is known, else when it happens."""
    if full is None:
        return
    await full.write("old", body(b"x" * 1000), OPTIONS)
    size = 2 * READ_SIZE
    upload = await full.start_upload("parts", None, OPTIONS)
    for attempt in (
        lambda: full.write("old", body(b"y" * size), OPTIONS),
        lambda: full.start_upload("known", size, OPTIONS),
        lambda: upload.write_part(Part(1, 0, size), body(b"y" * size)),
    ):
        with pytest.raises(StorageError, match="the disk is full; make room") as raised:
            await attempt()
        assert raised.value.code == "ENOSPC"
    await upload.abort()
    assert [entry.key for entry in await listing(full)] == ["old"]
    assert part_files(full.root.path) == []


async def test_name_too_long(local: LocalProvider) -> None:
    """A name that the file system does not hold is said so."""
    with pytest.raises(UnsafePathError, match="too long"):
        await local.write("x" * 300, body(b"x"), OPTIONS)
