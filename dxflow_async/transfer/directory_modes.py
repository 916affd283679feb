"""Directories of a local tree get the permission bits of their sources, before anything is in them."""

from __future__ import annotations

from contextlib import suppress

from dxflow_async.exceptions import StorageError
from dxflow_async.transfer.ends import below
from dxflow_async.transfer.moving import Place

__all__ = ["DirectoryModes"]

_MAX_KNOWN = 10_000


class DirectoryModes:
    """Makes the directories of one tree; does nothing where one of both sides has no permission bits.

    Args:
        source, target: the two directories.
    """

    def __init__(self, source: Place, target: Place) -> None:
        self._source = source
        self._target = target
        self._kept = source.provider.features.modes and target.provider.features.modes
        self._made: set[str] = set()

    async def make_above(self, name: str) -> None:
        """Makes the directories above a name of the tree, and the one that it names; those that are there stay."""
        if not self._kept:
            return
        directory = name[: name.rfind("/") + 1]
        if directory in self._made:
            return
        if directory:
            await self.make_above(directory[:-1])
        await self._make(directory)
        if len(self._made) >= _MAX_KNOWN:
            self._made.clear()
        self._made.add(directory)

    async def _make(self, directory: str) -> None:
        source, target = below(self._source, directory), below(self._target, directory)
        # What cannot be looked at or made is told of by the items in it.
        with suppress(StorageError):
            mode = (await source.provider.stat(source.key)).mode
            await target.provider.make_directory(target.key, mode)
