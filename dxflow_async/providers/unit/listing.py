"""Listings of a unit, in the order of the bytes of keys, page by page.

A server of this library sends a whole tree in that order, and the response is read as far as a page needs. After a
break it is requested again, and entries that were delivered are skipped. Any other server is asked for one directory
after the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TypedDict

from dxflow_async.exceptions import NotFoundError, StorageError, UnsupportedError
from dxflow_async.providers.contract import Entry, Page
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit.items import Items, entry_of
from dxflow_async.providers.unit.requests import Requests

__all__ = ["DirectoryModesSeen", "Listing", "OrderedListing", "WalkedListing", "read_directory"]

_PAGE_SIZE = 1000
_MAX_DIRECTORY = 1_000_000
"""The most entries of one directory that are sorted here, if the server does not sort them."""
_MAX_MODES = 10_000
_MAX_KEY = 8192
"""The most characters of a directory's key: links that lead in circles would never end."""


class _Told(TypedDict):
    times: bool
    modes: bool


class DirectoryModesSeen:
    """Remembers the permission bits of directories in recent listings, so that they are not requested one by one."""

    def __init__(self) -> None:
        self._known: dict[str, int | None] = {}

    def add(self, entry: Entry) -> None:
        """Remembers the bits of a directory; forgets the oldest."""
        self._known.pop(entry.key, None)
        self._known[entry.key] = entry.mode
        if len(self._known) > _MAX_MODES:
            del self._known[next(iter(self._known))]

    def get(self, key: str) -> int | None:
        """Returns the bits of a directory; None if they are not known."""
        return self._known.get(key)


class Listing(ABC):
    """A listing in progress: the cursor of its pages.

    Args:
        requests, call: send the requests.
        prefix: of all keys.
        recursive: whether to list everything below.
        times: as for `entry_of`.
        modes: receives the permission bits of directories, if the server sends them.
    """

    def __init__(
        self,
        requests: Requests,
        call: Call,
        prefix: str,
        *,
        recursive: bool,
        times: bool,
        modes: DirectoryModesSeen | None = None,
    ) -> None:
        self._requests = requests
        self._call = call
        self._prefix = prefix
        self._directory = prefix[: prefix.rfind("/") + 1]
        self._recursive = recursive
        self._told: _Told = {"times": times, "modes": modes is not None}
        self._modes = modes
        self._start = prefix.encode("utf-8", "surrogateescape")
        self._ready: deque[Entry] = deque()

    @abstractmethod
    async def page(self) -> Page:
        """Returns the next page. After an error it may be called again.

        Raises:
            NotFoundError: the directory does not exist.
        """

    def _next_page(self, *, more: bool) -> Page:
        ready = self._ready
        found = [ready.popleft() for _ in range(min(_PAGE_SIZE, len(ready)))]
        return Page(found, self if more or ready else None)


class OrderedListing(Listing):
    """The listing of a server that sends a whole tree in order."""

    _items: Items | None = None
    _last = b""
    _ended = False
    # A recursive listing includes a directory only if nothing in it follows.
    _held: Entry | None = None

    async def page(self) -> Page:
        try:
            while len(self._ready) < _PAGE_SIZE and not self._ended:
                await self._read()
        except BaseException:
            self._close()
            self._ready.clear()
            self._held = None
            raise
        page = self._next_page(more=not self._ended)
        if page.entries:
            self._last = _bytes(page.entries[-1])
        return page

    async def _read(self) -> None:
        if self._items is None:
            query = "&recursive=true" if self._recursive else "&order=key"
            response = await self._requests.ask(self._call, "GET", "items", self._directory, query=query)
            self._items = Items(self._call, self._requests.http, response)
        found = await self._items.read()
        for item in found:
            entry = entry_of(self._call, item, self._directory, **self._told, deep=self._recursive)
            key = _bytes(entry)
            if entry.key.startswith(self._prefix):
                if key > self._last:
                    self._take(entry)
            elif key > self._start:
                found = []  # nothing wanted follows
                break
        if not found:
            self._take(None)
            self._ended = True
            self._close()

    def _take(self, entry: Entry | None) -> None:
        held, self._held = self._held, None
        if held is not None and not (entry is not None and entry.key.startswith(held.key)):
            self._ready.append(held)
        if entry is None:
            return
        if self._recursive and entry.directory and entry.unreadable is None:
            if self._modes is not None:
                self._modes.add(entry)
            self._held = entry
        else:
            self._ready.append(entry)

    def _close(self) -> None:
        items, self._items = self._items, None
        if items is not None:
            items.close()


class WalkedListing(Listing):
    """The listing of a server that lists one directory at a time, in any order."""

    _levels: list[deque[Entry]] | None = None

    async def page(self) -> Page:
        if self._levels is None:
            top = await self._inside(self._directory)
            self._levels = [deque(entry for entry in top if entry.key.startswith(self._prefix))]
        while len(self._ready) < _PAGE_SIZE and self._levels:
            await self._step(self._levels)
        return self._next_page(more=bool(self._levels))

    async def _step(self, levels: list[deque[Entry]]) -> None:
        level = levels[-1]
        if not level:
            levels.pop()
            return
        entry, inner = level[0], None
        if self._recursive and entry.directory and entry.unreadable is None:
            if len(entry.key) > _MAX_KEY:
                raise self._call.error(UnsupportedError, "its directories lie deeper than any path is long")
            try:
                inner = await self._inside(entry.key)
            except NotFoundError:
                level.popleft()  # it was removed in the meantime
                return
            except StorageError as error:
                if error.retryable or not error.status:
                    raise
                entry.unreadable, entry.read_error = str(error), str(error.status)
        level.popleft()
        if inner:
            levels.append(deque(inner))
        else:
            self._ready.append(entry)

    async def _inside(self, directory: str) -> list[Entry]:
        found = await read_directory(self._requests, self._call, directory, **self._told)
        return sorted(found, key=_bytes)


async def read_directory(
    requests: Requests, call: Call, directory: str, *, times: bool, modes: bool = False
) -> list[Entry]:
    """Returns the entries of a directory, in the server's order.

    Raises:
        UnsupportedError: there are more than memory should hold.
    """
    response = await requests.ask(call, "GET", "items", directory, query="&recursive=false")
    items, entries = Items(call, requests.http, response), []
    try:
        while found := await items.read():
            entries += [entry_of(call, item, directory, times=times, modes=modes) for item in found]
            if len(entries) > _MAX_DIRECTORY:
                text = f"a directory has over {_MAX_DIRECTORY} entries, which this server does not send in order"
                raise call.error(UnsupportedError, text)
    finally:
        items.close()
    return entries


def _bytes(entry: Entry) -> bytes:
    return entry.key.encode("utf-8", "surrogateescape")
