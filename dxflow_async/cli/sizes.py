"""Sizes and times as texts."""

from __future__ import annotations

import time
from datetime import datetime

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.plurals import counted

__all__ = ["human_size", "shown_size", "time_of", "total_text"]

_UNITS = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def human_size(size: int) -> str:
    """Formats a number of bytes in powers of 1024, as `ls -h` does.

    Example:
        >>> human_size(1023), human_size(1536), human_size(5 << 30)
        ('1023', '1.5Ki', '5.0Gi')
    """
    value, unit = float(size), 0
    while value >= 1023.95 and unit + 1 < len(_UNITS):
        value, unit = value / 1024, unit + 1
    return f"{value:.1f}{_UNITS[unit]}" if unit else str(size)


def shown_size(size: int, *, human: bool) -> str:
    """Formats a number of bytes, in full or for people."""
    return human_size(size) if human else str(size)


def total_text(objects: int, size: int, *, human: bool) -> str:
    """Formats the sums of a listing.

    Example:
        >>> total_text(1, 1, human=False), total_text(2, 3072, human=True)
        ('total 1 object, 1 byte', 'total 2 objects, 3.0Ki bytes')
    """
    return f"total {counted(objects, 'object')}, {shown_size(size, human=human)} {'byte' if size == 1 else 'bytes'}"


def time_of(text: str, option: str) -> float:
    """Returns a time in seconds since the epoch: that of an age such as `2d`, or of a date such as `2026-11-30T12:00`.

    A date without a time zone is local time.

    Raises:
        ConfigurationError: it is neither.

    Example:
        >>> time_of("2026-11-30T12:00:00+00:00", "--newer")
        1796040000.0
    """
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    from dxflow_async.config.quantities import to_seconds

    try:
        return time.time() - to_seconds(option, text)
    except ConfigurationError:
        raise ConfigurationError(
            f"{option} = {text!r} is not allowed; write an age such as 90s, 2h or 7d, or a date such as 2026-11-30"
        ) from None
