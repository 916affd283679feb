"""Objects that are read into memory at once, over connections that break and change bits."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from dxflow_async.exceptions import ChecksumMismatchError
from tests.faults.proxied_providers import Site

SIZES = (100, 1 << 20, (3 << 20) + 17, (17 << 20) + 5)
"""Below, at and above the size from which a thread receives the object, and above that from which it is cut."""


async def put(site: Site, tmp_path: Path, sizes: tuple[int, ...]) -> dict[str, bytes]:
    """Stores an object of each size; returns their content by path."""
    objects = {site / f"object-{size}": Random(size).randbytes(size) for size in sizes}
    async with site.session(tmp_path / "home") as session:
        storage = await site.storage(session)
        for path, data in objects.items():
            await storage.write(path, data)
    return objects


async def test_broken_connections_do_not_change_what_is_read(site: Site, tmp_path: Path) -> None:
    """Whatever its size, an object is read whole over connections that end in the middle of it, and so is a range."""
    objects = await put(site, tmp_path, SIZES)
    proxy = site.proxy(("reset", "truncate"), rate=0.5, seed=3, limit=8)
    async with proxy.running(), site.session(tmp_path / "home", proxy.endpoint, max_attempts=20) as session:
        for path, data in objects.items():
            location = site.location(session, path)
            assert await session.path(location).read_bytes() == data
            assert await session.read_bytes(location, len(data) // 5, len(data)) == data[len(data) // 5 :]
    assert proxy.faults.total() > 0


@pytest.mark.parametrize("size", SIZES[-2:])
async def test_changed_bits_are_an_error(site: Site, tmp_path: Path, size: int) -> None:
    """A large object that arrives with another bit than was stored is not returned."""
    ((path, _),) = (await put(site, tmp_path, (size,))).items()
    proxy = site.proxy(("flip",), rate=1.0)
    async with proxy.running(), site.session(tmp_path / "home", proxy.endpoint, max_attempts=3) as session:
        with pytest.raises(ChecksumMismatchError):
            await session.path(site.location(session, path)).read_bytes()
    assert proxy.faults["flip"] > 0
