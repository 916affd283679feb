"""Syncs that take only what has not changed for a time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.contract import Entry
from dxflow_async.transfer.sync.stable import StableEntries


@asynccontextmanager
async def growing(path: Path) -> AsyncIterator[None]:
    """Makes a file grow every 20 ms, while in it."""

    async def grow() -> None:
        while True:
            with path.open("ab") as file:
                file.write(b"x")
            await asyncio.sleep(0.02)

    task = asyncio.create_task(grow())
    try:
        yield
    finally:
        task.cancel()


async def test_a_file_that_changes_is_left_to_the_next_sync(tmp_path: Path) -> None:
    """It is neither copied nor deleted at the destination; everything else is synced, deletions included."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "log").write_bytes(b"")
    (source / "done").write_bytes(b"done")
    (target / "log").write_bytes(b"of the last sync")
    (target / "extra").write_bytes(b"extra")
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        async with growing(source / "log"):
            await session.sync(source, target, stable="300ms", delete=True)
            assert sorted(os.listdir(target)) == ["done", "log"]
            assert (target / "log").read_bytes() == b"of the last sync"
            plan = await session.sync(source, target, stable=0.1, dry_run=True)
            assert list(plan) == []
        await session.sync(source, target, stable=0.1)
        assert (target / "log").read_bytes() == (source / "log").read_bytes()


async def test_a_file_that_appears_meanwhile_is_left_to_the_next_sync(tmp_path: Path) -> None:
    """A file counts as stable from the first listing that has it."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "a").write_bytes(b"a")
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        await session.sync(source, target, dry_run=True)  # now all modules are imported, so the next one lists at once
        syncing = asyncio.create_task(session.sync(source, target, stable=0.5))
        await asyncio.sleep(0.2)
        (source / "b").write_bytes(b"b")
        await syncing
        assert os.listdir(target) == ["a"]
        with pytest.raises(ConfigurationError, match="stable"):
            await session.sync(source, target, stable="soon")


def test_versions_are_told_apart() -> None:
    """Another size, time or etag is another version; directories and what cannot be read are always taken."""
    stable = StableEntries()
    stable.add([Entry("a", 1, 5.0, etag="x"), Entry("b", 1)])
    assert stable.admits(Entry("a", 1, 5.0, etag="x"))
    for other in (Entry("a", 2, 5.0, etag="x"), Entry("a", 1, 6.0, etag="x"), Entry("a", 1, 5.0, etag="y"), Entry("c")):
        assert not stable.admits(other)
    assert stable.admits(Entry("d/", directory=True))
    assert stable.admits(Entry("e", unreadable="a link"))
