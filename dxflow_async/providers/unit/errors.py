"""Translates error responses of a compute unit into the library's errors.

The body of a refusal is `{"error": {"code", "message"}}`. Other servers are judged by their status.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    ChecksumMismatchError,
    NetworkError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    StallTimeoutError,
    StorageError,
    ThrottledError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.providers.common.status_errors import retry_after_of
from dxflow_async.providers.http import Call

__all__ = ["error_of", "parse_error"]


_TITLE_WITHIN = 4096
_TITLE = re.compile(rb"<title>([^<]{1,200})</title>", re.IGNORECASE)


class _Row(NamedTuple):
    """An error, the advice to the user, and whether to retry if that differs from the error's own rule."""

    cls: type[StorageError]
    advice: str
    retryable: bool | None = None


_SECRET = _Row(AccessDeniedError, "check the unit's secret; its RW secret does everything")
_DENIED = _Row(AccessDeniedError, "check the path, and the rights on the unit's volume")
_PATH = _Row(NotFoundError, "check the path")
_GONE = _Row(NotFoundError, "start the upload again")
_EXISTS = _Row(AlreadyExistsError, "choose another name")
_NAME = _Row(UnsafePathError, "rename it")
_REPLACED = _Row(PreconditionFailedError, "the file was replaced in the meantime; start again")
_LOCKED = _Row(StorageError, "somebody writes to it still; try again in a moment", retryable=True)
_MOVED = _Row(PreconditionFailedError, "ask where the upload is, and go on there", retryable=True)
_PARTS = _Row(StorageError, "start the upload again")
_REQUEST = _Row(StorageError, "the server does not take the request; it may be of another version")
_TOO_LONG = _Row(StorageError, "the server takes nothing of that size")
_FULL = _Row(StorageError, "make room on the unit's volume")
_BROKEN = _Row(NetworkError, "try again")
_UNKNOWN = _Row(UnsupportedError, "this server does not support the request")
_SLOWER = _Row(ThrottledError, "the unit asks for fewer requests")
_FAILED = _Row(ServiceError, "the unit failed; try again")
_ELSEWHERE = _Row(
    ServiceError, "the address redirects; use the one it leads to, or sign in to the network", retryable=False
)
_PROXY_LIMIT = (
    "a proxy in front of the unit{server} does not let {size:,} bytes through in one request; raise its limit "
    "(for nginx: client_max_body_size)"
)

_CODES: dict[str, _Row] = {
    "wrong_secret": _SECRET,
    "read_only": _SECRET,
    "access_denied": _DENIED,
    "outside": _DENIED,
    "special_file": _Row(UnsupportedError, "it is not a regular file; leave it out"),
    "not_found": _PATH,
    "no_such_upload": _GONE,
    "expired": _GONE,
    "lost": _GONE,
    "already_exists": _EXISTS,
    "is_directory": _EXISTS,
    "unsafe_path": _NAME,
    "precondition_failed": _REPLACED,
    "no_such_range": _Row(PreconditionFailedError, "the file is shorter than the range; start again"),
    "changed": _REPLACED,
    "wrong_offset": _MOVED,
    "locked": _LOCKED,
    "finished": _PARTS,
    "final_upload": _PARTS,
    "not_partial": _PARTS,
    "not_complete": _PARTS,
    "bad_group": _PARTS,
    "checksum_mismatch": _Row(ChecksumMismatchError, "send them again"),
    "invalid_parameter": _REQUEST,
    "missing_parameter": _REQUEST,
    "invalid_header": _REQUEST,
    "invalid_metadata": _REQUEST,
    "wrong_type": _REQUEST,
    "encoded": _REQUEST,
    "http_error": _REQUEST,
    "malformed_request": _REQUEST,
    "foreign_host": _Row(AccessDeniedError, "start the unit with --allow-host and the name that it is asked by"),
    "wrong_version": _Row(UnsupportedError, "the server speaks another version of tus than 1.0.0"),
    "method_not_allowed": _UNKNOWN,
    "unsupported": _Row(UnsupportedError, "this unit cannot do that"),
    "too_long": _TOO_LONG,
    "body_too_large": _TOO_LONG,
    "disk_full": _FULL,
    "unit_stopped": _Row(ServiceError, "start the unit", retryable=False),
    "shutting_down": _FAILED,
    "busy": _SLOWER,
    "stalled": _Row(StallTimeoutError, "try again"),
    "broken_off": _BROKEN,
    "malformed_body": _BROKEN,
    "internal": _FAILED,
}

_DIRECTORIES: dict[str, _Row] = {
    "read": _Row(NotFoundError, "name a file"),
    "delete": _Row(AlreadyExistsError, "add a slash to delete it with its content"),
}
"""`is_directory` by operation, where it is not about a name that is taken."""

_STATUSES: dict[int, _Row] = {
    400: _REQUEST,
    401: _SECRET,
    403: _DENIED,
    404: _PATH,
    405: _UNKNOWN,
    408: _CODES["stalled"],
    409: _Row(StorageError, "another request was at work on it; try again"),
    410: _GONE,
    412: _REPLACED,
    413: _TOO_LONG,
    415: _REQUEST,
    416: _CODES["no_such_range"],
    423: _LOCKED,
    429: _SLOWER,
    460: _CODES["checksum_mismatch"],
    501: _UNKNOWN,
    503: _SLOWER,
    507: _FULL,
}


def error_of(
    call: Call, status: int, code: str, message: str, headers: Mapping[str, str], body_size: int = 0
) -> StorageError:
    """Returns the error for a response with that status, code and message.

    Args:
        call: the request.
        status, code, message, headers: of the response.
        body_size: the size of the request's body in bytes.
    """
    named = _DIRECTORIES.get(call.operation) if code == "is_directory" else None
    row = named or _CODES.get(code) or _STATUSES.get(status) or _other(status)
    advice = row.advice
    if status == 413 and not code and body_size:
        server = headers.get("server", "") or headers.get("via", "")
        advice = _PROXY_LIMIT.format(server=server and f" ({server:.60})", size=body_size)
    elif 300 <= status < 400:
        message = _origin_of(headers.get("location", "")) or message
    said = f"{message or 'no reason given'} ({' '.join(filter(None, [str(status), code]))}); {advice}"
    return call.error(
        row.cls,
        said,
        status=status,
        code=code or None,
        request_id=headers.get("x-request-id"),
        retryable=row.retryable,
        retry_after=retry_after_of(headers),
    )


def _origin_of(location: str) -> str:
    """Returns where a redirect leads, without its path and query, which may grant access."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    if not parts.netloc:
        return "it leads to another path of this host" if location else ""
    return f"it leads to {parts.scheme or 'http'}://{parts.netloc.rpartition('@')[2]:.200}"


def _other(status: int) -> _Row:
    if status >= 500:
        return _FAILED
    return _ELSEWHERE if status < 400 else _REQUEST


def parse_error(data: bytes) -> tuple[str, str]:
    """Returns the code and message of an error body; without that form, the title of a page or the start of a text."""
    try:
        error = json.loads(data)["error"]
        code, message = error["code"], error["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        title = _TITLE.search(data[:_TITLE_WITHIN])
        return "", (title[1] if title else data[:200]).decode("utf-8", "replace").strip()[:200]
    if not (isinstance(code, str) and isinstance(message, str)):
        return "", ""
    return code[:100], message[:500]
