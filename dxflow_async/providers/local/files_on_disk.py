"""The files behind the keys of a `LocalProvider`, for callers that know that both sides are on this machine."""

from __future__ import annotations

import hashlib
import os

from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.contract import Buffered, Entry, LocalDisk
from dxflow_async.providers.local.disk import Disk
from dxflow_async.providers.local.links import make_link
from dxflow_async.providers.local.readable_file import CACHED_SIZE, ReadableFile
from dxflow_async.providers.local.root import Root

__all__ = ["FilesOnDisk"]


class FilesOnDisk(LocalDisk):
    """The files below one directory.

    Args:
        root: the directory.
        disk: runs the blocking calls and translates their errors.
        threads: runs the blocking calls whose errors are of no interest.
    """

    __slots__ = ("_disk", "_root", "_threads", "is_users", "root")

    def __init__(self, root: Root, disk: Disk, threads: Threads) -> None:
        self.root = str(root.path)
        self.is_users = root.follow_symlinks
        self._root = root
        self._disk = disk
        self._threads = threads

    def path(self, key: str) -> str:
        return self._root.resolve(key)

    async def real_path(self, key: str) -> str:
        return await self._threads.run(os.path.realpath, self._root.path / key)

    async def is_link(self, key: str) -> bool:
        return await self._threads.run(os.path.islink, self._root.path / key.removesuffix("/"))

    def mark_links(self) -> None:
        self._root.marks_links = True

    async def make_link(self, key: str, target: str, *, if_absent: bool = False) -> None:
        mark = self._threads.owner_id
        await self._disk.run("link", key, lambda: make_link(self._root, key, target, mark, if_absent=if_absent))
        await self._disk.sync_names("link", key)

    async def exists(self, key: str) -> bool:
        return await self._threads.run(os.path.lexists, self._root.path / key)

    async def folds_names(self, key: str) -> bool:
        return await self._disk.run("make directory", key, self._root.folds_names, key, self._threads.owner_id)

    async def rename_unsynced(self, source: str, key: str, *, file: bool = False) -> None:
        await self._disk.run("move", source, self._root.rename, source, key)
        if not file:
            self._disk.forget_names()

    async def sync_renamed(self, source: str, key: str) -> None:
        await self._disk.sync_names("move", source, key)

    def cached_body(self, entry: Entry) -> tuple[Entry, Buffered] | None:
        if entry.size > CACHED_SIZE or not self.is_users:
            return None
        file = ReadableFile(self._root, entry.key, 0, None)
        data = file.open_cached()
        if data is None or len(data) > entry.size:
            return None
        return file.entry, Buffered((data,) if data else (), len(data), file.crc32c)

    def cached_md5(self, entry: Entry) -> str | None:
        if entry.size > CACHED_SIZE:
            return None
        file = ReadableFile(self._root, entry.key, 0, None)
        data = file.open_cached()
        if data is None or file.entry.etag != entry.etag:
            return None
        return hashlib.md5(data, usedforsecurity=False).hexdigest()
