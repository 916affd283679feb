"""Counts what a call has done, and reports it at most ten times a second."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from time import monotonic

from dxflow_async.models import Progress, TransferResult
from dxflow_async.providers.contract import Body, Buffer, Reader, Run, Write
from dxflow_async.streams import chunks_of

__all__ = ["Meter", "MeteredBody", "MeteredReader", "OnProgress"]

OnProgress = Callable[[Progress], None]

_INTERVAL = 0.1


class Meter:
    """The counters of one call.

    Args:
        on_progress: called with the counters from the event loop, and once at the end. It should return at once.
        concurrency: returns how many requests may be in flight now.

    Attributes:
        raised: the exception that `on_progress` raised. It is not called again.
        others_left: items that others move meanwhile; see `left`.
    """

    def __init__(self, on_progress: OnProgress | None = None, concurrency: Callable[[], int] = lambda: 0) -> None:
        self._concurrency = concurrency
        self.raised: BaseException | None = None
        self.others_left = 0
        self._on_progress = on_progress
        self._started = monotonic()
        self._told = 0.0
        self._complete = False
        self._files_planned = self._bytes_planned = 0
        self._files_done = self._bytes_done = 0
        self._failed = self._retries = 0

    @property
    def seconds(self) -> float:
        """Seconds since the call began."""
        return monotonic() - self._started

    @property
    def left(self) -> int:
        """Items that are planned and have not ended."""
        return self._files_planned - self._files_done + self.others_left

    def planned(self, size: int) -> None:
        """Counts a planned item. `size` is in bytes, 0 if it is not known yet."""
        self._files_planned += 1
        self._bytes_planned += size

    def sized(self, size: int) -> None:
        """Adds the size of an item whose size was not known when it was planned."""
        self._bytes_planned += size

    def plan_ended(self) -> None:
        """Notes that the totals are known."""
        self._complete = True

    def moved(self, size: int) -> None:
        """Counts bytes that moved. A negative number takes back bytes that turned out to be useless."""
        self._bytes_done += size
        self._tell()

    def done(self, result: TransferResult) -> None:
        """Counts an item that ended."""
        self._files_done += 1
        self._failed += result.error is not None
        self._retries += result.attempts - 1
        self._tell()

    def close(self) -> None:
        """Reports the final counters."""
        if self._on_progress is not None and self.raised is None:
            self._on_progress(self.state())

    def state(self) -> Progress:
        """Returns the counters."""
        return Progress(
            self._files_done,
            self._files_planned if self._complete else None,
            self._bytes_done,
            self._bytes_planned if self._complete else None,
            self._failed,
            self._retries,
            monotonic() - self._started,
            self._concurrency(),
        )

    def _tell(self) -> None:
        if self._on_progress is not None and (now := monotonic()) - self._told >= _INTERVAL:
            self._told = now
            if self.raised is None:
                try:
                    self._on_progress(self.state())
                except BaseException as error:
                    self.raised = error
                    raise


class MeteredBody:
    """A body that counts its bytes as they are taken. The count starts anew each time the body is sent."""

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
        self._moved(len(chunk))
        return chunk

    async def readinto(self, buffer: memoryview) -> int:
        return self._moved(await self._reading.readinto(buffer))

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        return self._moved(await self._reading.stream_to(buffer, write, run))

    def _moved(self, size: int) -> int:
        self._counted += size
        self._count(size)
        return size
