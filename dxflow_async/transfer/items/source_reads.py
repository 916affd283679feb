"""The reads of one source object, all of one version.

An object whose size is unknown would cost two requests: one for its size, one for its bytes. Instead, one read of the
whole object is opened. Its answer tells the size, version and checksum, and if the object is small enough to move as
one part, the open read also serves its bytes. If the object is large, the read is closed and parts are read by range.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import Buffered, Entry, LocalDisk, Part, Reader
from dxflow_async.transfer.adaptive_limit import AdaptiveLimit
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.items.checksums import stored_checksum
from dxflow_async.transfer.items.resumed_reader import ResumedReader
from dxflow_async.transfer.retry import Attempts, retry, retry_after

__all__ = ["SourceReads"]


class SourceReads:
    """Opens reads of one object.

    Args:
        context: limits and retries of the call.
        place: where the object is.
        limit: the endpoint's requests in flight; None for a local disk.
        listed: the object as a listing described it, if it was listed.

    Attributes:
        entry: the object as the latest answer described it; parts are read at this version.
    """

    __slots__ = ("_context", "_first", "_limit", "_may_be_cached", "_place", "_reserved", "entry", "listed")

    def __init__(
        self, context: TransferContext, place: Place, limit: AdaptiveLimit | None, listed: Entry | None
    ) -> None:
        self.listed = listed
        self.entry = listed
        self._context = context
        self._place = place
        self._limit = limit
        self._first: Reader | None = None
        self._reserved = 0
        self._may_be_cached = True

    async def open_first(self, memory: int, attempts: Attempts) -> Entry:
        """Opens the whole object and returns what its answer says of it; `open_whole` uses the same read.

        Args:
            memory: bytes to reserve for the part that the read may serve. They are reserved first: a read that holds a
                place among the requests in flight must never wait for memory, or all of them could wait for each other.
            attempts: counts the retries.
        """
        self._reserved = await self._context.limits.memory.take(memory)
        self._first = await self._read(0, None, None, self.listed, attempts)
        self.entry = self._first.entry
        return self.entry

    def take_reserved(self) -> int:
        """Hands over the memory that `open_first` reserved; 0 if there is none. The caller gives it back."""
        memory, self._reserved = self._reserved, 0
        return memory

    async def open_whole(self, attempts: Attempts) -> Reader:
        """Opens the whole object in the version that is there now, or returns the read that `open_first` opened."""
        first, self._first = self._first, None
        if first is not None:
            return first
        reading = await self._read(0, None, None, self.listed, attempts)
        self.entry = reading.entry
        return reading

    def cached(self, disk: LocalDisk) -> tuple[int | None, Buffered] | None:
        """Returns the bytes of a small file that was listed, and the CRC32C that they should have, where it is known.

        None if they are not in memory: `open_whole` waits for them.
        """
        found = None if self.listed is None else disk.cached_body(self.listed)
        if found is None:
            self._may_be_cached = False
            return None
        self.entry, body = found
        return self.entry.crc32c, body

    async def open_part(self, part: Part, attempts: Attempts) -> Reader:
        """Opens one part of the version in `entry`."""
        entry = self.entry
        assert entry is not None
        return await self._read(part.offset, part.offset + part.size, entry.etag, entry, attempts, is_part=True)

    async def add_checksum(self, reading: Reader, attempts: Attempts) -> None:
        """Adds the checksum that the provider computes on request to a read whose answer had none.

        An object that moves as one part is stored as it is read, so its checksum must be known before.
        """
        provider, entry = self._place.provider, reading.entry
        if not reading.size:
            return
        try:
            reading.crc32c = await stored_checksum(
                provider, entry, lambda ask: retry(ask, self._context.policy, attempts)
            )
        except BaseException:
            await reading.aclose()
            raise
        self.entry = replace(entry, crc32c=reading.crc32c)

    async def aclose(self) -> None:
        """Closes the first read if nobody used it, and gives its memory back."""
        first, self._first = self._first, None
        self._context.limits.memory.give(self.take_reserved())
        if first is not None:
            await first.aclose()

    async def _read(
        self,
        start: int,
        end: int | None,
        etag: str | None,
        listed: Entry | None,
        attempts: Attempts,
        *,
        is_part: bool = False,
    ) -> Reader:
        provider, key = self._place.provider, self._place.key
        if self._limit is None:  # a local disk
            whole = listed if end is None and self._may_be_cached else None
            try:
                return await provider.read(key, start, end, etag=etag, listed=whole)
            except StorageError as error:
                failure = error
            again = partial(provider.read, key, start, end, etag=etag, listed=whole)
            return await retry_after(failure, again, self._context.policy, attempts)
        reading = ResumedReader(
            provider,
            key,
            start,
            end,
            etag,
            self._limit,
            self._context.policy,
            attempts,
            listed,
            is_part=is_part,
            again=True,
        )
        await reading.open()
        return reading
