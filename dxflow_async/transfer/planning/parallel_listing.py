"""A long listing, asked for in several places at once, in the order of the keys.

The keys are cut into ranges. Each range is listed page by page, and a range that turns out long is cut in the middle
of what is left of it. Free places go to the earliest range that can use one, so most requests are made close to the
caller; the pages of later ranges wait in a buffer of fixed size. Every key lies in exactly one range, therefore it is
found exactly once, also while other keys come and go.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from anyio import CancelScope

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.common.confirm import contradiction
from dxflow_async.providers.contract import Page
from dxflow_async.providers.http import Call
from dxflow_async.transfer.planning.cursors import Cursors
from dxflow_async.transfer.planning.key_space import KeySpace

__all__ = ["list_in_parallel"]

_REQUESTS = 16
"""Requests at a time. More do not help one process: it reads some five hundred pages a second."""

_BUFFERED = 64
"""Pages that wait for the caller or are on their way: some 25 MB."""

_WORTH = 4.0
"""A range is cut if so many pages are expected in the rest of it; the next one is on its way already."""


class _Range:
    """The keys above `low` up to and including `high`.

    Attributes:
        position: all keys up to it are listed.
        cursor: continues the listing; None before its first page.
        page: the first and the last key of the last page, here or in the range that this one was cut from.
        unbounded: no key above `high` is known.
    """

    __slots__ = (
        "cursor",
        "cursors",
        "doubt",
        "ended",
        "error",
        "high",
        "page",
        "pages",
        "position",
        "request",
        "unbounded",
    )

    def __init__(self, low: str, high: str | None, page: tuple[str, str]) -> None:
        self.position = low
        self.high = high
        self.cursor: Any | None = None
        self.cursors = Cursors()
        self.page = page
        self.pages: deque[Page] = deque()
        self.request: asyncio.Task[Page] | None = None
        self.ended = False
        self.error: Exception | None = None
        self.unbounded = high is None


async def list_in_parallel(
    call: Call,
    prefix: str,
    begun: Page,
    *,
    go_on: Callable[[Any], Coroutine[Any, Any, Page]],
    start_after: Callable[[str], Coroutine[Any, Any, Page]],
) -> AsyncGenerator[Page, None]:
    """Yields a page and those after it, in the order of their keys.

    The first request goes on from the page by its last key instead of its cursor. If the answer does not begin there,
    the listing is not cut, and goes on by cursors.

    Args:
        call: the listing, for errors.
        prefix: the beginning of the keys.
        begun: a page of the listing with entries and a cursor.
        go_on: returns the page of a cursor.
        start_after: returns the first page of the keys above one.

    Raises:
        StorageError: a page could not be fetched. The entries before it are right.
    """
    listing = _Listing(call, prefix, begun, go_on, start_after)
    try:
        listing.start_requests()
        yield Page(begun.entries, None, begun.directories)
        while (page := await listing.next_page()) is not None:
            yield page
    finally:
        with CancelScope(shield=True):
            await listing.aclose()


class _Listing:
    def __init__(
        self,
        call: Call,
        prefix: str,
        begun: Page,
        go_on: Callable[[Any], Coroutine[Any, Any, Page]],
        start_after: Callable[[str], Coroutine[Any, Any, Page]],
    ) -> None:
        keys = [entry.key for entry in begun.entries]
        self._space = KeySpace(prefix)
        self._space.learn(keys)
        self._ranges = [_Range(keys[-1], None, (keys[0], keys[-1]))]
        self._running: dict[asyncio.Task[Page], _Range] = {}
        self._cancelled: list[asyncio.Task[Page]] = []
        self._buffered = 0
        self._call, self._go_on, self._start_after = call, go_on, start_after
        self._begun: Any = begun.cursor
        """The cursor to go on by; None once the service has begun a page at the key that was requested."""
        self._cutting = False
        self._pages = 2
        """Pages with keys so far. No more requests run at a time, so a listing that ends soon wastes few of them."""

    async def next_page(self) -> Page | None:
        """Returns the next page that has entries; None at the end."""
        while self._ranges:
            first = self._ranges[0]
            if first.pages:
                self._buffered -= 1
                page = first.pages.popleft()
                self.start_requests()
                return page
            if first.error is not None:
                raise first.error
            if first.ended:
                del self._ranges[0]
                continue
            self.start_requests()
            done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            for request in done:
                if (found := self._running.pop(request, None)) is not None:
                    self._answered(found, request)
        return None

    async def aclose(self) -> None:
        """Ends the requests that nobody waits for; their errors are dropped."""
        for request in self._running:
            request.cancel()
        unwanted = (*self._running, *self._cancelled)
        if unwanted:
            await asyncio.wait(unwanted)

    def start_requests(self) -> None:
        """Gives free places to the earliest ranges: to their next page, or else to a part of them."""
        index = 0
        while index < len(self._ranges) and len(self._running) < min(_REQUESTS, self._pages):
            found = self._ranges[index]
            if index and self._buffered + len(self._running) >= _BUFFERED:
                return
            if found.request is None and not found.ended and found.error is None:
                self._request(found)
            elif found.request is not None and (cut := self._cut(found)) is not None:
                self._ranges.insert(index + 1, cut)
                self._request(cut)
                continue  # the rest of it may be worth another cut
            index += 1

    def _request(self, found: _Range) -> None:
        page = self._start_after(found.position) if found.cursor is None else self._go_on(found.cursor)
        found.request = asyncio.create_task(page)
        self._running[found.request] = found

    def _cut(self, found: _Range) -> _Range | None:
        """Cuts the later half off a range that is long; returns it."""
        if not self._cutting:
            return None
        # Of what lies behind the last key so far, nothing is known: one request at a time looks there.
        last = found.unbounded and all(other.ended for other in self._ranges[self._ranges.index(found) + 1 :])
        short = self._space.share(found.position, found.high, *found.page) < _WORTH
        if short and not last:
            return None
        middle = self._space.middle(found.position, found.high, *found.page, wide=short)
        if middle is None:
            return None
        later = _Range(middle, found.high, found.page)
        later.unbounded = found.unbounded
        found.high = middle
        return later

    def _answered(self, found: _Range, request: asyncio.Task[Page]) -> None:
        """Takes the answer to the request of a range."""
        found.request = None
        try:
            page = request.result()
            if page.entries and page.entries[0].key <= found.position:
                raise contradiction(self._call, "a page goes back to keys that are listed already")
        except Exception as error:  # noqa: BLE001 - raised to the caller when it has all entries before it
            if self._begun is None or not isinstance(error, UnsupportedError):
                found.error = error
                return
            page = Page((), self._begun)
        if self._begun is not None:
            # That there is more is known from the page before: an empty answer proves nothing.
            self._cutting = found.cursor is None and bool(page.entries)
            if not self._cutting and found.cursor is None:
                page = Page((), self._begun)
            self._begun = None
        self._take(found, page)

    def _take(self, found: _Range, page: Page) -> None:
        if found.cursors.repeat(page.cursor):
            found.error = contradiction(self._call, "the listing goes in a circle")
            return
        entries = page.entries
        found.cursor, found.ended = page.cursor, page.cursor is None
        if entries:
            for earlier in self._ranges[: self._ranges.index(found)]:
                earlier.unbounded = False
            keys = [entry.key for entry in entries]
            self._space.learn(keys)
            found.position, found.page = keys[-1], (keys[0], keys[-1])
            if found.high is not None and keys[-1] > found.high:
                entries = entries[: bisect_right(keys, found.high)]
                found.ended = True
        if entries:
            self._pages += 1
        if entries or page.directories:
            found.pages.append(Page(entries, None, page.directories))
            self._buffered += 1
        if page.cursor is None and entries is page.entries:
            self._end_after(found)

    def _end_after(self, found: _Range) -> None:
        """Ends the ranges behind the last page of all: nobody need wait for what is known."""
        index = self._ranges.index(found) + 1
        for later in self._ranges[index:]:
            if later.request is not None:
                self._running.pop(later.request)
                later.request.cancel()
                self._cancelled.append(later.request)
        self._ranges[index:] = [later for later in self._ranges[index:] if later.pages]
        for later in self._ranges[index:]:
            later.ended = True
