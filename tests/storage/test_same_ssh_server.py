"""Two remotes at one SSH server: nothing is moved, copied or synced onto itself by the other one's name."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import AsyncSession, Settings, UnsafePathError
from tests.servers.ssh import SSHServer


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """An SSH server."""
    with SSHServer.start(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture(scope="module")
def other_ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """Another SSH server, with a key of its own."""
    with SSHServer.start(tmp_path_factory.mktemp("other")) as server:
        yield server


@pytest.fixture
def top(ssh: SSHServer) -> Path:
    """A directory there, with a file in it."""
    top = ssh.root / f"area-{uuid4().hex[:8]}"
    (top / "dir/sub").mkdir(parents=True)
    (top / "dir/file").write_bytes(b"precious")
    (top / "empty").mkdir()
    (top / "link").symlink_to("dir")
    return top


@pytest.fixture
async def session(ssh: SSHServer, other_ssh: SSHServer, top: Path, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with several remotes at the server, and one elsewhere."""
    known = tmp_path / "known"
    known.write_text(ssh.known_hosts.read_text().replace("127.0.0.1", "localhost"))
    remotes = {
        "lab": ssh.settings(path=str(top)),
        "same": ssh.settings(path=str(top)),
        "alias": ssh.settings(path=str(top), host="localhost", known_hosts=known),
        "above": ssh.settings(path=str(ssh.root)),
        "linked": ssh.settings(path=str(top / "link")),
        "elsewhere": other_ssh.settings(path=str(other_ssh.root)),
    }
    settings = Settings(home=tmp_path / "home", max_attempts=2, remotes=remotes)
    async with AsyncSession(settings=settings) as session:
        yield session


def names(top: Path) -> list[Path]:
    """All that is below a directory."""
    return sorted(top.rglob("*"))


@pytest.mark.parametrize("remote", ["same", "alias"])
@pytest.mark.parametrize("path", ["dir/file", "dir/", "empty/", ""])
async def test_move_onto_itself(session: AsyncSession, top: Path, remote: str, path: str) -> None:
    """It is refused, whichever address and settings lead to the server, and everything stays."""
    before = names(top)
    for call in (session.move, session.copy):
        with pytest.raises(UnsafePathError, match="the destination is the source"):
            await call(f"lab:/{path}", f"{remote}:/{path}")
    assert (top / "dir/file").read_bytes() == b"precious"
    assert names(top) == before


async def test_other_directories_of_the_server(session: AsyncSession, top: Path) -> None:
    """Absolute paths are compared: the remotes start at different directories, one of them through a link."""
    for source, destination in (
        ("lab:/dir/file", f"above:/{top.name}/dir/file"),
        (f"above:/{top.name}/dir/file", "lab:/dir/file"),
        ("lab:/dir/file", "linked:/file"),
        ("lab:/dir/", "linked:/new/"),
        ("lab:/", f"above:/{top.name}/dir/sub/"),
    ):
        with pytest.raises(UnsafePathError, match="the destination is the source, or lies in it"):
            await session.move(source, destination)
    with pytest.raises(UnsafePathError, match="one of them is the other, or lies in it"):
        await session.sync("lab:/dir", f"above:/{top.name}", delete=True)
    assert (top / "dir/file").read_bytes() == b"precious"


async def test_other_places_of_the_server(session: AsyncSession, top: Path) -> None:
    """Equal names in different directories are different files, also when they are equal already."""
    for _ in range(2):
        await session.copy("lab:/dir/file", f"above:/{top.name}/other")
    (top / "dir/sub/file").write_bytes(b"precious")
    os.utime(top / "dir/sub/file", (1, 1))
    os.utime(top / "dir/file", (1, 1))
    await session.move("linked:/file", f"above:/{top.name}/dir/sub/file")
    assert not (top / "dir/file").exists()
    assert (top / "other").read_bytes() == (top / "dir/sub/file").read_bytes() == b"precious"


async def test_equal_files_at_another_server(session: AsyncSession, top: Path) -> None:
    """A file at another server is another one, whatever it has in common: a move to it goes through."""
    await session.copy("lab:/dir/file", "elsewhere:/dir/file")
    await session.move("lab:/dir/file", "elsewhere:/dir/file")
    assert not (top / "dir/file").exists()
    await session.move("elsewhere:/dir/", "lab:/dir/")
    assert (top / "dir/file").read_bytes() == b"precious"
