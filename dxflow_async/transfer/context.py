"""What every item of a transfer has in common: two ends, budgets, retries, and counters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import NamedTuple, TypeVar

from dxflow_async.checksum import label
from dxflow_async.concurrency.shielded import finish_or_undo
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ChecksumMismatchError, SourceChangedError, StorageError, UnsafePathError
from dxflow_async.models import TransferResult
from dxflow_async.paths import check_key
from dxflow_async.providers.common.confirm import disagreement
from dxflow_async.providers.contract import Body, Buffer, Entry, ObjectOptions, Provider, Reader, Run, Upload, Write
from dxflow_async.transfer.items.checksums import checksum_of
from dxflow_async.transfer.items.resumed_reader import look_again
from dxflow_async.transfer.journal.journal import Journal
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.progress import Meter
from dxflow_async.transfer.retry import Attempts, RetryPolicy, retry

__all__ = ["Metered", "MeteredReader", "Place", "PlacedItem", "TransferContext", "begin_upload", "check_target"]

T = TypeVar("T")


class Place(NamedTuple):
    """An object at a provider, and how users write it."""

    provider: Provider
    key: str
    shown: str


def check_target(place: Place, operation: str, *, directory: bool = False) -> None:
    """Refuses a name that must not be created, before anything is sent.

    Raises:
        UnsafePathError: as `check_key`; a bucket's own name; a name with content that ends in a slash.
    """
    provider, key = place.provider, place.key
    check_key(key, provider=provider.name, operation=operation)
    reason = None
    if provider.features.buckets and not key.partition("/")[2]:
        reason = "it names a bucket; write /bucket/name"
    elif key.endswith("/") and not directory:
        reason = "the name of something with content must not end in a slash; give the whole name"
    if reason is not None:
        raise UnsafePathError(
            f"{provider.name} {operation} of {place.shown} refused: {reason}",
            provider=provider.name,
            operation=operation,
            path=place.shown,
        )


@dataclass(frozen=True, slots=True)
class TransferContext:
    """What all jobs of a call share.

    `part_size` is in bytes; an object of up to twice that moves as one. `journal` is the call's, where it has one.
    """

    limits: Limits
    policy: RetryPolicy
    meter: Meter
    part_size: int
    threads: Threads
    journal: Journal | None = None


async def begin_upload(
    provider: Provider, key: str, size: int | None, options: ObjectOptions, policy: RetryPolicy
) -> Upload:
    """`Provider.start_upload`, of which a cancellation leaves nothing: the answer is waited for, and undone."""
    return await finish_or_undo(provider.start_upload(key, size, options), lambda upload: retry(upload.abort, policy))


class Metered:
    """A body that counts its bytes as they are taken, anew each time it is sent."""

    __slots__ = ("_body", "_count", "_counted")

    def __init__(self, body: Body, count: Callable[[int], None]) -> None:
        self._body = body
        self._count = count
        self._counted = 0

    @property
    def size(self) -> int:
        return self._body.size

    @property
    def crc32c(self) -> int | None:
        return self._body.crc32c

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        if self._counted:
            self.forget()
        async for chunk in self._body:
            self._counted += len(chunk)
            self._count(len(chunk))
            yield chunk

    @property
    def counted(self) -> int:
        """The bytes that were taken so far."""
        return self._counted

    @property
    def uncounted(self) -> Body:
        """The same bytes, for whoever looks at them before they are sent."""
        return self._body

    def forget(self) -> None:
        """What was taken so far was of no use."""
        counted, self._counted = self._counted, 0
        self._count(-counted)


class MeteredReader(Metered):
    """A reading that is written as it comes, and counted."""

    __slots__ = ("_reading",)

    def __init__(self, reading: Reader, count: Callable[[int], None]) -> None:
        super().__init__(reading, count)
        self._reading = reading

    async def readinto(self, buffer: memoryview) -> int:
        return self._moved(await self._reading.readinto(buffer))

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        return self._moved(await self._reading.stream_to(buffer, write, run))

    def _moved(self, size: int) -> int:
        self._counted += size
        self._count(size)
        return size


class PlacedItem:
    """What moves from one place to another: since when, how many bytes, and how often it was tried."""

    def __init__(self, context: TransferContext, source: Place, destination: Place, size: int = 0) -> None:
        self.size = size
        self._context = context
        self._source = source
        self._destination = destination
        self._started = monotonic()
        self._begun = False
        self._retries = 0
        self._crc32c: int | None = None
        self._verified = False
        self._moved = 0
        self.version: str | None = None
        self._source_limit = context.limits.requests(source.provider)
        self._destination_limit = context.limits.requests(destination.provider)

    @property
    def ends(self) -> tuple[str, str]:
        return self._source.shown, self._destination.shown

    async def seen(self) -> str | None:
        place = self._source
        return (await self._try(lambda: place.provider.stat(place.key), place)).etag

    def _begin(self) -> None:
        """First contact; a second one is another try of the whole."""
        self._started = self._started if self._begun else monotonic()
        self._retries += self._begun
        self._begun = True
        self._crc32c = None

    async def abort(self) -> None:
        """Not to be finished: what was counted does not count."""
        self._context.meter.moved(-self._moved)
        self._moved = 0

    def result(self, error: StorageError | None) -> TransferResult:
        """What became of it."""
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
        )

    async def _delete_source(self, moved: Entry, stored: Entry | None, *, by_service: bool = False) -> None:
        """Of a move: the source goes, once it is sure that the copy is stored and that the source is what was copied.

        Args:
            moved: what was read, or had copied.
            stored: what the destination said of the copy as it took it.
            by_service: the service copied the object, and its bytes did not come by here.

        Raises:
            ChecksumMismatchError: something else is stored, or was read.
            SourceChangedError: the source is another one by now. Either way it stays.
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
        """Looks at the copy: its size, and its checksum or version; where neither is told, its bytes are compared.

        Raises:
            ChecksumMismatchError: something else is stored.
        """
        place = self._destination
        found = await self._try(lambda: place.provider.stat(place.key))
        expected = moved.crc32c if self._crc32c is None else self._crc32c
        told = None not in (found.crc32c, expected)
        version = None if stored is None else stored.etag
        same = not (told and found.crc32c != expected) and (None in (version, found.etag) or version == found.etag)
        if found.size != moved.size or not same:
            raise self._failed(ChecksumMismatchError, "something else is stored at the destination; both are kept")
        named = None not in (version, found.etag)
        if not (told or named or by_service) and place.provider.features.endpoint is not None:
            await self._compare_bytes(place, found)

    async def _compare_bytes(self, place: Place, entry: Entry) -> None:
        """Reads an object that no answer tells the checksum or the version of, and compares it with what was moved.

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
        for limit in (self._source_limit, self._destination_limit):
            if limit is not None:
                limit.moved(size)

    async def _try(self, operation: Callable[[], Awaitable[T]], place: Place | None = None, size: int = 0) -> T:
        """A request with a body of `size` bytes, to the destination by default, as often as the policy allows."""
        limit = self._source_limit if place is self._source else self._destination_limit
        attempts = Attempts()
        try:
            limited = operation if limit is None else partial(limit.run, operation, size)
            return await retry(limited, self._context.policy, attempts)
        finally:
            self._retries += attempts.retries
