"""The contents of files: downloads, previews and images.

Nothing of a user's file is ever shown by the browser as a page of this site: files are attachments, previews are JSON,
and images are of types that hold no script.
"""

from __future__ import annotations

import csv
import re
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from aiohttp import web

from dxflow_async.hub_page.answers import send, send_end, too_large, while_connected
from dxflow_async.hub_page.listing import location_of
from dxflow_async.hub_page.workspace import Visitor
from dxflow_async.models import Item
from dxflow_async.paths import utf8_shown
from dxflow_async.server.common.middleware import refusal

__all__ = ["CONTENT_POLICY", "attachment", "download", "show_image", "show_preview"]

CONTENT_POLICY = "sandbox; default-src 'none'"

_PREVIEW_SIZE = 64 << 10
_MAX_IMAGE_SIZE = 32 << 20
_MAX_ROWS, _MAX_COLUMNS, _MAX_CELL = 200, 100, 1000

_IMAGES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
"""The first bytes of raster images. Source: https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern"""

_IMAGE_HEAD = 16
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


async def download(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`GET page/file`: returns a file as an attachment, or a range of it."""
    location = location_of(request, visitor)
    item = await _file(visitor, location)
    etag = _etag(item)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": attachment(item.name),
        "Content-Security-Policy": CONTENT_POLICY,
        "Content-Type": "application/octet-stream",
        "Cache-Control": "private, no-cache",
    } | ({} if etag is None else {"ETag": etag})
    if etag is not None and etag in re.split(r",\s*", request.headers.get("If-None-Match", "")):
        return web.Response(status=304, headers=headers)
    span = _span(request, item.size, etag)
    if span is None:
        headers["Content-Range"] = f"bytes */{item.size}"
        return web.Response(status=416, headers=headers)
    start, end = span
    partial = (start, end) != (0, item.size)
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{item.size}"
    response = web.StreamResponse(status=206 if partial else 200, headers=headers)
    response.content_length = end - start
    await response.prepare(request)
    if request.method != "HEAD":
        await _send_span(visitor, location, response, (start, end), whole=not partial)
    await send_end(response)
    return response


async def show_preview(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`GET page/preview`: returns the beginning of a file as text or as rows, or says that it is an image."""
    location = location_of(request, visitor)

    async def read() -> tuple[Item, bytes]:
        item = await _file(visitor, location)
        size = min(item.size, _PREVIEW_SIZE)
        return item, await visitor.workspace.session.read_bytes(location, 0, size) if size > 0 else b""

    item, content = await while_connected(request, read())
    return web.json_response(_preview(item, content))


async def show_image(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`GET page/image`: returns a raster image, of the type that its first bytes tell."""
    location = location_of(request, visitor)
    item = await _file(visitor, location)
    if not 0 < item.size <= _MAX_IMAGE_SIZE:
        raise too_large(f"images of up to {_MAX_IMAGE_SIZE >> 20} MiB are shown")
    head = await visitor.workspace.session.read_bytes(location, 0, min(item.size, _IMAGE_HEAD))
    media_type = _image_type(head)
    if media_type is None:
        raise refusal(web.HTTPUnsupportedMediaType, "no_image", "it is not a PNG, JPEG, GIF or WebP image")
    headers = {
        "Content-Type": media_type,
        "Content-Security-Policy": CONTENT_POLICY,
        "Content-Disposition": "inline",
        "Cache-Control": "private, no-cache",
    }
    response = web.StreamResponse(headers=headers)
    response.content_length = item.size
    await response.prepare(request)
    if request.method != "HEAD":
        await _send_span(visitor, location, response, (0, item.size), whole=True)
    await send_end(response)
    return response


def attachment(name: str) -> str:
    r"""Returns the value of `Content-Disposition` for a file to save: any name, without a character that ends a value.

    Source: https://www.rfc-editor.org/rfc/rfc6266

    Example:
        >>> print(attachment('a"b.txt'))
        attachment; filename="a_b.txt"; filename*=UTF-8''a%22b.txt
    """
    text = re.sub(r"[\x00-\x1f\x7f/\\]", "_", utf8_shown(name)) or "file"
    plain = re.sub(r"[^ !#$&+.0-9A-Z^_`a-z{}~()\[\]=@,;\'-]", "_", text)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(text, safe='')}"


async def _file(visitor: Visitor, location: str) -> Item:
    item = None if location.endswith("/") else await visitor.workspace.session.stat(location)
    if item is None or item.directory:
        raise refusal(web.HTTPBadRequest, "is_directory", "it is a directory; download it as a zip file")
    return item


async def _send_span(
    visitor: Visitor, location: str, response: web.StreamResponse, span: tuple[int, int], *, whole: bool
) -> None:
    """Sends bytes of a file. The last ones wait until the file's checksum was compared.

    Raises:
        StorageError: the file could not be read; the answer then ends early.
    """
    start, end = span
    held, sent = b"", 0
    if start == end:
        return
    chunks = visitor.workspace.session.read(location, *((None, None) if whole else (start, end)))
    async with aclosing(chunks):
        async for chunk in chunks:
            if held:
                await send(response, held)
            held, sent = chunk, sent + len(chunk)
            if sent > end - start:
                break
    if sent != end - start:
        raise ConnectionResetError("the file has another size than before")
    await send(response, held)


def _etag(item: Item) -> str | None:
    text = item.etag
    return f'"{text}"' if text is not None and re.fullmatch(r"[!#-~]{1,200}", text) else None


def _span(request: web.Request, size: int, etag: str | None) -> tuple[int, int] | None:
    """Returns the bytes that a request wants; None if the file has none of them."""
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", request.headers.get("Range", "").strip())
    condition = request.headers.get("If-Range")
    if match is None or match[0] == "bytes=-" or (condition is not None and condition != etag):
        return 0, size
    first, last = match[1], match[2]
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    start, end = int(first), min(size, int(last) + 1) if last else size
    if last and int(last) < start:
        return 0, size
    return (start, end) if start < size else None


def _preview(item: Item, content: bytes) -> dict[str, Any]:
    truncated = len(content) < item.size
    tree: dict[str, Any] = {"kind": "none", "text": None, "rows": None, "truncated": truncated, "size": item.size}
    if _image_type(content[:_IMAGE_HEAD]) is not None:
        if item.size <= _MAX_IMAGE_SIZE:
            return tree | {"kind": "image", "reason": None, "truncated": False}
        return tree | {"reason": f"The image is larger than {_MAX_IMAGE_SIZE >> 20} MiB."}
    text = _decoded(content, truncated=truncated)
    if text is None:
        return tree | {"reason": "It is neither text nor an image that browsers show safely."}
    delimiter = {"csv": ",", "tsv": "\t"}.get(item.name.lower().rpartition(".")[2])
    rows = None if delimiter is None else _rows(text, delimiter, truncated=truncated)
    return tree | {"kind": "text" if rows is None else "csv", "text": text, "rows": rows, "reason": None}


def _image_type(head: bytes) -> str | None:
    return next((media_type for pattern, media_type in _IMAGES if pattern.match(head)), None)


def _decoded(content: bytes, *, truncated: bool) -> str | None:
    """Returns the text of a file's first bytes; None if it is not text."""
    encoding = "utf-8-sig"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding, content = "utf-16", content[: len(content) & ~1]
    for cut in range(4 if truncated else 1):  # the last character may be there in part
        try:
            text = content[: len(content) - cut].decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if len(_CONTROL.findall(text)) > len(text) // 50 else text
    return None


def _rows(text: str, delimiter: str, *, truncated: bool) -> list[list[str]] | None:
    """Returns the first rows of a table; None if it is not one."""
    lines = text.splitlines(keepends=True)
    if truncated and len(lines) > 1:
        lines.pop()
    rows = []
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            rows.append([cell[:_MAX_CELL] for cell in row[:_MAX_COLUMNS]])
            if len(rows) == _MAX_ROWS:
                break
    except csv.Error:
        return None
    return rows
