"""The content of a unit's volume: routes that list, look up, remove, copy, move, and create directories.

Paths follow `names.py`. An item is `{"name", "directory", "size", "modification"}`. A file or a directory also has
`"mode"`, its permission bits in octal (`"0640"`). A file also has `"etag"`, and `"checksum"` (`crc32c:<base64>`) where
`stat` knows it. `"unreadable"` says why something can be neither downloaded nor listed.

- `GET /storage/items/?path=/&recursive=false`: a JSON list of items, sent while it is read, directories first. With
  `order=key`, and always with `recursive=true`, it is ordered by the names' bytes, where a directory's name ends in a
  slash. Recursive names are relative to `path`.
- `DELETE /storage/items/?path=`: 200. A directory is removed with its content; with `recursive=false`, only if it is
  empty. With `kind=file` or `kind=directory`, only what is of that kind is removed.
- `PUT /storage/transfer/?path=&destination=`: copies; with `If-Match`, that version of a file; with
  `absent=true`, only where nothing has the name, which the item then confirms with `"absent": true`. A repeated request
  joins the copy that an earlier one began.

These routes are announced as extensions (`Dx-Extension`, in the answer to `OPTIONS /storage/upload/`):

- `GET /storage/stat/?path=`: one item. With `checksum=true`, a checksum that is not stored is computed, and white space
  is sent before the item meanwhile (`sum`).
- `PUT /storage/rename/?path=&destination=`: moves atomically, and replaces a file at the destination.
- `PUT /storage/directory/?path=`: creates a directory, and those above it. `mode` (in octal) sets the permission bits
  of a new directory; its owner may always read and write it.

They answer with the item that is there now. `slow_answers.py` says how answers that take long are sent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import islice

from aiohttp import web

from dxflow_async.modes import parse_mode
from dxflow_async.server.common.middleware import refusal
from dxflow_async.server.common.names import parse_query
from dxflow_async.server.unit.copies import Copies
from dxflow_async.server.unit.listing import list_directory, list_tree
from dxflow_async.server.unit.removing import remove
from dxflow_async.server.unit.slow_answers import answer_slowly
from dxflow_async.server.unit.summing import sum_file
from dxflow_async.server.unit.unit import UNIT, Unit, path_parameter
from dxflow_async.server.unit.volume import Found

__all__ = ["COPIES", "EXTENSIONS", "add_routes"]

COPIES = web.AppKey("copies", Copies)

EXTENSIONS = ("stat", "rename", "directory", "order", "prune", "range", "sum")
"""What is announced: these routes, `order`, deletion with `recursive` (`prune`), downloads by `Range` (`range`), and
computed checksums (`sum`).
"""

_PAGE = 1000
"""Items in one piece of a listing."""

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds these routes."""
    router.add_get("/storage/items/", list_items)
    router.add_delete("/storage/items/", delete_item)
    router.add_get("/storage/stat/", show_item)
    router.add_put("/storage/transfer/", copy_item)
    router.add_put("/storage/rename/", rename_item)
    router.add_put("/storage/directory/", make_directory)


async def list_items(request: web.Request) -> web.StreamResponse:
    """`GET /storage/items/`."""
    unit, path = request.app[UNIT], path_parameter(request, default="/")
    parameters = parse_query(request.rel_url.raw_query_string)
    if _flag(parameters.get("recursive", "false")):
        found = list_tree(unit.volume, path)
    else:
        found = list_directory(unit.volume, path, by_key=parameters.get("order") == "key")
    piece, more = await unit.run(_next_piece, found, b"[")
    if not more:
        return web.Response(body=piece + b"]", content_type="application/json")
    response = web.StreamResponse()
    response.content_type = "application/json"
    await response.prepare(request)
    while more:
        await response.write(piece)
        piece, more = await unit.run(_next_piece, found, b",")
    await response.write(piece + b"]" if piece != b"," else b"]")
    return response


async def delete_item(request: web.Request) -> web.StreamResponse:
    """`DELETE /storage/items/`."""
    unit, path = request.app[UNIT], path_parameter(request)
    parameters = parse_query(request.rel_url.raw_query_string)
    recursive, kind = _flag(parameters.get("recursive", "true")), parameters.get("kind")
    if kind not in (None, "file", "directory"):
        raise refusal(web.HTTPBadRequest, "invalid_parameter", "kind must be file or directory")
    removing = unit.run_long(remove, unit.workspace, path, recursive, kind)
    return await answer_slowly(request, removing, lambda _: {})


async def show_item(request: web.Request) -> web.StreamResponse:
    """`GET /storage/stat/`."""
    unit, path = request.app[UNIT], path_parameter(request)
    summed = _flag(parse_query(request.rel_url.raw_query_string).get("checksum", "false"), "checksum")
    found = await unit.run(unit.volume.stat, path)
    if not summed or found.etag is None or found.crc32c is not None:
        return _item(found)
    return await _show_with_checksum(request, unit, path)


async def _show_with_checksum(request: web.Request, unit: Unit, path: str) -> web.StreamResponse:
    stopped = threading.Event()
    try:
        computing = unit.run_long(sum_file, unit.workspace, unit.sums, path, stopped)
        return await answer_slowly(request, computing, Found.to_dict, changes=False)
    finally:
        stopped.set()


async def copy_item(request: web.Request) -> web.StreamResponse:
    """`PUT /storage/transfer/`."""
    unit = request.app[UNIT]
    path, destination = path_parameter(request), path_parameter(request, "destination")
    etag = request.headers.get("If-Match", "*").strip('"')
    new = _flag(parse_query(request.rel_url.raw_query_string).get("absent", "false"), "absent")
    copying = request.app[COPIES].copy(unit, path, destination, None if etag == "*" else etag, new=new)
    return await answer_slowly(request, copying, lambda found: found.to_dict() | ({"absent": True} if new else {}))


async def rename_item(request: web.Request) -> web.Response:
    """`PUT /storage/rename/`."""
    unit = request.app[UNIT]
    path, destination = path_parameter(request), path_parameter(request, "destination")
    await unit.run(unit.volume.rename, path, destination)
    return _item(await unit.run(unit.volume.stat, destination))


async def make_directory(request: web.Request) -> web.Response:
    """`PUT /storage/directory/`."""
    unit, path = request.app[UNIT], path_parameter(request)
    text = parse_query(request.rel_url.raw_query_string).get("mode")
    mode = parse_mode(text)
    if mode is None and text is not None:
        raise refusal(web.HTTPBadRequest, "invalid_parameter", "mode must be permission bits in octal, 0000 to 0777")
    await unit.run(unit.volume.make_directory, path, mode)
    return _item(await unit.run(unit.volume.stat, path))


def _next_piece(found: Iterator[Found], start: bytes) -> tuple[bytes, bool]:
    """Returns the next items as JSON, after `start`, and whether there may be more."""
    items = [each.to_dict() for each in islice(found, _PAGE)]
    return start + json.dumps(items)[1:-1].encode(), len(items) == _PAGE


def _flag(text: str, name: str = "recursive") -> bool:
    if text.lower() not in _BOOLEANS:
        raise refusal(web.HTTPBadRequest, "invalid_parameter", f"{name} must be true or false")
    return _BOOLEANS[text.lower()]


def _item(found: Found) -> web.Response:
    return web.json_response(found.to_dict())
