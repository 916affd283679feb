"""A body that is read from its source whenever it is sent, and not kept in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.streams import Buffer

__all__ = ["RereadBody"]


@dataclass(frozen=True, slots=True)
class RereadBody:
    """A stretch of an object in one version, read again whenever it is sent; its checksum is of an earlier reading."""

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
