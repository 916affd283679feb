"""Transfers with Google credentials that may do only some things, and in buckets that keep what they have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, BearerToken, GCPSettings, Settings
from dxflow_async.exceptions import AccessDeniedError, StorageError, TransferError
from tests.dialects.google_quirks import ALL_RIGHTS, CREATOR, VIEWER
from tests.dialects.google_server import TOKEN, GoogleServer
from tests.sessions import retry_soon

MiB = 1 << 20
LARGE = bytes(41 * MiB)
"""Too large to be sent whole: a file of more than eight parts is cut."""


@pytest.fixture
async def server() -> AsyncIterator[GoogleServer]:
    """A server with two objects."""
    async with GoogleServer() as server:
        server.put("dir/a", b"old a")
        server.put("dir/b", b"old b")
        yield server


@pytest.fixture
async def session(server: GoogleServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with it, with the smallest parts."""

    async def token() -> BearerToken:
        return BearerToken(TOKEN)

    gcp = GCPSettings(endpoint=server.url, credentials=token)
    settings = Settings(home=tmp_path / "home", gcp=gcp, part_size=5 * MiB)
    async with AsyncSession(settings=settings) as session:
        retry_soon(session)
        yield session


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a small file, one with the name of an object, and a large one."""
    top = tmp_path / "files"
    top.mkdir()
    (top / "a").write_bytes(b"new a")
    (top / "large").write_bytes(LARGE)
    (top / "new").write_bytes(b"new")
    return top


async def test_creator_uploads_new_names(server: GoogleServer, session: AsyncSession, files: Path) -> None:
    """Who may only create uploads new names, small and large, and leaves no temporary part."""
    server.quirks.rights = CREATOR
    report = await session.copy(f"{files}/", "gcp:/bucket/fresh/")
    assert len(report) == 3
    assert server.objects["fresh/large"].data == LARGE
    assert server.parts == []


async def test_creator_does_not_replace(server: GoogleServer, session: AsyncSession, files: Path) -> None:
    """Replacing needs the right to delete: the error says so, the old object stays, and new names are stored."""
    server.quirks.rights = CREATOR
    with pytest.raises(TransferError) as raised:
        await session.copy(f"{files}/", "gcp:/bucket/dir/")
    (failed,) = raised.value.report.failed
    assert isinstance(failed.error, AccessDeniedError)
    assert "replacing one that exists, needs the right storage.objects.delete" in str(failed.error)
    assert server.objects["dir/a"].data == b"old a"
    assert server.objects["dir/new"].data == b"new"


@pytest.mark.parametrize("rights", [VIEWER, VIEWER | CREATOR])
async def test_move_without_the_right_to_delete(
    server: GoogleServer, session: AsyncSession, tmp_path: Path, rights: frozenset[str]
) -> None:
    """A move whose source cannot be deleted fails, names the right, and keeps the source."""
    server.quirks.rights = rights
    with pytest.raises(StorageError, match=r"storage\.objects\.delete"):
        await session.move("gcp:/bucket/dir/a", f"{tmp_path}/here/")
    assert server.names == ["dir/a", "dir/b"]


async def test_move_to_a_place_that_refuses(server: GoogleServer, session: AsyncSession, files: Path) -> None:
    """A source is kept where its copy was refused."""
    server.quirks.rights = VIEWER
    with pytest.raises(StorageError, match=r"storage\.objects\.create"):
        await session.move(str(files / "a"), "gcp:/bucket/fresh/")
    assert (files / "a").read_bytes() == b"new a"


async def test_viewer_deletes_nothing(server: GoogleServer, session: AsyncSession) -> None:
    """A deletion without the right is an error of each object, in a batch and one by one."""
    server.quirks.rights = VIEWER
    storage = session.get_storage_manager()
    for path in ("/bucket/dir/", "/bucket/dir/a"):
        with pytest.raises(StorageError, match=r"storage\.objects\.delete"):
            await storage.delete(path, "GCP")
    assert server.names == ["dir/a", "dir/b"]


async def test_sync_without_the_right_to_delete(server: GoogleServer, session: AsyncSession, files: Path) -> None:
    """A sync stores what is new, names the object that it could not replace, and then deletes nothing."""
    server.quirks.rights = VIEWER | CREATOR
    with pytest.raises(TransferError) as raised:
        await session.sync(str(files), "gcp:/bucket/dir", delete=True)
    (failed,) = raised.value.report.failed
    assert isinstance(failed.error, AccessDeniedError)
    assert set(server.names) == {"dir/a", "dir/b", "dir/large", "dir/new"}
    assert server.objects["dir/a"].data == b"old a"
    assert server.parts == []


async def test_reader_without_the_right_to_list(server: GoogleServer, session: AsyncSession, tmp_path: Path) -> None:
    """An object is read by its name without the right to list; what needs a listing names that right."""
    server.quirks.rights = frozenset({"storage.objects.get"})
    await session.copy("gcp:/bucket/dir/a", f"{tmp_path}/here")
    assert (tmp_path / "here").read_bytes() == b"old a"
    with pytest.raises(AccessDeniedError, match=r"storage\.objects\.list"):
        await session.copy("gcp:/bucket/dir/", f"{tmp_path}/there/")


@pytest.mark.parametrize("right", ["objects.create", "objects.get", "buckets.get"])
async def test_bucket_that_may_not_be_listed(server: GoogleServer, session: AsyncSession, right: str) -> None:
    """A bucket in which the credentials may do anything exists, even if they may not list it; others are refused."""
    storage = session.get_storage_manager()
    server.quirks.rights = frozenset({f"storage.{right}"})
    for path in ("/bucket", "/bucket/"):
        assert (await storage.stat(path, "GCP")).directory
        assert await storage.exists(path, "GCP")
    server.quirks.rights = frozenset()
    with pytest.raises(AccessDeniedError):
        await storage.stat("/bucket/", "GCP")


async def test_copy_without_the_right_to_update(server: GoogleServer, session: AsyncSession) -> None:
    """A copy is done where its time cannot be kept with it for lack of a right."""
    server.quirks.rights = ALL_RIGHTS - {"storage.objects.update"}
    report = await session.sync("gcp:/bucket/dir", "gcp:/bucket/other")
    assert not report.failed
    assert server.objects["other/a"].data == b"old a"


@pytest.mark.parametrize("quirk", ["retained", "held"])
async def test_objects_that_are_kept(
    server: GoogleServer, session: AsyncSession, files: Path, tmp_path: Path, quirk: str
) -> None:
    """Under a retention policy or a hold nothing is replaced or deleted, and large objects leave no parts behind."""
    if quirk == "retained":
        server.quirks.retained = True
    else:
        server.quirks.held = frozenset({"dir/a", "dir/b"})
    storage = session.get_storage_manager()
    with pytest.raises(AccessDeniedError, match=r"(?i)retention policy|hold"):
        await storage.delete("/bucket/dir/a", "GCP")
    with pytest.raises(StorageError, match=r"(?i)retention policy|hold"):
        await session.copy(str(files / "a"), "gcp:/bucket/dir/a")
    with pytest.raises(StorageError, match=r"(?i)retention policy|hold"):
        await session.move("gcp:/bucket/dir/b", f"{tmp_path}/here/")
    await session.copy(str(files / "large"), "gcp:/bucket/dir/large")
    assert server.names == ["dir/a", "dir/b", "dir/large"]


async def test_requests_that_are_too_many(server: GoogleServer, session: AsyncSession, files: Path) -> None:
    """Refusals for their rate, also that of one object, and failures of the service are waited out."""
    server.quirks.busy = [503, 429, 500]
    server.quirks.busy_writes = 2
    report = await session.copy(f"{files}/", "gcp:/bucket/dir/")
    assert len(report) == 3
    assert server.objects["dir/a"].data == b"new a"
