"""A local directory as a provider: the worked example of a provider.

Sections, in the order that every provider keeps: features, then the provider (listing, reading, writing, the rest).
`reader.py` has its reads and `upload.py` its uploads. What blocks is in `root.py`, `files.py`, `readable_file.py` and
`directories.py`; `disk.py` runs it in threads. `files_on_disk.py` and `left_files.py` are what only files can do.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import PreconditionFailedError, StorageError
from dxflow_async.providers.common.conditions import check_matching
from dxflow_async.providers.common.deletion import delete_each
from dxflow_async.providers.contract import (
    Body,
    Entry,
    Features,
    ObjectOptions,
    Page,
    PartReceipt,
    Provider,
    Reader,
    Staged,
    Upload,
    page_size,
)
from dxflow_async.providers.http import Call
from dxflow_async.providers.local.disk import Disk
from dxflow_async.providers.local.files import WRITE_SIZE, copy_file
from dxflow_async.providers.local.files_on_disk import FilesOnDisk
from dxflow_async.providers.local.kept_checksums import KeptChecksums
from dxflow_async.providers.local.left_files import LeftFiles
from dxflow_async.providers.local.readable_file import CACHED_SIZE, ReadableFile
from dxflow_async.providers.local.reader import LocalReader
from dxflow_async.providers.local.root import Root, error_of
from dxflow_async.providers.local.upload import LocalStaged, LocalUpload

__all__ = ["LocalProvider"]

# Features

_CAN = Features(max_size=1 << 62, max_copy_size=1 << 62, cheap_reread=True, directories=True, copy=True, rename=True)
_CHANGES = replace(_CAN, stages=True, modes=True, resumable=True, conditions=True, atomic_create=True)
_FEATURES = replace(_CHANGES, mtime=True, mtime_listed=True, ordered=True)


# The provider


class LocalProvider(Provider):
    """The files below a directory; keys never lead out of it.

    Args:
        root: the directory. It is made when something is first written.
        threads: run the blocking work.
        follow_symlinks: whether links may lead out of `root`, as those among the user's own files do.
        durable: whether a written file must survive a loss of power, if `threads` are durable too.
        kept_checksums: keeps a CRC32C with each written file, to compare it when it is read; None: none is kept.
    """

    name = "LOCAL"
    features = _FEATURES

    def __init__(
        self,
        root: str | Path,
        threads: Threads,
        *,
        follow_symlinks: bool = False,
        durable: bool = True,
        kept_checksums: KeptChecksums | None = None,
    ) -> None:
        self.root = Root(root, follow_symlinks=follow_symlinks, kept_checksums=kept_checksums)
        self.features = replace(self.features, checksum=self.features.checksum or kept_checksums is not None)
        self.threads = threads
        self._disk = Disk(threads, self.root, durable=durable)
        self._reads_back = False
        self._reading_back: LocalProvider | None = None

    @property
    def local_disk(self) -> FilesOnDisk:
        return FilesOnDisk(self.root, self._disk, self.threads)

    @property
    def temporary_files(self) -> LeftFiles:
        return LeftFiles(self.root, self._disk)

    def reading_back(self) -> LocalProvider:
        if self._reading_back is None:
            self._reading_back = twin = copy.copy(self)
            twin._reads_back, twin._reading_back = True, twin
            twin.features = replace(self.features, verifies_writes=True)
        return self._reading_back

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        walk: Iterator[Entry] = cursor or self.root.walk(prefix, recursive=recursive)
        size = page_size(recursive=recursive, first=cursor is None)
        entries = await self._disk.run("list", prefix, lambda: list(islice(walk, size)))
        return Page(entries, walk if len(entries) == size else None)

    async def stat(self, key: str) -> Entry:
        return await self._disk.run_short("stat", key, self.root.entry, key)

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None, listed: Entry | None = None
    ) -> Reader:
        file = ReadableFile(self.root, key, start, end)
        try:
            at_hand = listed is not None and listed.size <= CACHED_SIZE and self.root.follow_symlinks
            first = file.open_cached() if at_hand else None
            if first is None:
                first = await self._disk.run_short("read", key, file.open)
            if etag is not None and file.entry.etag != etag:
                raise error_of("read", file.path, PreconditionFailedError, "the file was changed meanwhile; try again")
        except BaseException:
            file.close()
            raise
        return LocalReader(self, self._disk, file, start, first)

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        staged = await self.stage(key, body, options)
        try:
            await staged.commit()
        finally:
            await staged.discard()
        return staged.entry

    async def stage(self, key: str, body: Body, options: ObjectOptions) -> Staged:
        file = self._disk.temporary(key, options, reads_back=self._reads_back)
        try:
            write = self._disk.write_small if body.size <= WRITE_SIZE else self._disk.write_large
            crc = await write(file, body, options)
        except BaseException:
            await self._disk.discard(file)
            raise
        return LocalStaged(self._disk, file, Entry(key, body.size, crc32c=crc))

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        file = self._disk.temporary(key, options, reads_back=self._reads_back)
        try:
            await self._disk.run("write", key, file.create, size)
        except BaseException:
            await self._disk.discard(file)
            raise
        return LocalUpload(self._disk, file, options)

    async def resume_upload(
        self, key: str, upload_id: str, receipts: Sequence[PartReceipt], options: ObjectOptions
    ) -> tuple[Upload, Sequence[PartReceipt]]:
        file = self._disk.temporary(key, options, reads_back=self._reads_back)
        try:
            found = await self._disk.run("write", key, file.reopen, upload_id, receipts)
        except BaseException:
            file.close()
            raise
        return LocalUpload(self._disk, file, options), found

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        failed = await delete_each(keys, lambda key: self._disk.run("delete", key, self.root.delete, key), 1)
        if any(key.endswith("/") for key in keys):
            self._disk.forget_names()
        return failed

    async def delete_matching(self, key: str, etag: str) -> None:
        await check_matching(self, Call(self.name, "delete", f"/{key}"), key, etag)
        await self.delete_one(key)

    async def copy(self, source: Entry, key: str, options: ObjectOptions) -> Entry:
        file = self._disk.temporary(key, options, reads_back=self._reads_back)
        try:
            copied = await self._disk.run("copy", key, copy_file, self.root, source, file)
            await self._disk.complete_copy(file, copied)
        finally:
            await self._disk.discard(file)
        return Entry(key, copied.size, crc32c=copied.crc32c)

    async def rename(self, source: str, key: str) -> None:
        await self.local_disk.rename_unsynced(source, key)
        await self.local_disk.sync_renamed(source, key)

    async def make_directory(self, key: str, mode: int | None = None) -> None:
        """As `Provider.make_directory`. One that is made with a mode is on disk once something in it is."""
        await self._disk.run("make directory", key, self.root.make_directory, key, mode)
        if mode is None:
            await self._disk.sync_names("make directory", key, made=True)

    async def remove_directory(self, key: str) -> None:
        await self._disk.run("delete", key, self.root.remove_directory, key)
        self._disk.forget_names()

    async def aclose(self) -> None:
        if self.root.kept_checksums is not None:
            await self.threads.finish(self.root.kept_checksums.close)
