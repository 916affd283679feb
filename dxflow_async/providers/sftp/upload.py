"""A file that is written in parts, over any of the connections."""

from __future__ import annotations

from collections.abc import Sequence

from dxflow_async.providers import (
    Body,
    Entry,
    NotFoundError,
    ObjectOptions,
    Part,
    PartReceipt,
    SourceChangedError,
    Upload,
    crc32c,
    for_each,
)
from dxflow_async.providers.sftp.names import entry_of
from dxflow_async.providers.sftp.reader import SFTPReader
from dxflow_async.providers.sftp.server import Server
from dxflow_async.providers.sftp.temporary_file import TemporaryFile

__all__ = ["SFTPUpload"]

_VERIFIED_AT_A_TIME = 4


class SFTPUpload(Upload):
    """A temporary file that parts are written into at their offsets.

    Args:
        server: where it is.
        file: created.
        options: what is stored with it.
    """

    def __init__(self, server: Server, file: TemporaryFile, options: ObjectOptions) -> None:
        self.id = file.name
        self._server = server
        self._file = file
        self._options = options
        self._naming = False

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        import asyncssh

        file = self._file
        async with self._server.connections.channel(file.call) as channel:
            opened = await file.open(channel, asyncssh.FXF_WRITE)
            try:
                size, crc = await file.write_at(channel, opened, part.offset, body)
            finally:
                await channel.close(file.call, opened)
        if size != part.size:
            raise file.mismatch(size, part.size)
        return PartReceipt(part, crc32c=crc)

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        import asyncssh

        file, size = self._file, sum(receipt.part.size for receipt in receipts)
        async with self._server.connections.channel(file.call) as channel:
            try:
                opened = await file.open(channel, asyncssh.FXF_WRITE)
            except NotFoundError:
                if self._naming and await self._has_name(size):
                    return Entry(file.key, size, crc32c=crc32c)
                raise
            try:
                await file.complete(channel, opened, size, self._options)
            except BaseException:
                await channel.close(file.call, opened)
                raise
        self._naming = True
        await file.take_name(self._options)
        return Entry(file.key, size, crc32c=crc32c)

    async def abort(self) -> None:
        await self._file.discard()

    async def _has_name(self, size: int) -> bool:
        """Whether the file got its name before the connection broke, and the answer was lost."""
        path = self._server.base.path(self._file.key)
        found = await self._server.lstat(self._file.call, path)
        return found is not None and found.size == size

    async def verified(self, receipts: Sequence[PartReceipt]) -> list[PartReceipt]:
        """Returns the receipts of the parts whose bytes are in the file; they are read for it.

        Raises:
            NotFoundError: there is no such file.
        """
        there: set[int] = set()

        async def check(receipt: PartReceipt) -> None:
            if await self._checksum(receipt.part) == receipt.crc32c:
                there.add(receipt.part.number)

        await for_each(receipts, check, _VERIFIED_AT_A_TIME)
        return [receipt for receipt in receipts if receipt.part.number in there]

    async def _checksum(self, part: Part) -> int | None:
        import asyncssh

        file, connections = self._file, self._server.connections
        channel = await connections.acquire(file.call)
        try:
            opened = await file.open(channel, asyncssh.FXF_READ)
            status = await channel.run(file.call, opened.stat)
        except BaseException:
            connections.release(channel)
            raise
        end = part.offset + part.size
        reading = SFTPReader(
            file.call, connections, channel, opened, entry_of(file.key, status), part.offset, end, self._server.throttle
        )
        async with reading:
            if (status.size or 0) < end:
                return None
            crc = 0
            try:
                async for chunk in reading:
                    crc = crc32c(chunk, crc)
            except SourceChangedError:
                return None
        return crc
