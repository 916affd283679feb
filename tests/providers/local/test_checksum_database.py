"""The database of the checksums of files that can have no extended attributes."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import ChecksumMismatchError
from dxflow_async.providers.local import checksum_database
from dxflow_async.providers.local.checksum_database import ChecksumDatabase
from dxflow_async.providers.local.kind import LocalSettings
from tests.providers.local.refused_attributes import refuse_attributes

ROOT = Path(__file__).parents[3]
UNKNOWN = {"the source reports no checksum": 1}
LONG = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of a session with the home `tmp_path / "home"` is."""
    return tmp_path / "home/checksums.sqlite3"


@pytest.fixture
def ramfs(tmp_path: Path) -> Iterator[Path]:
    """A file system that really has no extended attributes."""
    directory = tmp_path / "ramfs"
    directory.mkdir()
    if subprocess.run(["mount", "-t", "ramfs", "ramfs", directory], capture_output=True, check=False).returncode:
        pytest.skip("this user cannot mount a file system")
    yield directory
    subprocess.run(["umount", directory], check=True)


@pytest.fixture
async def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncSession]:
    """A session with a store, `store:`, whose files can have no attributes, and the file `tmp_path / "from"`."""
    refuse_attributes(monkeypatch)
    (tmp_path / "from").write_bytes(b"content")
    async with AsyncSession(settings=settings_of(tmp_path, tmp_path / "store")) as opened:
        yield opened


def settings_of(tmp_path: Path, root: Path) -> Settings:
    return Settings(home=tmp_path / "home", remotes={"store": LocalSettings(root=root, follow_symlinks=True)})


def rot(path: Path) -> None:
    """Changes the bytes of a file as a failing disk does: size and time stay."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"C")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def status_of(**changed: int) -> os.stat_result:
    found: Any = SimpleNamespace(**{"st_dev": 1, "st_ino": (1 << 64) - 1, "st_size": 3, "st_mtime_ns": 4} | changed)
    return found  # type: ignore[no-any-return]


async def test_a_file_system_without_attributes(ramfs: Path, tmp_path: Path, path: Path) -> None:
    """On a file system without attributes, the database makes a later session verify files, and find changed bytes."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(20):
        (tree / str(number)).write_bytes(b"content")
    settings = settings_of(tmp_path, ramfs)
    async with AsyncSession(settings=settings) as session:
        assert (await session.copy(f"{tree}/", "store:/b/")).verification == "all verified"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    async with AsyncSession(settings=settings) as session:
        report = await session.copy("store:/b/", f"{tmp_path}/to/")
        assert (report.verification, len(report)) == ("all verified", 20)
        rot(ramfs / "b/7")
        with pytest.raises(ChecksumMismatchError):
            await session.read_bytes("store:/b/7")


