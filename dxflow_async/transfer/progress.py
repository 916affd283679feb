"""Counts what a call has done, and reports it at most ten times a second, and at least twice a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from math import exp
from time import monotonic

from dxflow_async.models import Phase, Progress, Rate, TransferResult
from dxflow_async.providers.contract import Body, Buffer, Reader, Run, Write
from dxflow_async.streams import chunks_of

__all__ = ["Meter", "MeteredBody", "MeteredReader", "OnProgress"]

OnProgress = Callable[[Progress], None]

_INTERVAL = 0.1

_QUIET_SECONDS = 0.5
"""Seconds after which the counters are reported although nothing moved: what is waited for may have changed."""

_SAMPLE_SECONDS = 0.25

_RATE_SECONDS = 5.0
"""Seconds over which the rate is averaged."""


class Meter:
    """The counters of one call.

    Args:
        on_progress: called with the counters from the event loop, and once at the end. It should return at once.
        concurrency: returns how many requests may be in flight now.
        waits: each returns what is waited for; None for nothing.

    Attributes:
        raised: the exception that `on_progress` raised. It is not called again.
        others_left: items that others move meanwhile; see `left`.
        compares: the call compares while it plans.
        deletes: the call deletes now.
        deleted: items that a sync has deleted.
    """

    def __init__(
        self,
        on_progress: OnProgress | None = None,
        concurrency: Callable[[], int] = lambda: 0,
        waits: Sequence[Callable[[], str | None]] = (),
    ) -> None:
        self._concurrency = concurrency
        self._waits = waits
        self.raised: BaseException | None = None
        self.others_left = 0
        self.compares = self.deletes = False
        self.deleted = 0
        self._on_progress = on_progress
        self._started = monotonic()
        self._told = 0.0
        self._complete = False
        self._files_planned = self._bytes_planned = 0
        self._files_expected: int | None = None
        self._bytes_expected = 0
        self._files_done = self._bytes_done = 0
        self._failed = self._retries = 0
        self._rate = _MovingRate(self._started)
        self._timer: asyncio.TimerHandle | None = None
        self._unraised: BaseException | None = None

    @property
    def watched(self) -> bool:
        """Whether anybody sees the counters."""
        return self._on_progress is not None

    @property
    def complete(self) -> bool:
        """Whether everything is planned."""
        return self._complete

    @property
    def seconds(self) -> float:
        """Seconds since the call began."""
        return monotonic() - self._started

    @property
    def moved_bytes(self) -> int:
        """The bytes that moved."""
        return self._bytes_done

    @property
    def ended(self) -> int:
        """The items that ended, and those that a sync deleted."""
        return self._files_done + self.deleted

    @property
    def failed(self) -> int:
        """The items that failed."""
        return self._failed

    @property
    def retries(self) -> int:
        """The attempts of items that ended, beyond the first of each."""
        return self._retries

    @property
    def left(self) -> int:
        """Items that are planned and have not ended."""
        return self._files_planned - self._files_done + self.others_left

    def start(self) -> None:
        """Begins to report the counters twice a second, also while nothing moves. `stop` ends it."""
        if self._on_progress is not None:
            self._timer = asyncio.get_running_loop().call_later(_QUIET_SECONDS, self._tick)

    def stop(self) -> None:
        """Ends what `start` has begun."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def planned(self, size: int) -> None:
        """Counts a planned item. `size` is in bytes, 0 if it is not known yet."""
        self._files_planned += 1
        self._bytes_planned += size

    def sized(self, size: int) -> None:
        """Adds the size of an item whose size was not known when it was planned."""
        self._bytes_planned += size

    def expect(self, files: int, size: int) -> None:
        """Notes how many items and bytes there are to plan, as far as somebody has counted them."""
        self._files_expected, self._bytes_expected = files, size

    def plan_ended(self) -> None:
        """Notes that the totals are known."""
        self._complete = True

    def moved(self, size: int) -> None:
        """Counts bytes that moved. A negative number takes back bytes that turned out to be useless."""
        self._bytes_done += size
        if self._on_progress is not None:
            self._tell()

    def done(self, result: TransferResult) -> None:
        """Counts an item that ended."""
        self._files_done += 1
        self._failed += result.error is not None
        self._retries += result.attempts - 1
        if self._on_progress is not None:
            self._tell()

    def done_together(self, count: int, failed: int = 0) -> None:
        """Counts items that were planned and ended together."""
        self._files_planned += count
        self._files_done += count
        self._failed += failed
        self._tell()

    def deleted_one(self) -> None:
        """Counts an item that a sync deleted."""
        self.deleted += 1
        self._tell()

    def close(self) -> None:
        """Reports the final counters."""
        if self._on_progress is not None and self.raised is None:
            self._on_progress(self.state())

    def state(self) -> Progress:
        """Returns the counters."""
        files = self._files_planned if self._complete else self._files_expected
        size = self._bytes_planned if self._complete else None if files is None else self._bytes_expected
        now = monotonic()
        return Progress(
            self._files_done,
            None if files is None else max(files, self._files_planned),
            self._bytes_done,
            None if size is None else max(size, self._bytes_planned),
            self._failed,
            self._retries,
            now - self._started,
            self._concurrency(),
            self._phase(),
            self._rate.at(now, self._bytes_done, self._files_done + self.deleted),
            next((text for wait in self._waits if (text := wait()) is not None), None),
            self.deleted,
        )

    def _phase(self) -> Phase:
        if self.deletes:
            return "deleting"
        if not self._complete:
            if self.compares:
                return "comparing"
            if not (self._files_done or self._bytes_done):
                return "listing"
        return "moving"

    def _tick(self) -> None:
        """Reports the counters. What the callback raises here is raised where the next bytes are counted."""
        self._timer = asyncio.get_running_loop().call_later(_QUIET_SECONDS, self._tick)
        if self._on_progress is None or self.raised is not None or monotonic() - self._told < _QUIET_SECONDS / 2:
            return
        self._told = monotonic()
        try:
            self._on_progress(self.state())
        except BaseException as error:  # noqa: BLE001 - raised by `_tell`
            self._unraised = self.raised = error

    def _tell(self) -> None:
        if self._unraised is not None:
            error, self._unraised = self._unraised, None
            raise error
        if self._on_progress is not None and (now := monotonic()) - self._told >= _INTERVAL:
            self._told = now
            if self.raised is None:
                try:
                    self._on_progress(self.state())
                except BaseException as error:
                    self.raised = error
                    raise


