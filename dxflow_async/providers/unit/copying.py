"""Copies within units whose servers answer only at the end, and cannot be asked about a copy under way.

A copy may take longer than the stall timeout. So after a lost answer the destination is waited for while it grows, and
compared. Until then the copy is not requested again: two copies would write into one file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.common.etags import if_match
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit.requests import Requests
from dxflow_async.providers.unit.stat import Looks
from dxflow_async.providers.unit.unanswered import is_unanswered, settled

__all__ = ["PlainCopies"]

_MAX_UNANSWERED = 10_000


class PlainCopies:
    """The copies of one provider.

    Args:
        requests: sends them.
        looks: looks at their destinations.
        checksum_of: returns the CRC32C of a file, which it reads if it must.
    """

    def __init__(self, requests: Requests, looks: Looks, checksum_of: Callable[[Entry], Awaitable[int]]) -> None:
        self._requests = requests
        self._looks = looks
        self._checksum_of = checksum_of
        # Source, its version and destination of copies that may still be under way, with the reason.
        self._unanswered: dict[tuple[str, str | None, str], StorageError] = {}

    async def copy(self, call: Call, source: Entry, key: str) -> Entry:
        """Copies a file, as `Provider.copy`.

        Raises:
            StorageError: the error of the request, if the destination is not the copy.
        """
        this = source.key, source.etag, key
        before = self._unanswered.get(this)
        if before is not None and (found := await self._settled(call, source, key, before)) is not None:
            del self._unanswered[this]
            return found
        try:
            found = await self._request(call, source, key)
        except StorageError as error:
            self._unanswered.pop(this, None)
            if not is_unanswered(error):
                raise
            self._note(this, error)
            try:
                settled_copy = await self._settled(call, source, key, error)
            except StorageError:
                raise error from error.__cause__  # a repeat looks first
            self._unanswered.pop(this, None)
            if settled_copy is None:
                raise
            return settled_copy
        self._unanswered.pop(this, None)
        return found

    async def _request(self, call: Call, source: Entry, key: str) -> Entry:
        condition = if_match(source.etag)
        headers = None if condition is None else {"if-match": condition}
        response = await self._requests.ask(
            call, "PUT", "transfer", source.key, headers, destination=key, repeatable=False
        )
        await self._requests.done(call, response)
        return await self._looks.confirm_stored(call, key, source.size)

    def _note(self, this: tuple[str, str | None, str], error: StorageError) -> None:
        self._unanswered[this] = error
        if len(self._unanswered) > _MAX_UNANSWERED:
            del self._unanswered[next(iter(self._unanswered))]

    async def _settled(self, call: Call, source: Entry, key: str, error: StorageError) -> Entry | None:
        async def is_wanted(found: Entry) -> bool:
            expected = await self._checksum_of(source) if source.crc32c is None else source.crc32c
            return await self._checksum_of(found) == expected

        stall = self._requests.http.stall_timeout
        return await settled(lambda: self._looks.look_up(call, key), source.size, is_wanted, error, stall)
