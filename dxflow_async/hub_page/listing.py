"""Listing directories page by page, searching below them, and adding up their sizes."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import Any

from aiohttp import web

from dxflow_async.hub_page.answers import Lines, while_connected
from dxflow_async.hub_page.directories import as_directory, files_of, item_tree, items_below
from dxflow_async.hub_page.locations import decode_location
from dxflow_async.hub_page.workspace import Visitor
from dxflow_async.paths import utf8_shown
from dxflow_async.server.common.middleware import refusal

__all__ = ["list_directory", "location_of", "search", "show_size"]

_MAX_PAGE = 5000
_REPORT_SECONDS = 0.25
_SEARCH_LINES = 256
_MAX_FOUND = 10_000


def location_of(request: web.Request, visitor: Visitor) -> str:
    """Returns the location that the query of a request names.

    Raises:
        HTTPError: it names none, or one that the visitor may not see.
    """
    return visitor.workspace.scope.check(decode_location(request.query.get("location")))


async def list_directory(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`GET page/list`: returns the next items of a directory."""
    location = as_directory(location_of(request, visitor))
    try:
        limit = int(request.query.get("limit", "1000"))
    except ValueError:
        limit = 0
    if not 0 < limit <= _MAX_PAGE:
        raise refusal(web.HTTPBadRequest, "invalid_limit", f"limit must be 1 to {_MAX_PAGE}")
    work = visitor.workspace.listings.page(visitor.workspace.session, location, request.query.get("after"), limit)
    items, token = await while_connected(request, work)
    return web.json_response({"items": items, "next": token})


async def search(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`GET page/search`: writes each item below a directory whose name contains a text, ignoring case."""
    location = as_directory(location_of(request, visitor))
    text = request.query.get("text", "").casefold()
    if not text or len(text) > 1024:
        raise refusal(web.HTTPBadRequest, "invalid_text", "text is what to look for, of 1 to 1024 characters")
    lines = Lines(request)

    async def look() -> None:
        looked = count = 0
        due = time.monotonic() + _REPORT_SECONDS
        found: list[dict[str, Any]] = []
        async with aclosing(items_below(visitor.workspace.session, location, recursive=True)) as items:
            async for name, item in items:
                looked += 1
                last = name.rstrip("/").rpartition("/")[2]
                if text in utf8_shown(last).casefold():
                    found.append({"item": item_tree(location, name, item)})
                    count += 1
                if len(found) >= _SEARCH_LINES or (found and time.monotonic() > due) or count >= _MAX_FOUND:
                    await lines.send(*found)
                    found, due = [], time.monotonic() + _REPORT_SECONDS
                if count >= _MAX_FOUND:
                    break
        end: dict[str, Any] = {"done": True, "looked_at": looked}
        await lines.send(*found, {**end, "truncated": True} if count >= _MAX_FOUND else end)

    return await lines.answer(look)


async def show_size(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`GET page/size`: writes how many files are below a location, and their size, as both grow."""
    location = location_of(request, visitor)
    lines = Lines(request)

    async def add_up() -> None:
        files = size = 0
        due = time.monotonic() + _REPORT_SECONDS
        async for item in files_of(visitor.workspace.session, location):
            files, size = files + 1, size + item.size
            if time.monotonic() > due:
                await lines.send({"files": files, "bytes": size})
                due = time.monotonic() + _REPORT_SECONDS
        await lines.send({"files": files, "bytes": size, "done": True})

    return await lines.answer(add_up)
