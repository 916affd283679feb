"""Directories of a test's own at every provider, by the locations that users write."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from itertools import pairwise, product
from pathlib import Path

import pytest

from dxflow_async.providers.contract import Buffered, ObjectOptions
from dxflow_async.storage.manager import AsyncStorageManager

__all__ = ["DAILY_PAIRS", "PROVIDERS", "CloudSpot", "LocalSpot", "Spot", "UnitSpot"]

PROVIDERS = ["LOCAL", "AWS", "AZURE", "GCP", "UNIT"]

# Each provider on its own, each with a local directory in both directions, and each cloud with one other place.
_DAILY = {*zip(PROVIDERS, PROVIDERS, strict=True), *pairwise([*PROVIDERS[1:], "AWS"])}
DAILY_PAIRS = [
    pytest.param(*pair, marks=() if pair in _DAILY or "LOCAL" in pair else pytest.mark.long)
    for pair in product(PROVIDERS, PROVIDERS)
]
"""Every ordered pair of providers, as parameters of a test; eight of them run in the long lane only."""


class Spot(ABC):
    """A directory somewhere; `spot / name` is the location of a name in it."""

    location: str

    def __truediv__(self, name: str) -> str:
        return f"{self.location}/{name}"

    @abstractmethod
    async def put(self, tree: dict[str, bytes]) -> None:
        """Stores these."""

    @abstractmethod
    async def tree(self) -> dict[str, bytes]:
        """All that is there; directories with nothing in them end in a slash."""


class LocalSpot(Spot):
    """A directory on this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.location = str(path)

    async def put(self, tree: dict[str, bytes]) -> None:
        for name, data in tree.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(data)

    async def tree(self) -> dict[str, bytes]:
        found = {}
        for directory, below, files in os.walk(self.path):
            relative = Path(directory).relative_to(self.path)
            found.update({(relative / name).as_posix(): (Path(directory) / name).read_bytes() for name in files})
            if not below and not files and directory != str(self.path):
                found[f"{relative.as_posix()}/"] = b""
        return found


class UnitSpot(LocalSpot):
    """A directory in a unit's volume, looked at behind the unit's back."""

    def __init__(self, volume: Path, name: str) -> None:
        super().__init__(volume / name)
        self.location = f"unit:/{volume.name}/{name}"


class CloudSpot(Spot):
    """A prefix in a bucket."""

    def __init__(self, storage: AsyncStorageManager, provider: str, path: str) -> None:
        self.storage = storage
        self.provider = provider
        self.path = path
        self.location = f"{provider.lower()}:{path}"

    async def put(self, tree: dict[str, bytes]) -> None:
        area = await self.storage._resolver.area(self.provider, "private")
        for name, data in tree.items():
            if name.endswith("/"):
                marker = area.key(f"{self.path}/{name}")
                await area.provider.write(marker, Buffered((), 0, 0), ObjectOptions())
            else:
                await self.storage.write(f"{self.path}/{name}", _chunks(data), self.provider)

    async def tree(self) -> dict[str, bytes]:
        found = {}
        async for item in self.storage.scan(self.provider, f"{self.path}/"):
            name = item.path[len(self.path) + 1 :]
            chunks = [chunk async for chunk in self.storage.read(item.path, provider=self.provider)]
            found[name] = b"".join(chunks)
        return found


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data
