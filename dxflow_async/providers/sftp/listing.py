"""Listings of directories, in the order of the bytes of keys.

SFTP lists the names of one directory, in no order. So each directory is read as a whole and sorted, and a recursive
listing reads the next few directories ahead: reading one takes at least four round trips.
"""

from __future__ import annotations

import asyncio
import stat
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dxflow_async.exceptions import DxflowError
from dxflow_async.providers import (
    AccessDeniedError,
    Call,
    Entry,
    NotFoundError,
    StorageError,
    UnsafePathError,
    contradiction,
)
from dxflow_async.providers.sftp.connections import Channel
from dxflow_async.providers.sftp.names import (
    failed_entry,
    is_described,
    is_hidden,
    kind_of,
    name_of,
    with_type,
)
from dxflow_async.providers.sftp.server import Server

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Listing", "names_in"]

_AHEAD = 8
"""Directories that are read while others are looked at."""

_AT_A_TIME = 16
"""Names that are looked up at a time."""

_MAX_REPEATED = 1000
"""Names that may be listed twice while a directory changes; more of them are a listing without an end."""

_DANGLING = "a symbolic link to nothing"
_CIRCLE = "a link to a directory above it"


@dataclass(slots=True)
class _Level:
    """A directory whose content is listed.

    Attributes:
        left: its entries that are still to come.
        ahead: directories in it that are being read.
    """

    left: deque[Entry]
    ahead: dict[str, asyncio.Task[list[Entry] | DxflowError]] = field(default_factory=dict)


class Listing:
    """The entries below a prefix.

    Args:
        server: where they are.
        prefix: `""` for all; else what keys start with.
        recursive: files, and directories that nothing is in; otherwise the entries up to the next slash.
        follow_symlinks: links are what they lead to.
    """

    def __init__(self, server: Server, prefix: str, *, recursive: bool, follow_symlinks: bool) -> None:
        self._server = server
        self._call = server.call("list", prefix)
        directory, slash, self._start = prefix.rpartition("/")
        self._top = directory + slash
        self._recursive = recursive
        self._follows = follow_symlinks
        self._levels: list[_Level] | None = None
        self._links: set[str] = set()
        self._kept: list[Entry] = []

    async def page(self, size: int) -> list[Entry]:
        """Returns the next entries, up to `size`; fewer at the end.

        Raises:
            NotFoundError: the prefix ends in a slash and is no directory.
        """
        if self._levels is None:
            entries = await self._read(self._top)
            self._levels = [_Level(deque(each for each in entries if each.key.startswith(self._top + self._start)))]
        found, self._kept = self._kept, []
        try:
            await self._collect(found, size)
        except BaseException:
            self._kept = found  # for whoever asks for the page again
            raise
        return found

    async def _collect(self, found: list[Entry], size: int) -> None:
        assert self._levels is not None
        while self._levels and len(found) < size:
            level = self._levels[-1]
            if not level.left:
                self._levels.pop()
                continue
            entry = level.left[0]
            if not entry.directory or not self._recursive or entry.unreadable:
                found.append(entry)
            else:
                content = await self._content(level, entry)
                if content is None:
                    found.append(entry)
                elif content:
                    self._levels.append(_Level(deque(content)))
            level.left.popleft()

    async def _content(self, level: _Level, entry: Entry) -> list[Entry] | None:
        """Returns what is in a directory; None where the directory is an entry itself, `[]` where it is gone.

        Raises:
            DxflowError: the server could not be asked; asking again may help.
        """
        if entry.key in self._links and await self._is_circle(entry.key):
            entry.unreadable = _CIRCLE
            return None
        self._read_ahead(level, entry)
        content = await asyncio.shield(level.ahead[entry.key])
        del level.ahead[entry.key]
        if isinstance(content, list):
            return content or None
        if isinstance(content, NotFoundError):
            return []  # it was removed meanwhile
        if not isinstance(content, StorageError) or content.retryable:
            raise content
        failed = _failed(entry.key, content)
        entry.unreadable, entry.read_error = failed.unreadable, failed.read_error
        return None

    def _read_ahead(self, level: _Level, first: Entry) -> None:
        """Starts reading a directory, and those that follow it."""
        wanted = [first.key]
        wanted += [each.key for each in level.left if each.directory and not each.unreadable][: _AHEAD - 1]
        for key in wanted[: max(1, _AHEAD - len(level.ahead))]:
            if key not in level.ahead:
                level.ahead[key] = asyncio.ensure_future(self._attempt(key))

    async def _attempt(self, key: str) -> list[Entry] | DxflowError:
        try:
            return await self._read(key)
        except DxflowError as error:
            return error

    async def _is_circle(self, key: str) -> bool:
        """Whether a link to a directory leads to one that it is in."""
        path = self._server.base.path(key)
        above = path.rpartition(b"/")[0] or b"."

        async def real(path: bytes) -> bytes:
            return bytes(await self._server.request(self._call, lambda sftp: sftp.realpath(path)))

        try:
            target, holder = await real(path), await real(above)
        except StorageError:
            return True
        return (holder.rstrip(b"/") + b"/").startswith(target.rstrip(b"/") + b"/")

    async def _read(self, prefix: str) -> list[Entry]:
        """The entries of one directory, in order."""
        async with self._server.connections.channel(self._call) as channel:
            names = await names_in(self._call, channel, self._server.base.path(prefix))
            entries: list[Entry] = []
            links: list[str] = []
            for name, attributes in names:
                if is_hidden(name):
                    continue
                key = prefix + name
                if self._follows and kind_of(attributes) == stat.S_IFLNK:
                    links.append(key)
                elif is_described(attributes):
                    entries.append(self._server.entry(key, attributes))
                else:
                    entries.append(failed_entry(key, "the server tells neither what it is nor its size", "EIO"))
            for start in range(0, len(links), _AT_A_TIME):
                found = await asyncio.gather(
                    *(self._followed(channel, key) for key in links[start : start + _AT_A_TIME])
                )
                entries += [each for each in found if each is not None]
        entries.sort(key=lambda entry: entry.key.encode("utf-8", "surrogateescape"))
        return entries

    async def _followed(self, channel: Channel, key: str) -> Entry | None:
        """What a link leads to."""
        path = self._server.base.path(key)
        try:
            attributes = await channel.run(self._call, channel.sftp.stat, path)
        except NotFoundError:
            return Entry(key, unreadable=_DANGLING, read_error="ENOENT")
        except UnsafePathError:  # into a loop
            return Entry(key, unreadable=_DANGLING)
        except StorageError as error:
            if not channel.usable:
                raise
            return _failed(key, error)
        entry = self._server.entry(key, attributes)
        if entry.directory:
            self._links.add(entry.key)
        return entry


