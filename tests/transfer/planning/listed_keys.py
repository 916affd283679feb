"""A listing of keys in memory, on a clock of its own."""

from __future__ import annotations

import asyncio
from bisect import bisect_right, insort
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.common.listing_orders import by_directories
from dxflow_async.providers.contract import Entry, Page
from dxflow_async.providers.http import Call
from dxflow_async.transfer.planning.parallel_listing import list_in_parallel

__all__ = ["ListedKeys", "run_on_its_own_clock"]

T = TypeVar("T")


class ListedKeys:
    """Answers pages of some keys after a delay.

    Attributes:
        keys: in the order of the service; they may change in the meantime.
        requests: how many pages were requested.
    """

    def __init__(
        self,
        keys: list[str],
        *,
        page_size: int = 100,
        delay: float = 0.04,
        honest: bool = True,
        directories: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.keys = sorted(keys, key=by_directories) if directories else list(keys)
        self._order: Callable[[str], str] = by_directories if directories else str
        self._directories = directories
        self.requests = 0
        self.before_answer: Callable[[], None] = lambda: None
        self._page_size = page_size
        self._delay = delay
        self._honest = honest
        self._metadata = metadata or {}

    async def after(self, key: str) -> Page:
        """Returns the first page of the keys above one."""
        if not self._honest:
            await asyncio.sleep(self._delay)
            raise UnsupportedError("the server ignores where it is to start")
        return await self.page(key)

    async def page(self, cursor: str) -> Page:
        """Returns a page; a cursor is the last key of the page before."""
        self.requests += 1
        await asyncio.sleep(self._delay)
        self.before_answer()
        start = bisect_right(self.keys, self._order(cursor), key=self._order)
        found = self.keys[start : start + self._page_size]
        more = start + len(found) < len(self.keys)
        return Page([Entry(key, metadata=self._metadata) for key in found], found[-1] if more else None)

    def add(self, key: str) -> None:
        """Adds a key."""
        insort(self.keys, key, key=self._order)

    async def listed(self, *, order_is_known: bool = True) -> list[str]:
        """Returns what a listing finds that goes on in parallel from the first page."""
        first = await self.page("")
        if first.cursor is None:
            return [entry.key for entry in first.entries]
        found: list[str] = []
        call = Call("TEST", "list", "/")
        directories = self._directories if order_is_known else None
        listing = list_in_parallel(call, "", first, go_on=self.page, start_after=self.after, directories=directories)
        async with aclosing(listing) as pages:
            async for page in pages:
                found += [entry.key for entry in page.entries]
        return found


class _Clock(asyncio.SelectorEventLoop):
    """A loop whose time goes on when it has nothing else to do."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def run_on_its_own_clock(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """Runs a coroutine whose sleeps cost no time; returns its result and the seconds that passed for it."""
    loop = _Clock()
    try:
        return loop.run_until_complete(work), loop.time()
    finally:
        loop.close()
