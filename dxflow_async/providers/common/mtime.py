"""The time a file was changed, as it is kept with an object: metadata `mtime`, decimal seconds since the epoch.

Source: https://rclone.org/s3/#modification-times-and-hashes
"""

from __future__ import annotations

import re

from dxflow_async.providers.contract import Entry, Features

__all__ = ["NAME", "changed_at", "format_mtime", "kept_with", "parse_mtime"]

NAME = "mtime"
"""The metadata entry's name."""

# Eleven digits reach the year 5138; what no file system can hold is no time.
_LARGEST = 1e11
_SECONDS = re.compile(r"-?\d{1,11}(\.\d{1,12})?")


def format_mtime(seconds: float) -> str:
    """As it is kept: to the microsecond, which is what a float holds of today's times.

    Example:
        >>> format_mtime(1700000000.123456)
        '1700000000.123456'
    """
    return f"{seconds:.6f}"


def parse_mtime(text: str | None) -> float | None:
    """What `format_mtime` or rclone wrote; None for anything else.

    Example:
        >>> parse_mtime("1700000000.5"), parse_mtime("yesterday"), parse_mtime("1e400")
        (1700000000.5, None, None)
    """
    return float(text) if text is not None and _SECONDS.fullmatch(text) else None


def changed_at(features: Features, listed: Entry | None, seen: Entry | None) -> float | None:
    """When an object's source was changed: the time kept with it, else when it was stored; None: not told.

    Args:
        features: of its provider.
        listed: what a listing said of it.
        seen: what `stat` or `read` said of it.
    """
    kept = kept_with(features, listed, seen)
    if kept is not None:
        return kept
    first, second = (listed, seen) if features.mtime_listed else (seen, listed)
    return (first and first.modified) or (second and second.modified) or None


def kept_with(features: Features, listed: Entry | None, seen: Entry | None) -> float | None:
    """The time kept with an object; None: none is, or it is no time. Arguments as those of `changed_at`."""
    first, second = (listed, seen) if features.mtime_listed else (seen, listed)
    kept = first.mtime if first is not None else None
    if kept is None and second is not None:
        kept = second.mtime
    return kept if kept is not None and abs(kept) < _LARGEST else None
