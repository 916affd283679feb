"""Uploads over HTTP: tus 1.0.0 with creation, creation-with-upload, concatenation, checksum, termination, expiration.

`Upload-Metadata` names the file: `path` is its directory, and `name` (or `filename`, as other clients call it) its
name. Our client may add more, all of it text:

- `mtime`: the source's time in decimal seconds since the epoch, which becomes the file's time;
- `mode`: permission bits in octal (`0640`), which a new file gets before its name;
- `absent` (`true`): the file replaces nothing. A name that exists, also one that was made in the meantime, is 409 with
  the code `already_exists`; answers about such an upload have `Dx-Absent: true`, which confirms the condition;
- `checksum` (`crc32c <base64>`): of the whole file, compared before it gets its name;
- `group`, for partial uploads: 16 to 64 letters or digits, the same for all parts of a file and of no other file, with
  `start`, where the part begins in bytes. Such parts are put together without copying. `DELETE /storage/upload/GROUP`
  removes all of them, also those whose address its client never learned (`groups-removed`).

Answers that have an offset also have the `Repr-Digest` (`crc32c=:<base64>:`) of the bytes before it (`digest`), and
those that finish a file have its `ETag`, as a download has. `Dx-Extension` announces these (`mode` also applies to
listings, downloads and directories), and `echo`: every answer repeats its request's `Dx-Request`.

A missing `Tus-Resumable` means 1.0.0. While one client writes to an upload, others get 423.

Source: https://tus.io/protocols/resumable-upload
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from urllib.parse import urlsplit

from aiohttp import web

from dxflow_async.exceptions import StorageError
from dxflow_async.modes import format_mode, umask
from dxflow_async.server.common.middleware import refusal, size_header
from dxflow_async.server.unit import files
from dxflow_async.server.unit.checksums import ALGORITHMS, Expected, parse_expected
from dxflow_async.server.unit.concatenation import concatenate
from dxflow_async.server.unit.download import digest
from dxflow_async.server.unit.receiving import Receiver, piece_size
from dxflow_async.server.unit.slow_answers import RunningWork
from dxflow_async.server.unit.unit import UNIT, Unit
from dxflow_async.server.unit.upload_metadata import UploadMetadata
from dxflow_async.server.unit.upload_state import Status, Upload

__all__ = ["CONCATENATIONS", "PATH", "add_routes"]

CONCATENATIONS = web.AppKey("concatenations", RunningWork)

PATH = "/storage/upload/"

_VERSION = "1.0.0"
_EXTENSIONS = ("mtime", "mode", "checksum", "group", "groups-removed", "digest", "absent", "echo")
_PROTOCOL = {
    "Tus-Version": _VERSION,
    "Tus-Extension": "creation,creation-with-upload,concatenation,checksum,termination,expiration",
    "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    "Dx-Extension": ",".join((*files.EXTENSIONS, *_EXTENSIONS)),
}
_BODY_TYPE = "application/offset+octet-stream"
_MAX_PARTS = 2000
_ID = r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64})?"


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds the routes of the protocol."""
    one = PATH + "{id:" + _ID + "}"
    router.add_route("OPTIONS", PATH, show_protocol)
    router.add_route("OPTIONS", one, show_protocol)
    router.add_post(PATH, create)
    router.add_post(one, overridden)
    router.add_head(one, show_offset)
    router.add_patch(one, receive)
    router.add_delete(one, terminate)


async def show_protocol(request: web.Request) -> web.Response:
    """`OPTIONS`: says what this server can do, and which mode new directories have by default."""
    mask = await request.app[UNIT].run(umask)
    return web.Response(status=204, headers={**_PROTOCOL, "Dx-Directory-Mode": format_mode(0o777 & ~mask)})


async def create(request: web.Request) -> web.Response:
    """`POST /storage/upload/`: creates an upload, with its first bytes, or from other uploads."""
    _check_version(request)
    unit, concat = request.app[UNIT], request.headers.get("Upload-Concat", "").strip()
    metadata = UploadMetadata.parse(request.headers.get("Upload-Metadata", ""))
    if concat.startswith("final"):
        return await _concatenate(request, unit, concat, metadata)
    if concat not in ("", "partial"):
        raise refusal(web.HTTPBadRequest, "invalid_header", "Upload-Concat must be partial, or final;URL URL ...")
    if "Upload-Defer-Length" in request.headers and "Upload-Length" not in request.headers:
        text = "this server needs the length when an upload is created; send Upload-Length"
        raise refusal(web.HTTPBadRequest, "invalid_header", text)
    upload = metadata.upload(_new_id(metadata.group), size_header(request, "Upload-Length"), concat)
    if _has_body(request):
        status = await _create_with_bytes(request, unit, upload)
    else:
        status = await unit.run(unit.uploads.create, upload)
    return _created(request, status)


async def show_offset(request: web.Request) -> web.Response:
    """`HEAD`: returns an upload's offset."""
    _check_version(request)
    unit = request.app[UNIT]
    status = await unit.run(unit.uploads.status, request.match_info["id"])
    headers = {**_progress(status), "Upload-Length": str(status.upload.length), "Cache-Control": "no-store"}
    if status.upload.metadata:
        headers["Upload-Metadata"] = status.upload.metadata
    if status.upload.concat:
        headers["Upload-Concat"] = status.upload.concat
    return web.Response(headers=headers)


