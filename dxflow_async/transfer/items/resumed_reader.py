"""A read that survives broken connections: it continues where it was, at the same version."""

from __future__ import annotations

from dxflow_async.exceptions import ChecksumMismatchError, PreconditionFailedError, StorageError
from dxflow_async.providers.common.confirm import contradiction, disagreement
from dxflow_async.providers.common.etags import same_etag
from dxflow_async.providers.common.verified_reader import VerifiedReader
from dxflow_async.providers.contract import Body, Buffer, Entry, Provider, RangeIgnoredError, Reader, Run, Write
from dxflow_async.providers.http import Call
from dxflow_async.transfer.adaptive_limit import AdaptiveLimit, Permit
from dxflow_async.transfer.items.ordered_digest import whole_digest
from dxflow_async.transfer.retry import Attempts, RetryPolicy, retry

__all__ = ["ResumedReader", "look_again"]


async def look_again(provider: Provider, key: str, listed: Entry | None) -> Entry:
    """Returns what `Provider.stat` says, and asks again if that contradicts a listing.

    Args:
        provider, key: the object.
        listed: the object as a listing described it.

    Raises:
        ServiceError: the two answers contradict each other. It may be retried.
    """
    seen = await provider.stat(key)
    if listed is not None and disagreement(listed, seen) is not None:
        again = await provider.stat(key)
        if (differs := disagreement(again, seen)) is not None:
            raise contradiction(Call(provider.name, "stat", f"/{key}"), differs)
    return seen


