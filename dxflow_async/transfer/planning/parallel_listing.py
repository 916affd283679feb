"""A long listing, asked for in several places at once, in the order of the keys.

The keys are cut into ranges. Each range is listed page by page, and a range that turns out long is cut in the middle
of what is left of it. A place that gets free goes to the next page of the earliest range that waits for one, which is
certain to be needed, and else to a part of the earliest range that is long. The pages of later ranges wait in a buffer
of fixed memory, of which these leave enough to those before them. Every key lies in exactly one range, therefore it is
found exactly once, also while other keys come and go.

Ranges, positions and ends are in the order of the service: of the keys' bytes, or of their directories, in which
`a/b` comes before `a-b`; see `directory_order`.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any

from anyio import CancelScope

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.common.confirm import contradiction
from dxflow_async.providers.common.listing_orders import by_directories, from_directories, orders_differ
from dxflow_async.providers.contract import Entry, ObjectColumns, Page, keys_of
from dxflow_async.providers.http import Call
from dxflow_async.transfer.planning.cursors import Cursors
from dxflow_async.transfer.planning.key_space import KeySpace

__all__ = ["list_in_parallel"]

_REQUESTS = 32
"""Requests at a time. An answer that arrives waits while the process parses others, so some have to be on their way."""

_BUFFERED = 160
"""Places for pages that wait for the caller or are on their way: 70 MB, and 40 where they are columns.

