"""The page's uploads over HTTP: tus 1.0.0 with creation, creation-with-upload, termination and expiration.

Source: https://tus.io/protocols/resumable-upload
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from email.utils import formatdate

from aiohttp import web

from dxflow_async.exceptions import DxflowError
from dxflow_async.hub_page import uploads
from dxflow_async.hub_page.answers import send_end, too_large
from dxflow_async.hub_page.guard import Guard
from dxflow_async.hub_page.locations import decode_location
from dxflow_async.hub_page.uploads import Upload
from dxflow_async.hub_page.workspace import Visitor
from dxflow_async.server.common.middleware import refusal, size_header

__all__ = ["add_routes"]

_VERSION = "1.0.0"
_BYTES = "application/offset+octet-stream"
_EXTENSIONS = "creation,creation-with-upload,termination,expiration"

_STALL_SECONDS = 60.0
"""Seconds in which the next bytes of a request must come; the upload itself stays open for longer."""

_FINISH_SECONDS = 60.0
_MAX_LENGTH = 1 << 50
_MAX_FIELD = 16 << 10
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}")


def add_routes(router: web.UrlDispatcher, guard: Guard) -> None:
    """Adds these routes."""
    router.add_options("/page/uploads/", guard.open(show_options))
    router.add_get("/page/uploads/", guard.signed_in(list_uploads), allow_head=False)
    router.add_post("/page/uploads/", guard.signed_in(create))
    router.add_head("/page/uploads/{id}", guard.signed_in(show_offset))
    router.add_patch("/page/uploads/{id}", guard.signed_in(take_bytes))
    router.add_delete("/page/uploads/{id}", guard.signed_in(terminate))


class _Locked(web.HTTPClientError):
    """The upload cannot be gone on with now."""

    status_code = 423


async def show_options(_request: web.Request) -> web.Response:
    """`OPTIONS page/uploads/`: says what of the protocol is known."""
    headers = {"Tus-Version": _VERSION, "Tus-Extension": _EXTENSIONS, "Tus-Max-Size": str(_MAX_LENGTH)}
    return web.Response(status=204, headers=headers | {"Tus-Resumable": _VERSION})


async def list_uploads(_request: web.Request, visitor: Visitor) -> web.Response:
    """`GET page/uploads/`: lists the uploads that can be gone on with."""
    found = visitor.workspace.uploads.unfinished()
    return web.json_response({"uploads": [each.to_dict() for each in found]})


async def create(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`POST page/uploads/`: begins an upload; the body, if there is one, is its first bytes."""
    _check_version(request)
    length = size_header(request, "Upload-Length")
    if length > _MAX_LENGTH:
        raise too_large("the file is too long")
    fields = _metadata(request)
    workspace = visitor.workspace
    location = workspace.scope.check(decode_location(fields.get("location")))
    if location.endswith("/"):
        raise refusal(web.HTTPBadRequest, "invalid_location", "the name of a file must not end in a slash")
    await workspace.session.storage_at(location)
    overwrite = fields.get("overwrite") != "no"
    if not overwrite and await workspace.session.exists(location):
        raise refusal(web.HTTPConflict, "exists", "a file of that name exists")
    media_type = fields.get("filetype", "")
    upload = await workspace.uploads.create(
        location,
        length,
        fingerprint=fields.get("fingerprint"),
        content_type=media_type if _MEDIA_TYPE.fullmatch(media_type) else None,
        overwrite=overwrite,
    )
    await _receive(request, visitor, upload, 0, body=request.content_type == _BYTES)
    return web.Response(status=201, headers={"Location": upload.id, **_state(upload)})


