"""Calls that return all bytes of an object, or of a range, as `bytes`."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from random import Random

import pytest

from dxflow_async import AsyncSession, PreconditionFailedError, Settings

pytest.importorskip("fsspec", reason="one of the calls is fsspec's")

from dxflow_async.doors.fsspec import DxflowFileSystem
from dxflow_async.doors.obspec import ObspecStore

pytestmark = pytest.mark.server

MiB = 1 << 20
DATA = Random(18).randbytes(8 * MiB + 5)


class Reads:
    """One call for all of an object, or for a range of it, by the name of where it is."""

    def __init__(self, call: str, session: AsyncSession, top: str) -> None:
        self._call, self._session, self._top = call, session, top
        remote, _, path = top.rpartition(":")
        self._url = f"{remote or 'local'}{path}"

    async def __call__(self, name: str, start: int, end: int) -> bytes:
        if self._call == "session":
            return await self._session.read_bytes(f"{self._top}/{name}", start, end)
        if self._call == "path":
            return await self._session.path(f"{self._top}/{name}").read_bytes()
        if self._call == "fsspec":
            filesystem = DxflowFileSystem(session=self._session, asynchronous=True)
            return await filesystem._cat_file(f"{self._url}/{name}", start, end)
        if self._call == "file":
            async with self._session.open(f"{self._top}/{name}") as file:
                await file.seek(start)
                return await file.read(end - start)
        store = ObspecStore(self._session.path(self._top))
        if self._call == "obspec get":
            return await (await store.get_async(name, options={"range": (start, end)})).buffer_async()
        return await store.get_range_async(name, start=start, end=end)


@pytest.fixture
def top(remote: str, tops: Callable[[str], str]) -> str:
    """A directory of the test's own, as a location."""
    kind, _, path = tops(remote).partition("/")
    return f"/{path}" if kind == "local" else f"{kind}:/{path}"


@pytest.mark.parametrize("remote", ["local", "weed"])
@pytest.mark.parametrize("call", ["session", "path", "file", "fsspec", "obspec", "obspec get"])
async def test_bytes_are_received_where_they_are_returned(call: str, top: str, settings: Settings) -> None:
    """The bytes are in memory once: no copy of them is made to return them."""
    async with AsyncSession(settings=settings) as session:
        await session.write(f"{top}/large", DATA)
        read = Reads(call, session, top)
        await read("large", 0, len(DATA))
        tracemalloc.start()
        try:
            found = await read("large", 0, len(DATA))
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert type(found) is bytes
        assert found == DATA
        assert len(DATA) <= kept <= peak < 1.5 * len(DATA)


@pytest.mark.parametrize("remote", ["local", "weed"])
@pytest.mark.parametrize("call", ["session", "file", "fsspec", "obspec", "obspec get"])
async def test_ranges(call: str, top: str, settings: Settings) -> None:
    """Ranges of any size are exact; one that reaches beyond the object ends with it."""
    async with AsyncSession(settings=settings) as session:
        await session.write(f"{top}/large", DATA)
        read = Reads(call, session, top)
        for start, end in ((0, 1), (7, 8), (0, 5), (MiB - 1, MiB + 1), (3, 2 * MiB + 9), (len(DATA) - 2, len(DATA))):
            found = await read("large", start, end)
            assert type(found) is bytes
            assert found == DATA[start:end], (start, end)
        assert await read("large", len(DATA) - 3, len(DATA) + MiB) == DATA[-3:]


@pytest.mark.parametrize("remote", ["local", "weed"])
async def test_reads_without_bytes(top: str, settings: Settings) -> None:
    """Of an empty object, and of an empty range, there are no bytes; a range that begins after the end is refused."""
    async with AsyncSession(settings=settings) as session:
        await session.write(f"{top}/empty", b"")
        await session.write(f"{top}/some", b"some")
        assert await session.read_bytes(f"{top}/empty") == b""
        assert await session.path(f"{top}/empty").read_bytes() == b""
        assert await session.read_bytes(f"{top}/some", 2, 2) == b""
        with pytest.raises(PreconditionFailedError):
            await session.read_bytes(f"{top}/some", 5, 9)
