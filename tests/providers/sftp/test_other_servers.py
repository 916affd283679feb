"""SSH servers that tell less, ignore what they are told, or list what cannot be."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import ServiceError, UnsupportedError
from dxflow_async.providers.contract import ObjectOptions, Part
from tests.providers.in_memory_bodies import body, read
from tests.providers.sftp.connected_sftp import Connect
from tests.servers.ssh import SSHServer
from tests.sessions import part_files, retry_soon

TREE = {"a": b"aaa", "dir/b": b"b" * 100_000, "dir/deep/c": b"", "z": b"zz"}


def failing(directory: Path, fault: str) -> AbstractContextManager[SSHServer]:
    """A server with some files that something is odd about."""
    return SSHServer.start(directory / "server", fail=fault)


def fill(top: Path) -> None:
    """Puts the files of `TREE` into a directory."""
    for name, data in TREE.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)


def found(top: Path) -> dict[str, bytes]:
    """Returns the files in a directory."""
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "fault",
    [
        *("names-only", "lines-only", "short", "sizeless-files", "attributes", "read-write"),
        *("statvfs", "no-size", "no-unit"),
    ],
)
async def test_a_session(tmp_path: Path, fault: str) -> None:
    """Trees come, go, and are synced and deleted as at any server, byte for byte."""
    here = tmp_path / "here"
    fill(here)
    with failing(tmp_path, fault) as server:
        fill(server.root / "top")
        os.symlink("dir", server.root / "top/link")
        remotes = {"box": server.settings()}
        async with AsyncSession(settings=Settings(home=tmp_path / "home"), remotes=remotes) as session:
            retry_soon(session)
            (server.root / "top/link").unlink()
            await session.copy("box:/top/", f"{tmp_path}/down/")
            assert found(tmp_path / "down") == TREE
            await session.copy(f"{here}/", "box:/up/")
            assert found(server.root / "up") == TREE
            assert len(await session.sync(f"{here}/", "box:/up/", delete=True)) == 0
            (here / "a").write_bytes(b"other")
            (here / "z").unlink()
            report = await session.sync(f"{here}/", "box:/up/", delete=True)
            assert len(report) == 2
            assert found(server.root / "up") == found(here)
            await session.move("box:/up/", f"{tmp_path}/moved/")
            assert found(tmp_path / "moved") == found(here)
            assert found(server.root / "up") == {}
            assert part_files(server.root) == []


@pytest.mark.parametrize("fault", ["names-only", "lines-only"])
async def test_links_of_which_nothing_is_told(tmp_path: Path, connect: Connect, fault: str) -> None:
    """A link is a link also where a listing has names only, and its target is not deleted with it."""
    with failing(tmp_path, fault) as server:
        fill(server.root)
        os.symlink("dir", server.root / "link")
        sftp = connect(server.settings(follow_symlinks=False))
        page = await sftp.list_page("", recursive=False)
        assert [(entry.key, entry.directory, entry.size) for entry in page.entries] == [
            ("a", False, 3),
            ("dir/", True, 0),
            ("link", False, page.entries[2].size),
            ("z", False, 2),
        ]
        assert "link" in (page.entries[2].unreadable or "")
        assert await sftp.delete(["link", "dir/"]) == {}
        assert found(server.root) == {"a": b"aaa", "z": b"zz"}


@pytest.mark.parametrize("fault", ["paths", "endless"])
async def test_listings_that_cannot_be(tmp_path: Path, connect: Connect, fault: str) -> None:
    """Paths in the place of names, and a listing without an end, are errors; nothing is deleted by them."""
    with failing(tmp_path, fault) as server:
        fill(server.root)
        sftp = connect(server.settings())
        async with asyncio.timeout(60):
            with pytest.raises(ServiceError, match=r"no name in a directory|again and again"):
                await sftp.list_page("", recursive=True)
            assert list(await sftp.delete(["dir/"])) == ["dir/"]
        assert found(server.root) == TREE


async def test_a_size_that_nothing_tells(tmp_path: Path, connect: Connect) -> None:
    """A file of unknown size is not read as an empty one, and a move keeps it."""
    with failing(tmp_path, "sizeless") as server:
        fill(server.root)
        sftp = connect(server.settings())
        with pytest.raises(UnsupportedError, match="does not tell its size"):
            await sftp.read("a")
        async with AsyncSession(
            settings=Settings(home=tmp_path / "home"), remotes={"box": server.settings()}
        ) as session:
            retry_soon(session)
            with pytest.raises(Exception, match="size"):
                await session.move("box:/a", str(tmp_path / "a"))
        assert not (tmp_path / "a").exists()
        assert found(server.root) == TREE


async def test_more_bytes_than_were_requested(tmp_path: Path, connect: Connect) -> None:
    """An answer that is longer than its request is an error; its bytes are not shifted into the file."""
    with failing(tmp_path, "more") as server:
        (server.root / "name").write_bytes(os.urandom(700_000))
        sftp = connect(server.settings())
        with pytest.raises(ServiceError, match="bytes where"):
            await read(sftp, "name")


async def test_times_that_are_ignored(tmp_path: Path, connect: Connect) -> None:
    """Where a server accepts a time and does not keep it, `Features` says no, and syncs find nothing to do twice."""
    with failing(tmp_path, "forgetful") as server:
        sftp = connect(server.settings())
        await sftp.write("name", body(b"content"), ObjectOptions(modified=1e9))
        assert {sftp.features.mtime, sftp.features.mtime_listed} == {False}
        here = tmp_path / "here"
        fill(here)
        for path in here.rglob("*"):
            os.utime(path, (1e9, 1e9))
        async with AsyncSession(
            settings=Settings(home=tmp_path / "home"), remotes={"box": server.settings()}
        ) as session:
            assert len(await session.sync(f"{here}/", "box:/top/")) == len(TREE)
            assert len(await session.sync(f"{here}/", "box:/top/")) == 0


async def test_renaming_that_is_announced_and_refused(tmp_path: Path, connect: Connect) -> None:
    """Where `posix-rename` fails over an existing file, the file is replaced in steps; nothing is left beside it."""
    with failing(tmp_path, "refused-rename") as server:
        sftp = connect(server.settings())
        for content in (b"first", b"second", b"third"):
            await sftp.write("dir/name", body(content), ObjectOptions())
            assert await read(sftp, "dir/name") == content
        await sftp.write("dir/other", body(b"other"), ObjectOptions())
        await sftp.rename("dir/other", "dir/name")
        assert found(server.root) == {"dir/name": b"other"}


@pytest.mark.parametrize("fault", ["statvfs", "no-size", "no-unit", "read-write"])
async def test_large_files(tmp_path: Path, connect: Connect, fault: str) -> None:
    """A disk of no known size is not a full one; no file is opened for reading and writing at once."""
    with failing(tmp_path, fault) as server:
        upload = await connect(server.settings()).start_upload("x", 10, ObjectOptions())
        receipts = [await upload.write_part(Part(number, 5 * number - 5, 5), body(b"bytes")) for number in (2, 1)]
        await upload.finish(receipts[::-1], None)
        assert (server.root / "x").read_bytes() == b"bytesbytes"