class ResumedReader(Reader):
    """A `Reader` that opens the rest again when it breaks off, at the version it began with.

    The object must be the one that was looked up. If an answer has another version or size than `listed`, a new `stat`
    decides: an object that was replaced since is accepted, and an answer about another object is not.

    The read holds one place of the endpoint's limit from `open` until its last byte has arrived, or to `aclose`, but
    not while it waits for a retry. From the last byte on it counts as landing: the endpoint has no more to do.

    Args:
        provider: where the object is.
        key: the object's key.
        start, end: reads the bytes `[start, end)`; with `end=None`, up to the object's end.
        etag: the version to read; None for the one that is there at first.
        limit: the endpoint's requests in flight; None for a local disk.
        policy, attempts: how often to retry.
        listed: the object as a listing or `stat` described it before.
        is_part: the read is one of several of the object. If the service ignores ranges, `RangeIgnoredError` says so;
            other reads are opened again, and the provider then passes over the bytes before `start`.
        again: the caller reads the object again after a `ChecksumMismatchError`.
    """

    def __init__(
        self,
        provider: Provider,
        key: str,
        start: int,
        end: int | None,
        etag: str | None,
        limit: AdaptiveLimit | None,
        policy: RetryPolicy,
        attempts: Attempts,
        listed: Entry | None = None,
        *,
        is_part: bool = False,
        again: bool = False,
    ) -> None:
        self._again = again
        self._listed = listed
        self._gives_up_ranges = not is_part
        self._provider = provider
        self._key = key
        self._position = start
        self._end = end
        self._etag = etag
        self._limit = limit
        self._bytes = end - start if end is not None else 0 if listed is None else listed.size - start
        self._policy = policy
        self._attempts = attempts
        self._inner: Reader | None = None
        self._known = listed
        self._permit: Permit | None = None
        self._last = -1
        self._is_landing = False

    @property
    def unverified(self) -> str | None:
        """Why the bytes that were read prove nothing; None if there is no reason to tell."""
        entry = self._inner.entry if self._inner is not None else self._known
        return None if entry is None or entry.presumed is None else entry.presumed.reason

    @property
    def verified(self) -> bool:  # type: ignore[override]
        """See `Reader.verified`."""
        return self._inner is not None and self._inner.verified

    async def open(self) -> None:
        """Opens the read, as often as the policy allows.

        Raises:
            StorageError: it could not be opened.
        """
        try:
            inner = await self._open()
            if inner.entry.presumed is not None and inner.size == inner.entry.size and inner.size:
                inner = await self._verified_by_presumed(inner)
        except BaseException as error:
            self._release(error)
            await self.aclose()
            raise
        self.entry = inner.entry
        self.size = inner.size
        self._last = self._position + inner.size
        self.crc32c = inner.crc32c
        self._etag = inner.entry.etag or self._etag
        self._known = inner.entry

    async def read(self) -> Buffer:
        while True:
            assert self._inner is not None, "read before open"
            try:
                chunk = await self._inner.read()
            except ChecksumMismatchError:
                raise  # all bytes arrived: reading on is useless
            except StorageError as error:
                await self._resume(error)
            else:
                self._arrived(len(chunk))
                return chunk

    async def readinto(self, buffer: memoryview) -> int:
        while True:
            assert self._inner is not None, "read before open"
            try:
                size = await self._inner.readinto(buffer)
            except ChecksumMismatchError:
                raise  # all bytes arrived: reading on is useless
            except StorageError as error:
                await self._resume(error)
            else:
                self._arrived(size)
                return size

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        while True:
            assert self._inner is not None, "read before open"
            try:
                size = await self._inner.stream_to(buffer, write, run)
            except ChecksumMismatchError:
                raise  # all bytes arrived: reading on is useless
            except StorageError as error:
                await self._resume(error)
            else:
                self._arrived(size)
                return size

    async def buffer_or_reopen(self) -> Body:
        if self._provider.features.cheap_reread and self._inner is not None:
            return await self._inner.buffer_or_reopen()
        return await super().buffer_or_reopen()

    async def aclose(self) -> None:
        inner, self._inner = self._inner, None
        try:
            if inner is not None:
                await inner.aclose()
        finally:
            if self._permit is not None:
                self._release()
            if self._is_landing and self._limit is not None:
                self._is_landing = False
                self._limit.landing.count -= 1

    def _arrived(self, size: int) -> None:
        self._position += size
        if self._position == self._last and self._permit is not None and self._limit is not None:
            self._release()
            self._limit.landing.count += not self._is_landing
            self._is_landing = True

    async def _open(self) -> Reader:
        while True:
            if (limit := self._limit) is not None:
                self._permit = limit.try_acquire(self._bytes, "read") or await limit.wait(self._bytes, "read")
            try:
                self._inner = await self._read()
            except StorageError as error:
                self._release(error)
                if self._gives_up_ranges and isinstance(error, RangeIgnoredError):
                    self._gives_up_ranges = False
                else:
                    await self._attempts.failed(error, self._policy)
            else:
                return self._inner

    async def _verified_by_presumed(self, inner: Reader) -> Reader:
        """Returns a reader that compares the digest that the object probably has."""
        entry = inner.entry = await retry(
            lambda: self._provider.complete_digest(inner.entry), self._policy, self._attempts
        )
        inner.crc32c = entry.crc32c
        expected = whole_digest(entry)
        if expected is not None:
            call = Call(self._provider.name, "read", f"/{self._key}")
            inner = VerifiedReader(inner, expected, call, again=self._again)
        self._inner = inner
        return inner

    async def _read(self) -> Reader:
        """Opens one read of the object that was looked up."""
        reading = await self._provider.read(self._key, self._position, self._end, etag=self._etag, listed=self._listed)
        try:
            if not self._agrees(reading.entry):
                await self._confirm(reading.entry)
        except BaseException:
            await reading.aclose()
            raise
        return reading

    def _agrees(self, seen: Entry) -> bool:
        """Returns whether an answer agrees with what was looked up, and names the version that is read."""
        known = self._known
        if known is None:
            named = seen.etag is not None or not self._provider.features.versions
        else:
            named = disagreement(known, seen) is None
        return named and (self._etag is None or same_etag(self._etag, seen.etag))

    async def _confirm(self, seen: Entry) -> None:
        """Has a new `stat` say whether an answer that does not agree with what was looked up is right.

        Raises:
            ServiceError: the answer is wrong.
            PreconditionFailedError: the object was replaced, so the requested version is gone.
        """
        known, call = self._known, Call(self._provider.name, "read", f"/{self._key}")
        differs = None if known is None else disagreement(known, seen)
        named = known is not None and None not in (known.etag, seen.etag)
        if differs is not None and known is not None and named and same_etag(known.etag, seen.etag):
            raise contradiction(call, differs)
        now = await self._provider.stat(self._key)
        if (differs := disagreement(now, seen)) is not None:
            raise contradiction(call, differs)
        etag = None if same_etag(self._etag, seen.etag) else self._etag
        if etag is not None and (now.etag is None or not await self._provider.same_version(etag, now)):
            raise call.error(PreconditionFailedError, "the object was replaced meanwhile; start again")

    async def _resume(self, error: StorageError) -> None:
        if self._etag is None or not error.retryable:
            raise error
        broken = self._inner
        assert broken is not None
        await broken.aclose()
        self._release(error)
        self._attempts.progressed_to(self._position)
        await self._attempts.failed(error, self._policy)
        inner = await self._open()
        if isinstance(broken, VerifiedReader):
            self._inner = broken.continued(inner)

    def _release(self, error: BaseException | None = None) -> None:
        permit, self._permit = self._permit, None
        if self._limit is not None and permit is not None:
            self._limit.release(permit, error)
