"""Writes to a local directory: a whole file without its name yet, and an upload in parts."""

from __future__ import annotations

from collections.abc import Sequence

from dxflow_async.digests import RunningDigest
from dxflow_async.presumed_digests import PartsDigest
from dxflow_async.providers.contract import Body, Entry, ObjectOptions, Part, PartReceipt, Staged, Upload
from dxflow_async.providers.local.disk import Disk
from dxflow_async.providers.local.files import TemporaryFile

__all__ = ["LocalStaged", "LocalUpload"]


class LocalStaged(Staged):
    """A whole file that may have no name yet.

    Args:
        disk: runs the blocking calls.
        file: the complete file. It has its name already if nobody waits for the disk.
        entry: describes the file.
    """

    def __init__(self, disk: Disk, file: TemporaryFile, entry: Entry) -> None:
        self.entry = entry
        self.waits = file.held
        self._disk = disk
        self._file = file

    async def commit(self) -> None:
        await self._disk.commit("write", self._file)

    async def discard(self) -> None:
        await self._disk.discard(self._file)


class LocalUpload(Upload):
    """A file that is written in parts.

    Args:
        disk: runs the blocking calls.
        file: the temporary file.
        options: stored with the file.
    """

    def __init__(self, disk: Disk, file: TemporaryFile, options: ObjectOptions) -> None:
        self.id = file.path
        self._disk = disk
        self._file = file
        self._options = options

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        crc = await self._disk.write_at(self._file, part.offset, body)
        return PartReceipt(part, crc32c=crc)

    async def digest(self, algorithm: str) -> bytes | None:
        return await self._disk.digest_written(self._file, algorithm)

    async def add_to_digest(self, digest: RunningDigest | PartsDigest, offset: int, size: int) -> bool:
        end = offset + size
        while offset < end:
            added = await self._disk.run("read", self._file.key, self._file.update_digest, digest, offset, end)
            if not added:
                return False
            offset += added
        return True

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        key, options = self._file.key, self._options
        if self._file.path:
            if self._file.reads_back and crc32c is not None:
                await self._disk.compare_written(self._file, crc32c)
            await self._disk.run("write", key, self._file.complete, options.modified, options.mode, crc32c)
        await self._disk.commit("write", self._file)
        return Entry(key, sum(receipt.part.size for receipt in receipts), crc32c=crc32c)

    async def abort(self) -> None:
        await self._disk.discard(self._file)
