"""Bytes on their way: the bodies that the data plane and the providers both speak of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

__all__ = ["Body", "Buffer", "Buffered", "Run", "StreamedBody", "Write", "is_streamed"]

Buffer = bytes | bytearray | memoryview

Write = Callable[[memoryview], None]
"""Takes bytes, and blocks."""

Run = Callable[..., Awaitable[Any]]
"""Has a function called in a thread, as `Threads.run` does."""


class Body(Protocol):
    """Bytes to be written: their number, their CRC32C where it is known, and the buffers in order."""

    @property
    def size(self) -> int: ...
    @property
    def crc32c(self) -> int | None: ...
    def __aiter__(self) -> AsyncIterator[Buffer]: ...


class StreamedBody(Body, Protocol):
    """A body that comes from elsewhere, once, and goes into the writer's own buffers, or through: see `Reader`."""

    async def readinto(self, buffer: memoryview) -> int: ...
    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int: ...


def is_streamed(body: Body) -> TypeGuard[StreamedBody]:
    """Whether a body is a `StreamedBody`; asking a runtime-checkable protocol takes a hundred times as long."""
    return hasattr(body, "readinto")


@dataclass(slots=True)
class Buffered:
    """A body held in memory: it can be sent again."""

    chunks: Sequence[Buffer]
    size: int
    crc32c: int | None = None

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        for chunk in self.chunks:
            yield chunk
