"""A long listing of a service that begins no page at a key: directories are listed side by side, in order.

The listing goes on by cursors while another request, with a delimiter, shows which directories lie ahead. If a sample
of them is large enough, each directory from the next one on is listed by itself, some at a time, and their pages are
yielded in the order of the directories. Objects between them come from the answer with the delimiter. Directories do
not overlap, so every key is found once. A directory that turns out long is listed in the same way.

Small directories cost a request each, so where the sample is small, the listing stays as it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, NamedTuple

from anyio import CancelScope

from dxflow_async.concurrency.pool import results_of
from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import Entry, Page

__all__ = ["DirectoryListing"]

_WIDTH = 12
"""Directories that are listed at a time."""

_NESTED_WIDTH = 3
"""The same within one of these directories."""

_BUFFERED = 2
"""Pages of each directory that wait for the caller: 72 at most, some 30 MB."""

_SAMPLE = 3
"""Directories whose first page decides whether they are large."""

_LARGE = 100
"""Keys of a directory, on average, for which requests of its own are worth it."""

_DEPTH = 8
"""Levels that are searched for more than one directory ahead."""

_LEVEL_PAGES = 3
"""Pages of a level that are read to find where the listing is."""

Get = Callable[[str, bool, Any], Coroutine[Any, Any, Page]]


class _Level(NamedTuple):
    """What lies ahead in one directory: its objects and directories, and the cursor behind them."""

    prefix: str
    entries: Sequence[Entry]
    cursor: Any | None


class _Plan(NamedTuple):
    """Levels from the innermost out, the first key of the plan, and pages that were read as a sample."""

    levels: Sequence[_Level]
    first: str
    sample: dict[str, Page]


class DirectoryListing:
    """Lists what is below a prefix.

    Args:
        get: returns the page of a prefix, recursive or not, from a cursor on.
        order: returns a value that orders keys as the listings do.
        is_real: returns whether directories are real, so that an empty one is listed as an entry.
    """

    def __init__(self, get: Get, order: Callable[[str], Any], is_real: Callable[[], bool]) -> None:
        self._get = get
        self._order = order
        self._is_real = is_real

    async def pages(self, prefix: str, begun: Page, width: int = _WIDTH) -> AsyncGenerator[Page, None]:
        """Yields a page with a cursor, and those after it.

        Raises:
            StorageError: a page could not be fetched. The entries before it are right.
        """
        page, position = begun, self._last(begun, prefix)
        looking: asyncio.Task[_Plan | None] | None = asyncio.create_task(self._look_ahead(prefix, position))
        ahead: asyncio.Task[Page] | None = None
        plan: _Plan | None = None
        try:
            while page.cursor is not None:
                ahead = asyncio.create_task(self._get(prefix, True, page.cursor))
                yield page
                following = await ahead
                if looking is not None and looking.done():
                    plan, looking = self._from(looking.result(), position), None
                page, position = following, self._last(following, position)
                if plan is not None and self._order(position) >= self._order(plan.first):
                    yield Page(self._below(page.entries, plan.first), None, self._below(page.directories, plan.first))
                    break
            else:
                yield page
                return
        finally:
            await _end([each for each in (ahead, looking) if each is not None])
        assert plan is not None
        async with aclosing(self._planned(prefix, plan, width)) as planned:
            async for page in planned:
                yield page

    # Looking ahead

    async def _look_ahead(self, prefix: str, position: str) -> _Plan | None:
        """Returns what lies ahead of a key, if it is worth requests of its own. Errors are left to the listing."""
        try:
            levels: list[_Level] = []
            inner: str | None = prefix
            for _ in range(_DEPTH):
                if inner is None:
                    break
                level, inner = await self._level(inner, position)
                if level is None:
                    return None
                levels.insert(0, level)
                if sum(entry.directory for entry in level.entries) > 1:
                    break
            return await self._sampled(levels)
        except StorageError:
            return None

    async def _level(self, prefix: str, position: str) -> tuple[_Level | None, str | None]:
        """Returns what lies ahead in a directory, and the directory in it that the listing is in."""
        page, inner = await self._get(prefix, False, None), None
        for _ in range(_LEVEL_PAGES):
            inner = next((each.key for each in page.entries if each.directory and position.startswith(each.key)), inner)
            entries = [each for each in page.entries if self._is_ahead(each.key, position)]
            if entries or page.cursor is None:
                return _Level(prefix, entries, page.cursor), inner
            page = await self._get(prefix, False, page.cursor)
        return None, None

    async def _sampled(self, levels: Sequence[_Level]) -> _Plan | None:
        directories = [entry.key for level in levels for entry in self._sorted(level.entries) if entry.directory]
        if len(directories) < 2:
            return None
        names = list(dict.fromkeys(directories[len(directories) * place // _SAMPLE] for place in range(_SAMPLE)))
        pages = await results_of([partial(self._get, name, True, None) for name in names], _SAMPLE)
        if sum(len(page.entries) for page in pages) < _LARGE * len(pages):
            return None
        return _Plan(levels, directories[0], dict(zip(names, pages, strict=True)))

    def _from(self, plan: _Plan | None, position: str) -> _Plan | None:
        """Returns the part of a plan that lies ahead of a key."""
        if plan is None:
            return None
        keys = (entry.key for level in plan.levels for entry in self._sorted(level.entries) if entry.directory)
        first = next((key for key in keys if self._is_ahead(key, position)), None)
        return None if first is None else plan._replace(first=first)

    def _is_ahead(self, key: str, position: str) -> bool:
        inside = key.endswith("/") and position.startswith(key)
        return not inside and bool(self._order(key) > self._order(position))

    def _last(self, page: Page, position: str) -> str:
        """Returns the last key up to a page; `position` is that of the pages before."""
        return max((position, *(entry.key for entry in page.entries)), key=self._order)

    def _sorted(self, entries: Iterable[Entry]) -> list[Entry]:
        return sorted(entries, key=lambda entry: self._order(entry.key))

    def _below(self, entries: Iterable[Entry], key: str) -> list[Entry]:
        return [entry for entry in entries if self._order(entry.key) < self._order(key)]

    # Side by side

    async def _planned(self, prefix: str, plan: _Plan, width: int) -> AsyncGenerator[Page, None]:
        """Yields the pages of a plan, in order."""
        running: deque[_Running | Page] = deque()
        waiting = self._items(plan)
        try:
            more = True
            while more or running:
                while more and sum(isinstance(each, _Running) for each in running) < width:
                    item = await anext(waiting, None)
                    more = item is not None
                    if isinstance(item, str):
                        pages = self._directory(item, plan.sample.pop(item, None), width)
                        running.append(_Running(pages))
                    elif item is not None:
                        running.append(item)
                        if not isinstance(running[0], _Running):
                            break
                if not running:
                    break
                first = running.popleft()
                if isinstance(first, Page):
                    yield first
                    continue
                running.appendleft(first)
                while (page := await first.next_page()) is not None:
                    yield page
                running.popleft()
        finally:
            await waiting.aclose()
            await _end([each.task for each in running if isinstance(each, _Running)])

    async def _items(self, plan: _Plan) -> AsyncGenerator[Page | str, None]:
        """Yields the names of directories, and pages of the objects between them."""
        for level in plan.levels:
            first, cursor = self._order(plan.first), level.cursor
            entries = [entry for entry in level.entries if self._order(entry.key) >= first]
            ahead = bool(entries) or cursor is not None
            while True:
                entries = self._sorted(entries)
                between: list[Entry] = []
                for entry in entries:
                    if not entry.directory or not entry.key.endswith("/") or entry.key == level.prefix:
                        between.append(entry)
                        continue
                    if between:
                        yield Page(between, None)
                        between = []
                    yield entry.key
                if between:
                    yield Page(between, None)
                if cursor is None:
                    break
                page = await self._get(level.prefix, False, cursor)
                entries, cursor = list(page.entries), page.cursor
            if ahead and self._is_real() and level.prefix.count("/") > 1:
                yield Page((), None, [Entry(level.prefix, directory=True)])

    async def _directory(self, prefix: str, first: Page | None, width: int) -> AsyncGenerator[Page, None]:
        """Yields the pages of one directory."""
        page = await self._get(prefix, True, None) if first is None else first
        if not page.entries and not page.directories and page.cursor is None and self._is_real():
            page = Page([Entry(prefix, directory=True)], None)
        yield page
        if page.cursor is None:
            return
        page = await self._get(prefix, True, page.cursor)
        if page.cursor is not None and width == _WIDTH:
            async with aclosing(self.pages(prefix, page, _NESTED_WIDTH)) as nested:
                async for page in nested:
                    yield page
            return
        yield page
        while page.cursor is not None:
            page = await self._get(prefix, True, page.cursor)
            yield page


class _Running:
    """A directory that is being listed, a few pages ahead of the caller."""

    def __init__(self, pages: AsyncGenerator[Page, None]) -> None:
        self._queue: asyncio.Queue[Page | StorageError | None] = asyncio.Queue(_BUFFERED)
        self.task = asyncio.create_task(self._fill(pages))

    async def _fill(self, pages: AsyncGenerator[Page, None]) -> None:
        try:
            async with aclosing(pages) as listing:
                async for page in listing:
                    await self._queue.put(page)
        except StorageError as error:
            await self._queue.put(error)
        else:
            await self._queue.put(None)

    async def next_page(self) -> Page | None:
        """Returns the next page; None after the last one.

        Raises:
            StorageError: it could not be fetched.
        """
        getting = asyncio.create_task(self._queue.get())
        try:
            await asyncio.wait((getting, self.task), return_when=asyncio.FIRST_COMPLETED)
            if not getting.done() and self._queue.empty():
                self.task.result()  # whatever ended it
            page = await getting
        finally:
            getting.cancel()
        if isinstance(page, StorageError):
            raise page
        return page


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancels tasks and waits for their end; their results are dropped."""
    for task in tasks:
        task.cancel()
    if tasks:
        with CancelScope(shield=True):
            await asyncio.wait(tasks)
