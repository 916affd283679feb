"""Directories as zip files, made while they are sent."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from aiohttp import web
from zipstream import ZipStream

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.hub_page.answers import send, send_end, while_connected
from dxflow_async.hub_page.contents import CONTENT_POLICY, attachment
from dxflow_async.hub_page.directories import items_below
from dxflow_async.hub_page.locations import decode_location
from dxflow_async.hub_page.workspace import Visitor
from dxflow_async.paths import utf8_shown
from dxflow_async.server.common.middleware import refusal
from dxflow_async.session import AsyncSession

__all__ = ["download_zip", "safe_name"]

_MAX_SOURCES = 1000
_MAX_ENTRIES = 200_000
"""The most entries of a zip file. Its list of entries stays in memory until the end."""

_SMALL = 256 << 10
_AHEAD = 8
"""So many small files are read at once, so that the file does not wait for each of them."""

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


async def download_zip(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`GET page/zip`: returns directories and files as one zip file. If one of them cannot be read, it ends early."""
    scope = visitor.workspace.scope
    locations = [scope.check(decode_location(each)) for each in request.query.getall("location", [])]
    if not 0 < len(locations) <= _MAX_SOURCES:
        raise refusal(web.HTTPBadRequest, "invalid_location", f"name 1 to {_MAX_SOURCES} locations")
    entries = _entries(visitor.workspace.session, locations)
    async with aclosing(entries):
        # The first entry is looked up before the answer begins, so that a wrong location gets an error.
        first = await while_connected(request, anext(entries, None))
        top = _top(locations[0]) if len(locations) == 1 else "download"
        headers = {
            "Content-Type": "application/zip",
            "Content-Disposition": attachment(f"{top}.zip"),
            "Content-Security-Policy": CONTENT_POLICY,
        }
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        if request.method != "HEAD":
            await while_connected(request, _send_all(visitor.workspace.session, response, first, entries))
        await send_end(response)
    return response


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of the zip file; a directory has no location."""

    name: str
    location: str | None = None
    size: int = 0


class _Feed:
    """Gives the zip file the bytes of one file, one chunk each time that it asks."""

    def __init__(self) -> None:
        self.chunk: bytes | None = None
        self.ended = False

    def __iter__(self) -> Iterator[bytes]:
        while not self.ended:
            chunk, self.chunk = self.chunk, None
            assert chunk is not None, "a chunk is set before the next step"
            yield chunk


async def _send_all(
    session: AsyncSession, response: web.StreamResponse, first: _Entry | None, entries: AsyncIterator[_Entry]
) -> None:
    zipped = ZipStream()
    async with aclosing(_read_ahead(session, first, entries)) as contents:
        async for entry, content in contents:
            if entry.location is None:
                zipped.mkdir(entry.name)
                for data in zipped.file():
                    await send(response, data)
            elif content is not None:
                zipped.add([content] if content else b"", entry.name, size=len(content))
                for data in zipped.file():
                    await send(response, data)
            else:
                await _send_large(session, response, zipped, entry)
    for data in zipped.finalize():
        await send(response, data)


async def _send_large(session: AsyncSession, response: web.StreamResponse, zipped: ZipStream, entry: _Entry) -> None:
    assert entry.location is not None
    feed = _Feed()
    zipped.add(feed, entry.name, size=entry.size)
    steps = zipped.file()
    await send(response, next(steps))  # the header, which is before the first byte
    async with session.read(entry.location) as chunks:
        async for feed.chunk in chunks:
            if feed.chunk:
                await send(response, next(steps))
    feed.ended = True
    for data in steps:
        await send(response, data)


async def _read_ahead(
    session: AsyncSession, first: _Entry | None, entries: AsyncIterator[_Entry]
) -> AsyncGenerator[tuple[_Entry, bytes | None], None]:
    """Yields the entries, of small files with their contents, which are read several at a time."""
    waiting: deque[tuple[_Entry, asyncio.Task[bytes] | None]] = deque()

    def enqueue(entry: _Entry) -> None:
        task = None
        if entry.location is not None and entry.size <= _SMALL:
            task = asyncio.get_running_loop().create_task(session.read_bytes(entry.location))
        waiting.append((entry, task))

    try:
        if first is not None:
            enqueue(first)
        more = True
        while waiting or more:
            while more and len(waiting) < _AHEAD:
                entry = await anext(entries, None)
                more = entry is not None
                if entry is not None:
                    enqueue(entry)
            if waiting:
                entry, task = waiting[0]
                content = None if task is None else await task
                waiting.popleft()
                yield entry, content
    finally:
        tasks = [task for _, task in waiting if task is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _entries(session: AsyncSession, locations: Sequence[str]) -> AsyncGenerator[_Entry, None]:
    """Yields the entries of the zip file, each under a name of its own.

    Raises:
        UnsupportedError: there are too many.
    """
    names: set[str] = set()
    async for name, location, size in _found(session, locations):
        free = _free_name(safe_name(name), names)
        names.add(free.casefold())
        if len(names) > _MAX_ENTRIES:
            raise UnsupportedError(f"a zip file of more than {_MAX_ENTRIES} entries is not made", operation="download")
        yield _Entry(free, location, size)


async def _found(session: AsyncSession, locations: Sequence[str]) -> AsyncGenerator[tuple[str, str | None, int], None]:
    for location in locations:
        item = None if location.endswith("/") else await session.stat(location)
        if item is not None and not item.directory:
            yield _top(location), location, item.size
            continue
        directory = location if location.endswith("/") else f"{location}/"
        top = _top(directory)
        yield f"{top}/", None, 0
        async with aclosing(items_below(session, directory, recursive=True)) as items:
            async for name, each in items:
                yield f"{top}/{name}", None if each.directory else directory + name, each.size


def safe_name(name: str) -> str:
    """Returns the name of an entry that no program unpacks outside its directory, or cannot unpack at all.

    Example:
        >>> safe_name("a/../../b"), safe_name("/etc/x:y"), safe_name("a//b/")
        ('a/_/_/b', 'etc/x_y', 'a/_/b/')
    """
    directory = name.endswith("/")
    parts = utf8_shown(name).strip("/").split("/")
    text = "/".join(map(_safe_part, parts))
    return f"{text}/" if directory else text


def _safe_part(part: str) -> str:
    part = _UNSAFE.sub("_", part)
    if part.strip(". ") == "":
        return "_"
    if part[-1] in ". ":
        part = f"{part[:-1]}_"  # Windows drops it
    return f"_{part}" if _DEVICES.match(part) else part


def _free_name(name: str, names: set[str]) -> str:
    """Returns a name that no other entry has, also where letters of both cases are the same."""
    if name.casefold() not in names or name.endswith("/"):
        return name
    start, dot, ending = name.rpartition(".")
    if not start or "/" in ending:
        start, dot, ending = name, "", ""
    number = 2
    while (free := f"{start} ({number}){dot}{ending}").casefold() in names:
        number += 1
    return free


def _top(location: str) -> str:
    """Returns the last component of a location, as the name of what is downloaded."""
    last = location.rstrip("/").rpartition("/")[2]
    return last.partition(":")[0] if last.endswith(":") else last or "files"
