from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from dxflow_async.exceptions import (
    AlreadyExistsError,
    NotFoundError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.providers.contract import Entry, ObjectOptions, Part
from dxflow_async.providers.sftp.names import Base
from dxflow_async.providers.sftp.provider import SFTPProvider
from tests.providers.in_memory_bodies import body, read
from tests.providers.sftp.connected_sftp import Connect
from tests.servers.ssh import SSHServer
from tests.sessions import part_files

OPTIONS = ObjectOptions()


async def entries(sftp: SFTPProvider, prefix: str = "", *, recursive: bool = True) -> list[Entry]:
    """All pages of a listing."""
    page = await sftp.list_page(prefix, recursive=recursive)
    found = list(page.entries)
    while page.cursor is not None:
        page = await sftp.list_page(prefix, recursive=recursive, cursor=page.cursor)
        found += page.entries
    return found


async def test_bytes_that_are_not_utf8_are_a_name(sftp: SFTPProvider, area: Path) -> None:
    """A name of any bytes is written, listed, read, renamed and deleted as it is."""
    key = os.fsdecode(b"caf\xe9/\xff\xfe name")
    await sftp.write(key, body(b"content"), OPTIONS)
    assert os.listdir(os.fsencode(area / "caf") + b"\xe9") == [b"\xff\xfe name"]
    assert [entry.key for entry in await entries(sftp)] == [key]
    assert await read(sftp, key) == b"content"
    await sftp.rename(key, "plain")
    await sftp.rename("plain", key)
    assert await sftp.delete([key]) == {}
    assert [entry.key for entry in await entries(sftp)] == [os.fsdecode(b"caf\xe9/")]


@pytest.mark.parametrize("key", ["a//b", "../x", "a/../b", ".", "a\0b", "x" * 256, "\ud800"])
async def test_keys_that_are_no_names(sftp: SFTPProvider, key: str) -> None:
    """A key that leads elsewhere, or that no server could hold, is refused before anything is sent."""
    for call in (sftp.stat(key), sftp.read(key), sftp.write(key, body(b"x"), OPTIONS), sftp.make_directory(key)):
        with pytest.raises(UnsafePathError):
            await call


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        ("/", "a/b", b"/a/b"),
        ("/", "", b"/"),
        ("/base/", "a", b"/base/a"),
        ("/base", "", b"/base"),
        ("~", "a", b"a"),
        ("~", "", b"."),
        ("~/data", "a/", b"data/a"),
        ("data", "", b"data"),
    ],
)
def test_base(path: str, key: str, expected: bytes) -> None:
    """Keys are below the directory of the settings; `~`, and a relative one, start at the user's home."""
    assert Base(path).path(key) == expected


@pytest.mark.parametrize("key", ["", "/"])
async def test_the_directory_of_the_settings_stays(sftp: SFTPProvider, key: str) -> None:
    """The directory that keys are below is never deleted, renamed or replaced."""
    with pytest.raises(UnsafePathError):
        await sftp.delete_one(key)
    with pytest.raises(UnsafePathError):
        await sftp.rename(key, "other/")
    await sftp.list_page("", recursive=False)


async def test_links_are_followed(sftp: SFTPProvider, area: Path) -> None:
    """What links lead to is listed and read, as the user's own local files are; a circle is not walked."""
    (area / "dir/below").mkdir(parents=True)
    (area / "dir/file").write_bytes(b"content")
    (area / "to-file").symlink_to("dir/file")
    (area / "to-dir").symlink_to("dir")
    (area / "dangling").symlink_to("nowhere")
    (area / "dir/below/circle").symlink_to("../..")
    (area / "loop").symlink_to("loop")
    found = {entry.key: (entry.size, entry.unreadable, entry.read_error) for entry in await entries(sftp)}
    dangling, circle = "a symbolic link to nothing", "a link to a directory above it"
    assert found.pop("loop")[1] is not None
    assert found == {
        "dangling": (0, dangling, "ENOENT"),
        "dir/below/circle/": (0, circle, None),
        "dir/file": (7, None, None),
        "to-dir/below/circle/": (0, circle, None),
        "to-dir/file": (7, None, None),
        "to-file": (7, None, None),
    }
    assert await read(sftp, "to-file") == b"content"
    assert (await sftp.stat("to-dir/")).directory
    with pytest.raises(NotFoundError):
        await sftp.read("dangling")


async def test_links_are_left_out(ssh: SSHServer, area: Path, connect: Connect) -> None:
    """With `follow_symlinks = false` a link is what it is: neither listed as a file nor read."""
    sftp = connect(ssh.settings(path=str(area), follow_symlinks=False))
    (area / "dir").mkdir()
    (area / "dir/file").write_bytes(b"content")
    (area / "to-file").symlink_to("dir/file")
    (area / "to-dir").symlink_to("dir")
    found = [(entry.key, entry.directory, entry.unreadable) for entry in await entries(sftp)]
    why = "a symbolic link, which is not followed"
    assert found == [("dir/file", False, None), ("to-dir", False, why), ("to-file", False, why)]
    with pytest.raises(UnsafePathError, match="symbolic link"):
        await sftp.read("to-file")