class _MovingRate:
    """Bytes and items a second, an exponential average over the last seconds."""

    def __init__(self, now: float) -> None:
        self._began = self._sampled = now
        self._bytes = self._items = 0
        self._rate = Rate()

    def at(self, now: float, size: int, items: int) -> Rate:
        """Returns the rate, after so many bytes and items."""
        passed = now - self._sampled
        if passed >= _SAMPLE_SECONDS:
            weight = 1 - exp(-passed / min(_RATE_SECONDS, now - self._began))
            now_bytes, now_items = (size - self._bytes) / passed, (items - self._items) / passed
            old = self._rate
            self._rate = Rate(
                max(old.bytes + weight * (now_bytes - old.bytes), 0.0), old.items + weight * (now_items - old.items)
            )
            self._sampled, self._bytes, self._items = now, size, items
        elif self._sampled == self._began and now > self._began:
            return Rate(max(size, 0) / (now - self._began), items / (now - self._began))
        return self._rate


class MeteredBody:
    """A body that counts its bytes as they are taken. The count starts anew each time the body is sent."""

    __slots__ = ("_body", "_count", "_counted", "size")

    def __init__(self, body: Body, count: Callable[[int], None]) -> None:
        self.size = body.size
        self._body = body
        self._count = count
        self._counted = 0

    @property
    def crc32c(self) -> int | None:
        return self._body.crc32c

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        if self._counted:
            self.forget()
        async with chunks_of(self._body) as chunks:
            async for chunk in chunks:
                self._counted += len(chunk)
                self._count(len(chunk))
                yield chunk

    @property
    def counted(self) -> int:
        """The bytes that were taken so far."""
        return self._counted

    @property
    def uncounted(self) -> Body:
        """The same body without counting, for reading it before it is sent."""
        return self._body

    def forget(self) -> None:
        """Takes back what was counted: the bytes have to be sent again."""
        counted, self._counted = self._counted, 0
        self._count(-counted)


class MeteredReader(MeteredBody):
    """A read that is counted as it is written."""

    __slots__ = ("_reading",)

    def __init__(self, reading: Reader, count: Callable[[int], None]) -> None:
        super().__init__(reading, count)
        self._reading = reading

    async def read(self) -> Buffer:
        chunk = await self._reading.read()
        size = len(chunk)
        self._counted += size
        self._count(size)
        return chunk

    async def readinto(self, buffer: memoryview) -> int:
        return self._moved(await self._reading.readinto(buffer))

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        return self._moved(await self._reading.stream_to(buffer, write, run))

    def _moved(self, size: int) -> int:
        self._counted += size
        self._count(size)
        return size
