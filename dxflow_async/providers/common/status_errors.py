"""The statuses of HTTP responses as errors, for services whose protocol says no more than HTTP does.

Source: https://www.rfc-editor.org/rfc/rfc9110 (sections 10.2.3 and 15), https://www.rfc-editor.org/rfc/rfc4918 (11)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from time import time

from dxflow_async.exceptions import (
    AccessDeniedError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    StorageError,
    ThrottledError,
    UnsupportedError,
)
from dxflow_async.providers.common.confirm import FEW_ATTEMPTS, check_status
from dxflow_async.providers.common.fields import timestamp_of
from dxflow_async.providers.contract import Body
from dxflow_async.providers.http import HTTP, Call, Response, read_error_body

__all__ = ["STATUS_ERRORS", "expect_status", "is_page", "retry_after_of", "send_and_discard", "status_error"]

_LONG_NAME = (StorageError, "the name or its headers are too long for the server; use a shorter name or less metadata")
_VERSION = (UnsupportedError, "the server does not support the request; check the endpoint")

STATUS_ERRORS: Mapping[int, tuple[type[StorageError], str]] = {
    400: (StorageError, "the server does not accept the request; check the path"),
    401: (AccessDeniedError, "check the credentials"),
    403: (AccessDeniedError, "check the credentials and their permissions"),
    404: (NotFoundError, "check the path"),
    402: (AccessDeniedError, "the account has to be paid for first"),
    405: (UnsupportedError, "the server does not support this here"),
    407: (AccessDeniedError, "the proxy requires credentials; set them in HTTPS_PROXY"),
    408: (ServiceError, "the server timed out; try again"),
    409: (StorageError, "it conflicts with what is there; check the path"),
    410: (NotFoundError, "it was removed for good"),
    411: (StorageError, "the server or a proxy wants a Content-Length, which another proxy removed; check the network"),
    412: (PreconditionFailedError, "it was replaced meanwhile; start again"),
    413: (
        StorageError,
        "the request is too large for the server or a proxy in front of it; set part_size to a smaller value",
    ),
    414: _LONG_NAME,
    416: (PreconditionFailedError, "it is shorter than the range; start again"),
    423: (StorageError, "it is locked; try again later"),
    421: (StorageError, "another server is responsible for that host; check the endpoint"),
    425: (ServiceError, "the server is not ready; try again"),
    426: (StorageError, "the server wants another protocol; write https:// in the endpoint"),
    429: (ThrottledError, "the server asks for fewer requests"),
    431: _LONG_NAME,
    451: (AccessDeniedError, "it is withheld for legal reasons"),
    501: (UnsupportedError, "the server does not support the request"),
    503: (ThrottledError, "the server asks for fewer requests"),
    505: _VERSION,
    507: (StorageError, "the server has no space left; make room"),
    508: (StorageError, "the server is configured in a loop; check the endpoint"),
    510: _VERSION,
    511: (StorageError, "the network requires a sign-in first; open a web page in a browser and sign in"),
}
"""The class and the advice for a status. A provider passes rows of its own as `errors`, which come first."""

_OTHER = (StorageError, "check the path and the endpoint")
_FAILED = (ServiceError, "the server failed; try again")
_MAX_WAIT = 1e6


def status_error(
    call: Call,
    status: int,
    headers: Mapping[str, str],
    reason: str = "",
    *,
    errors: Mapping[int, tuple[type[StorageError], str]] = STATUS_ERRORS,
) -> StorageError:
    """Returns the error for a status that is not a success, with the time of its `Retry-After`.

    Args:
        call: the storage call.
        status: 400 or above.
        headers: of the response, in small letters.
        reason: the service's own words, if its body has any. They are shown, so they must hold no secret.
        errors: the class and the advice for each status; those that it leaves out are in `STATUS_ERRORS`.

    Returns:
        The error, which says whether it may be retried, and after how many seconds.

    Example:
        >>> error = status_error(Call("DAV", "read", "/a"), 503, {"retry-after": "7"})
        >>> type(error).__name__, error.retryable, error.retry_after
        ('ThrottledError', True, 7.0)
    """
    row = errors.get(status) or STATUS_ERRORS.get(status) or (_FAILED if status >= 500 else _OTHER)
    cls, advice = row
    said = f" ({reason})" if reason else ""
    text = f"the server answered {status}{said}; {advice}"
    page = status == 400 and is_page(headers)  # a load balancer may have answered
    few = {"retryable": True, "max_attempts": FEW_ATTEMPTS} if page else {}
    return call.error(cls, text, status=status, retry_after=retry_after_of(headers), **few)


def is_page(headers: Mapping[str, str]) -> bool:
    """Returns whether a body is an HTML page, which no storage service sends as an error."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml")


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that a `Retry-After` asks to wait; None where there is no valid one.

    Args:
        headers: of the response, their names in small letters.

    Returns:
        Seconds from now on; None.

    Example:
        >>> retry_after_of({"retry-after": "120"}), retry_after_of({}), retry_after_of({"retry-after": "soon"})
        (120.0, None, None)
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,9})?", text):
        return float(text)
    moment = timestamp_of(text) if text else 0.0
    return min(max(moment - time(), 0.0), _MAX_WAIT) if moment else None


async def expect_status(
    call: Call,
    response: Response,
    *allowed: int,
    errors: Mapping[int, tuple[type[StorageError], str]] = STATUS_ERRORS,
) -> Response:
    """Returns a response whose status is one of `allowed`; its body is still to be read, or closed.

    Args:
        call: the storage call, for errors.
        response: the answer.
        allowed: the HTTP statuses that the protocol defines for the request.
        errors: as for `status_error`.

    Returns:
        `response`.

    Raises:
        StorageError: the status is 400 or above: see `status_error`. The response was closed.
        ServiceError: it is another one, which the protocol does not define for the request.

    Example:
        >>> response = await expect_status(call, await http.send(call, "GET", url, {}), 200, 206)
    """
    if response.status not in allowed and response.status >= 400:
        await read_error_body(response)
        raise status_error(call, response.status, response.headers, errors=errors)
    check_status(call, response, *allowed)
    return response


async def send_and_discard(
    http: HTTP,
    call: Call,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Body | bytes | None = None,
    *,
    allowed: tuple[int, ...] = (200, 201, 204),
    errors: Mapping[int, tuple[type[StorageError], str]] = STATUS_ERRORS,
) -> Response:
    """Sends a request, expects a status, and drops the body; returns the response for its status and headers.

    Args:
        http: the client.
        call: the storage call that the request is for.
        method: in capitals.
        url: as it is to be sent: see `HTTP.send`.
        headers: their names in small letters.
        body: what is sent, if anything.
        allowed: the HTTP statuses that the protocol defines for the request.
        errors: as for `status_error`.

    Returns:
        The response, which is closed.

    Raises:
        StorageError: as `HTTP.send` and `expect_status`.

    Example:
        >>> await send_and_discard(http, call, "DELETE", url, {}, allowed=(204, 404))
    """
    response = await expect_status(call, await http.send(call, method, url, headers, body), *allowed, errors=errors)
    await read_error_body(response)
    return response