A page takes one of them, unless its objects have much metadata.
"""

_PLACE_SIZE = 448 << 10
_COLUMNS_SIZE, _ENTRY_SIZE, _PAIR_SIZE = 250, 550, 120
"""Bytes that an object takes as columns and as an entry, and those of a pair of its metadata, but for its text."""

_WEIGHED = 16
"""Entries of a page whose metadata is weighed."""

_WORTH, _MOST_WORTH = 4.0, 32.0
"""A range is cut if so many pages are expected in the rest of it; the next one is on its way already."""

_EASIER, _HARDER = 0.8, 1.3
"""More pages have to be expected after each range that ends on its first page, and fewer after each other page."""

_SURPRISES = 3
"""A listing is cut no more after so many ranges that began elsewhere than the one before them had seen."""


def _kept_free(index: int) -> float:
    """Returns how many pages of the buffer a range leaves to those before it: for the last ones it is half as large."""
    return _BUFFERED / 2 * min(index / _REQUESTS, 1.0)


def _places_of(entries: Sequence[Entry]) -> int:
    """Returns how many places the entries of a page take while they wait, by their memory."""
    if isinstance(entries, ObjectColumns):
        size = len(entries) * _COLUMNS_SIZE
    else:
        step = max(1, len(entries) // _WEIGHED)
        weighed = [sum(_PAIR_SIZE + len(text) for text in entry.metadata.values()) for entry in entries[::step]]
        size = len(entries) * _ENTRY_SIZE + sum(weighed) * step
    return max(1, round(size / _PLACE_SIZE))


class _Range:
    """The keys above `low` up to and including `high`.

    Attributes:
        position: all keys up to it are listed.
        cursor: continues the listing; None before its first page.
        page: the first and the last key of the last page, here or in the range that this one was cut from.
        unbounded: no key above `high` is known.
        first: the first key of the first page, which may lie above `high`; None if there was none.
        expected: entries that the range before has seen here, and the cursor behind them.
        share: how many pages are expected in the rest of it; None until that is asked.
        whole: no key to cut it at is found, until there is another page of it.
    """

    __slots__ = (
        "cursor",
        "cursors",
        "ended",
        "error",
        "expected",
        "first",
        "high",
        "page",
        "pages",
        "position",
        "request",
        "share",
        "unbounded",
        "whole",
    )

    def __init__(self, low: str, high: str | None, page: tuple[str, str]) -> None:
        self.position = low
        self.high = high
        self.cursor: Any | None = None
        self.cursors = Cursors()
        self.page = page
        self.pages: deque[Page] = deque()
        self.request: asyncio.Task[None] | None = None
        self.ended = False
        self.error: BaseException | None = None
        self.unbounded = high is None
        self.first: str | None = None
        self.expected: Page | None = None
        self.share: float | None = None
        self.whole = False

    @property
    def places(self) -> int:
        """How many places of the buffer its pages take."""
        return sum(_places_of(page.entries) for page in self.pages)


async def list_in_parallel(
    call: Call,
    prefix: str,
    begun: Page,
    *,
    go_on: Callable[[Any], Coroutine[Any, Any, Page]],
    start_after: Callable[[str], Coroutine[Any, Any, Page]],
    directories: bool | None = False,
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
        directories: the service lists in the order of directories. None: that is not known, since the names so far
            stand alike in both orders; the listing goes on by cursors from the first page that has others.

    Raises:
        StorageError: a page could not be fetched. The entries before it are right.
    """
    listing = _Listing(call, prefix, begun, go_on, start_after, directories=directories)
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
        *,
        directories: bool | None,
    ) -> None:
        self._directories = bool(directories)
        self._order_is_known = directories is not None
        self._in_doubt = False
        """The service need not list in the order that was assumed: a page has to go back in both to be refused."""
        self._below = len(prefix)
        keys = self._ordered(begun.entries)
        self._space = KeySpace(by_directories(prefix), by_directories("/")) if directories else KeySpace(prefix)
        self._space.learn(keys)
        self._listed = keys[-1]
        self._ranges = [_Range(keys[-1], None, (keys[0], keys[-1]))]
        self._running: dict[asyncio.Task[None], _Range] = {}
        self._cancelled: list[asyncio.Task[None]] = []
        self._buffered = 0
        self._places = 1
        """Places that a page takes, as the last one did."""
        self._waiter: asyncio.Future[None] | None = None
        self._call, self._go_on, self._start_after = call, go_on, start_after
        self._begun: Any = begun.cursor
        """The cursor to go on by; None once the service has begun a page at the key that was requested."""
        self._cutting = False
        self._worth = _WORTH
        """Pages that have to be expected in a range that is cut."""
        self._surprises = 0
        self._pages = 2
        """Pages with keys so far. No more requests run at a time, so a listing that ends soon wastes few of them."""

    async def next_page(self) -> Page | None:
        """Returns the next page that has entries; None at the end."""
        while self._ranges:
            first = self._ranges[0]
            if first.pages:
                page = first.pages.popleft()
                self._buffered -= _places_of(page.entries)
                if page.entries:
                    self._check_order(page.entries)
                self.start_requests()
                return page
            if first.error is not None:
                raise first.error
            if first.ended:
                del self._ranges[0]
                continue
            self.start_requests()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return None

    def _check_order(self, entries: Sequence[Entry]) -> None:
        """Refuses a page that goes back: its keys, or those before, were listed in another order than was assumed."""
        first, last = self._ordered((entries[0], entries[-1]))
        if self._goes_back(first, self._listed):
            raise contradiction(self._call, "a page goes back to keys that are listed already")
        self._listed = last

    def _goes_back(self, first: str, listed: str) -> bool:
        """Returns whether a page begins with what is listed already."""
        if first > listed or not (self._in_doubt or self._has_unlike((first,))):
            return first <= listed
        other = from_directories if self._directories else by_directories
        return other(first) <= other(listed)

    async def aclose(self) -> None:
        """Ends the requests that nobody waits for; their errors are dropped."""
        unwanted = (*self._running, *self._cancelled)
        self._running.clear()
        for request in unwanted:
            request.cancel()
        if unwanted:
            await asyncio.wait(unwanted)

    def start_requests(self) -> None:
        """Gives free places to the ranges that can use one."""
        while (found := self._next_range()) is not None:
            task = asyncio.create_task(self._request(found))
            self._running[task], found.request = found, task

    def _next_range(self) -> _Range | None:
        """Returns the range that is to have a free place; None if there is none for it.

        That is the earliest one without a request that is not far ahead of the caller: its next page is certain to be
        needed. Where there is none, a part of the earliest range that is long.
        """
        if len(self._running) >= min(_REQUESTS, self._pages):
            return None
        room = _BUFFERED - self._buffered - len(self._running) * self._places
        for index, found in enumerate(self._ranges):
            near = room > _kept_free(index) if index else not found.pages
            if near and found.request is None and not found.ended and found.error is None:
                return found
        for index, found in enumerate(self._ranges):
            if room <= _kept_free(index + 1):
                return None
            if found.request is not None and (cut := self._cut(found)) is not None:
                self._ranges.insert(index + 1, cut)
                return cut
        return None

    async def _request(self, found: _Range) -> None:
        """Requests the next page of a range, then one of the range that can use the place by then, and so on.

        The next request leaves before other answers that have arrived are parsed: a new task would wait for them.
        """
        task = asyncio.current_task()
        assert task is not None
        following: _Range | None = found
        while following is not None:
            found = following
            try:
                page: Page | Exception = await self._page_of(found)
            except Exception as error:  # noqa: BLE001 - raised to the caller when it has all entries before it
                page = error
            except asyncio.CancelledError as error:
                if task in self._running:
                    self._running.pop(task)
                    found.request, found.error = None, error
                    self._wake()
                raise
            if self._running.pop(task, None) is None:
                return  # nobody wants it any more
            found.request = None
            self._answered(found, page)
            self._wake()
            if (following := self._next_range()) is not None:
                self._running[task], following.request = following, task
        self.start_requests()

    def _page_of(self, found: _Range) -> Coroutine[Any, Any, Page]:
        if found.cursor is not None:
            return self._go_on(found.cursor)
        return self._start_after(from_directories(found.position) if self._directories else found.position)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _cut(self, found: _Range) -> _Range | None:
        """Cuts the later half off a range that is long; returns it."""
        if not self._cutting or found.whole or found.cursor is None:
            return None  # a range without a page of its own is a guess, and a part of it would be another one
        if found.share is None:
            found.share = self._space.share(found.position, found.high, *found.page)
        short = found.share < self._worth
        # Of what lies behind the last key so far, nothing is known: one request at a time looks there.
        if short and not (found.unbounded and self._is_last(found)):
            return None
        middle = self._space.middle(found.position, found.high, *found.page, wide=short)
        if middle is None or self._has_unlike((middle,)):
            found.whole = True
            return None
        later = _Range(middle, found.high, found.page)
        later.unbounded = found.unbounded
        found.high, found.share = middle, None
        return later

    def _is_last(self, found: _Range) -> bool:
        """Returns whether all that is behind a range has ended."""
        for other in reversed(self._ranges):
            if other is found:
                return True
            if not other.ended:
                return False
        return False

    def _answered(self, found: _Range, page: Page | Exception) -> None:
        """Takes the answer to the request of a range."""
        try:
            if isinstance(page, Exception):
                raise page
            if page.entries:
                first, last = self._ordered((page.entries[0], page.entries[-1]))
                if self._goes_back(first, found.position) or (first != last and self._goes_back(last, first)):
                    raise contradiction(self._call, "a page goes back to keys that are listed already")
        except Exception as error:  # noqa: BLE001 - raised to the caller when it has all entries before it
            if found.cursor is not None or not isinstance(error, UnsupportedError):
                found.error = error
                return
            self._cutting = False
            page = Page((), self._begun)  # the range before a later one sees whether there is something
        if self._begun is not None:
            # That there is more is known from the page before: an empty answer proves nothing.
            self._cutting = found.cursor is None and bool(page.entries)
            if not self._cutting and found.cursor is None:
                page, self._in_doubt = Page((), self._begun), True
            self._begun = None
        self._take(found, page)

    def _take(self, found: _Range, page: Page) -> None:
        if found.cursors.repeat(page.cursor):
            found.error = contradiction(self._call, "the listing goes in a circle")
            return
        entries, began, high = page.entries, found.cursor is None, found.high
        keys = self._ordered(entries)
        if began:
            found.first = keys[0] if keys else None
            if (expected := found.expected) is not None and not self._begins(found, expected):
                self._replace(found, expected)
                return
        found.cursor, found.ended = page.cursor, page.cursor is None
        beyond: Sequence[Entry] = ()
        self._weigh(found, keys, began=began)
        if entries:
            if self._has_unlike(keys):
                self._cut_no_more(found)
                high = None
            self._learn(found, keys)
            if high is not None and keys[-1] > high:
                cut = bisect_right(keys, high)
                entries, beyond, found.ended = entries[:cut], entries[cut:], True
        if entries or page.directories:
            found.pages.append(Page(entries, None, page.directories))
            self._places = _places_of(entries)
            self._buffered += self._places
            self._pages += bool(entries)
        if beyond:
            self._compare(found, Page(beyond, page.cursor))
        elif page.cursor is None and (entries or not began):
            self._end_after(found)

    def _weigh(self, found: _Range, keys: Sequence[str], *, began: bool) -> None:
        """Learns from a page whether ranges are cut where little is in them."""
        if found.high is None or (keys and keys[-1] <= found.high):
            self._worth = max(self._worth * _EASIER, _WORTH)
        elif began and not found.unbounded:
            self._worth = min(self._worth * _HARDER, _MOST_WORTH)

    def _learn(self, found: _Range, keys: Sequence[str]) -> None:
        found.position, found.page = keys[-1], (keys[0], keys[-1])
        found.share, found.whole = None, False
        for earlier in self._ranges[: self._ranges.index(found)]:
            earlier.unbounded = False
        self._space.learn(keys)

    def _has_unlike(self, keys: Sequence[str]) -> bool:
        """Returns whether the order is not known, and these keys may stand otherwise than was assumed."""
        return not self._order_is_known and orders_differ(key[self._below :] for key in keys)

    def _cut_no_more(self, found: _Range) -> None:
        """Lists by cursors all that comes behind the beginning of a range. What is before it stands alike."""
        self._cutting, self._in_doubt, found.high = False, True, None
        index = self._ranges.index(found) + 1
        for later in self._ranges[index:]:
            if later.request is not None:
                self._cancel(later.request)
            self._buffered -= later.places
        del self._ranges[index:]

    def _compare(self, found: _Range, beyond: Page) -> None:
        """Compares what a range has seen beyond its end with what the next ones begin with.

        A service may begin at another key than the one that was requested: SeaweedFS leaves out the content of a
        directory if its name is requested without a slash.
        """
        (key,) = self._ordered(beyond.entries[:1])
        for later in self._ranges[self._ranges.index(found) + 1 :]:
            if later.high is None or key <= later.high:
                if later.cursor is None and later.request is not None:
                    seen = later.expected
                    if seen is None or key < self._ordered(seen.entries[:1])[0]:
                        later.expected = beyond
                elif not self._begins(later, beyond):
                    self._replace(later, beyond)
                return

    def _replace(self, found: _Range, begun: Page) -> None:
        """Lists a range anew from a page of the range before it: keys came or went, or the service is wrong."""
        self._surprises += 1
        self._cutting = self._cutting and self._surprises < _SURPRISES
        if found.request is not None:
            self._cancel(found.request)
            found.request = None
        self._buffered -= found.places
        found.pages.clear()
        found.expected, found.error, found.cursors = None, None, Cursors()
        found.first, found.cursor = self._ordered(begun.entries[:1])[0], begun.cursor
        self._take(found, begun)

    def _cancel(self, request: asyncio.Task[None]) -> None:
        self._running.pop(request, None)
        request.cancel()
        self._cancelled.append(request)

    def _end_after(self, found: _Range) -> None:
        """Ends the ranges behind the last page of all: nobody need wait for what is known."""
        index = self._ranges.index(found) + 1
        for later in self._ranges[index:]:
            if later.request is not None:
                self._cancel(later.request)
        self._ranges[index:] = [later for later in self._ranges[index:] if later.pages]
        for later in self._ranges[index:]:
            later.ended = True

    def _begins(self, found: _Range, seen: Page) -> bool:
        """Returns whether the first page of a range begins where another range has seen it begin."""
        return found.first is not None and found.first <= self._ordered(seen.entries[:1])[0]

    def _ordered(self, entries: Sequence[Entry]) -> Sequence[str]:
        """Returns the keys of entries as texts that stand in the order of the service."""
        keys = keys_of(entries)
        return list(map(by_directories, keys)) if self._directories else keys
