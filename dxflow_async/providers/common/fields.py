"""What the headers of any HTTP answer say of a body: which bytes it is, and when they were last changed.

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
    """The size of an object and that of the range `[start, end)` of it, which is what was sent.

    Raises:
        ValueError: something else was sent.
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


@lru_cache(maxsize=1024)  # of a listing, many entries have the same
def timestamp_of(text: str) -> float:
    """Seconds since the epoch of an HTTP date; 0 where it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return 0.0