async def show_offset(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`HEAD page/uploads/ID`: says how many bytes have come. All of them are stored before the last one counts."""
    _check_version(request)
    known, upload_id = visitor.workspace.uploads, request.match_info["id"]
    length = known.length_of_stored(upload_id)
    if length is None:
        upload = known.find(upload_id)
        if upload.offset == upload.length:
            try:
                async with asyncio.timeout(_FINISH_SECONDS):
                    await _finish(visitor, upload)
            except TimeoutError:
                raise refusal(_Locked, "busy", "the file is being stored; ask again") from None
        headers = _state(upload) | {"Upload-Length": str(upload.length)}
    else:
        headers = {"Tus-Resumable": _VERSION, "Upload-Offset": str(length), "Upload-Length": str(length)}
    response = web.StreamResponse(headers=headers | {"Cache-Control": "no-store"})
    response.content_length = 0
    await response.prepare(request)
    await send_end(response)
    return response


async def take_bytes(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`PATCH page/uploads/ID`: takes the next bytes. After the last one, the answer says that the file is stored."""
    _check_version(request)
    if request.content_type != _BYTES:
        raise refusal(web.HTTPUnsupportedMediaType, "not_bytes", f"send Content-Type: {_BYTES}")
    upload = visitor.workspace.uploads.find(request.match_info["id"])
    await _receive(request, visitor, upload, size_header(request, "Upload-Offset"), body=True)
    return web.Response(status=204, headers=_state(upload))


async def terminate(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`DELETE page/uploads/ID`: gives an upload up; nothing of it stays."""
    known = visitor.workspace.uploads
    await known.abort(known.find(request.match_info["id"]))
    return web.Response(status=204, headers={"Tus-Resumable": _VERSION})


async def _receive(request: web.Request, visitor: Visitor, upload: Upload, offset: int, *, body: bool) -> None:
    """Puts the bytes of a request into an upload, and waits until it is stored if they are the last ones."""

    async def receive() -> None:
        while True:
            async with asyncio.timeout(_STALL_SECONDS):
                chunk = await request.content.readany()
            if not chunk:
                return
            if upload.offset + len(chunk) > upload.length:
                raise refusal(web.HTTPBadRequest, "too_long", "the request has more bytes than the upload is long")
            await upload.put(chunk)

    try:
        if body:
            await upload.receive(offset, receive)
        if upload.offset == upload.length:
            await _finish(visitor, upload)
    except DxflowError:
        await visitor.workspace.uploads.abort(upload)
        raise


async def _finish(visitor: Visitor, upload: Upload) -> None:
    try:
        await visitor.workspace.uploads.finish(upload)
    except DxflowError:
        await visitor.workspace.uploads.abort(upload)
        raise
    except asyncio.CancelledError:
        if upload.ended and not _is_cancelled():
            raise refusal(web.HTTPNotFound, "not_found", "the upload was given up") from None
        raise


def _is_cancelled() -> bool:
    """Returns whether it is this task that is cancelled, and not the one that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _state(upload: Upload) -> dict[str, str]:
    expires = time.time() + uploads.EXPIRY_SECONDS - (time.monotonic() - upload.used)
    return {
        "Tus-Resumable": _VERSION,
        "Upload-Offset": str(upload.offset),
        "Upload-Expires": formatdate(expires, usegmt=True),
    }


def _check_version(request: web.Request) -> None:
    if request.headers.get("Tus-Resumable") != _VERSION:
        headers = {"Tus-Version": _VERSION}
        raise refusal(web.HTTPPreconditionFailed, "tus_version", f"send Tus-Resumable: {_VERSION}", headers)


def _metadata(request: web.Request) -> dict[str, str]:
    """Returns the fields of `Upload-Metadata`: keys, each followed by a value in base64.

    Raises:
        HTTPBadRequest: the header is not valid.
    """
    fields: dict[str, str] = {}
    for pair in request.headers.get("Upload-Metadata", "").split(","):
        key, _, value = pair.strip().partition(" ")
        try:
            text = base64.b64decode(value.strip(), validate=True).decode()
        except ValueError:
            raise refusal(web.HTTPBadRequest, "invalid_header", "Upload-Metadata is not valid") from None
        if len(text) > _MAX_FIELD:
            raise refusal(web.HTTPBadRequest, "invalid_header", "Upload-Metadata is too long")
        if key:
            fields[key] = text
    return fields
