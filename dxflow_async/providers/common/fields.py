"""The headers of HTTP responses that describe the body: its range, its size and its time.

Source: https://www.rfc-editor.org/rfc/rfc9110 (sections 5.6.7, 14.4)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache

__all__ = ["extent_of", "timestamp_of"]

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def extent_of(status: int, headers: Mapping[str, str], start: int, end: int | None) -> tuple[int, int]:
    """Returns the size of an object, and the size of the range `[start, end)` that a response has.

    Raises:
        ValueError: the response has another range, or reports no length.
    """
    if "content-length" not in headers:
        raise ValueError("the server does not say how many bytes it sends")
    length = int(headers["content-length"])
    if not start and end is None:
        if status != 200:
            raise ValueError(f"status {status} where 200 was expected")
        return length, length
    found = _RANGE.fullmatch(headers.get("content-range", ""))
    if status != 206 or found is None:
        raise ValueError("the server ignored a range request")
    first, last, size = map(int, found.groups())
    if first != start or last + 1 != min(end or size, size) or last + 1 - first != length:
        raise ValueError("the server sent another range than was asked for")
    return size, length


@lru_cache(maxsize=1024)  # many entries of a listing have the same
def timestamp_of(text: str) -> float:
    """Returns an HTTP date in seconds since the epoch; 0 if it is not valid."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return 0.0
