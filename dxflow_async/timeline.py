"""The record of a call over time: buckets of equal length, histograms, and the slowest items.

Its size is fixed. When the buckets are used up, each pair of neighbours becomes one bucket of twice the length, so a
call of an hour has as many of them as a call of a minute. Counters are sampled, so an item costs only its place in the
two histograms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heappush, heapreplace
from time import time
from typing import Any

from dxflow_async.result_tables import mapped

__all__ = ["MAX_BUCKETS", "Bucket", "Histogram", "SlowItem", "Timeline"]

MAX_BUCKETS = 256
"""The most buckets. It is even, so that pairs of neighbours can become one."""

_FIRST_WIDTH = 0.05
"""Seconds of a bucket at first."""

_BINS = 64

_SLOWEST = 20
"""The number of slowest items that are kept."""

_COUNTERS = ("bytes", "items", "failed", "retries", "throttles", "requests", "request_seconds", "item_seconds")


@dataclass(slots=True)
class Bucket:
    """What happened in one stretch of time.

    Attributes:
        bytes: bytes that moved. A negative number takes back bytes that turned out to be useless.
        items: items that ended.
        failed: items that failed.
        retries: requests that failed and were repeated.
        throttles: requests that a service refused because there were too many.
        requests: requests that ended.
        request_seconds: the sum of the seconds that these requests took.
        item_seconds: the sum of the seconds that the items took.
        concurrency: the most requests that were allowed in flight.
    """

    bytes: int = 0
    items: int = 0
    failed: int = 0
    retries: int = 0
    throttles: int = 0
    requests: int = 0
    request_seconds: float = 0.0
    item_seconds: float = 0.0
    concurrency: int = 0

    def add(self, other: Bucket) -> None:
        """Adds the counters of another bucket, and keeps the higher concurrency."""
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.concurrency = max(self.concurrency, other.concurrency)

    def minus(self, other: Bucket) -> Bucket:
        """Returns the counters less those of an earlier sample; the concurrency stays."""
        counters = {name: getattr(self, name) - getattr(other, name) for name in _COUNTERS}
        return Bucket(**counters, concurrency=self.concurrency)

    def share(self, fraction: float) -> Bucket:
        """Returns a fraction of the counters, rounded where they are whole numbers."""
        found = Bucket(concurrency=self.concurrency)
        for name in _COUNTERS:
            value = getattr(self, name) * fraction
            setattr(found, name, value if name.endswith("_seconds") else round(value))
        return found

    @property
    def latency(self) -> float | None:
        """The mean seconds of a request; None if none ended."""
        return self.request_seconds / self.requests if self.requests else None


class Histogram:
    """Counts values by powers of two.

    Args:
        unit: the width of the first bin; each further one begins where the last one ends, and is twice as wide.

    Example:
        >>> sizes = Histogram()
        >>> for size in (0, 1, 5, 7):
        ...     sizes.add(size)
        >>> sizes.bins()
        [(0.0, 1.0, 1), (1.0, 2.0, 1), (4.0, 8.0, 2)]
    """

    __slots__ = ("_counts", "_per_unit", "unit")

    def __init__(self, unit: float = 1.0) -> None:
        self.unit = unit
        self._per_unit = 1.0 / unit
        self._counts = [0] * _BINS

    def add(self, value: float) -> None:
        """Counts a value. Negative values count as 0, and values beyond the last bin belong to it."""
        place = int(value * self._per_unit).bit_length() if value > 0 else 0
        self._counts[place if place < _BINS else -1] += 1

    def extend(self, other: Histogram) -> None:
        """Adds the counts of a histogram of the same unit."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]

    def bins(self) -> list[tuple[float, float, int]]:
        """Returns the bins that are not empty: where they begin, where they end, and their counts."""
        return [
            (self._start(place), self._start(place + 1), count) for place, count in enumerate(self._counts) if count
        ]

    def to_dict(self) -> list[dict[str, float]]:
        """Returns the bins as plain JSON types."""
        return [{"from": start, "to": end, "count": count} for start, end, count in self.bins()]

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self._counts)

    def _start(self, place: int) -> float:
        return self.unit * 2.0 ** (place - 1) if place else 0.0


@dataclass(frozen=True, slots=True, order=True)
class SlowItem:
    """One of the slowest items.

    Attributes:
        seconds: from the first contact to the last byte.
        source, destination: as results show them.
        bytes: how many were transferred.
        attempts: 1 if nothing was retried.
    """

    seconds: float
    source: str
    destination: str
    bytes: int
    attempts: int


