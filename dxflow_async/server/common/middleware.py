"""What all answers have in common: errors as JSON, request ids, one line in the log per request.

Every failure answers `{"error": {"code": ..., "message": ...}}`. No body, header or secret reaches a log or an answer.
Every answer has an `X-Request-ID`: the request's own if that is a plain word, or else a new one. It also repeats the
request's `Dx-Request`, so that a client can tell it from another server's answer, and from the answer to another
request.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import re
import secrets
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.server.common.addresses import ADDRESSES

__all__ = [
    "ACTIVITY",
    "ECHO",
    "Activity",
    "error_response",
    "failure_of",
    "handle_errors",
    "has_begun",
    "mark_answer",
    "peer_of",
    "refusal",
    "size_header",
]

_log = logging.getLogger("dxflow_async.hub")

ECHO = "Dx-Request"
"""The header that an answer repeats."""

_REQUEST_ID = web.RequestKey("request_id", str)
_STARTED = web.RequestKey("started", web.StreamResponse)
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}

# Status and code for our errors, where the error itself has none.
_STORAGE_ERRORS: dict[type[StorageError], tuple[int, str]] = {
    NotFoundError: (404, "not_found"),
    AlreadyExistsError: (409, "already_exists"),
    PreconditionFailedError: (412, "precondition_failed"),
    UnsafePathError: (400, "unsafe_path"),
    AccessDeniedError: (403, "access_denied"),
    UnsupportedError: (501, "unsupported"),
}

# Status, code and message for each errno. Source: https://man7.org/linux/man-pages/man3/errno.3.html
_OS_ERRORS: dict[int, tuple[int, str, str]] = {
    errno.ENOENT: (404, "not_found", "there is nothing of that name"),
    errno.ENOTDIR: (404, "not_found", "the path, or a part of it, is not a directory"),
    errno.EISDIR: (409, "is_directory", "it is a directory"),
    errno.EEXIST: (409, "already_exists", "the name exists already"),
    errno.ENOTEMPTY: (409, "already_exists", "a directory of that name exists and is not empty"),
    errno.EXDEV: (403, "outside", "the path leads out of the volume"),
    errno.ELOOP: (403, "outside", "the path contains a symbolic link, which is not followed"),
    errno.EACCES: (403, "access_denied", "the server has no permission for that here"),
    errno.EPERM: (403, "access_denied", "the server has no permission for that here"),
    errno.EROFS: (403, "access_denied", "the volume is read-only"),
    errno.ENXIO: (403, "special_file", "it is not a regular file"),
    errno.ENAMETOOLONG: (400, "unsafe_path", "the name is too long"),
    errno.EINVAL: (400, "unsafe_path", "the file system does not accept that name"),
    errno.EFBIG: (413, "too_long", "the file system does not accept files of that size"),
    errno.ENOSPC: (507, "disk_full", "the volume is full"),
    errno.EDQUOT: (507, "disk_full", "the volume's quota is used up"),
    errno.EMFILE: (503, "busy", "the server is busy; try again"),
    errno.ENFILE: (503, "busy", "the server is busy; try again"),
    errno.EAGAIN: (503, "busy", "the server is busy; try again"),
}


class Activity:
    """Counts the requests in progress, for a server that stops when there are none."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.ends = asyncio.Event()
        """Set when the server stops: answers without an end of their own end then."""

    @property
    def ending(self) -> bool:
        """Whether the server stops."""
        return self.ends.is_set()

    def __enter__(self) -> None:
        self._count += 1
        self._idle.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._idle.set()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - what is left is told, not raised
        """Waits for requests in progress, and returns whether they ended in time. No connection is kept alive."""
        self.ends.set()
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except TimeoutError:
            return False
        return True


ACTIVITY = web.AppKey("activity", Activity)


@web.middleware
async def handle_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts and logs a request, gives it an id, and turns exceptions into answers."""
    given = request.headers.get("X-Request-ID", "")
    request[_REQUEST_ID] = given if _PLAIN.fullmatch(given) else secrets.token_hex(8)
    started, status = time.perf_counter(), 0
    try:
        with request.app[ACTIVITY]:
            response = await _answer(request, handler)
        status = response.status
    except web.HTTPException as error:
        status = error.status
        raise
    else:
        return response
    finally:
        _log_request(request, status, time.perf_counter() - started)


async def mark_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Adds the headers that every answer has. Receives aiohttp's signal."""
    request[_STARTED] = response
    if _REQUEST_ID in request:
        response.headers["X-Request-ID"] = request[_REQUEST_ID]
    number = request.headers.get(ECHO, "")
    if _PLAIN.fullmatch(number):
        response.headers[ECHO] = number
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.app[ACTIVITY].ending:
        response.force_close()


