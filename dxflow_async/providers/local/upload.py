"""What is being written to a local directory, for `local.py`: a whole object, and an upload in parts."""

from __future__ import annotations

from collections.abc import Sequence

from dxflow_async.digests import RunningDigest
from dxflow_async.providers.contract import Body, Entry, ObjectOptions, Part, PartReceipt, Staged, Upload
from dxflow_async.providers.local.disk import Disk
from dxflow_async.providers.local.files import TemporaryFile

__all__ = ["LocalStaged", "LocalUpload"]


class LocalStaged(Staged):
    """A whole file.

    Args:
        disk: where it is.
        file: complete; it may have its name already, where nobody waits for the disk.
        entry: what it is.
    """

    def __init__(self, disk: Disk, file: TemporaryFile, entry: Entry) -> None:
        self.entry = entry
        self.waits = disk.durable
        self._disk = disk
        self._file = file

    async def commit(self) -> None:
        await self._disk.commit("write", self._file)

    async def discard(self) -> None:
        await self._disk.discard(self._file)


class LocalUpload(Upload):
    """A file that is written in parts.

    Args:
        disk: where it is.
        file: what is written.
        options: what is stored with it.
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
        digest, position = RunningDigest(algorithm), 0
        while size := await self._disk.run("read", self._file.key, self._file.update_digest, digest, position):
            position += size
        return digest.value

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        key, options = self._file.key, self._options
        if self._file.path:
            await self._disk.run("write", key, self._file.complete, options.modified, options.mode)
        await self._disk.commit("write", self._file)
        return Entry(key, sum(receipt.part.size for receipt in receipts), crc32c=crc32c)

    async def abort(self) -> None:
        await self._disk.discard(self._file)