async def test_links_and_special_files_are_not_replaced(sftp: SFTPProvider, area: Path) -> None:
    """A file never takes the place of a link, a pipe or a directory, by a write, an upload or a rename."""
    (area / "target").write_bytes(b"kept")
    (area / "link").symlink_to("target")
    os.mkfifo(area / "pipe")
    (area / "dir").mkdir()
    await sftp.write("new", body(b"new"), OPTIONS)
    for key, cls in (("link", UnsafePathError), ("pipe", UnsafePathError), ("dir", AlreadyExistsError)):
        with pytest.raises(cls):
            await sftp.write(key, body(b"x"), OPTIONS)
        with pytest.raises(cls):
            await sftp.start_upload(key, 5, OPTIONS)
        with pytest.raises(cls):
            await sftp.rename("new", key)
    assert (area / "target").read_bytes() == b"kept"
    assert (area / "link").is_symlink()
    assert part_files(area) == []


async def test_a_pipe_is_not_read(sftp: SFTPProvider, area: Path) -> None:
    """Reading a named pipe would make the server wait, and all requests with it: it is refused."""
    os.mkfifo(area / "pipe")
    ((entry),) = await entries(sftp)
    assert entry.unreadable == "not a regular file"
    with pytest.raises(UnsupportedError, match="not a regular file"):
        await sftp.read("pipe")


async def test_deleting_a_link_leaves_what_it_leads_to(sftp: SFTPProvider, area: Path) -> None:
    """A link is deleted itself, also as a directory and in one."""
    (area / "kept").mkdir()
    (area / "kept/file").write_bytes(b"kept")
    (area / "dir").mkdir()
    for name in ("one", "two", "dir/three"):
        (area / name).symlink_to(area / "kept")
    assert await sftp.delete(["one", "two/", "dir/"]) == {}
    assert sorted(os.listdir(area)) == ["kept"]
    assert (area / "kept/file").read_bytes() == b"kept"


async def test_deleting_by_the_wrong_name(sftp: SFTPProvider, area: Path) -> None:
    """A directory is not deleted by a file's name, nor a file by a directory's."""
    (area / "dir").mkdir()
    (area / "file").write_bytes(b"kept")
    failed = await sftp.delete(["dir", "file/", "missing", "missing/"])
    assert {key: type(error) for key, error in failed.items()} == {"dir": AlreadyExistsError, "file/": NotFoundError}
    assert sorted(os.listdir(area)) == ["dir", "file"]


async def test_modes(sftp: SFTPProvider, area: Path) -> None:
    """A new file has its source's bits, else the server's usual ones; a replaced one keeps its own."""
    for _ in range(2):
        await sftp.write("usual", body(b"x"), OPTIONS)
        (area / "usual").unlink()
    await sftp.write("usual", body(b"x"), OPTIONS)
    await sftp.write("given", body(b"x"), ObjectOptions(mode=0o750))
    await sftp.write("given", body(b"y"), ObjectOptions(mode=0o604))
    upload = await sftp.start_upload("parts", 1, ObjectOptions(mode=0o4755))
    await upload.finish([await upload.write_part(Part(1, 0, 1), body(b"x"))], None)
    await sftp.make_directory("usual-dir/")
    await sftp.make_directory("dir/with/mode/", 0o570)
    modes = {name: (area / name).stat().st_mode & 0o7777 for name in ("usual", "given", "parts", "usual-dir")}
    assert modes == {"usual": 0o644, "given": 0o750, "parts": 0o755, "usual-dir": 0o755}
    assert (area / "dir/with/mode").stat().st_mode & 0o7777 == 0o770
    assert (await sftp.stat("given")).mode == 0o750
    assert await sftp.mode_of_directory("dir/with/mode/") == 0o770


async def test_nobody_else_reads_what_is_not_complete(sftp: SFTPProvider, area: Path) -> None:
    """A file that is being written is its owner's alone, from the first one on, and in no listing."""
    for key in ("first", "second"):
        upload = await sftp.start_upload(key, 10, ObjectOptions(mode=0o644))
        await upload.write_part(Part(1, 0, 5), body(b"01234"))
        (name,) = part_files(area)
        assert os.stat(name).st_mode & 0o777 == 0o600
        assert await entries(sftp) == []
        await upload.abort()
    assert part_files(area) == []


