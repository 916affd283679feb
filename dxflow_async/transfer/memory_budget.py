"""The bytes that a session may buffer at a time."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["MemoryBudget", "MemoryShare"]

_LARGE_SIZE = 1 << 20

_RESERVED = 8
"""One in so many bytes is kept for small requests."""


class _Queue:
    """Waiters that are served in order.

    Attributes:
        used: bytes that are taken.
    """

    def __init__(self) -> None:
        self.used = 0
        self.waiters: deque[tuple[asyncio.Future[None], int]] = deque()


class MemoryBudget:
    """The bytes that may be buffered at a time.

    Requests of 1 MiB and more wait in a queue of their own and leave an eighth of the budget to smaller ones, so that a
    large object does not hold up small ones. Each queue is served in order, so a large request is not starved either.

    Args:
        size: bytes. A request for more than this gets all of it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._small, self._large = _Queue(), _Queue()

    @property
    def used(self) -> int:
        """Bytes that are taken now."""
        return self._small.used + self._large.used

    def try_take(self, size: int) -> int:
        """Takes `size` bytes if nobody waits for them; returns the bytes to `give` back, or 0."""
        small, large = self._small, self._large
        if size < _LARGE_SIZE and not (small.waiters or large.waiters) and small.used + large.used + size <= self._size:
            small.used += size  # as nearly always
            return size
        size = min(size, self._size)
        queue = self._queue_of(size)
        if queue.waiters or not self._fits(queue, size):
            return 0
        queue.used += size
        return size

    async def take(self, size: int) -> int:
        """Waits until `size` bytes are free, and returns how many bytes to `give` back."""
        if (taken := self.try_take(size)) or not size:
            return taken
        size = min(size, self._size)
        queue = self._queue_of(size)
        waiter = asyncio.get_running_loop().create_future()
        queue.waiters.append((waiter, size))
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.give(size)
            else:
                waiter.cancel()
                self._serve()
            raise
        return size

    def give(self, size: int) -> None:
        """Gives back what `take` returned."""
        small, large = self._small, self._large
        (large if size >= _LARGE_SIZE else small).used -= size
        if small.waiters or large.waiters:
            self._serve()

    def _queue_of(self, size: int) -> _Queue:
        return self._large if size >= _LARGE_SIZE else self._small

    def _fits(self, queue: _Queue, size: int) -> bool:
        """Returns whether bytes are free. While large requests wait, small ones take only what is kept for them."""
        kept = self._size // _RESERVED
        if queue is self._small and self._large.waiters and queue.used + size > kept:
            return False
        left = self._size - self.used - size
        if queue is self._large and self._large.used:
            left -= max(kept - self._small.used, 0)
        return left >= 0

    def _serve(self) -> None:
        for queue in (self._large, self._small):
            while queue.waiters:
                waiter, size = queue.waiters[0]
                if not waiter.done():
                    if not self._fits(queue, size):
                        break
                    queue.used += size
                    waiter.set_result(None)
                queue.waiters.popleft()


class MemoryShare:
    """What one kind of work may take of a budget, so that others have memory left beside it.

    Args:
        whole: the budget.
        size: bytes. A request for more than this gets all of it.
    """

    def __init__(self, whole: MemoryBudget, size: int) -> None:
        self._whole = whole
        self._share = MemoryBudget(size)

    @property
    def used(self) -> int:
        """Bytes that are taken now."""
        return self._share.used

    def try_take(self, size: int) -> int:
        """See `MemoryBudget.try_take`."""
        taken = self._share.try_take(size)
        if taken and not self._whole.try_take(taken):
            self._share.give(taken)
            return 0
        return taken

    async def take(self, size: int) -> int:
        """See `MemoryBudget.take`."""
        taken = await self._share.take(size)
        try:
            return await self._whole.take(taken)
        except BaseException:
            self._share.give(taken)
            raise

    def give(self, size: int) -> None:
        """See `MemoryBudget.give`."""
        self._whole.give(size)
        self._share.give(size)
