"""Checksums that a local store keeps with its files: as attributes, and in a database where there are none."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import ChecksumMismatchError, TransferError
from dxflow_async.providers.local.kept_checksums import WORKS
from dxflow_async.providers.local.kind import LocalSettings
from tests.providers.local.refused_attributes import refuse_attributes
from tests.sessions import MiB

only_attributes = pytest.mark.parametrize("kept", ["attributes"], indirect=True)

SMALL = bytes(range(256)) * 9
LARGE = os.urandom(12 * MiB + 5)
UNKNOWN = {"the source reports no checksum": 1}


@pytest.fixture(params=["attributes", "database"], autouse=True)
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where checksums are kept."""
    if request.param == "database":
        refuse_attributes(monkeypatch)
    elif not WORKS:
        pytest.skip("this platform's Python has no extended attributes")


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with a local store."""
    store = LocalSettings(root=tmp_path / "store")
    settings = Settings(home=tmp_path / "home", part_size=5 * MiB, max_attempts=2, remotes={"store": store})
    async with AsyncSession(settings=settings) as opened:
        yield opened


async def put(session: AsyncSession, tmp_path: Path, data: bytes) -> Path:
    """Uploads bytes, and returns the file that the store keeps."""
    (tmp_path / "from").write_bytes(data)
    report = await session.copy(tmp_path / "from", "store:/b/name")
    assert report.verification == "all verified"
    return tmp_path / "store" / "b" / "name"


def rot(path: Path) -> None:
    """Changes a byte as a failing disk does: size and time stay."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
async def test_both_ways_are_verified(session: AsyncSession, tmp_path: Path, data: bytes) -> None:
    """What is stored is compared when it is read again, in one read or in parts."""
    await put(session, tmp_path, data)
    report = await session.copy("store:/b/name", tmp_path / "to")
    assert (report.verification, (tmp_path / "to").read_bytes()) == ("all verified", data)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_bytes_that_rot_on_the_disk_are_noticed(session: AsyncSession, tmp_path: Path, data: bytes) -> None:
    """A byte that changed on the disk fails a download, which leaves nothing, and a read."""
    rot(await put(session, tmp_path, data))
    with pytest.raises(TransferError, match="checksum"):
        await session.copy("store:/b/name", tmp_path / "to")
    assert not (tmp_path / "to").exists()
    with pytest.raises(ChecksumMismatchError):
        await session.read_bytes("store:/b/name")


async def test_files_that_others_changed_have_no_old_checksum(session: AsyncSession, tmp_path: Path) -> None:
    """A file of another size or time is read without a comparison, and the report says so."""
    file = await put(session, tmp_path, SMALL)
    for data in (b"longer" + SMALL, SMALL[::-1]):
        with file.open("r+b") as opened:
            opened.write(data)
        report = await session.copy("store:/b/name", tmp_path / "to")
        assert (report.unverified, (tmp_path / "to").read_bytes()) == (UNKNOWN, file.read_bytes())


async def test_checksums_go_along(session: AsyncSession, tmp_path: Path) -> None:
    """A copy and a move within the store keep the checksum; a file that is deleted and made anew has none."""
    await put(session, tmp_path, SMALL)
    assert (await session.copy("store:/b/name", "store:/b/copied")).verification == "all verified"
    await session.move("store:/b/name", "store:/b/moved")
    for name in ("copied", "moved"):
        assert (await session.stat(f"store:/b/{name}")).checksum is not None
        assert (await session.copy(f"store:/b/{name}", tmp_path / name)).verification == "all verified"
    await session.move("store:/b/", "store:/c/")
    for name in ("copied", "moved"):
        assert (await session.copy(f"store:/c/{name}", tmp_path / name)).verification == "all verified"
    await session.move("store:/c/", "store:/b/")
    await session.delete("store:/b/moved")
    (tmp_path / "store" / "b" / "moved").write_bytes(SMALL)
    assert (await session.stat("store:/b/moved")).checksum is None


@only_attributes
async def test_a_copy_by_another_program_is_compared_only_if_it_is_the_same(
    session: AsyncSession, tmp_path: Path
) -> None:
    """`cp --preserve` keeps the checksum with size and time, which must be those of the file."""
    file = await put(session, tmp_path, SMALL)
    shutil.copy2(file, file.with_name("same"))
    assert (await session.copy("store:/b/same", tmp_path / "to")).verification == "all verified"
    os.utime(file.with_name("same"))
    assert (await session.copy("store:/b/same", tmp_path / "to")).unverified == UNKNOWN


@only_attributes
async def test_other_attributes_are_no_checksums(session: AsyncSession, tmp_path: Path) -> None:
    """An attribute that this library did not write is ignored."""
    file = await put(session, tmp_path, SMALL)
    for value in (b"", b"1-2", b"\xff", b"900-zz-AAAAAA=="):
        os.setxattr(file, "user.dxflow.crc32c", value)
        assert (await session.stat("store:/b/name")).checksum is None


@only_attributes
async def test_the_users_own_files_get_no_attribute(session: AsyncSession, tmp_path: Path) -> None:
    """Downloads leave no attributes among the user's files."""
    await put(session, tmp_path, SMALL)
    await session.copy("store:/b/name", tmp_path / "to")
    assert os.listxattr(tmp_path / "to") == []
    assert os.listxattr(tmp_path / "from") == []


@only_attributes
async def test_attributes_need_no_database(session: AsyncSession, tmp_path: Path) -> None:
    """Where the file system has attributes, writes, reads and moves make no database and start no thread for one."""
    await put(session, tmp_path, SMALL)
    await session.move("store:/b/name", "store:/b/moved")
    assert (await session.copy("store:/b/moved", tmp_path / "to")).verification == "all verified"
    assert "dxflow-checksums" not in {thread.name for thread in threading.enumerate()}
    await session.aclose()
    assert not (tmp_path / "home/checksums.sqlite3").exists()


async def test_bytes_that_rot_are_not_copied(session: AsyncSession, tmp_path: Path) -> None:
    """A copy within the store compares the bytes with the checksum that they had, and does not keep a new one."""
    rot(await put(session, tmp_path, SMALL))
    with pytest.raises(TransferError, match="another checksum"):
        await session.copy("store:/b/name", "store:/b/copied")
    assert not (tmp_path / "store" / "b" / "copied").exists()
