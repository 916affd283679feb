"""Ranges of keys that are handed to workers piece by piece, and cut again while there are fewer than workers can do.

The keys behind those that are planned are cut into ranges, three for each worker. A worker does a range up to the end
of a page with which it has enough; what is left of it is handed out again. While there are too few ranges, one that a
worker returns is cut first. Every key lies in exactly one range.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from anyio.abc import TaskGroup

from dxflow_async.concurrency.pool import open_task_group
from dxflow_async.exceptions import StorageError
from dxflow_async.transfer.executor.sizes import SHARDS_PER_WORKER
from dxflow_async.transfer.executor.work import Work
from dxflow_async.transfer.planning.key_space import KeySpace

__all__ = ["LEAST_ITEMS", "KeySpan", "SharedRanges", "WorkPerformer"]

LEAST_ITEMS = 1000
"""A worker does at least so many objects of a range: fewer are not worth a listing."""

_WORTH = 2.0
"""A range is cut if what is left of it is so many times what a worker did of it at a time."""


class WorkPerformer(Protocol):
    """What the coordinator does for ranges."""

    async def perform_range(self, work: Work) -> None:
        """Has workers do some work, and settles it."""


class KeySpan:
    """The keys above `low` up to and including `high`.

    Args:
        low, high: its ends; `high` is None where all keys that follow belong to it.
        page: the first and the last key of what was listed at a time.

    Attributes:
        position: everything up to this key is done.
        first: the first key behind `low`, which may lie behind `high`.
        beyond: the first key behind it that was listed.
        ended: nothing of the range is left.
    """

    __slots__ = ("beyond", "ended", "first", "high", "low", "page", "position")

    def __init__(self, low: str, high: str | None, page: tuple[str, str]) -> None:
        self.low = self.position = low
        self.high = high
        self.page = page
        self.first: str | None = None
        self.beyond: str | None = None
        self.ended = False


S = TypeVar("S", bound=KeySpan)


class SharedRanges(ABC, Generic[S]):
    """Has workers do all keys behind those that are planned.

    Args:
        prefix: the directory.
        keys: the last keys that were listed.
        workers: returns how many workers there are.

    Attributes:
        error: why the directory could not be done to its end.
    """

    def __init__(self, prefix: str, keys: Sequence[str], workers: Callable[[], int]) -> None:
        self._workers = workers
        self._space = KeySpace(prefix)
        self._space.learn(keys)
        self._ranges: list[S] = []
        self._active = 0
        self._group: TaskGroup
        self.error: StorageError | None = None

    @abstractmethod
    def _make(self, low: str, high: str | None, page: tuple[str, str]) -> S:
        """Returns a new range."""

    @abstractmethod
    async def _perform(self, span: S) -> bool:
        """Has a worker do a piece of a range. Returns whether workers go on with what is left."""

    async def _perform_all(self, first: S) -> None:
        """Cuts the first range, and has workers do all of them."""
        async with open_task_group() as self._group:
            self._start(first)
            for later in self._cut(first):
                self._start(later)

    async def _perform_again(self, ranges: Sequence[S]) -> None:
        """Has workers do what is left of ranges, once all are done."""
        async with open_task_group() as self._group:
            for each in ranges:
                self._go_on(each)

    def _start(self, span: S) -> None:
        self._ranges.append(span)
        self._go_on(span)

    def _go_on(self, span: S) -> None:
        self._active += 1
        self._group.start_soon(self._perform_range, span)

    async def _perform_range(self, span: S) -> None:
        """Has workers do a range, piece by piece."""
        try:
            while not span.ended and self.error is None:
                if not await self._perform(span):
                    return
                for later in self._cut(span):
                    self._start(later)
        finally:
            self._active -= 1

    def _cut(self, span: S) -> list[S]:
        """Cuts what is left of a range, as often as there are too few ranges; returns the new ones."""
        wanted = SHARDS_PER_WORKER * max(self._workers(), 1) - self._active
        waiting, new = deque([span]), list[S]()
        while waiting and len(new) < wanted and not span.ended:
            each = waiting.popleft()
            if self._space.share(each.position, each.high, *each.page) < _WORTH:
                continue
            middle = self._space.middle(each.position, each.high, *each.page)
            if middle is None:
                continue
            later = self._make(middle, each.high, each.page)
            each.high = middle
            new.append(later)
            waiting += (each, later)
        return new
