"""The bytes of a file: `GET` and `HEAD /storage/download/?path=`.

An answer has `ETag`, `Content-Length`, `Last-Modified`, `Accept-Ranges`, `Dx-Modified` (the time in listings, in
decimal seconds) and `Dx-Mode` (the permission bits in octal). If the file's CRC32C is known, or the file is small, it
also has `Repr-Digest: crc32c=:<base64>:`, which belongs to the whole file even if a range is sent. `Range` takes one
range of bytes (`bytes=0-99`, `bytes=100-`, `bytes=-100`). `If-Match` pins the version; `If-None-Match` and `If-Range`
work as usual. The file is held open while it is sent, so a file that replaces it does not mix in.

Source: https://www.rfc-editor.org/rfc/rfc9110 (13, 14), https://www.rfc-editor.org/rfc/rfc9530
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate

from aiohttp import web

from dxflow_async import checksum
from dxflow_async.concurrency.descriptors import OUT_OF_DESCRIPTORS
from dxflow_async.modes import format_mode
from dxflow_async.server.common.middleware import error_response
from dxflow_async.server.unit import checksums
from dxflow_async.server.unit.unit import STALL_SECONDS, UNIT, Unit, path_parameter
from dxflow_async.server.unit.volume import etag_of

__all__ = ["add_routes", "digest"]

_SMALL = 128 << 10
"""Bytes that are read while the file is opened."""
_PIECE = 1 << 20
"""Bytes read at a time where the kernel cannot send the file."""
_TURN = 16 << 20
"""Bytes that one connection may send before another one gets the thread."""


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds the route."""
    router.add_get("/storage/download/", download)


async def download(request: web.Request) -> web.StreamResponse:
    """`GET /storage/download/`."""
    unit = request.app[UNIT]
    opening = asyncio.ensure_future(unit.run(_open, unit, path_parameter(request), request.headers))
    try:
        opened = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unused)
        raise
    try:
        return await _answer(request, unit, opened)
    finally:
        opened.close()


def digest(crc: int) -> str:
    """Returns a CRC32C as a value of `Repr-Digest`."""
    return f"crc32c=:{checksum.encode(crc)}:"


@dataclass(slots=True)
class _Opened:
    """An open file, and the requested bytes `[start, end)` of it. `status` is the status of the answer."""

    descriptor: int
    size: int
    headers: dict[str, str]
    status: int = 200
    start: int = 0
    end: int = 0
    content: bytes | None = None

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _open(unit: Unit, path: str, conditions: Mapping[str, str]) -> _Opened:
    descriptor = unit.volume.open_file(path)
    try:
        status = os.fstat(descriptor)
        etag, crc = etag_of(status), checksums.stored(descriptor, status)
        headers = {
            "ETag": f'"{etag}"',
            **({} if crc is None else {"Repr-Digest": digest(crc)}),
            "Last-Modified": formatdate(status.st_mtime, usegmt=True),
            "Dx-Modified": f"{status.st_mtime:.6f}",
            "Dx-Mode": format_mode(status.st_mode),
            "Accept-Ranges": "bytes",
        }
        opened = _Opened(descriptor, status.st_size, headers, end=status.st_size)
        _choose(opened, etag, conditions)
        if opened.status < 300 and opened.end - opened.start <= _SMALL:
            opened.content = os.pread(descriptor, opened.end - opened.start, opened.start)
            if crc is None and len(opened.content) == status.st_size:
                headers["Repr-Digest"] = digest(checksum.crc32c(opened.content))
    except BaseException:
        os.close(descriptor)
        raise
    return opened


def _choose(opened: _Opened, etag: str, conditions: Mapping[str, str]) -> None:
    """Sets the answer that the conditions and the range ask for."""
    if "If-Match" in conditions and not _matches(conditions["If-Match"], etag):
        opened.status = 412
    elif "If-None-Match" in conditions and _matches(conditions["If-None-Match"], etag):
        opened.status = 304
    elif "Range" in conditions and conditions.get("If-Range", f'"{etag}"') == f'"{etag}"':
        _choose_range(opened, conditions["Range"])


