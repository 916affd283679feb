"""Waiting until a file or a directory stops changing, at any place."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import ConfigurationError, StallTimeoutError


async def write_slowly(path: Path, steps: int) -> float:
    """Makes a file grow every 50 ms; returns when it was last written."""
    for _ in range(steps):
        with path.open("ab") as file:
            file.write(b"x" * 100)
        await asyncio.sleep(0.05)
    return monotonic()


@pytest.mark.parametrize("place", ["results/run.csv", "results/", "results"])
async def test_a_file_that_grows_is_waited_for(place: str, tmp_path: Path) -> None:
    """A file, or a directory with a file in it, is returned once it has not changed for a time."""
    (tmp_path / "results").mkdir()
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        writing = asyncio.create_task(write_slowly(tmp_path / "results" / "run.csv", 12))
        await asyncio.sleep(0)
        item = await session.wait(f"{tmp_path}/{place}", stable=0.4, timeout=60)
        assert writing.done()
        assert monotonic() - await writing > 0.2
        assert item.directory == (not place.endswith(".csv"))
        assert item.directory or item.size == 1200


async def test_what_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    """A file that appears later is waited for."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        waiting = asyncio.create_task(session.wait(f"{tmp_path}/later", stable="100ms"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        (tmp_path / "later").write_bytes(b"done")
        assert (await waiting).size == 4


async def test_the_time_is_bounded(tmp_path: Path) -> None:
    """After `timeout` a StallTimeoutError says what was seen last."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(StallTimeoutError, match="it does not exist") as raised:
            await session.wait(f"{tmp_path}/never", stable=0.1, timeout=0.3)
        assert not raised.value.retryable
        writing = asyncio.create_task(write_slowly(tmp_path / "grows", 40))
        await asyncio.sleep(0.1)
        with pytest.raises(StallTimeoutError, match=r"it changed \d s ago"):
            await session.wait(f"{tmp_path}/grows", stable=5, timeout="0.5s")
        writing.cancel()


async def test_durations_are_checked(tmp_path: Path) -> None:
    """A duration that is none is refused before anything is looked at."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(ConfigurationError, match="stable"):
            await session.wait(f"{tmp_path}/name", stable="soon")
