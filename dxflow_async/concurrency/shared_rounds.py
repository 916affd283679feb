"""Work that callers share, though each of them needs a result that is no older than its call.

A caller cannot use work that began before it called, but all who wait for that work to end can share the next one. So
however many callers there are, one piece of work by each key runs at a time, and at most one waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["SharedRounds"]

T = TypeVar("T")


class _Round(Generic[T]):
    """One piece of work, and how many callers wait for it."""

    task: asyncio.Task[T]
    waiting = 0


class SharedRounds(Generic[T]):
    """Rounds of work by key.

    Example:
        >>> async def names() -> list[str]:
        ...     return await rounds.run(directory, lambda: read_directory(directory))
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, _Round[T]] = {}
        self._next: dict[Hashable, _Round[T]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Returns the result of work that begins after this call, here or for another caller.

        Work for which nobody waits any more is cancelled.

        Args:
            key: says what is done.
            work: does it.
        """
        joined = self._next.get(key)
        if joined is None:
            joined = self._next[key] = _Round()
            joined.task = asyncio.create_task(self._run(key, joined, work, self._running.get(key)))
        joined.waiting += 1
        try:
            return await asyncio.shield(joined.task)
        finally:
            joined.waiting -= 1
            if not joined.waiting:
                joined.task.cancel()
                if self._next.get(key) is joined:
                    del self._next[key]

    async def _run(
        self, key: Hashable, this: _Round[T], work: Callable[[], Awaitable[T]], before: _Round[T] | None
    ) -> T:
        if before is not None:
            await asyncio.wait([before.task])
        del self._next[key]
        self._running[key] = this
        try:
            return await work()
        finally:
            if self._running.get(key) is this:
                del self._running[key]
