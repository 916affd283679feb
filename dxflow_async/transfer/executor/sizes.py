"""How large shards are, and how many are handed out. Pure arithmetic; sizes are in bytes, times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from dxflow_async.transfer.executor.shard import Budget

__all__ = ["SHARDS_PER_WORKER", "ShardSizes", "Sharers", "share"]

SHARDS_PER_WORKER = 3
"""Shards that are handed out per worker: one that it works on, and two that wait, so that no worker waits."""

_SECONDS = 1.0
"""A shard is at least this much work: handing it out and taking its receipts costs some milliseconds."""

_LATENCIES = 20
"""A shard lasts at least as long as so many of its requests: at its end, connections idle for about one request."""

_LONGEST = 15.0
_GROWTH = 2.0
_PARTS_AT_ONCE = (8, 64)
"""A worker moves the parts of a shard at the same time. With fewer, a slow connection is all that it uses."""

_ITEMS = (64, 4096)
_BYTES = (32 << 20, 1 << 30)


@dataclass(slots=True)
class ShardSizes:
    """The sizes of the next shards, which follow the times that shards took.

    A shard is full when it has `items` items, or `bytes` bytes, whichever comes first. The first shards are small, so
    that all workers begin at once.
    """

    items: int = _ITEMS[0] * 2
    bytes: int = _BYTES[0]

    def took(self, seconds: float, items: int, size: int, latency: float) -> None:
        """Notes how long a full shard took.

        Args:
            seconds: from its beginning to its end.
            items: its requests: items or parts.
            size: its bytes.
            latency: the mean time that one of its requests took.
        """
        wanted = min(max(_SECONDS, _LATENCIES * latency), _LONGEST)
        factor = min(max(wanted / max(seconds, 1e-3), 1 / _GROWTH), _GROWTH)
        if items >= self.items // 2 or factor < 1:
            self.items = min(max(int(self.items * factor), _ITEMS[0]), _ITEMS[1])
        if size >= self.bytes // 2 or factor < 1:
            self.bytes = min(max(int(self.bytes * factor), _BYTES[0]), _BYTES[1])

    def parts(self, part_size: int, left: int, workers: int) -> int:
        """Returns how many parts of one object go into a shard, so that one object keeps every worker busy.

        Args:
            part_size: the size of a part.
            left: the bytes of the object that are not handed out.
            workers: how many workers there are.

        Example:
            >>> ShardSizes(bytes=256 << 20).parts(8 << 20, 2 << 30, 4)
            21
            >>> ShardSizes(bytes=32 << 20).parts(32 << 20, 1 << 30, 4)
            8
        """
        least = _PARTS_AT_ONCE[0] * part_size
        even = max(left // (workers * SHARDS_PER_WORKER), min(left // workers, least))
        return max(1, min(max(self.bytes, least), even) // max(part_size, 1))

    def most_parts(self, part_size: int) -> int:
        """Returns how many parts of some size a shard has at the most."""
        least, most = _PARTS_AT_ONCE
        return max(least, min(self.bytes // part_size, most))


_STEADY_SECONDS = 1.0


@dataclass(slots=True)
class Sharers:
    """How many sessions of workers share the limits of a call: those that have shards.

    The number falls once it has been lower for a second, since the next shards may be about to be handed out.

    Attributes:
        count: the number; 0 before the first shard.
    """

    count: int = 0
    _fewer_since: float | None = None

    def grow(self, sessions: int, shards: int) -> bool:
        """Notes that a shard is handed out; returns whether the number has grown beyond that of the last time.

        Args:
            sessions: the workers have so many.
            shards: that are handed out, with this one.
        """
        if not self.count:
            self.count = sessions
            return False
        wanted = min(sessions, shards)
        grown = wanted > self.count
        self.count = max(self.count, wanted)
        return grown

    def shrink(self, sessions: int, shards: int, now: float) -> bool:
        """Is called from time to time; returns whether the number has fallen.

        Args:
            sessions, shards: as for `grow`.
            now: seconds of any clock.
        """
        wanted = max(min(sessions, shards), 1)
        if wanted >= self.count:
            self._fewer_since = None
            return False
        if self._fewer_since is None:
            self._fewer_since = now
        if now - self._fewer_since < _STEADY_SECONDS:
            return False
        self.count, self._fewer_since = wanted, None
        return True


def share(max_concurrency: int, max_bandwidth: int | None, workers: int) -> Budget:
    """Returns one worker's share of the limits of a call.

    Example:
        >>> share(512, 1000, 4)
        Budget(max_concurrency=128, max_bandwidth=250)
    """
    count = max(workers, 1)
    return Budget(max(max_concurrency // count, 1), None if max_bandwidth is None else max(max_bandwidth // count, 1))
