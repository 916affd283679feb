"""The temporary files that killed processes have left below a local directory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import TemporaryFiles
from dxflow_async.providers.local.disk import Disk
from dxflow_async.providers.local.root import Root

__all__ = ["LeftFiles"]


class LeftFiles(TemporaryFiles):
    """The files below one directory. They can be removed after the session was closed, too.

    Args:
        root: the directory.
        disk: runs the blocking calls and translates their errors.
    """

    __slots__ = ("_disk", "_root")

    def __init__(self, root: Root, disk: Disk) -> None:
        self._root = root
        self._disk = disk

    async def find(
        self, directory: str, owner_ids: Collection[str], kept: Collection[str] = (), *, recursive: bool = False
    ) -> Sequence[str]:
        look = partial(self._root.leftovers, directory, owner_ids, kept, recursive=recursive)
        return await self._disk.finish("list", directory, look)

    async def remove(self, keys: Sequence[str]) -> None:
        failures: list[StorageError] = []
        for key in keys:
            try:
                await self._disk.finish("delete", key, self._root.remove_leftover, key)
            except StorageError as error:
                failures.append(error)
        if failures:
            raise failures[0]
