"""Which error each code and each status of a unit becomes."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import dxflow_async.server
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
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit.errors import error_of, parse_error

CALL = Call("UNIT", "read", "/Demo/key")
SERVER = Path(dxflow_async.server.__file__).parent


def codes() -> set[str]:
    """Every code that the unit's server answers with, as its source has them."""
    found: set[str] = set()
    for path in [*(SERVER / "unit").glob("*.py"), *(SERVER / "common").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                found.add(str(node.value.value))
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("refusal", "error_response"):
                found |= {str(each.value) for each in node.args[1:2] if isinstance(each, ast.Constant)}
            elif isinstance(node, ast.Tuple) and len(node.elts) in (2, 3) and isinstance(node.elts[0], ast.Constant):
                status, code = node.elts[0].value, node.elts[1]
                if isinstance(status, int) and 400 <= status < 600 and isinstance(code, ast.Constant):
                    found.add(str(code.value))
    return found


def test_no_code_is_unknown() -> None:
    """Each code that the server's source can answer with has a row of its own in the table."""
    from dxflow_async.providers.unit.errors import _CODES

    said = codes()
    assert {"wrong_secret", "locked", "disk_full", "not_found", "checksum_mismatch", "stalled"} <= said
    assert said - {"database_unavailable"} <= _CODES.keys()


@pytest.mark.parametrize(
    ("status", "code", "cls", "retryable"),
    [
        (401, "wrong_secret", AccessDeniedError, False),
        (403, "read_only", AccessDeniedError, False),
        (403, "outside", AccessDeniedError, False),
        (403, "special_file", UnsupportedError, False),
        (404, "not_found", NotFoundError, False),
        (410, "expired", NotFoundError, False),
        (409, "already_exists", AlreadyExistsError, False),
        (409, "wrong_offset", PreconditionFailedError, True),
        (409, "bad_group", StorageError, False),
        (412, "precondition_failed", PreconditionFailedError, False),
        (412, "wrong_version", UnsupportedError, False),
        (416, "no_such_range", PreconditionFailedError, False),
        (400, "unsafe_path", UnsafePathError, False),
        (400, "broken_off", NetworkError, True),
        (408, "stalled", StallTimeoutError, True),
        (423, "locked", StorageError, True),
        (460, "checksum_mismatch", ChecksumMismatchError, True),
        (500, "internal", ServiceError, True),
        (503, "busy", ThrottledError, True),
        (503, "unit_stopped", ServiceError, False),
        (507, "disk_full", StorageError, False),
        # Of a server that gives no code.
        (302, "", ServiceError, False),
        (308, "", ServiceError, False),
        (400, "", StorageError, False),
        (401, "", AccessDeniedError, False),
        (403, "", AccessDeniedError, False),
        (404, "", NotFoundError, False),
        (405, "", UnsupportedError, False),
        (409, "", StorageError, False),
        (412, "", PreconditionFailedError, False),
        (413, "", StorageError, False),
        (416, "", PreconditionFailedError, False),
        (418, "", StorageError, False),
        (423, "", StorageError, True),
        (429, "", ThrottledError, True),
        (460, "", ChecksumMismatchError, True),
        (500, "", ServiceError, True),
        (502, "", ServiceError, True),
        (503, "", ThrottledError, True),
        (507, "", StorageError, False),
    ],
)
def test_answer_becomes_error(status: int, code: str, cls: type[StorageError], *, retryable: bool) -> None:
    """An answer is the error that says what to do, and whether to try again."""
    error = error_of(CALL, status, code, "why", {"retry-after": "7", "x-request-id": "abc"})
    assert type(error) is cls
    assert error.retryable is retryable
    assert (error.provider, error.operation, error.path) == ("UNIT", "read", "/Demo/key")
    assert (error.status, error.code, error.request_id, error.retry_after) == (status, code or None, "abc", 7.0)
    assert "why" in str(error)
    assert str(status) in str(error)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"error": {"code": "not_found", "message": "nothing there"}}', "not_found", "nothing there"),
        (b"", "", ""),
        (b"Not Found", "", "Not Found"),
        (b"<html><title>400</title><h1>Bad  Request</h1> &amp; more</html>", "", "Bad Request & more"),
        (b'{"error": "text"}', "", '{"error": "text"}'),
        (b'{"error": {"code": 1, "message": []}}', "", ""),
        (b"[" * 100_000, "", "[" * 200),
        (b"\xff\xfe", "", "\ufffd\ufffd"),
        (json.dumps({"error": {"code": "c" * 1000, "message": "m" * 5000}}).encode(), "c" * 100, "m" * 500),
    ],
)
def test_bodies_of_errors(body: bytes, code: str, message: str) -> None:
    """A refusal's body is understood where it has the form, and is shown in part where not."""
    assert parse_error(body) == (code, message)
