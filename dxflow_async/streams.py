"""Bodies: the bytes that the data plane and the providers exchange."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Protocol, TypeGuard

__all__ = [
    "Body",
    "Buffer",
    "Buffered",
    "Memory",
    "Run",
    "StreamedBody",
    "WritableBytes",
    "Write",
    "chunks_of",
    "is_streamed",
]

Buffer = bytes | bytearray | memoryview

Memory = Callable[[int], bytearray | memoryview]
"""Makes room for so many bytes."""

Write = Callable[[memoryview], None]
"""Writes bytes; blocks."""

Run = Callable[..., Awaitable[Any]]
"""Runs a function in a worker thread, like `Threads.run`."""


class Body(Protocol):
    """Bytes to be written: their number, their CRC32C if it is known, and the buffers in order."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    @property
    def crc32c(self) -> int | None:
        """The CRC32C of all bytes; None if it is not known."""

    def __aiter__(self) -> AsyncIterator[Buffer]: ...


class StreamedBody(Body, Protocol):
    """A body that can be read once, into buffers of the writer or through them: see `Reader`."""

    async def read(self) -> Buffer:
        """Returns the next bytes, as many as are at hand; nothing at the end."""

    async def readinto(self, buffer: memoryview) -> int:
        """Writes the next bytes into a buffer and returns how many; 0 at the end. Fewer than fit are no end.

        Args:
            buffer: is filled from its first byte on.
        """

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        """Passes the next bytes through a buffer to `write` and returns how many; 0 at the end.

        Args:
            buffer: scratch space.
            write: takes the bytes, and blocks.
            run: executes `write` in a worker thread.
        """


@asynccontextmanager
async def chunks_of(body: Body) -> AsyncIterator[AsyncIterator[Buffer]]:
    """Yields the buffers of a body, and ends their generator with the block, also when that is cancelled."""
    chunks = aiter(body)
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def is_streamed(body: Body) -> TypeGuard[StreamedBody]:
    """Returns whether a body is a `StreamedBody`. A check of a runtime protocol takes a hundred times as long.

    Args:
        body: a body that is to be written.

    Returns:
        True if it can be read into buffers, and only once.

    Example:
        >>> is_streamed(Buffered((b"abc",), 3))
        False
    """
    return hasattr(body, "readinto")


@dataclass(slots=True)
class Buffered:
    """A body in memory, which can be sent again.

    Attributes:
        chunks: the buffers in order.
        size: of all of them, in bytes.
        crc32c: of all bytes; None if it is not known.
    """

    chunks: Sequence[Buffer]
    size: int
    crc32c: int | None = None

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        for chunk in self.chunks:
            yield chunk


class _Filled(BytesIO):
    def close(self) -> None:
        with suppress(BufferError):  # of a read that failed, the garbage collector may come here before the view
            super().close()


class WritableBytes:
    """A `bytes` object that is filled before anybody sees it.

    To fill a `bytearray`, and to copy it, would take as much memory again.

    Args:
        size: the number of bytes.

    Attributes:
        view: the memory to fill.

    Example:
        >>> memory = WritableBytes(3)
        >>> memory.view[:] = b"abc"
        >>> memory.finish()
        b'abc'
    """

    def __init__(self, size: int) -> None:
        self._file = _Filled(bytes(size))
        self.view = self._file.getbuffer()  # a copy, if anybody else had the bytes

    def finish(self) -> bytes:
        """Ends the view, and returns the bytes; they are copied if there still is another view of them."""
        self.view.release()
        return self._file.getvalue()
