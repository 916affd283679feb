"""An open read of a local file."""

from __future__ import annotations

from dxflow_async.providers.common.reread_body import RereadBody
from dxflow_async.providers.contract import Body, Buffer, Buffered, Provider, Reader
from dxflow_async.providers.local.disk import Disk
from dxflow_async.providers.local.readable_file import ReadableFile

__all__ = ["LocalReader"]


class LocalReader(Reader):
    """A file, or a range of it.

    Args:
        provider: reads the file again for `buffer_or_reopen`.
        disk: runs the blocking calls.
        file: the file, open or read to its end.
        start: the offset of the first byte.
        first: the bytes that were read when the file was opened.
    """

    def __init__(self, provider: Provider, disk: Disk, file: ReadableFile, start: int, first: Buffer) -> None:
        self.entry = file.entry
        self.size = file.remaining + len(first)
        self.crc32c = self.entry.crc32c if self.size == self.entry.size else None
        self._start = start
        self._provider = provider
        self._disk = disk
        self._file = file
        self._first = first

    async def read(self) -> Buffer:
        if self._first:
            first, self._first = self._first, b""
            return first
        return await self._disk.run("read", self.entry.key, self._file.read) if self._file.remaining else b""

    async def buffer_or_reopen(self) -> Body:
        chunks = [self._first] if self._first else []
        if not self._file.remaining:
            return Buffered(chunks, self.size, self._file.crc32c)
        crc = await self._disk.run("read", self.entry.key, self._file.scan, self._file.crc32c)
        return RereadBody(self._provider, self.entry, self._start, self.size, crc)

    async def aclose(self) -> None:
        self._file.close()