async def test_many_files_cost_few_transactions_and_none_in_the_loop(
    ramfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that the event loop itself writes and reads share transactions, and no statement runs in its thread."""
    statements: list[tuple[str, int]] = []

    class Recorded(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            statements.append((sql, threading.get_ident()))
            return super().execute(sql, *arguments)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Recorded, **options))
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(400):
        (tree / str(number)).write_bytes(b"content")
    settings = Settings(
        home=tmp_path / "home", journal=False, remotes={"store": LocalSettings(root=ramfs, follow_symlinks=True)}
    )
    async with AsyncSession(settings=settings) as session:
        assert (await session.copy(f"{tree}/", "store:/b/")).verification == "all verified"
    assert 0 < sum(sql.startswith("BEGIN") for sql, _ in statements) < 100
    async with AsyncSession(settings=settings) as session:
        assert (await session.copy("store:/b/", f"{tmp_path}/to/")).verification == "all verified"
    assert sum(sql.startswith("SELECT version") for sql, _ in statements) >= 400
    assert threading.get_ident() not in {thread for _, thread in statements}


@pytest.mark.parametrize("changed", ["st_dev", "st_ino", "st_size", "st_mtime_ns"])
def test_another_version_of_a_file_has_no_checksum(path: Path, changed: str) -> None:
    """A checksum counts only for the device, inode, size and time that it was kept for, waiting or written."""
    database = ChecksumDatabase(path)
    database.keep("/a", status_of(), 5)
    for _ in ("waiting", "written"):
        assert database.kept("/a", status_of()) == 5
        assert database.kept("/a", status_of(**{changed: 9})) is None
        assert database.kept("/b", status_of()) is None
        database.close()


async def test_another_file_with_the_inode_of_a_removed_one_has_no_checksum(
    session: AsyncSession, tmp_path: Path
) -> None:
    """A file of the same size, time and inode under another name is not compared with the checksum of the old one."""
    await session.copy(tmp_path / "from", "store:/b/name")
    await session.aclose()
    file = tmp_path / "store/b/name"
    status = file.stat()
    file.write_bytes(b"another")
    file.rename(file.with_name("other"))
    os.utime(file.with_name("other"), ns=(status.st_atime_ns, status.st_mtime_ns))
    async with AsyncSession(settings=settings_of(tmp_path, tmp_path / "store")) as other:
        assert (await other.copy("store:/b/other", tmp_path / "to")).unverified == UNKNOWN
    assert (tmp_path / "to").read_bytes() == b"another"


def content_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def damage(path: Path) -> None:
    path.write_bytes(b"no database " * 999)


def make_newer(path: Path) -> None:
    first = ChecksumDatabase(path)
    first.keep("/first", status_of(), 1)
    first.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")


def make_unwritable(path: Path) -> None:
    path.mkdir()


def make_foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE checksums (something)")
        database.execute("PRAGMA user_version = 1")


@pytest.mark.parametrize("spoil", [damage, make_newer, make_unwritable, make_foreign])
async def test_without_a_usable_database_no_checksum_is_kept(
    session: AsyncSession,
    tmp_path: Path,
    path: Path,
    spoil: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A database that cannot be used fails no transfer and stays as it is; reports and the log say so."""
    path.parent.mkdir(exist_ok=True)
    spoil(path)
    before = content_of(path)
    await session.copy(tmp_path / "from", "store:/b/name")
    await session.aclose()
    async with AsyncSession(settings=settings_of(tmp_path, tmp_path / "store")) as other:
        assert (await other.copy("store:/b/name", tmp_path / "to")).unverified == UNKNOWN
    assert (tmp_path / "to").read_bytes() == b"content"
    assert content_of(path) == before
    assert f"{path} cannot be used" in caplog.text


async def test_a_database_that_is_damaged_later_fails_nothing(
    session: AsyncSession, tmp_path: Path, path: Path
) -> None:
    """Pages that were overwritten since a session opened the database make its files unverified, not unreadable."""
    await session.copy(tmp_path / "from", "store:/b/name")
    await session.aclose()
    async with AsyncSession(settings=settings_of(tmp_path, tmp_path / "store")) as other:
        assert (await other.copy("store:/b/name", tmp_path / "to")).verification == "all verified"
        damage(path)
        assert (await other.copy("store:/b/name", tmp_path / "to")).unverified == UNKNOWN
        await other.copy(tmp_path / "from", "store:/b/more")


async def test_a_locked_database_is_not_waited_for_again_and_again(
    session: AsyncSession, tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process locks the database, the first read waits a moment, and the others have no checksum.

    What was written meanwhile is kept once the lock is gone.
    """
    monkeypatch.setattr(checksum_database, "_BUSY_SECONDS", 0.05)
    monkeypatch.setattr(checksum_database, "_REST", 100 * LONG)
    first = ChecksumDatabase(path)
    first.keep("/first", status_of(), 1)
    first.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        reader = ChecksumDatabase(path)
        assert reader.kept("/first", status_of()) is None
        holder.execute("COMMIT")
        assert reader.kept("/first", status_of()) is None  # it rests
        monkeypatch.setattr(reader, "_rests_until", 0.0)
        assert reader.kept("/first", status_of()) == 1
        holder.execute("BEGIN EXCLUSIVE")
        assert (await session.copy(tmp_path / "from", "store:/b/name")).verification == "all verified"
        holder.execute("COMMIT")
    reader.close()
    await session.aclose()
    async with AsyncSession(settings=settings_of(tmp_path, tmp_path / "store")) as other:
        assert (await other.copy("store:/b/name", tmp_path / "to")).verification == "all verified"


def test_memory_is_bounded_while_nothing_can_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that wait for a locked database are limited in number; the latest ones are not kept."""
    monkeypatch.setattr(checksum_database, "_BUSY_SECONDS", 0.05)
    monkeypatch.setattr(checksum_database, "_MAX_WAITING", 50)
    database = ChecksumDatabase(path)
    database.keep("/0", status_of(), 0)
    database.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        for number in range(1, 200):
            database.keep(f"/{number}", status_of(), number)
        holder.execute("COMMIT")
    database.close()
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT count(*), max(crc32c) FROM checksums").fetchone() == (51, 50)


def test_the_oldest_checksums_are_removed(path: Path) -> None:
    """The database has no more rows than it may; those that were written or renewed last are kept."""
    database = ChecksumDatabase(path, max_rows=10)
    for batch in range(5):
        for number in range(4):
            database.keep(f"/{batch}/{number}", status_of(), number)
        database.keep("/again", status_of(), batch)
        database.close()
    with closing(sqlite3.connect(path)) as reader:
        found = {os.fsdecode(name) for (name,) in reader.execute("SELECT path FROM checksums")}
    assert found == {"/again", "/2/3"} | {f"/{batch}/{number}" for batch in (3, 4) for number in range(4)}


def test_a_renamed_directory_takes_its_checksums_along(path: Path, tmp_path: Path) -> None:
    """Only what is below the directory gets a new path, whether it waits or is written, also with odd names."""
    old, new, beside = (f"{tmp_path}/{name}" for name in ("old", "n\udcffew", "old0"))
    os.mkdir(new)
    database = ChecksumDatabase(path)
    odd = "/d/\udcff\u00e9'%"
    for top, number in ((old, 1), (beside, 2)):
        database.keep(top + odd, status_of(), number)
    database.close()
    database.keep(f"{old}/waiting", status_of(), 3)
    database.renamed(old, new)
    for _ in ("open", "opened again"):
        found = [database.kept(name, status_of()) for name in (new + odd, beside + odd, old + odd, f"{new}/waiting")]
        assert found == [1, 2, None, 3]
        database.close()


_OTHER = """
import asyncio, errno, os, sys
from pathlib import Path
from dxflow_async import AsyncSession, Settings
from dxflow_async.providers.local.kind import LocalSettings
def refuse(*_):
    raise OSError(errno.ENOTSUP, "")
os.getxattr = os.setxattr = refuse
async def main(home, root, *pairs):
    settings = Settings(home=home, remotes={"store": LocalSettings(root=root)})
    async with AsyncSession(settings=settings) as session:
        for source, target in zip(pairs[::2], pairs[1::2]):
            print((await session.copy(source, target)).verification)
asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
"""


async def test_another_process_reads_what_an_open_session_keeps(
    session: AsyncSession, tmp_path: Path, path: Path
) -> None:
    """Checksums are on disk soon after the files, so that a second process verifies them; and the other way round."""
    await session.copy(tmp_path / "from", "store:/b/name")
    ends = time.monotonic() + LONG
    while not await asyncio.to_thread(_rows, path):
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)
    pairs = ["store:/b/name", f"{tmp_path}/to", f"{tmp_path}/to", "store:/b/second"]
    command = [sys.executable, "-c", _OTHER, f"{tmp_path}/home", f"{tmp_path}/store", *pairs]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.splitlines() == ["all verified", "all verified"]
    assert (await session.copy("store:/b/second", tmp_path / "again")).verification == "all verified"


def _rows(path: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=LONG)) as database:
            return int(database.execute("SELECT count(*) FROM checksums").fetchone()[0])
    except sqlite3.OperationalError:  # it is not made yet
        return 0


_WRITER = """
import os, sys
from pathlib import Path
from dxflow_async.providers.local import checksum_database
checksum_database._BUSY_SECONDS = 60.0
database = checksum_database.ChecksumDatabase(Path(sys.argv[1]))
status = os.stat(sys.argv[3])
sys.stdin.readline()
for number in range(300):
    database.keep(f"/{sys.argv[2]}/{number}", status, number)
    if number % 30 == 29:
        database.close()
"""


def test_processes_write_at_the_same_time(path: Path) -> None:
    """Three processes that make and write one database at the same moment lose nothing."""
    path.parent.mkdir()
    command = [sys.executable, "-c", _WRITER, str(path)]
    writers = [
        subprocess.Popen([*command, name, __file__], stdin=subprocess.PIPE, text=True, cwd=ROOT) for name in "abc"
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.wait(LONG) for writer in writers] == [0, 0, 0]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    database, status = ChecksumDatabase(path), os.stat(__file__)
    found = [database.kept(f"/{name}/{number}", status) for name, number in itertools.product("abc", range(300))]
    database.close()
    assert found == [*range(300)] * 3