@dataclass(slots=True, eq=False)
class Timeline:
    """What happened when in a call. It takes at most some 150 KiB, however many items there are.

    Attributes:
        operation: `"upload"`, `"copy"`, `"sync"`, ...
        source, destination: as the caller wrote them, without secrets; None if each item has its own.
        settings: the settings that applied, none of which is a secret.
        began: seconds since the epoch.
        seconds: the seconds that were recorded.
        width: the length of a bucket, in seconds.
        buckets: at most `MAX_BUCKETS`, from the beginning of the call on. The last one may be incomplete.
        sizes: the sizes of the items that were transferred, in bytes.
        durations: how long they took, in seconds.

    Example:
        >>> timeline = Timeline("copy")
        >>> timeline.sample(0.1, Bucket(bytes=1000, items=10))
        >>> timeline.width, [bucket.bytes for bucket in timeline.buckets]
        (0.05, [500, 500])
    """

    operation: str = ""
    source: str | None = None
    destination: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time)
    seconds: float = 0.0
    width: float = _FIRST_WIDTH
    buckets: list[Bucket] = field(default_factory=list)
    sizes: Histogram = field(default_factory=Histogram)
    durations: Histogram = field(default_factory=lambda: Histogram(1e-4))
    item_seconds: float = 0.0
    _slowest: list[SlowItem] = field(default_factory=list)
    _sampled: Bucket = field(default_factory=Bucket)

    def add(self, source: str, destination: str, size: int, seconds: float, attempts: int = 1) -> None:
        """Counts an item that was transferred."""
        self.sizes.add(size)
        self.durations.add(seconds)
        self.item_seconds += seconds
        slowest = self._slowest
        if len(slowest) < _SLOWEST:
            heappush(slowest, SlowItem(seconds, source, destination, size, attempts))
        elif seconds > slowest[0].seconds:
            heapreplace(slowest, SlowItem(seconds, source, destination, size, attempts))

    def sample(self, seconds: float, totals: Bucket) -> None:
        """Records the counters of the call at a time.

        Args:
            seconds: since the call began.
            totals: the counters since then, and the concurrency of the moment.
        """
        change = totals.minus(self._sampled)
        self._sampled = totals
        self._spread(self.seconds, max(seconds, self.seconds), change)

    def extend(self, other: Timeline) -> None:
        """Appends the record of a call that followed this one."""
        end = self.seconds
        for place, bucket in enumerate(other.buckets):
            start = place * other.width
            self._spread(end + start, end + min(start + other.width, max(other.seconds, start)), bucket)
        self.sizes.extend(other.sizes)
        self.durations.extend(other.durations)
        self.item_seconds += other.item_seconds
        for item in other._slowest:
            if len(self._slowest) < _SLOWEST:
                heappush(self._slowest, item)
            elif item > self._slowest[0]:
                heapreplace(self._slowest, item)

    @property
    def slowest(self) -> list[SlowItem]:
        """The slowest items, the slowest first; at most 20."""
        return sorted(self._slowest, reverse=True)

    @property
    def totals(self) -> Bucket:
        """The sums over the whole call, and the highest concurrency."""
        whole = Bucket()
        for bucket in self.buckets:
            whole.add(bucket)
        return whole

    def to_dict(self) -> dict[str, Any]:
        """Returns the record as plain JSON types."""
        return {
            **mapped(self, ("operation", "source", "destination", "began", "seconds", "width")),
            "settings": dict(self.settings),
            "buckets": [mapped(bucket, Bucket.__slots__) for bucket in self.buckets],
            "sizes": self.sizes.to_dict(),
            "durations": self.durations.to_dict(),
            "slowest": [mapped(item, SlowItem.__slots__) for item in self.slowest],
        }

    def _spread(self, start: float, end: float, counters: Bucket) -> None:
        """Adds counters to the buckets of a stretch of time, each its share. The sums are exact."""
        self.seconds = max(self.seconds, end)
        while int(end / self.width) >= MAX_BUCKETS:
            self._merge()
        first, last = int(start / self.width), int(end / self.width)
        if last > first and last * self.width >= end:  # it ends where the last bucket would begin
            last -= 1
        while len(self.buckets) <= last:
            self.buckets.append(Bucket())
        if first >= last:
            self.buckets[last].add(counters)
            return
        given = Bucket()
        for place in range(first, last):
            until = counters.share(((place + 1) * self.width - start) / (end - start))
            self.buckets[place].add(until.minus(given))
            given = until
        self.buckets[last].add(counters.minus(given))

    def _merge(self) -> None:
        """Makes one bucket of each pair of neighbours."""
        for even, odd in zip(self.buckets[::2], self.buckets[1::2], strict=False):
            even.add(odd)
        self.buckets = self.buckets[::2]
        self.width *= 2
