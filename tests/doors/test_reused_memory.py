"""The memory of chunks that are read one after the other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("zarr", reason="a store of zarr reads with it")

import numpy as np
from zarr.core.buffer import default_buffer_prototype

from dxflow_async import Settings
from dxflow_async.doors.reused_memory import _MOST_BLOCKS, _MOST_BYTES, ReusedMemory
from dxflow_async.doors.zarr import DxflowStore

MiB = 1 << 20


def address(memory: bytearray | memoryview) -> int:
    return int(np.frombuffer(memory, dtype="B").ctypes.data)


def test_dropped_memory_is_given_again() -> None:
    """What nothing refers to is given again, for as many bytes or some fewer; another view keeps it, of any kind."""
    memory = ReusedMemory()
    with memory:
        first = memory.take(MiB)
        place = address(first)
        view = np.frombuffer(first, dtype="B")[5:10]
        del first
        assert address(memory.take(MiB)) != place
        del view
        fewer = memory.take(MiB - 1000)
        assert (address(fewer), len(fewer)) == (place, MiB - 1000)


def test_memory_is_not_kept_after_the_last_read() -> None:
    """Between reads nothing is kept, and during them a bounded number of bytes and of blocks."""
    memory = ReusedMemory()
    with memory:
        with memory:
            held = [memory.take(size) for size in [MiB] * 100 + [200 << 10] * 100]
            assert sum(map(len, memory._blocks)) <= _MOST_BYTES
            assert len(memory._blocks) <= _MOST_BLOCKS
        assert memory._blocks
        del held
        large = memory.take(_MOST_BYTES)
        assert len(large) == _MOST_BYTES
        assert [len(block) for block in memory._blocks] == [_MOST_BYTES]
    assert memory._blocks == []


async def test_values_that_are_held_stay(tmp_path: Path) -> None:
    """Of values that are read at the same time, those that are held keep their bytes while others are dropped."""
    prototype = default_buffer_prototype()
    async with asyncio.timeout(60):
        for number in range(24):
            (tmp_path / f"{number}").write_bytes(bytes([number]) * MiB)
        store = DxflowStore(str(tmp_path), settings=Settings(home=tmp_path / "home"))
        held: dict[int, np.ndarray[tuple[int], np.dtype[np.uint8]]] = {}

        async def read(start: int) -> None:
            for number in range(start, 24, 4):
                value = await store.get(str(number), prototype)
                assert value is not None
                found = value.as_numpy_array()
                assert found.shape == (MiB,)
                assert (found == number).all()
                if number % 3 == 0:
                    held[number] = found

        await asyncio.gather(*map(read, range(4)))
        assert all((found == number).all() for number, found in held.items())
        assert len(held) == 8
        await store._sessions.aclose()