def _choose_range(opened: _Opened, text: str) -> None:
    wanted = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", text.strip())
    if wanted is None or wanted[0] == "bytes=-":
        return  # anything else, such as several ranges, is answered with the whole file
    first, last = wanted.groups()
    start = int(first) if first else max(opened.size - int(last), 0)
    end = min(int(last) + 1, opened.size) if first and last else opened.size
    if first and last and int(last) < int(first):
        return
    if start >= opened.size:
        opened.status = 416
        opened.headers["Content-Range"] = f"bytes */{opened.size}"
        return
    opened.status, opened.start, opened.end = 206, start, end
    opened.headers["Content-Range"] = f"bytes {start}-{end - 1}/{opened.size}"


def _matches(header: str, etag: str) -> bool:
    tags = [tag.strip() for tag in header.split(",")]
    return "*" in tags or f'"{etag}"' in tags or etag in tags


async def _answer(request: web.Request, unit: Unit, opened: _Opened) -> web.StreamResponse:
    if opened.status == 412:
        text = "the file no longer has that version; look again"
        return error_response(412, "precondition_failed", text, opened.headers)
    if opened.status == 416:
        return error_response(416, "no_such_range", f"the file has {opened.size} bytes", opened.headers)
    if opened.status == 304:
        return web.Response(status=304, headers=opened.headers)
    headers = {**opened.headers, "Content-Type": "application/octet-stream"}
    size = opened.end - opened.start
    if opened.content is not None and request.method != "HEAD":
        if len(opened.content) != size:
            raise ConnectionResetError("the file became shorter")
        return web.Response(status=opened.status, body=opened.content, headers=headers)
    response = web.StreamResponse(status=opened.status, headers=headers)
    response.content_length = size
    await response.prepare(request)
    if request.method != "HEAD":
        await _send(request, response, unit, opened)
    await response.write_eof()
    return response


async def _send(request: web.Request, response: web.StreamResponse, unit: Unit, opened: _Opened) -> None:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the connection is gone")
    socket = transport.get_extra_info("socket")
    if socket is None or transport.get_extra_info("sslcontext") is not None or not hasattr(os, "sendfile"):
        await _send_pieces(response, unit, opened)
        return
    async with asyncio.timeout(STALL_SECONDS):
        pause = 0.0
        while transport.get_write_buffer_size():  # the header is sent first
            await asyncio.sleep(pause)
            pause = 0.001
    try:
        connection = os.dup(socket.fileno())
    except OSError as error:
        if error.errno not in OUT_OF_DESCRIPTORS:
            raise
        await _send_pieces(response, unit, opened)
        return
    await _send_file(connection, unit, opened)


async def _send_file(connection: int, unit: Unit, opened: _Opened) -> None:
    """Lets the kernel send the file, in a thread that may wait for the disk but never for the client.

    The connection's descriptor is duplicated, so the loop's transport does not know it.
    """
    position = opened.start
    try:
        while position < opened.end:
            running = asyncio.ensure_future(
                unit.run(_send_some, connection, opened.descriptor, position, min(opened.end - position, _TURN))
            )
            try:
                sent, full = await asyncio.shield(running)
            finally:
                await asyncio.wait([running])  # the thread uses both descriptors
            position += sent
            if full:
                await _writable(connection)
    finally:
        os.close(connection)


def _send_some(connection: int, file: int, start: int, size: int) -> tuple[int, bool]:
    """Returns how many bytes the connection took, and whether it takes no more for now."""
    sent = 0
    while sent < size:
        try:
            count = os.sendfile(connection, file, start + sent, size - sent)
        except BlockingIOError:
            return sent, True
        if not count:
            raise ConnectionResetError("the file became shorter while it was sent")
        sent += count
    return sent, False


async def _writable(connection: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(connection, _set, ready)
    try:
        async with asyncio.timeout(STALL_SECONDS):
            await ready
    finally:
        loop.remove_writer(connection)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _send_pieces(response: web.StreamResponse, unit: Unit, opened: _Opened) -> None:
    position = opened.start
    while position < opened.end:
        size = min(opened.end - position, _PIECE)
        piece = await unit.run(os.pread, opened.descriptor, size, position)
        if not piece:
            raise ConnectionResetError("the file became shorter while it was sent")
        async with asyncio.timeout(STALL_SECONDS):
            await response.write(piece)
        position += len(piece)


def _close_unused(opening: asyncio.Future[_Opened]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
