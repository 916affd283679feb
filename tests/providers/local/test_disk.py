from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from pathlib import Path

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import NetworkError
from dxflow_async.providers.contract import Buffer, Entry, ObjectOptions, Reader
from dxflow_async.providers.local.provider import LocalProvider
from tests.sessions import MiB

OPTIONS = ObjectOptions()
SIZE = 3 * MiB + 5


class Slow(Reader):
    """A body of one byte's repetitions, in small pieces, between which others have their turn; it may break."""

    def __init__(self, number: int, *, breaks_at: int = SIZE + 1) -> None:
        self.entry = Entry(str(number), SIZE)
        self.size = SIZE
        self._byte, self._left, self._good = bytes([number]), SIZE, breaks_at

    async def read(self) -> Buffer:
        await asyncio.sleep(0)
        if self._good <= 0:
            raise NetworkError("broken")
        size = min(200_000, self._left, self._good)
        self._left, self._good = self._left - size, self._good - size
        return self._byte * size

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("breaks_at", [1 * MiB, 2 * MiB + 7])
async def test_many_bodies_at_once(tmp_path: Path, threads: Threads, breaks_at: int) -> None:
    """Of bodies that are written at once, some of which break, each one's bytes are its own, also of those after."""
    local = LocalProvider(tmp_path, threads)
    for _ in range(2):
        bodies = [Slow(number, breaks_at=breaks_at if number % 3 == 0 else SIZE + 1) for number in range(24)]
        writes = [local.write(body.entry.key, body, OPTIONS) for body in bodies]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [isinstance(result, NetworkError) for result in results] == [number % 3 == 0 for number in range(24)]
        good = [number for number in range(24) if number % 3]
        assert sorted(os.listdir(tmp_path)) == sorted(map(str, good))
        for number in good:
            assert (tmp_path / str(number)).read_bytes() == bytes([number]) * SIZE


async def test_memory_that_is_kept(tmp_path: Path, threads: Threads) -> None:
    """Once many bodies are written, what is kept for the next ones is some eight MiB."""
    local = LocalProvider(tmp_path, threads)
    tracemalloc.start()
    try:
        await asyncio.gather(*[local.write(str(number), Slow(number), OPTIONS) for number in range(24)])
        gc.collect()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10 * MiB
    assert peak > 16 * MiB
