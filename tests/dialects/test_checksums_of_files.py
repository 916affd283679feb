"""Opened files that are read from their start to their end, whose bytes are not those of the object's checksum."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async import AsyncAreaStorage, AsyncSession, BearerToken, ChecksumMismatchError, GCPSettings, Settings
from dxflow_async.storage.files.reader import AsyncFileReader
from tests.dialects.google_server import TOKEN, GoogleServer

DATA = os.urandom(1 << 20) + b"\nlast line\n"


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[AsyncAreaStorage]:
    """The storage at a server that has a damaged object and a good one."""

    async def token() -> BearerToken:
        return BearerToken(TOKEN)

    async with GoogleServer() as server:
        server.put("good", DATA)
        server.put("damaged", DATA)
        server.put("large", DATA * 20)
        for name in ("damaged", "large"):
            stored = server.objects[name]
            server.objects[name] = replace(stored, data=b"?" + stored.data[1:])
        settings = Settings(home=tmp_path / "home", gcp=GCPSettings(endpoint=server.url, credentials=token))
        async with AsyncSession(settings=settings) as session:
            yield session.get_storage_manager().at("gcp")


async def whole(file: AsyncFileReader) -> None:
    """Reads all at once."""
    await file.read()


async def pieces(file: AsyncFileReader) -> None:
    """Reads in small pieces."""
    while await file.read(100_000):
        pass


async def lines(file: AsyncFileReader) -> None:
    """Reads line by line."""
    async for _ in file:
        pass


async def index_first(file: AsyncFileReader) -> None:
    """Reads the end first, as formats with an index do, and then all of it."""
    await file.seek(-8, 2)
    await file.read(8)
    await file.seek(0)
    await pieces(file)


@pytest.mark.parametrize("way", [whole, pieces, lines, index_first])
async def test_damage_is_noticed(storage: AsyncAreaStorage, way: object) -> None:
    """However a file is read, its last bytes are refused if the whole is not the object; a good one is read twice."""
    for name in ("damaged", "large"):
        async with storage.open(f"/bucket/{name}") as file:
            with pytest.raises(ChecksumMismatchError):
                await way(file)  # type: ignore[operator]
    async with storage.open("/bucket/good") as file:
        for _ in range(2):
            await file.seek(0)
            await way(file)  # type: ignore[operator]


async def test_parts_are_not_compared(storage: AsyncAreaStorage) -> None:
    """Who reads only a part has nothing to compare."""
    async with storage.open("/bucket/large") as file:
        await file.seek(10)
        assert await file.read(100) == DATA[10:110]
        await file.seek(-5, 2)
        assert await file.read() == b"line\n"
