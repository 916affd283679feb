"""Objects that are stored compressed at Google, with `Content-Encoding: gzip`: what is stored comes back."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, BearerToken, GCPSettings, Settings
from dxflow_async.exceptions import StorageError, UnsupportedError
from tests.dialects.google_server import TOKEN, GoogleServer
from tests.sessions import part_files

MiB = 1 << 20
OBJECTS = {
    "small": gzip.compress(b"hello" * 1000),
    "large": gzip.compress(os.urandom(17 * MiB), 1),
    "not-gzip": b"some tools set the header and compress nothing",
}


@pytest.fixture
async def server() -> AsyncIterator[GoogleServer]:
    """A server with compressed objects."""
    async with GoogleServer() as server:
        for name, data in OBJECTS.items():
            server.put(name, data, contentEncoding="gzip")
        yield server


@pytest.fixture
async def session(server: GoogleServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with it, with the smallest parts."""

    async def token() -> BearerToken:
        return BearerToken(TOKEN)

    gcp = GCPSettings(endpoint=server.url, credentials=token)
    settings = Settings(home=tmp_path / "home", gcp=gcp, part_size=5 * MiB, max_attempts=3)
    async with AsyncSession(settings=settings) as session:
        yield session


async def read(session: AsyncSession, path: str, start: int = 0, end: int | None = None) -> bytes:
    """Returns what a session reads of an object."""
    reading = session.get_storage_manager().read(path, start, end, provider="GCP")
    return b"".join([bytes(chunk) async for chunk in reading])


@pytest.mark.parametrize("name", OBJECTS)
async def test_stored_bytes_come_back(server: GoogleServer, session: AsyncSession, tmp_path: Path, name: str) -> None:
    """Downloads, reads, ranges and copies have the stored bytes; a copy by the service keeps the encoding."""
    data = OBJECTS[name]
    report = await session.copy(f"gcp:/bucket/{name}", f"{tmp_path}/{name}")
    assert report[0].verified
    assert (tmp_path / name).read_bytes() == data
    assert await read(session, f"/bucket/{name}") == data
    assert await read(session, f"/bucket/{name}", 3, 9) == data[3:9]
    await session.copy(f"gcp:/bucket/{name}", "gcp:/bucket/copy")
    copy = server.objects["copy"]
    assert (copy.data, copy.resource["contentEncoding"]) == (data, "gzip")


@pytest.mark.parametrize("name", ["small", "large"])
async def test_decompressed_answers_are_refused(
    server: GoogleServer, session: AsyncSession, tmp_path: Path, name: str
) -> None:
    """Content that the service decompresses is not what is stored: no file, one request, and advice."""
    server.quirks.decompresses = True
    with pytest.raises(StorageError, match="no-transform"):
        await session.copy(f"gcp:/bucket/{name}", f"{tmp_path}/{name}")
    assert not (tmp_path / name).exists()
    assert part_files(tmp_path) == []
    before = len(server.seen)
    with pytest.raises(UnsupportedError, match="no-transform"):
        await read(session, f"/bucket/{name}", 3, 9)
    assert [method for method, _ in server.seen[before:]].count("GET") <= 2
