"""An open read of an object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from dxflow_async import checksum
from dxflow_async.exceptions import ServiceError
from dxflow_async.providers.entries import Entry
from dxflow_async.streams import Body, Buffer, Buffered, Run, Write

__all__ = ["RangeIgnoredError", "Reader"]

_STEP = 256 << 10


class RangeIgnoredError(ServiceError):
    """The service answered a request for a range with the whole object.

    The provider replaces its `features` by ones without `ranges`, and then raises this error from `read`. The engine
    reads the object anew, whole, as one stream.
    """

    default_retryable = False


class Reader(ABC):
    """An open read. Iterate over it, or call `read` until it returns nothing; then call `aclose`.

    Only `read` and `aclose` have to be implemented. `readinto` and `stream_to` avoid copies where the source can fill
    a buffer of the caller's.

    Attributes:
        entry: the object's size, etag and checksum, all of the one version that is read.
        size: how many bytes this read yields.
        crc32c: of these bytes, where the provider reports it.
        verified: whether the bytes matched another checksum that the provider reports; known at the end.
    """

    entry: Entry
    size: int
    crc32c: int | None = None
    verified: bool = False
    _rest: Buffer = b""

    @abstractmethod
    async def read(self) -> Buffer:
        """Returns the next bytes, as many as are at hand; nothing at the end.

        Raises:
            NetworkError, StallTimeoutError: the connection broke; a new read may start where this one ended.
            SourceChangedError: the object changed while it was read.
        """

    async def readinto(self, buffer: memoryview) -> int:
        """Writes the next bytes into a buffer and returns how many; 0 at the end. Fewer than fit are no end.

        Args:
            buffer: is filled from its first byte on.

        Raises:
            StorageError: as `read`.
        """
        chunk = self._rest or await self.read()
        size = min(len(chunk), len(buffer))
        buffer[:size] = chunk[:size]
        self._rest = memoryview(chunk)[size:]
        return size

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        """Passes the next bytes through a buffer to `write` and returns how many; 0 at the end.

        Args:
            buffer: scratch space; it holds nothing before the call and nothing of use after it.
            write: takes the bytes, and blocks. Its exceptions are not caught.
            run: executes `write` in a worker thread.

        Raises:
            StorageError: as `read`.
        """
        size = await self.readinto(buffer)
        if size:
            await run(write, buffer[:size])
        return size

    @abstractmethod
    async def aclose(self) -> None:
        """Releases the connection or the file, also before the end."""

    async def buffer_or_reopen(self) -> Body:
        """Returns all bytes, with their CRC32C, as a body that can be sent more than once.

        They are kept in memory, unless the provider can read them again at next to no cost.
        """
        buffer = memoryview(bytearray(self.size))
        size = crc = 0
        while filled := await self.readinto(buffer[size : size + _STEP]):
            crc = checksum.crc32c(buffer[size : size + filled], crc)
            size += filled
        return Buffered((buffer[:size],), size, crc)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Buffer:
        chunk = await self.read()
        if not chunk:
            raise StopAsyncIteration
        return chunk
