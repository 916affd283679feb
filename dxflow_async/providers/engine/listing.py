"""Listings of an engine's tree, in the order of the bytes of keys.

An engine lists one directory at a time, and not in a reliable order. So each directory is requested whole and sorted,
and a recursive listing requests the next few directories ahead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

from dxflow_async.exceptions import DxflowError
from dxflow_async.providers import AccessDeniedError, Entry, NotFoundError, StorageError
from dxflow_async.providers.engine.loops import LOOP, is_loop

__all__ = ["Listing"]

_AHEAD = 8
"""Directories that are requested while others are looked at."""

Read = Callable[[str], Awaitable[list[Entry]]]


@dataclass(slots=True)
class _Level:
    """A directory whose content is listed.

    Attributes:
        left: its entries that are still to come.
        content: what it has, to recognize loops of links.
        ahead: directories in it that were requested.
    """

    left: deque[Entry]
    content: frozenset[Hashable] = frozenset()
    ahead: dict[str, asyncio.Task[list[Entry] | DxflowError]] = field(default_factory=dict)


class Listing:
    """The entries below a prefix: the cursor of its pages.

    Args:
        read: returns the entries of a directory, sorted.
        prefix: `""` for all; else what keys start with.
        recursive: files, and directories that nothing is in; otherwise the entries up to the next slash.
    """

    def __init__(self, read: Read, prefix: str, *, recursive: bool) -> None:
        self._read = read
        directory, slash, self._start = prefix.rpartition("/")
        self._top = directory + slash
        self._recursive = recursive
        self._levels: list[_Level] | None = None
        self._kept: list[Entry] = []

    async def page(self, size: int) -> list[Entry]:
        """Returns the next entries, up to `size`; fewer at the end.

        Raises:
            NotFoundError: the directory does not exist.
        """
        if self._levels is None:
            entries = await self._read(self._top)
            self._levels = [_Level(deque(each for each in entries if each.key.startswith(self._top + self._start)))]
        found, self._kept = self._kept, []
        try:
            await self._collect(self._levels, found, size)
        except BaseException:
            self._kept = found  # for whoever asks for the page again
            raise
        return found

    async def _collect(self, levels: list[_Level], found: list[Entry], size: int) -> None:
        while levels and len(found) < size:
            level = levels[-1]
            if not level.left:
                levels.pop()
                continue
            entry = level.left[0]
            if not entry.directory or not self._recursive:
                found.append(entry)
            else:
                content = await self._content(level, entry)
                if content is None:
                    found.append(entry)
                elif content:
                    names = frozenset((each.key[len(entry.key) :], each.size, each.modified) for each in content)
                    if is_loop(names, (each.content for each in levels)):
                        entry.unreadable, entry.read_error = LOOP, "ELOOP"
                        found.append(entry)
                    else:
                        levels.append(_Level(deque(content), names))
            level.left.popleft()

    async def _content(self, level: _Level, entry: Entry) -> list[Entry] | None:
        """Returns what is in a directory; None where the directory is an entry itself, `[]` where it is gone."""
        wanted = [entry.key, *(each.key for each in level.left if each.directory)]
        for key in dict.fromkeys(wanted[: max(1, _AHEAD - len(level.ahead))]):
            if key not in level.ahead:
                level.ahead[key] = asyncio.ensure_future(self._attempt(key))
        content = await asyncio.shield(level.ahead[entry.key])
        del level.ahead[entry.key]
        if isinstance(content, list):
            return content or None
        if isinstance(content, NotFoundError):
            return []  # it was removed meanwhile
        if not isinstance(content, StorageError) or content.retryable:
            raise content
        entry.unreadable = str(content)
        entry.read_error = "EACCES" if isinstance(content, AccessDeniedError) else "EIO"
        return None

    async def _attempt(self, key: str) -> list[Entry] | DxflowError:
        try:
            return await self._read(key)
        except DxflowError as error:
            return error
