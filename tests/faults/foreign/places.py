"""Directories that a transfer leads from and to, looked at behind its back."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from dxflow_async.exceptions import NotFoundError

__all__ = ["Files", "LocalPlace", "Place", "RemotePlace", "streamed"]

Files = Mapping[str, bytes]


class Place(ABC):
    """A directory.

    Attributes:
        location: as the calls of a session take it.
    """

    location: str

    @abstractmethod
    async def put(self, files: Files) -> None:
        """Stores files by their names below the directory."""

    @abstractmethod
    async def files(self) -> dict[str, bytes]:
        """All that is there."""


class LocalPlace(Place):
    """A directory on this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.location = str(path)

    async def put(self, files: Files) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            path = self.path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)

    async def files(self) -> dict[str, bytes]:
        paths = (Path(directory) / name for directory, _, names in os.walk(self.path) for name in names)
        return {path.relative_to(self.path).as_posix(): path.read_bytes() for path in paths}


class RemotePlace(Place):
    """A prefix in a bucket, or a directory at a unit.

    Args:
        storage: of a session that speaks to the service itself.
        path: there.
        location: for the session that is tested.
    """

    def __init__(self, storage: Any, path: str, location: str) -> None:
        self.path = path
        self.location = location
        self._storage = storage

    async def put(self, files: Files) -> None:
        writing = [self._storage.write(f"{self.path}/{name}", streamed(data)) for name, data in files.items()]
        await asyncio.gather(*writing)

    async def files(self) -> dict[str, bytes]:
        try:
            items = [item async for item in self._storage.scan(path=f"{self.path}/")]
        except NotFoundError:
            return {}
        paths = [item.path for item in items if not item.directory]
        found = await asyncio.gather(*map(self._content, paths))
        return {path[len(self.path) + 1 :]: data for path, data in zip(paths, found, strict=True)}

    async def _content(self, path: str) -> bytes:
        return b"".join([chunk async for chunk in self._storage.read(path)])

    async def clear(self) -> None:
        """Removes all that is there."""
        await self._storage.delete(f"{self.path}/")


async def streamed(data: bytes) -> AsyncIterator[bytes]:
    """A stream of the bytes."""
    yield data
