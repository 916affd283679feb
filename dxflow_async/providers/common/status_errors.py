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
from dxflow_async.providers.common.confirm import check_status
from dxflow_async.providers.common.fields import timestamp_of
from dxflow_async.providers.contract import Body
from dxflow_async.providers.http import HTTP, Call, Response, read_error_body

__all__ = ["STATUS_ERRORS", "expect_status", "retry_after_of", "send_and_discard", "status_error"]

STATUS_ERRORS: Mapping[int, tuple[type[StorageError], str]] = {
    400: (StorageError, "the server does not accept the request; check the path"),
    401: (AccessDeniedError, "check the credentials"),
    403: (AccessDeniedError, "check the credentials and their permissions"),
    404: (NotFoundError, "check the path"),
    405: (UnsupportedError, "the server does not support this here"),
    407: (AccessDeniedError, "the proxy requires credentials; set them in HTTPS_PROXY"),
    408: (ServiceError, "the server timed out; try again"),
    409: (StorageError, "it conflicts with what is there; check the path"),
    410: (NotFoundError, "it was removed for good"),
    412: (PreconditionFailedError, "it was replaced meanwhile; start again"),
    413: (StorageError, "it is too large for the server"),
    416: (PreconditionFailedError, "it is shorter than the range; start again"),
    423: (StorageError, "it is locked; try again later"),
    425: (ServiceError, "the server is not ready; try again"),
    429: (ThrottledError, "the server asks for fewer requests"),
    501: (UnsupportedError, "the server does not support the request"),
    503: (ThrottledError, "the server asks for fewer requests"),
    507: (StorageError, "the server has no space left; make room"),
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
    """
    row = errors.get(status) or STATUS_ERRORS.get(status) or (_FAILED if status >= 500 else _OTHER)
    cls, advice = row
    said = f" ({reason})" if reason else ""
    text = f"the server answered {status}{said}; {advice}"
    return call.error(cls, text, status=status, retry_after=retry_after_of(headers))


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that a `Retry-After` asks to wait; None where there is no valid one.

    Example:
        >>> retry_after_of({"retry-after": "120"}), retry_after_of({}), retry_after_of({"retry-after": "soon"})
        (120.0, None, None)
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,6}", text):
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

    Raises:
        StorageError: the status is 400 or above: see `status_error`. The response was closed.
        ServiceError: it is another one, which the protocol does not define for the request.
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

    Raises:
        StorageError: as `HTTP.send` and `expect_status`.
    """
    response = await expect_status(call, await http.send(call, method, url, headers, body), *allowed, errors=errors)
    await read_error_body(response)
    return response
