"""A read that survives broken connections: it goes on where it was, at the same version."""

from __future__ import annotations

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.base import Body, Buffer, Entry, Provider, Reading, Run, Write
from dxflow_async.transfer.limits import AdaptiveLimit
from dxflow_async.transfer.retry import Attempts, RetryPolicy

__all__ = ["ResumedReading"]


class ResumedReading(Reading):
    """A `Reading` that opens the rest anew when it breaks off, pinned to the version it began with.

    Holds one place of the endpoint's limit from `open` to `aclose`, but not while it waits to try again.

    Args:
        provider: where the object is.
        key: its name.
        start, end: the bytes `[start, end)`; to the object's end when `end` is None.
        etag: the version, or None for whichever is there at first.
        limit: the endpoint's requests in flight; None for a local disk.
        policy, attempts: how often to try.
        listed: what a listing said of the object just now.
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
    ) -> None:
        self._listed = listed
        self._provider = provider
        self._key = key
        self._position = start
        self._end = end
        self._etag = etag
        self._limit = limit
        self._bytes = end - start if end is not None else 0 if listed is None else listed.size - start
        self._policy = policy
        self._attempts = attempts
        self._inner: Reading | None = None
        self._has_place = False

    async def open(self) -> None:
        """Opens it, trying again as the policy allows.

        Raises:
            StorageError: it could not be opened.
        """
        try:
            inner = await self._open()
        except BaseException:
            self._release()
            raise
        self.entry = inner.entry
        self.size = inner.size
        self.crc32c = inner.crc32c
        self._etag = inner.entry.etag

    async def read(self) -> Buffer:
        while True:
            assert self._inner is not None, "read before open"
            try:
                chunk = await self._inner.read()
            except StorageError as error:
                await self._resume(error)
            else:
                self._position += len(chunk)
                return chunk

    async def readinto(self, buffer: memoryview) -> int:
        while True:
            assert self._inner is not None, "read before open"
            try:
                size = await self._inner.readinto(buffer)
            except StorageError as error:
                await self._resume(error)
            else:
                self._position += size
                return size

    async def pour(self, buffer: memoryview, write: Write, run: Run) -> int:
        while True:
            assert self._inner is not None, "read before open"
            try:
                size = await self._inner.pour(buffer, write, run)
            except StorageError as error:
                await self._resume(error)
            else:
                self._position += size
                return size

    async def replayable(self) -> Body:
        if self._provider.features.rereads and self._inner is not None:
            return await self._inner.replayable()
        return await super().replayable()

    async def aclose(self) -> None:
        inner, self._inner = self._inner, None
        try:
            if inner is not None:
                await inner.aclose()
        finally:
            self._release()

    async def _open(self) -> Reading:
        while True:
            await self._enter()
            try:
                self._inner = await self._provider.read(
                    self._key, self._position, self._end, etag=self._etag, listed=self._listed
                )
            except StorageError as error:
                if self._limit is not None:
                    self._limit.failed(error)
                self._release()
                await self._attempts.failed(error, self._policy)
            else:
                return self._inner

    async def _resume(self, error: StorageError) -> None:
        if self._etag is None or not error.retryable:
            raise error
        assert self._inner is not None
        await self._inner.aclose()
        self._release()
        self._attempts.progressed_to(self._position)
        await self._attempts.failed(error, self._policy)
        await self._open()

    async def _enter(self) -> None:
        if self._limit is not None:
            await self._limit.acquire(self._bytes)
            self._has_place = True

    def _release(self) -> None:
        if self._limit is not None and self._has_place:
            self._has_place = False
            self._limit.release(self._bytes)
