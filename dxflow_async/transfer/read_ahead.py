"""How many parts are read ahead of their writes, where parts pass through memory.

A part that is copied between two services is read into memory, waits there for a place among the destination's writes,
and stays until it is written. Where the source is the faster side, every part that could be read would wait, and fill
the whole memory budget without making the copy faster. So the next part is read only when it will be needed.

By Little's law, writes that take `write_seconds` each, `places` at a time, need `places * read_seconds /
write_seconds` parts that are being read, and one more for each place that is free. The square root of `places` is
added as a stock, since some writes end together. Where the source is the slower side, that is more than the source
allows, whose own limit then decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import ceil, sqrt
from time import monotonic
from typing import TypeVar

from dxflow_async.providers.contract import Body
from dxflow_async.transfer.adaptive_limit import AdaptiveLimit
from dxflow_async.transfer.gate import Gate

__all__ = ["PartAhead", "ReadAhead"]

T = TypeVar("T")

_NEWEST = 0.25
"""The share of the newest time in the mean of the times of writes."""

_FORGOTTEN = 0.05
"""The share of the newest time by which the best time of reads rises."""


class ReadAhead:
    """The parts of 1 MiB and more from one endpoint to another that are being read, or wait for their writes.

    Args:
        source, destination: the requests in flight to both endpoints.
        clock: returns the time in seconds.
    """

    def __init__(
        self, source: AdaptiveLimit, destination: AdaptiveLimit, clock: Callable[[], float] = monotonic
    ) -> None:
        self._source = source
        self._destination = destination
        self._clock = clock
        self._gate = Gate()
        self._read_seconds = self._write_seconds = 0.0

    @property
    def ahead(self) -> int:
        """How many parts are being read or wait for a place. A part whose read has failed is not counted."""
        return self._gate.inside

    @property
    def limit(self) -> int:
        """How many parts may be being read or wait for a place now."""
        # One more than may be read at a time: the limit on reads rises only if a read waits for its place.
        readable = self._source.read_limit + 1
        places, known = self._destination.write_limit, self._read_seconds and self._write_seconds
        needed = places * self._read_seconds / self._write_seconds if known else places
        return min(readable, ceil(needed + sqrt(places)) + self._destination.free_writes)

    async def enter(self) -> PartAhead:
        """Waits until another part may be read."""
        self.admit()
        await self._gate.enter()
        return PartAhead(self)

    def admit(self) -> None:
        """Lets parts in after the limit has changed."""
        self._gate.capacity = self.limit
        self._gate.admit()

    def _leave(self, *, counts: bool) -> None:
        self._gate.inside -= counts
        self.admit()

    def _read(self, seconds: float) -> None:
        # The best time counts: reads that are more than enough slow each other down, and would call for even more.
        known = self._read_seconds
        self._read_seconds = min(seconds, known + (seconds - known) * _FORGOTTEN) if known else seconds

    def _wrote(self, seconds: float) -> None:
        known = self._write_seconds
        self._write_seconds = known + (seconds - known) * _NEWEST if known else seconds


class PartAhead:
    """A part that `ReadAhead.enter` let in. Call `leave` in the end."""

    __slots__ = ("_all", "_counts", "_is_read", "_since")

    def __init__(self, everything: ReadAhead) -> None:
        self._all = everything
        self._counts = True
        self._is_read = False
        self._since = 0.0

    def begins(self) -> None:
        """Notes that its memory is reserved, and that it is read from now on."""
        self._since = self._all._clock()

    def failed(self) -> None:
        """Notes that its read has failed and waits for a retry, which must not hold up others."""
        if not self._is_read:
            self.leave()

    def ends(self) -> None:
        """Notes that it is in memory, and waits for a place among the writes."""
        self._is_read = True
        if self._counts:
            self._all._read(self._all._clock() - self._since)

    async def write(self, deliver: Callable[[Body], Awaitable[T]], body: Body) -> T:
        """Delivers its body, in a place among the writes."""
        self.leave()
        began = self._all._clock()
        delivered = await deliver(body)
        self._all._wrote(self._all._clock() - began)
        return delivered

    def leave(self) -> None:
        """Notes that it is not ahead of its write any more, or that its write has ended."""
        counts, self._counts = self._counts, False
        self._all._leave(counts=counts)
