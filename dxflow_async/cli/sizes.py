"""Sizes and times as texts."""

from __future__ import annotations

import re
import time
from datetime import datetime

from dxflow_async.exceptions import ConfigurationError

__all__ = ["human_size", "seconds_of", "shown_size", "time_of"]

_UNITS = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


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


def seconds_of(text: str, option: str) -> float:
    """Returns the seconds of a duration: a number, which may be followed by s, m, h, d or w.

    Args:
        text: the duration.
        option: the option's name, for the error.

    Raises:
        ConfigurationError: it is not a duration.

    Example:
        >>> seconds_of("90", "--expires"), seconds_of("7d", "--expires")
        (90.0, 604800.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", text.strip().lower())
    if found is None:
        raise ConfigurationError(f"{option} = {text!r} is not allowed; write a duration such as 90s, 2h or 7d")
    return float(found[1]) * _SECONDS[found[2] or "s"]


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
    try:
        return time.time() - seconds_of(text, option)
    except ConfigurationError:
        raise ConfigurationError(
            f"{option} = {text!r} is not allowed; write an age such as 90s, 2h or 7d, or a date such as 2026-11-30"
        ) from None