def has_begun(request: web.Request) -> bool:
    """Returns whether an answer to a request has begun, so that no other one can be sent."""
    return _STARTED in request


def refusal(
    cls: type[web.HTTPError], code: str, message: str, headers: Mapping[str, str] | None = None
) -> web.HTTPError:
    """Returns an error for a handler to raise."""
    return cls(text=_body(code, message), content_type="application/json", headers=headers)


def size_header(request: web.Request, name: str) -> int:
    """Returns a header that is a number of bytes.

    Raises:
        HTTPBadRequest: it is missing, or is not such a number.
    """
    text = request.headers.get(name, "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise refusal(web.HTTPBadRequest, "invalid_header", f"{name} must be a number of bytes")
    return int(text)


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, reason: str | None = None
) -> web.Response:
    """Returns an error as an answer."""
    text = _body(code, message)
    return web.Response(status=status, reason=reason, text=text, content_type="application/json", headers=headers)


def peer_of(request: web.Request) -> str:
    """Returns the address that a request comes from, behind trusted proxies too."""
    addresses = request.app.get(ADDRESSES)
    return (request.remote or "") if addresses is None else addresses.peer(request)


def _refuse_foreign_host(request: web.Request) -> None:
    addresses = request.app.get(ADDRESSES)
    host = None if addresses is None else addresses.foreign_host(request)
    if host is not None:
        text = f"this server does not answer for the host {host:.100}; name it with --allow-host where it is started"
        raise refusal(web.HTTPBadRequest, "foreign_host", text)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        _refuse_foreign_host(request)
        return await handler(request)
    except web.HTTPException as error:
        if error.content_type == "application/json" or error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return error_response(error.status, _CODES.get(error.status, "http_error"), error.reason, headers)
    except Exception as error:  # noqa: BLE001 - the last resort: logged with its traceback, answered as JSON
        if _STARTED in request:
            return _break_off(request, error)
        return _failure(request, error)


def _break_off(request: web.Request, error: Exception) -> web.StreamResponse:
    """Ends a connection in the middle of an answer, so that the part that was sent is not taken for all of it."""
    if request.transport is not None:
        request.transport.abort()
    level = logging.DEBUG if isinstance(error, ConnectionError | TimeoutError) else logging.ERROR
    _log.log(level, "%s %s ended early", request.method, request.rel_url.raw_path, exc_info=error)
    return request[_STARTED]


def failure_of(request: web.Request, error: Exception) -> dict[str, Any]:
    """Returns an exception as JSON for the body of an answer that has begun; its status stands in it."""
    response = _failure(request, error)
    document: dict[str, Any] = json.loads(response.text or "{}")
    document["error"]["status"] = response.status
    return document


def _failure(request: web.Request, error: Exception) -> web.Response:  # noqa: PLR0911 - a table
    where = request.method, request.rel_url.raw_path
    match error:
        case StorageError():
            return _storage_error(error)
        case TimeoutError():
            return error_response(408, "stalled", "no bytes arrived for too long; continue with another request")
        case ConnectionError():
            return error_response(400, "broken_off", "the request ended early")  # nobody reads this
        case OSError() if error.errno in _OS_ERRORS:
            status, code, text = _OS_ERRORS[error.errno]
            return error_response(status, code, text, {"Retry-After": "1"} if status == 503 else None)
        case web.RequestPayloadError():
            return error_response(400, "malformed_body", "the body cannot be decoded")
        case sqlite3.OperationalError():
            _log.error("%s %s: the database did not answer", *where, exc_info=error)
            text = "the hub's database did not answer; try again"
            return error_response(503, "database_unavailable", text, {"Retry-After": "1"})
    # The last resort: the exception is logged with its traceback and answered as JSON.
    _log.error("%s %s failed", *where, exc_info=error)
    return error_response(500, "internal", "the server failed; its log says why")


def _storage_error(error: StorageError) -> web.Response:
    found = next((_STORAGE_ERRORS[cls] for cls in type(error).__mro__ if cls in _STORAGE_ERRORS), (500, "internal"))
    headers = None if error.retry_after is None else {"Retry-After": f"{error.retry_after:.0f}"}
    status = error.status or found[0]
    reason = "Checksum Mismatch" if status == 460 else None
    return error_response(status, error.code or found[1], str(error), headers, reason)


def _log_request(request: web.Request, status: int, seconds: float) -> None:
    if not _log.isEnabledFor(logging.INFO):
        return
    fields = {
        "request_id": request[_REQUEST_ID],
        "method": request.method,
        "path": request.rel_url.raw_path,
        "status": status,
        "seconds": round(seconds, 6),
        "peer": peer_of(request),
    }
    _log.info("%s %s %d", request.method, request.rel_url.raw_path, status, extra={"fields": fields})


def _body(code: str, message: str) -> str:
    return json.dumps({"error": {"code": code, "message": message}})