async def receive(request: web.Request) -> web.Response:
    """`PATCH`: takes the next bytes of an upload."""
    _check_version(request)
    _check_type(request)
    unit, offset, expected = request.app[UNIT], size_header(request, "Upload-Offset"), _expected(request)
    receiver = Receiver(request.content, unit)
    status = await receiver.run(unit.uploads.writer, request.match_info["id"], offset, expected, request.content_length)
    return web.Response(status=204, headers=_progress(status))


async def terminate(request: web.Request) -> web.Response:
    """`DELETE`: removes an upload, or all uploads of a group."""
    _check_version(request)
    unit = request.app[UNIT]
    await unit.run(unit.uploads.terminate, request.match_info["id"])
    return web.Response(status=204, headers={"Tus-Resumable": _VERSION})


_OVERRIDES: dict[str, Callable[[web.Request], Awaitable[web.Response]]] = {
    "PATCH": receive,
    "DELETE": terminate,
    "HEAD": show_offset,
}


async def overridden(request: web.Request) -> web.Response:
    """`POST` instead of another method, for clients that cannot send it. `X-HTTP-Method-Override` names the method."""
    handler = _OVERRIDES.get(request.headers.get("X-HTTP-Method-Override", "").upper())
    if handler is None:
        raise web.HTTPMethodNotAllowed("POST", ["HEAD", "PATCH", "DELETE", "OPTIONS"])
    return await handler(request)


async def _create_with_bytes(request: web.Request, unit: Unit, upload: Upload) -> Status:
    _check_type(request)
    expected, length = _expected(request), request.content_length
    if length is not None and length > upload.length:
        raise StorageError(f"the upload ends at {upload.length}", status=413, code="too_long")
    receiver = Receiver(request.content, unit)
    if not upload.partial and upload.length == length and length <= piece_size(unit):
        return await unit.run(unit.uploads.store, upload, await receiver.read(), expected)
    await unit.run(unit.uploads.create, upload)
    try:
        return await receiver.run(unit.uploads.writer, upload.id, 0, expected, length)
    except BaseException:
        with contextlib.suppress(StorageError):  # no client knows its address
            await asyncio.shield(unit.run(unit.uploads.terminate, upload.id))
        raise


async def _concatenate(request: web.Request, unit: Unit, concat: str, metadata: UploadMetadata) -> web.Response:
    parts = [_id_of(url) for url in concat.removeprefix("final").lstrip("; ").split()]
    if not 0 < len(parts) <= _MAX_PARTS or "Upload-Length" in request.headers:
        text = f"a final upload names 1 to {_MAX_PARTS} partial ones, and has no Upload-Length"
        raise refusal(web.HTTPBadRequest, "invalid_header", text)
    # The same parts in the same order are the same upload, even if it is requested again.
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    upload = metadata.upload(f"final-{digest[:48]}", 0, concat)
    work = request.app[CONCATENATIONS].join(upload.id, lambda: unit.run_long(concatenate, unit.uploads, upload, parts))
    return _created(request, await asyncio.shield(work))


def _created(request: web.Request, status: Status) -> web.Response:
    return web.Response(status=201, headers={**_progress(status), "Location": _url(request, status.upload.id)})


def _progress(status: Status) -> dict[str, str]:
    headers = {"Tus-Resumable": _VERSION, "Upload-Offset": str(status.offset), "Repr-Digest": digest(status.crc32c)}
    if not status.complete:
        headers["Upload-Expires"] = formatdate(status.expires, usegmt=True)
    if status.upload.absent:
        headers["Dx-Absent"] = "true"
    if status.found is not None and status.found.etag is not None:
        headers["ETag"] = f'"{status.found.etag}"'
    return headers


def _url(request: web.Request, upload_id: str) -> str:
    """Returns an absolute URL, since not every client accepts a relative one."""
    scheme = "https" if request.headers.get("X-Forwarded-Proto") == "https" else request.scheme
    return f"{scheme}://{request.host}{PATH}{upload_id}"


def _id_of(url: str) -> str:
    try:
        path = urlsplit(url).path
    except ValueError:  # such as a bracket that is not closed
        path = ""
    match = re.fullmatch(rf".*{PATH}({_ID})", path)
    if match is None:
        raise refusal(web.HTTPBadRequest, "invalid_header", f"{url:.100} is not an upload of this unit")
    return match[1]


def _new_id(group: str) -> str:
    token = secrets.token_hex(16)
    return f"{group}.{token}" if group else token


def _check_version(request: web.Request) -> None:
    if request.headers.get("Tus-Resumable", _VERSION) != _VERSION:
        headers = {"Tus-Version": _VERSION}
        raise refusal(web.HTTPPreconditionFailed, "wrong_version", f"send Tus-Resumable: {_VERSION}", headers)


def _check_type(request: web.Request) -> None:
    if request.content_type != _BODY_TYPE:
        raise refusal(web.HTTPUnsupportedMediaType, "wrong_type", f"send Content-Type: {_BODY_TYPE}")
    if "Content-Encoding" in request.headers:
        raise refusal(web.HTTPUnsupportedMediaType, "encoded", "send the bytes as they are, without Content-Encoding")


def _has_body(request: web.Request) -> bool:
    return request.content_type == _BODY_TYPE and request.can_read_body


def _expected(request: web.Request) -> Expected | None:
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    expected = parse_expected(text)
    if expected is None:
        allowed = ", ".join(ALGORITHMS)
        raise refusal(web.HTTPBadRequest, "invalid_header", f"Upload-Checksum must be one of {allowed} and its base64")
    return expected
