"""The base of all items: two places, limits, retries and counters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import TypeVar

from dxflow_async.checksum import label
from dxflow_async.exceptions import ChecksumMismatchError, SourceChangedError, StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.common.confirm import disagreement
from dxflow_async.providers.common.etags import same_etag
from dxflow_async.providers.contract import Entry
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.items.checksums import checksum_of
from dxflow_async.transfer.items.resumed_reader import look_again
from dxflow_async.transfer.retry import Attempts, retry_after

__all__ = ["BaseItem"]

T = TypeVar("T")


class BaseItem:
    """An item that moves something from one place to another.

    Args:
        context: what the items of the call share.
        source, destination: the two places.
        size: the size in bytes, if it is known.
    """

    # What most items never change stands here: it costs nothing for each of the thousands that are planned.
    version: str | None = None
    _begun = False
    _retries = 0
    _crc32c: int | None = None
    _verified = False
    _unverified: str | None = "no checksum was compared"
    _moved = 0

    def __init__(self, context: TransferContext, source: Place, destination: Place, size: int = 0) -> None:
        self.size = size
        self._context = context
        self._source = source
        self._destination = destination
        self._sides = context.sides(source.provider, destination.provider)
        self._started = monotonic()

    @property
    def ends(self) -> tuple[str, str]:
        return self._source.shown, self._destination.shown

    @property
    def _is_view(self) -> bool:
        """Whether a side has a customer's key, or a version, which no worker gets."""
        return any(place.provider.origin is not place.provider for place in (self._source, self._destination))

    async def seen(self) -> str | None:
        place = self._source
        return (await self._try(lambda: place.provider.stat(place.key), place)).etag

    def _begin(self) -> None:
        """Notes that the item was opened. The second time counts as a retry of the whole item."""
        self._started = self._started if self._begun else monotonic()
        if self._begun:
            self._retries += 1
            self._crc32c = None
        self._begun = True

    async def abort(self) -> None:
        """Takes back the bytes that were counted."""
        self._context.meter.moved(-self._moved)
        self._moved = 0

    def result(self, error: StorageError | None) -> TransferResult:
        """Returns the item's result."""
        return TransferResult(
            self._source.shown,
            self._destination.shown,
            self._moved,
            monotonic() - self._started,
            self._retries + 1,
            label(self._crc32c),
            self._verified and error is None,
            None,
            error,
            False,
            None if self._verified or error is not None else self._unverified,
        )

    async def _delete_source(self, moved: Entry, stored: Entry | None, *, by_service: bool = False) -> None:
        """Deletes the source of a move, once the copy is known to be stored and the source is what was copied.

        Args:
            moved: the source as it was read or copied.
            stored: what the destination said of the copy when it stored it.
            by_service: the service made the copy, so its bytes were not seen here.

        Raises:
            ChecksumMismatchError: something else is stored, or was read. Both are kept.
            SourceChangedError: the source was changed meanwhile. Both are kept.
        """
        source = self._source
        if by_service or not self._verified:
            await self._confirm_stored(moved, stored, by_service=by_service)
        now = await self._try(lambda: look_again(source.provider, source.key, moved), source)
        if disagreement(moved, now) is not None:
            raise self._failed(SourceChangedError, "it was changed while it was moved; both are kept, move it again")
        told = None not in (moved.etag, now.etag) or None not in (self._crc32c, now.crc32c)
        if not (by_service or told):
            await self._compare_bytes(source, now)
        elif None not in (self._crc32c, now.crc32c) and self._crc32c != now.crc32c:
            raise self._failed(ChecksumMismatchError, "other bytes were moved than it has; both are kept")
        await self._try(lambda: source.provider.delete_one(source.key), source)

    async def _confirm_stored(self, moved: Entry, stored: Entry | None, *, by_service: bool) -> None:
        """Compares the size of the stored copy and its checksum or version; without these, its bytes.

        Raises:
            ChecksumMismatchError: something else is stored.
        """
        place = self._destination
        found = await self._try(lambda: place.provider.stat(place.key))
        expected = moved.crc32c if self._crc32c is None else self._crc32c
        told = None not in (found.crc32c, expected)
        version = None if stored is None else stored.etag
        same = not (told and found.crc32c != expected) and same_etag(version, found.etag)
        if found.size != moved.size or not same:
            raise self._failed(ChecksumMismatchError, "something else is stored at the destination; both are kept")
        named = None not in (version, found.etag)
        if not (told or named or by_service) and place.provider.local_disk is None:
            await self._compare_bytes(place, found)

    async def _compare_bytes(self, place: Place, entry: Entry) -> None:
        """Reads an object whose checksum and version no answer tells, and compares it with what was moved.

        Raises:
            ChecksumMismatchError: it has other bytes.
        """
        context = self._context
        crc = await checksum_of(place.provider, entry, limits=context.limits, policy=context.policy)
        if crc != self._crc32c:
            raise self._failed(ChecksumMismatchError, f"{place.shown} has other bytes than were moved; both are kept")

    def _failed(self, cls: type[StorageError], text: str) -> StorageError:
        source = self._source
        return cls(
            f"transfer of {source.shown} to {self._destination.shown} failed: {text}",
            provider=source.provider.name,
            operation="read",
            path=source.shown,
        )

    def _count(self, size: int) -> None:
        self._moved += size
        self._context.meter.moved(size)
        sides = self._sides
        for limit in (sides.source_limit, sides.destination_limit):
            if limit is not None:
                limit.moved(size)

    async def _try(
        self, operation: Callable[[], Awaitable[T]], place: Place | None = None, size: int = 0, kind: str = ""
    ) -> T:
        """Makes a request as often as the policy allows, and returns its result.

        Args:
            operation: makes the request once.
            place: where the request goes; None for the destination.
            size: the bytes of the request's body.
            kind: of the request, if it takes longer than most, such as `"finish"`.
        """
        limit = self._sides.source_limit if place is self._source else self._sides.destination_limit
        try:
            return await (operation() if limit is None else limit.run(operation, size, kind))
        except StorageError as error:
            failure = error
        limited = operation if limit is None else partial(limit.run, operation, size, kind)
        attempts = Attempts()
        try:
            return await retry_after(failure, limited, self._context.policy, attempts)
        finally:
            self._retries += attempts.retries