async def test_an_upload_that_was_damaged_is_not_gone_on_with(sftp: SFTPProvider, area: Path) -> None:
    """Only parts whose bytes are there as they were written are kept when an upload is resumed."""
    begun = await sftp.start_upload("name", None, OPTIONS)
    pieces = [bytes([number]) * 300_000 for number in range(3)]
    receipts = [
        await begun.write_part(Part(number + 1, number * 300_000, 300_000), body(piece))
        for number, piece in enumerate(pieces)
    ]
    (name,) = part_files(area)
    descriptor = os.open(name, os.O_RDWR)
    os.pwrite(descriptor, b"damage", 450_000)
    os.ftruncate(descriptor, 899_999)
    os.close(descriptor)
    upload, kept = await sftp.resume_upload("name", begun.id, receipts, OPTIONS)
    assert list(kept) == receipts[:1]
    await upload.abort()
    with pytest.raises(NotFoundError):
        await sftp.resume_upload("name", begun.id, receipts, OPTIONS)


@pytest.mark.parametrize("upload_id", ["", "name", "../.0123456789abcdef.dxpart", ".0123456789abcdef.dxpart"])
async def test_ids_that_are_no_uploads(sftp: SFTPProvider, area: Path, upload_id: str) -> None:
    """An upload's id never leads to another file."""
    (area / "name").write_bytes(b"kept")
    with pytest.raises(NotFoundError):
        await sftp.resume_upload("other", upload_id, [], OPTIONS)
    assert (area / "name").read_bytes() == b"kept"


async def test_parts_at_the_same_time(sftp: SFTPProvider, area: Path) -> None:
    """Many parts are written at a time, over more than one connection but not over more than allowed."""
    data = os.urandom(40 * 100_000)
    upload = await sftp.start_upload("name", len(data), OPTIONS)
    parts = [Part(index + 1, index * 100_000, 100_000) for index in range(40)]
    receipts = await asyncio.gather(
        *(upload.write_part(part, body(data[part.offset : part.offset + part.size])) for part in parts)
    )
    assert 1 < len(sftp._server.connections._channels) <= 4
    await upload.finish(receipts, None)
    assert (area / "name").read_bytes() == data
    assert await read(sftp, "name", 123_456, 3_456_789) == data[123_456:3_456_789]


async def test_a_file_that_does_not_fit(sftp: SFTPProvider, area: Path) -> None:
    """An upload that is larger than the disk is refused before it begins."""
    with pytest.raises(StorageError, match="disk of the server is full"):
        await sftp.start_upload("name", 1 << 60, OPTIONS)
    assert part_files(area) == []


async def test_a_file_in_the_way_of_a_directory(sftp: SFTPProvider, area: Path) -> None:
    """Where a directory is needed and a file is, the error says so; the file stays."""
    (area / "file").write_bytes(b"kept")
    with pytest.raises(AlreadyExistsError, match="a file has the name of a directory"):
        await sftp.write("file/below", body(b"x"), OPTIONS)
    with pytest.raises(AlreadyExistsError):
        await sftp.make_directory("file/")
    assert (area / "file").read_bytes() == b"kept"
    await sftp.make_directory("dir/")
    await sftp.make_directory("dir/")


async def test_a_directory_does_not_replace_one_with_content(sftp: SFTPProvider, area: Path) -> None:
    """A directory is renamed to the name of an empty one, and of no other."""
    for name in ("from/file", "to/file"):
        await sftp.write(name, body(name.encode()), OPTIONS)
    with pytest.raises(AlreadyExistsError, match="not empty"):
        await sftp.rename("from/", "to/")
    assert (area / "to/file").read_bytes() == b"to/file"
    with pytest.raises(NotFoundError):
        await sftp.rename("missing", "new/dir/name")


async def test_a_tree_of_many_directories(sftp: SFTPProvider, area: Path) -> None:
    """Directories are read ahead, and their content comes in the order of keys all the same."""
    names = sorted(f"{one}/{two}/f{three}" for one in "abc" for two in range(12) for three in range(8))
    for name in names:
        (area / name).parent.mkdir(parents=True, exist_ok=True)
        (area / name).write_bytes(b"x")
    (area / "b/empty").mkdir()
    found = [entry.key for entry in await entries(sftp)]
    assert found == sorted([*names, "b/empty/"])
    assert [entry.key for entry in await entries(sftp, "b/1")] == [name for name in names if name.startswith("b/1")]
    await sftp.delete_one("a/")
    assert sorted(os.listdir(area)) == ["b", "c"]


async def test_version_at_the_end_of_a_reading(sftp: SFTPProvider, area: Path) -> None:
    """A file that is changed while it is read is an error, not a mixture."""
    (area / "name").write_bytes(bytes(3 << 20))
    async with await sftp.read("name") as reading:
        await reading.read()
        os.truncate(area / "name", 100)
        with pytest.raises(StorageError, match="changed meanwhile"):
            await reading.buffer_or_reopen()