async def names_in(call: Call, channel: Channel, path: bytes) -> list[tuple[str, asyncssh.SFTPAttrs]]:
    """Returns the names in a directory with their attributes, links not followed.

    What a listing leaves out is looked up: some servers list names only.

    Raises:
        NotFoundError: there is no such directory.
        ServiceError: what is listed are no names in a directory, or the listing has no end.
    """
    found = await channel.run(call, _collect, call, channel, path)

    async def look(name: bytes) -> None:
        try:
            attributes = await channel.run(call, channel.sftp.lstat, path.rstrip(b"/") + b"/" + name)
        except NotFoundError:
            del found[name]  # it was removed meanwhile
        except StorageError:
            if not channel.usable:
                raise
        else:
            found[name] = attributes if kind_of(attributes) else found[name]

    unclear = [name for name, attributes in found.items() if not is_described(attributes)]
    for start in range(0, len(unclear), _AT_A_TIME):
        await asyncio.gather(*map(look, unclear[start : start + _AT_A_TIME]))
    return [(name_of(name), attributes) for name, attributes in found.items()]


async def _collect(call: Call, channel: Channel, path: bytes) -> dict[bytes, asyncssh.SFTPAttrs]:
    """Returns what the server lists, by name."""
    found: dict[bytes, asyncssh.SFTPAttrs] = {}
    repeated = 0
    async for each in channel.sftp.scandir(path):
        name = bytes(each.filename)  # type: ignore[arg-type]
        if name in (b".", b".."):
            continue
        if not name or b"/" in name or b"\0" in name:
            raise contradiction(call, f"{name_of(name)!r:.200} is listed, which is no name in a directory")
        repeated += name in found
        if repeated > _MAX_REPEATED + len(found):
            raise contradiction(call, "it lists the same names again and again")
        found[name] = with_type(each.attrs, each.longname)
    return found


def _failed(key: str, error: StorageError) -> Entry:
    code = "EACCES" if isinstance(error, AccessDeniedError) else "EIO"
    reason = "Permission denied" if code == "EACCES" else str(error)
    return failed_entry(key, reason, code)
