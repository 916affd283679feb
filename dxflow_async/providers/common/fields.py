"""The headers of HTTP responses that describe the body: its range, its size and its time.

Source: https://www.rfc-editor.org/rfc/rfc9110 (sections 5.6.7, 8.6, 14.4)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache

__all__ = [
    "IgnoredRangeError",
    "UntoldSizeError",
    "content_length",
    "extent_of",
    "is_chunked",
    "timestamp_of",
    "total_of",
]

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_LENGTHS = re.compile(r"(\d{1,18})(?:\s*,\s*\1)*")


class UntoldSizeError(ValueError):
    """The response does not tell the size of the object."""


class IgnoredRangeError(ValueError):
    """The response has the whole object instead of the requested range."""


def content_length(headers: Mapping[str, str]) -> int | None:
    """Returns the size of a response's body; None if only its end tells.

    `Transfer-Encoding` overrides `Content-Length`. Source: https://www.rfc-editor.org/rfc/rfc9112#section-6.3

    Args:
        headers: of the response, their names in small letters.

    Returns:
        The size in bytes; None.

    Raises:
        ValueError: the size is not a number.

    Example:
        >>> content_length({"content-length": "5"}), content_length({"transfer-encoding": "chunked"})
        (5, None)
    """
    text = headers.get("content-length")
    if text is None or ("transfer-encoding" in headers and is_chunked(headers)):
        return None
    if text.isascii() and text.isdecimal():
        return int(text)
    found = _LENGTHS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"a length of {text!r:.50}")
    return int(found[1])


def is_chunked(headers: Mapping[str, str]) -> bool:
    """Returns whether a body comes in chunks: its end is certain then, even if no header tells its size."""
    return "chunked" in headers.get("transfer-encoding", "").lower()


def total_of(status: int, headers: Mapping[str, str]) -> int | None:
    """Returns the size of the whole object that a response is about; None if it does not tell.

    Args:
        status: the HTTP status; 206 is that of a range.
        headers: of the response, their names in small letters.

    Returns:
        The size in bytes; None.

    Raises:
        ValueError: the size is not a number.

    Example:
        >>> total_of(200, {"content-length": "5"}), total_of(206, {"content-range": "bytes 0-0/700"})
        (5, 700)
    """
    if status != 206:
        return content_length(headers)
    found = _RANGE.fullmatch(headers.get("content-range", "").strip())
    return None if found is None or found[3] == "*" else int(found[3])


def extent_of(
    status: int, headers: Mapping[str, str], start: int, end: int | None, known: int | None = None
) -> tuple[int, int]:
    """Returns the size of an object, and the size of the range `[start, end)` that a response has.

    Args:
        status, headers: of the response.
        start, end: the range that was requested; `(0, None)` for the whole object.
        known: the size of the object in bytes, for responses that do not tell it.

    Returns:
        The size of the whole object and that of the range, in bytes.

    Raises:
        UntoldSizeError: the response does not tell the size of the object, and it is not known.
        IgnoredRangeError: the response has the whole object instead of the range.
        ValueError: the response has another range.

    Example:
        >>> extent_of(206, {"content-range": "bytes 2-4/700", "content-length": "3"}, 2, 5)
        (700, 3)
    """
    ranged = bool(start) or end is not None
    if status == 206:
        if not ranged:
            raise ValueError("it has a range, where the whole object was requested")
        return _range_of(headers, start, end, known)
    if status != 200:
        raise ValueError(f"status {status} where {206 if ranged else 200} was expected")
    size = content_length(headers)
    size = known if size is None else size
    if size is None:
        raise UntoldSizeError("the server does not tell the size of the object")
    if ranged and (start or not size or (end is not None and end < size)):
        raise IgnoredRangeError(f"the server ignored a range request and sent all {size} bytes")
    return size, size


def _range_of(headers: Mapping[str, str], start: int, end: int | None, known: int | None) -> tuple[int, int]:
    if headers.get("content-type", "").lower().startswith("multipart/byteranges"):
        raise ValueError("it has several ranges in one body (multipart/byteranges), where one was requested")
    found = _RANGE.fullmatch(headers.get("content-range", "").strip())
    if found is None:
        raise ValueError("it has a range and does not tell which one")
    first, last, total = int(found[1]), int(found[2]), found[3]
    size = known if total == "*" else int(total)
    if size is None:
        raise UntoldSizeError("the server does not tell the size of the object")
    length = last + 1 - first
    if first != start or last + 1 != min(end or size, size) or content_length(headers) not in (None, length):
        raise ValueError(f"the server sent another range ({found[0]}) than was requested")
    return size, length


@lru_cache(maxsize=1024)  # many entries of a listing have the same
def timestamp_of(text: str) -> float:
    """Returns an HTTP date in seconds since the epoch; 0 if it is not valid.

    Args:
        text: such as the value of `Last-Modified`.

    Returns:
        Seconds since the epoch; 0.

    Example:
        >>> timestamp_of("Tue, 14 Nov 2023 22:13:20 GMT"), timestamp_of("soon")
        (1700000000.0, 0.0)
    """
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return 0.0
