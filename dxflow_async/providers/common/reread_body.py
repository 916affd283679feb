"""A body that is read from its source each time it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.streams import Buffer

__all__ = ["RereadBody"]


@dataclass(frozen=True, slots=True)
class RereadBody:
    """A range of one version of an object, read again each time it is sent; its CRC32C comes from an earlier read."""

    provider: Provider
    entry: Entry
    start: int
    size: int
    crc32c: int | None = None

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        end = self.start + self.size
        async with await self.provider.read(self.entry.key, self.start, end, etag=self.entry.etag) as reading:
            async for chunk in reading:
                yield chunk
