"""Answers of the page: errors as JSON, bodies that are read with a limit, and answers that are written as they grow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from aiohttp import web

from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    AuthenticationError,
    ChecksumMismatchError,
    ComputeUnitError,
    ConfigurationError,
    DxflowError,
    JobBusyError,
    JobNotFoundError,
    NetworkError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    SessionClosedError,
    SourceChangedError,
    StallTimeoutError,
    ThrottledError,
    UnitNotFoundError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.server.common.middleware import error_response, refusal
from dxflow_async.server.hub.requests import BODY_SECONDS

__all__ = ["Lines", "error_answer", "error_tree", "read_object", "send", "send_end", "too_large", "while_connected"]

T = TypeVar("T")

MAX_OBJECT_SIZE = 1 << 20
"""The largest JSON body of the page's API, in bytes: a thousand locations of the greatest length."""

_SLOW_SECONDS = 60.0
"""Seconds in which a client must take a piece of an answer."""

_LOOK_SECONDS = 0.5

# Statuses and codes of our errors; the first class that fits counts.
_ERRORS: tuple[tuple[type[DxflowError], int, str], ...] = (
    (NotFoundError, 404, "not_found"),
    (UnitNotFoundError, 404, "not_found"),
    (AlreadyExistsError, 409, "exists"),
    (PreconditionFailedError, 412, "precondition_failed"),
    (SourceChangedError, 412, "precondition_failed"),
    (AccessDeniedError, 403, "access_denied"),
    (UnsafePathError, 400, "unsafe_path"),
    (UnsupportedError, 501, "unsupported"),
    (ThrottledError, 503, "throttled"),
    (StallTimeoutError, 504, "unreachable"),
    (NetworkError, 502, "unreachable"),
    (ServiceError, 502, "unreachable"),
    (ChecksumMismatchError, 502, "checksum_mismatch"),
    (AuthenticationError, 401, "signed_out"),
    (SessionClosedError, 401, "signed_out"),
    (JobBusyError, 409, "busy"),
    (ComputeUnitError, 409, "unit"),
    (JobNotFoundError, 404, "not_found"),
    (ConfigurationError, 400, "not_allowed"),
)


def error_tree(error: DxflowError) -> tuple[int, dict[str, Any]]:
    """Returns the status and the JSON of an error."""
    status, code = next(((status, code) for cls, status, code in _ERRORS if isinstance(error, cls)), (502, "failed"))
    return status, {"error": {"code": code, "message": _safe(str(error))}}


def error_answer(error: DxflowError) -> web.Response:
    """Returns an error as an answer."""
    status, tree = error_tree(error)
    headers = {"Retry-After": "1"} if status == 503 else None
    return error_response(status, tree["error"]["code"], tree["error"]["message"], headers)


def too_large(message: str, code: str = "too_long") -> web.HTTPError:
    """Returns an error for a handler to raise."""
    tree = {"error": {"code": code, "message": message}}
    return web.HTTPRequestEntityTooLarge(0, text=json.dumps(tree), content_type="application/json")


async def read_object(request: web.Request) -> dict[str, Any]:
    """Returns the JSON object in the body of a request.

    Raises:
        HTTPBadRequest, HTTPRequestEntityTooLarge, HTTPUnsupportedMediaType: it is not one, or is too large.
    """
    if request.content_type != "application/json":
        raise refusal(web.HTTPUnsupportedMediaType, "not_json", "send Content-Type: application/json")
    content = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for chunk in request.content.iter_any():
            content += chunk
            if len(content) > MAX_OBJECT_SIZE:
                raise too_large(f"the body must not be larger than {MAX_OBJECT_SIZE} bytes", "body_too_large")
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise refusal(web.HTTPBadRequest, "malformed_json", "the body is not valid JSON") from error
    if not isinstance(tree, dict):
        raise refusal(web.HTTPBadRequest, "malformed_json", "the body must be a JSON object")
    return tree


async def send(response: web.StreamResponse, data: bytes) -> None:
    """Writes a piece of an answer, for as long as the client takes it.

    Raises:
        ConnectionResetError: the client is gone, or took nothing for too long.
    """
    try:
        async with asyncio.timeout(_SLOW_SECONDS):
            await response.write(data)
    except TimeoutError:
        raise ConnectionResetError("nobody reads the answer") from None


async def while_connected(request: web.Request, work: Awaitable[T]) -> T:
    """Returns the result of `work`, which is cancelled as soon as the client is gone.

    Raises:
        ConnectionResetError: the client is gone.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)
            transport = request.transport
            if not task.done() and (transport is None or transport.is_closing()):
                raise ConnectionResetError("the client is gone")
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


class Lines:
    """An answer of JSON lines that are written as they are found.

    Args:
        request: the request.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(
            headers={
                "Content-Type": "application/x-ndjson; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # nginx passes each line on at once
            }
        )

    async def send(self, *trees: Mapping[str, Any]) -> None:
        """Writes lines."""
        if not self._response.prepared:
            await self._response.prepare(self._request)
        await send(self._response, b"".join(json.dumps(tree).encode() + b"\n" for tree in trees))

    async def answer(self, work: Callable[[], Awaitable[None]]) -> web.StreamResponse:
        """Returns the answer once `work` has written its lines. An error after the first line is the last line."""
        try:
            await while_connected(self._request, work())
        except DxflowError as error:
            if not self._response.prepared:
                raise
            await self.send(error_tree(error)[1])
        await send_end(self._response)
        return self._response


async def send_end(response: web.StreamResponse) -> None:
    """Writes the end of an answer, for as long as the client takes it."""
    try:
        async with asyncio.timeout(_SLOW_SECONDS):
            await response.write_eof()
    except TimeoutError:
        raise ConnectionResetError("nobody reads the answer") from None


def _safe(text: str) -> str:
    """Returns an error's text as valid UTF-8, and not longer than a person reads."""
    return text[:2000].encode("utf-8", "backslashreplace").decode()
