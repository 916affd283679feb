"""What an engine's refusals mean.

Only the form of its errors is documented. The status decides. The words of the message decide where the status is one
that may mean anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from dxflow_async.providers import (
    AccessDeniedError,
    AlreadyExistsError,
    Call,
    NotFoundError,
    ServiceError,
    StorageError,
    UnsafePathError,
    printable,
    status_error,
)
from dxflow_async.providers.engine.envelope import BrokenEnvelopeError, EnvelopeParser

__all__ = ["error_of", "message_of"]

_MAX_MESSAGE = 300

_ERRORS: Mapping[int, tuple[type[StorageError], str]] = {
    400: (StorageError, "the engine does not accept the request; check the path"),
    401: (AccessDeniedError, "the engine does not accept the token; check the key"),
    403: (AccessDeniedError, "the key lacks the permission ARTIFACT, or may only read; check `authorized_keys` there"),
    409: (AlreadyExistsError, "something of that name exists; choose another name"),
    413: (StorageError, "the file is too large for the engine or a proxy in front of it; use another way to it"),
    507: (StorageError, "the engine's volume has no space left; make room"),
}

_NO_SPACE = (StorageError, "the engine's volume has no space left; make room")

# Words of a message, in small letters: the first row that fits.
_WORDS: tuple[tuple[str, tuple[type[StorageError], str]], ...] = (
    ("no space", _NO_SPACE),
    ("quota", _NO_SPACE),
    ("not exist", (NotFoundError, "check the path")),
    ("no such", (NotFoundError, "check the path")),
    ("not found", (NotFoundError, "check the path")),
    ("exist", _ERRORS[409]),
    ("permission", _ERRORS[403]),
    ("denied", _ERRORS[403]),
    ("forbidden", _ERRORS[403]),
    ("read-only", _ERRORS[403]),
    ("read only", _ERRORS[403]),
    ("not empty", (AlreadyExistsError, "the directory is not empty")),
    ("name too long", (UnsafePathError, "the name is too long for the engine; choose a shorter one")),
)
_ANYTHING = (400, 500)


def error_of(call: Call, status: int, headers: Mapping[str, str], message: str) -> StorageError:
    """Returns the error for a refusal.

    Args:
        call: the storage call.
        status: of the response, or of a status chunk in it.
        headers: of the response.
        message: the engine's words.
    """
    message = printable(message.strip())[:_MAX_MESSAGE]
    row = None
    if status in _ANYTHING:
        said = message.lower()
        row = next((row for words, row in _WORDS if words in said), None)
    if row is not None:
        cls, advice = row
        return call.error(cls, f"the engine answered {status} ({message}); {advice}", status=status)
    if not 400 <= status < 600:
        return call.error(ServiceError, f"the engine reported {status} ({message})", status=status)
    return status_error(call, status, headers, message, errors=_ERRORS)


def message_of(headers: Mapping[str, str], body: bytes) -> tuple[int | None, str]:
    """Returns what the body of a refusal says: the code of its status chunk, if there is one, and the words.

    The body may be an envelope, a JSON object, a text, a proxy's page, or nothing beside a header.
    """
    told = headers.get("x-error-message", "")
    parser = EnvelopeParser()
    try:
        parser.feed(body)
        parser.close()
    except BrokenEnvelopeError:
        pass
    if (failure := parser.answer.failure) is not None:
        return failure[0], failure[1] or told
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        words = next((document[name] for name in ("message", "error") if isinstance(document.get(name), str)), "")
        return None, words or told
    is_text = "html" not in headers.get("content-type", "").lower() and not body.lstrip().startswith(b"<")
    return None, told or (body.decode("utf-8", "replace") if is_text else "")
