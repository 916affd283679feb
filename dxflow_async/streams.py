"""Bodies: the bytes that the data plane and the providers exchange."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

__all__ = ["Body", "Buffer", "Buffered", "Memory", "Run", "StreamedBody", "Write", "chunks_of", "is_streamed"]

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
    def size(self) -> int: ...
    @property
    def crc32c(self) -> int | None: ...
    def __aiter__(self) -> AsyncIterator[Buffer]: ...


class StreamedBody(Body, Protocol):
    """A body that can be read once, into buffers of the writer or through them: see `Reader`."""

    async def read(self) -> Buffer: ...
    async def readinto(self, buffer: memoryview) -> int: ...
    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int: ...


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
    """Returns whether a body is a `StreamedBody`. A check of a runtime protocol takes a hundred times as long."""
    return hasattr(body, "readinto")


@dataclass(slots=True)
class Buffered:
    """A body in memory, which can be sent again."""

    chunks: Sequence[Buffer]
    size: int
    crc32c: int | None = None

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        for chunk in self.chunks:
            yield chunk
