"""Translates error responses of a compute unit into the library's errors.

The body of a refusal is `{"error": {"code", "message"}}`. Other servers are judged by their status.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

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
from dxflow_async.providers.common.error_table import ErrorRow, ErrorTable, page_text
from dxflow_async.providers.http import Call

__all__ = ["error_of", "parse_error"]


_SECRET = ErrorRow(AccessDeniedError, "check the unit's secret; its RW secret does everything")
_DENIED = ErrorRow(AccessDeniedError, "check the path, and the rights on the unit's volume")
_PATH = ErrorRow(NotFoundError, "check the path")
_GONE = ErrorRow(NotFoundError, "start the upload again")
_EXISTS = ErrorRow(AlreadyExistsError, "choose another name")
_NAME = ErrorRow(UnsafePathError, "rename it")
_REPLACED = ErrorRow(PreconditionFailedError, "the file was replaced in the meantime; start again")
_LOCKED = ErrorRow(StorageError, "somebody writes to it still; try again in a moment", retryable=True)
_MOVED = ErrorRow(PreconditionFailedError, "ask where the upload is, and go on there", retryable=True)
_PARTS = ErrorRow(StorageError, "start the upload again")
_REQUEST = ErrorRow(StorageError, "the server does not take the request; it may be of another version")
_TOO_LONG = ErrorRow(StorageError, "the server takes nothing of that size")
_FULL = ErrorRow(StorageError, "make room on the unit's volume")
_BROKEN = ErrorRow(NetworkError, "try again")
_UNKNOWN = ErrorRow(UnsupportedError, "this server does not support the request")
_SLOWER = ErrorRow(ThrottledError, "the unit asks for fewer requests")
_FAILED = ErrorRow(ServiceError, "the unit failed; try again")
_ELSEWHERE = ErrorRow(
    ServiceError, "the address redirects; use the one it leads to, or sign in to the network", retryable=False
)

_PROXY_LIMIT = (
    "a proxy in front of the unit{server} does not let {size:,} bytes through in one request; raise its limit "
    "(for nginx: client_max_body_size)"
)

_CODES: dict[str, ErrorRow] = {
    "wrong_secret": _SECRET,
    "read_only": _SECRET,
    "access_denied": _DENIED,
    "outside": _DENIED,
    "special_file": ErrorRow(UnsupportedError, "it is not a regular file; leave it out"),
    "not_found": _PATH,
    "no_such_upload": _GONE,
    "expired": _GONE,
    "lost": _GONE,
    "already_exists": _EXISTS,
    "is_directory": _EXISTS,
    "unsafe_path": _NAME,
    "precondition_failed": _REPLACED,
    "no_such_range": ErrorRow(PreconditionFailedError, "the file is shorter than the range; start again"),
    "changed": _REPLACED,
    "wrong_offset": _MOVED,
    "locked": _LOCKED,
    "finished": _PARTS,
    "final_upload": _PARTS,
    "not_partial": _PARTS,
    "not_complete": _PARTS,
    "bad_group": _PARTS,
    "checksum_mismatch": ErrorRow(ChecksumMismatchError, "send them again"),
    "invalid_parameter": _REQUEST,
    "missing_parameter": _REQUEST,
    "invalid_header": _REQUEST,
    "invalid_metadata": _REQUEST,
    "wrong_type": _REQUEST,
    "encoded": _REQUEST,
    "http_error": _REQUEST,
    "malformed_request": _REQUEST,
    "foreign_host": ErrorRow(AccessDeniedError, "start the unit with --allow-host and the name that it is asked by"),
    "wrong_version": ErrorRow(UnsupportedError, "the server speaks another version of tus than 1.0.0"),
    "method_not_allowed": _UNKNOWN,
    "unsupported": ErrorRow(UnsupportedError, "this unit cannot do that"),
    "too_long": _TOO_LONG,
    "body_too_large": _TOO_LONG,
    "disk_full": _FULL,
    "unit_stopped": ErrorRow(ServiceError, "start the unit", retryable=False),
    "shutting_down": _FAILED,
    "busy": _SLOWER,
    "stalled": ErrorRow(StallTimeoutError, "try again"),
    "broken_off": _BROKEN,
    "malformed_body": _BROKEN,
    "internal": _FAILED,
}

_TUSD = re.compile(r"(ERR_[A-Z0-9_]{1,90}): (.*)", re.DOTALL)

_CODES |= {
    # Source: https://github.com/tus/tusd/blob/main/pkg/handler/unrouted_handler.go
    "ERR_UNSUPPORTED_VERSION": _CODES["wrong_version"],
    "ERR_MAX_SIZE_EXCEEDED": _TOO_LONG,
    "ERR_SIZE_EXCEEDED": _TOO_LONG,
    "ERR_NOT_FOUND": _GONE,
    "ERR_UPLOAD_LOCKED": _LOCKED,
    "ERR_LOCK_TIMEOUT": _LOCKED,
    "ERR_MISMATCHED_OFFSET": _MOVED,
    "ERR_UPLOAD_NOT_FINISHED": _PARTS,
    "ERR_MODIFY_FINAL": _PARTS,
    "ERR_UPLOAD_INTERRUPTED": ErrorRow(StorageError, "another request for it took its place", retryable=True),
    "ERR_READ_TIMEOUT": _CODES["stalled"],
    "ERR_CONNECTION_RESET": _BROKEN,
    "ERR_SERVER_SHUTDOWN": _FAILED,
}

_DIRECTORIES: dict[str, ErrorRow] = {
    "read": ErrorRow(NotFoundError, "name a file"),
    "delete": ErrorRow(AlreadyExistsError, "add a slash to delete it with its content"),
}
"""`is_directory` by operation, where it is not about a name that is taken."""

_STATUSES: dict[int, ErrorRow] = {
    **dict.fromkeys((301, 302, 303, 307, 308), _ELSEWHERE),
    400: _REQUEST,
    401: _SECRET,
    403: _DENIED,
    404: _PATH,
    405: _UNKNOWN,
    408: _CODES["stalled"],
    409: ErrorRow(StorageError, "another request was at work on it; try again"),
    410: _GONE,
    412: _REPLACED,
    413: _TOO_LONG,
    415: _REQUEST,
    416: _CODES["no_such_range"],
    423: _LOCKED,
    429: _SLOWER,
    431: ErrorRow(StorageError, "the server takes no longer headers; use larger parts (part_size), or a shorter name"),
    460: _CODES["checksum_mismatch"],
    501: _UNKNOWN,
    503: _SLOWER,
    507: _FULL,
}


_TABLE = ErrorTable(
    kind="UNIT",
    codes=_CODES,
    messages=(),
    statuses=_STATUSES,
    request_id="x-request-id",
    marks=("tus-resumable", "dx-request", "upload-offset"),
    elsewhere="give the unit that address at the hub",
)


def error_of(
    call: Call, status: int, code: str, message: str, headers: Mapping[str, str], body_size: int = 0
) -> StorageError:
    """Returns the error for a response with that status, code and message.

    Args:
        call: the request.
        status, code, message, headers: of the response.
        body_size: the size of the request's body in bytes.
    """
    row = _DIRECTORIES.get(call.operation) if code == "is_directory" else None
    if status == 412 and not code and "tus-version" in headers:
        row = _CODES["wrong_version"]
    if status == 413 and not code and body_size:
        server = headers.get("server", "") or headers.get("via", "")
        advice = _PROXY_LIMIT.format(server=server and f" ({server:.60})", size=body_size)
        row = ErrorRow(StorageError, advice)
    return _TABLE.error(call, status, code, message, headers, row)


def parse_error(data: bytes) -> tuple[str, str]:
    """Returns the code and message of an error body, or of the text that tusd sends; without these forms, its words."""
    try:
        error = json.loads(data)["error"]
        code, message = error["code"], error["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = page_text(data)
        found = _TUSD.fullmatch(text)
        return (found[1], found[2].strip()) if found else ("", text)
    if not (isinstance(code, str) and isinstance(message, str)):
        return "", ""
    return code[:100], message[:500]
