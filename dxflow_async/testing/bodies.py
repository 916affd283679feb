"""Bodies for tests: in memory, broken in their midst, and such that come from elsewhere once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from dxflow_async.checksum import crc32c
from dxflow_async.providers.contract import Buffer, Buffered, Entry, Reader

__all__ = ["BrokenBody", "StreamedOnce", "body"]


def body(*chunks: bytes) -> Buffered:
    """Returns a body of these chunks with its CRC32C.

    Args:
        chunks: the bytes, in the pieces that the body yields.

    Example:
        >>> await provider.write("area/name", body(b"first", b"second"), ObjectOptions())
    """
    data = b"".join(chunks)
    return Buffered(chunks, len(data), crc32c(data))


@dataclass
class BrokenBody:
    """A body that ends, or fails, at another size than it announces.

    Attributes:
        chunks: what it yields.
        size: what it announces, in bytes.
        error: raised after the chunks; None: it just ends.
        crc32c: what it announces.
    """

    chunks: Sequence[bytes]
    size: int
    error: Exception | None = None
    crc32c: int | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk
        if self.error is not None:
            raise self.error


class StreamedOnce(Reader):
    """A body as the transfer engine hands it on from an open read: it yields its bytes once, with no CRC32C yet."""

    def __init__(self, *chunks: bytes) -> None:
        self.size = sum(map(len, chunks))
        self.entry = Entry("source", self.size)
        self._chunks = iter(chunks)

    async def read(self) -> Buffer:
        return next(self._chunks, b"")

    async def aclose(self) -> None:
        pass
