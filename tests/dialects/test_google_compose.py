"""Large objects at Google servers that do not compose objects."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, BearerToken, GCPSettings, Settings
from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import NetworkError
from dxflow_async.providers.contract import ObjectOptions, Part
from tests.dialects.google_quirks import GoogleQuirks
from tests.dialects.google_server import TOKEN, GoogleServer
from tests.providers.in_memory_bodies import body
from tests.servers.resumable import Fault
from tests.sessions import retry_soon

MiB = 1 << 20
LARGE = os.urandom(41 * MiB)
"""Larger than a file that is sent whole."""


@pytest.fixture(params=["501", pytest.param("404", marks=pytest.mark.long)])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[GoogleServer]:
    """A server without compose requests, which says so with that status."""
    async with GoogleServer(GoogleQuirks(no_compose=int(request.param))) as server:
        yield server


@pytest.fixture
async def session(server: GoogleServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with it, with the smallest parts."""

    async def token() -> BearerToken:
        return BearerToken(TOKEN)

    gcp = GCPSettings(endpoint=server.url, credentials=token)
    async with AsyncSession(settings=Settings(home=tmp_path / "home", gcp=gcp, part_size=5 * MiB)) as session:
        retry_soon(session)
        yield session


def composed(server: GoogleServer) -> int:
    """Returns how many compose requests there were."""
    return sum(path.endswith("/compose") for _, path in server.seen)


async def test_large_file(server: GoogleServer, session: AsyncSession, tmp_path: Path) -> None:
    """A large file is stored whole and verified, leaves no part, and the refusal is met once."""
    (tmp_path / "large").write_bytes(LARGE)
    for name in ("one", "two"):
        report = await session.copy(str(tmp_path / "large"), f"gcp:/bucket/{name}")
        assert report[0].verified
        assert server.objects[name].data == LARGE
        assert server.parts == []
        assert unfinished(server) == []
    assert composed(server) == 1


async def test_stream(server: GoogleServer, session: AsyncSession) -> None:
    """A stream of unknown length, which cannot be read again, is stored as well."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), MiB):
            yield LARGE[start : start + MiB]

    await session.get_storage_manager().write("/bucket/stream", chunks(), "GCP")
    assert server.objects["stream"].data == LARGE
    assert server.parts == []
    assert unfinished(server) == []


async def test_broken_connection(server: GoogleServer, session: AsyncSession) -> None:
    """Another attempt of the upload of the whole continues where its connection broke."""
    provider = (await session.get_storage_manager()._resolver.area("GCP", "private")).provider
    upload = await provider.start_upload("bucket/large", None, ObjectOptions("text/x", {"run": "7"}))
    half = 10 * MiB
    receipts = [
        await upload.write_part(Part(number + 1, number * half, half), body(LARGE[number * half :][:half]))
        for number in range(2)
    ]
    sent, whole = server.received, LARGE[: 2 * half]
    server.faults += [Fault("cut", 16 * MiB), Fault("cut", 0)]
    with pytest.raises(NetworkError):
        await upload.finish(receipts, crc32c(whole))
    stored = await upload.finish(receipts, crc32c(whole))
    assert server.objects["large"].data == whole
    assert (stored.size, stored.crc32c) == (len(whole), crc32c(whole))
    assert server.objects["large"].resource["metadata"] == {"run": "7"}
    assert server.received - sent < len(whole) + 8 * MiB
    assert server.parts == []


async def test_abandoned_upload(server: GoogleServer, session: AsyncSession) -> None:
    """An upload of the whole that is given up leaves neither a session nor a part."""
    provider = (await session.get_storage_manager()._resolver.area("GCP", "private")).provider
    upload = await provider.start_upload("bucket/large", None, ObjectOptions())
    receipt = await upload.write_part(Part(1, 0, 10 * MiB), body(LARGE[: 10 * MiB]))
    server.faults += [Fault("cut", MiB), Fault("cut", 0)]
    with pytest.raises(NetworkError):
        await upload.finish([receipt], receipt.crc32c)
    await upload.abort()
    assert (unfinished(server), server.parts, server.names) == ([], [], [])


def unfinished(server: GoogleServer) -> list[str]:
    """Returns the ids of uploads that have neither ended nor been cancelled."""
    return [name for name, each in server.sessions.items() if each.finished is None]
