"""Permission bits of local files: kept where they were, those of the source where it is local, else the usual ones."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.contract import Body, Buffered, Entry, ObjectOptions
from dxflow_async.providers.local.provider import LocalProvider
from tests.server.running_hub import RunningUnit


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def usual_mask() -> Iterator[None]:
    """New files are 0640."""
    mask = os.umask(0o027)
    yield
    os.umask(mask)


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with a home of its own."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        yield session


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory that nothing is renamed to at once, where there is one."""
    import tempfile

    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as directory:
        yield Path(directory)


def write(path: Path, bits: int, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(bits)
    return path


@pytest.mark.parametrize("verb", ["copy", "move"])
@pytest.mark.parametrize("size", [1, 40 << 20], ids=["whole", "parts"])
async def test_from_disk_to_disk(tmp_path: Path, other_disk: Path, session: AsyncSession, verb: str, size: int) -> None:
    """A file has its source's bits, and one that is replaced keeps its own."""
    for name, bits in (("key", 0o600), ("run", 0o755), ("shared", 0o666)):
        source = write(tmp_path / name, bits, bytes(size))
        await getattr(session, verb)(str(source), f"{other_disk}/new/")
        assert mode(other_disk / "new" / name) == bits
        write(tmp_path / name, 0o644, bytes(size))
        old = write(other_disk / "old" / name, bits)
        await getattr(session, verb)(str(source), str(old))
        assert mode(old) == bits


@pytest.mark.parametrize("verb", ["copy", "move", "sync"])
async def test_trees(tmp_path: Path, other_disk: Path, session: AsyncSession, verb: str) -> None:
    """Directories have the bits of their sources, those that are there keep their own."""
    top = tmp_path / "top"
    write(top / "private/deep/x", 0o604)
    write(top / "open/x", 0o666)
    (top / "empty").mkdir()
    bits = {"": 0o711, "private": 0o700, "private/deep": 0o770, "open": 0o777, "empty": 0o705}
    for name, given in bits.items():
        (top / name).chmod(given)
    (other_disk / "top/open").mkdir(parents=True)
    (other_disk / "top/open").chmod(0o750)
    (other_disk / "top").chmod(0o750)
    destination = f"{other_disk}/top/" if verb == "sync" else f"{other_disk}/"
    await getattr(session, verb)(f"{top}/" if verb == "sync" else str(top), destination)
    found = {name: mode(other_disk / "top" / name) for name in bits}
    assert found == {**bits, "": 0o750, "open": 0o750}
    assert mode(other_disk / "top/private/deep/x") == 0o604


async def test_a_new_tree(tmp_path: Path, other_disk: Path, session: AsyncSession) -> None:
    """The top of a tree that is new has its source's bits, too, also under another name."""
    write(tmp_path / "top/x", 0o600)
    (tmp_path / "top").chmod(0o700)
    await session.copy(f"{tmp_path}/top/", f"{other_disk}/copied/")
    await session.move(f"{tmp_path}/top", f"{other_disk}/")
    assert mode(other_disk / "copied") == mode(other_disk / "top") == 0o700


class Watching:
    """A body that looks at the file it goes to."""

    crc32c = None

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self.size = size
        self.seen: set[int] = set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(0, self.size, 1 << 20):
            yield bytes(1 << 20)
            await asyncio.sleep(0.01)
            self.seen |= {mode(path) for path in self._directory.iterdir()}


async def test_files_are_private_until_they_are_complete(tmp_path: Path) -> None:
    """A temporary file is its owner's only; with no source's bits a file ends with the usual ones."""
    threads = Threads(2)
    local = LocalProvider(tmp_path, threads)
    watching: Body = Watching(tmp_path, 4 << 20)
    await local.write("x", watching, ObjectOptions())
    threads.close()
    assert isinstance(watching, Watching)
    assert watching.seen == {0o600}
    assert mode(tmp_path / "x") == 0o640


async def test_a_copy_within_a_directory(tmp_path: Path) -> None:
    """A copy that the provider makes itself has the source's bits."""
    threads = Threads(1)
    local = LocalProvider(tmp_path, threads)
    write(tmp_path / "x", 0o600)
    await local.copy(await local.stat("x"), "y", ObjectOptions())
    threads.close()
    assert mode(tmp_path / "y") == 0o600


async def test_units(unit: RunningUnit) -> None:
    """A unit's copies have their sources' bits; what is replaced keeps its own; new files have the usual ones."""
    write(unit.root / "d/key", 0o600)
    (unit.root / "d").chmod(0o700)
    await unit.request("PUT", "/storage/transfer/?path=/d&destination=/e")
    assert (mode(unit.root / "e"), mode(unit.root / "e/key")) == (0o700, 0o600)
    await unit.put("d/key", b"new")
    await unit.put("d/other", b"new")
    assert (mode(unit.root / "d/key"), mode(unit.root / "d/other")) == (0o600, 0o640)


async def test_names_like_those_of_temporary_files(tmp_path: Path, session: AsyncSession) -> None:
    """A user's own file is moved whatever its name is; only what is being written is not shown."""
    name = ".0123456789abcdef.dxpart"
    write(tmp_path / "a" / name, 0o600, b"mine")
    await session.copy(f"{tmp_path}/a/", f"{tmp_path}/b/")
    await session.sync(f"{tmp_path}/a/", f"{tmp_path}/c/")
    assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes() == b"mine"
    threads = Threads(1)
    local = LocalProvider(tmp_path / "a", threads)
    upload = await local.start_upload("x", None, ObjectOptions())
    listed: list[Entry] = list((await local.list_page("", recursive=True)).entries)
    assert [entry.key for entry in listed] == [name]
    await upload.abort()
    staged = await local.stage("y", Buffered((b"x",), 1), ObjectOptions())
    assert len((await local.list_page("", recursive=True)).entries) == 1
    await staged.discard()
    threads.close()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [name]
