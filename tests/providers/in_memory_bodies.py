"""Bodies to be written, what readings bring, and why keys were not deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from dxflow_async.checksum import crc32c
from dxflow_async.providers.contract import Buffered, Provider

__all__ = ["Broken", "body", "first_failure", "read"]


def body(*chunks: bytes) -> Buffered:
    """A body with its checksum."""
    data = b"".join(chunks)
    return Buffered(chunks, len(data), crc32c(data))


@dataclass
class Broken:
    """A body that does not keep its word: it ends, or fails, before `size` bytes."""

    chunks: Sequence[bytes]
    size: int
    error: Exception | None = None
    crc32c: int | None = field(default=None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk
        if self.error is not None:
            raise self.error


async def read(
    provider: Provider, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None
) -> bytes:
    """The bytes of an object."""
    async with await provider.read(key, start, end, etag=etag) as reading:
        data = b"".join([bytes(chunk) async for chunk in reading])
        assert len(data) == reading.size
        return data


async def first_failure(provider: Provider, keys: Sequence[str]) -> None:
    """Deletes keys, and raises the first of their errors."""
    for error in (await provider.delete(keys)).values():
        raise error
