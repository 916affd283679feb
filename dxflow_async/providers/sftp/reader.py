"""An open file, or a stretch of it, read with several requests outstanding."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from anyio import CancelScope

from dxflow_async.providers import (
    Buffer,
    Call,
    Entry,
    Reader,
    SourceChangedError,
    StorageError,
    Throttle,
    contradiction,
)
from dxflow_async.providers.sftp.connections import Channel, Connections
from dxflow_async.providers.sftp.names import etag_of

if TYPE_CHECKING:
    import asyncssh

__all__ = ["SFTPReader"]

_MAX_OUTSTANDING_SIZE = 2 << 20
"""Bytes that are requested ahead: enough for 20 MB/s at a round trip of 100 ms."""


class SFTPReader(Reader):
    """The bytes `[start, end)` of a file.

    Args:
        call: named in errors.
        connections: which the channel is given back to.
        channel: taken from them.
        file: open.
        entry: what it is.
        start, end: in bytes, within the file.
        throttle: a cap on bytes a second, or None.
    """

    def __init__(
        self,
        call: Call,
        connections: Connections,
        channel: Channel,
        file: asyncssh.SFTPClientFile,
        entry: Entry,
        start: int,
        end: int,
        throttle: Throttle | None,
    ) -> None:
        self.entry = entry
        self.size = end - start
        self._call = call
        self._connections = connections
        self._channel: Channel | None = channel
        self._file = file
        self._requested = start
        self._end = end
        self._throttle = throttle
        self._window = 2
        self._outstanding: deque[tuple[int, int, asyncio.Task[bytes]]] = deque()

    async def read(self) -> Buffer:
        self._request()
        if not self._outstanding:
            return b""
        start, size, task = self._outstanding[0]
        data = await asyncio.shield(task)
        self._outstanding.popleft()
        if len(data) < size:  # servers may send less than they were asked for
            data = await self._complete(data, start, size)
        self._window = min(2 * self._window, max(2, _MAX_OUTSTANDING_SIZE // self._size_of_request))
        self._request()
        if not self._outstanding:
            await self._compare()
        if self._throttle is not None:
            await self._throttle.take(len(data))
        return data

    async def aclose(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None:
            return
        tasks = [task for _, _, task in self._outstanding]
        for task in tasks:
            task.cancel()
        with CancelScope(shield=True):
            await asyncio.gather(*tasks, return_exceptions=True)
        await channel.close(self._call, self._file)
        self._connections.release(channel)

    @property
    def _size_of_request(self) -> int:
        assert self._channel is not None, "read after it was closed"
        return self._channel.read_size

    def _request(self) -> None:
        """Sends requests up to the window, which grows as the file is read on."""
        while self._requested < self._end and len(self._outstanding) < self._window:
            size = min(self._size_of_request, self._end - self._requested)
            task = asyncio.ensure_future(self._fetch(self._requested, size))
            self._outstanding.append((self._requested, size, task))
            self._requested += size

    async def _fetch(self, offset: int, size: int) -> bytes:
        assert self._channel is not None, "read after it was closed"
        data: bytes = await self._channel.run(self._call, self._file.read, size, offset)
        if len(data) > size:
            raise contradiction(self._call, f"{len(data)} bytes where {size} were requested")
        return data

    async def _complete(self, data: bytes, start: int, size: int) -> bytes:
        """Requests the rest of what a server sent only in part."""
        assert self._channel is not None, "read after it was closed"
        began, whole = monotonic(), bytearray(data)
        while len(whole) < size:
            more = await self._fetch(start + len(whole), size - len(whole))
            if not more:
                raise self._changed()
            whole += more
            self._channel.check_speed(self._call, began, len(whole) - len(data))
        return bytes(whole)

    async def _compare(self) -> None:
        """Compares the file with what it was when it was opened; raises SourceChangedError."""
        assert self._channel is not None
        attributes = await self._channel.run(self._call, self._file.stat)
        if attributes.size is None:
            attributes.size = self.entry.size
        if etag_of(attributes) != self.entry.etag:
            raise self._changed()

    def _changed(self) -> StorageError:
        return self._call.error(SourceChangedError, "the file was changed meanwhile; try again")
