"""The modification time of a source as object metadata: the entry `mtime`, decimal seconds since the epoch.

Source: https://rclone.org/s3/#modification-times-and-hashes
"""

from __future__ import annotations

import re

from dxflow_async.providers.contract import Entry, Features

__all__ = ["NAME", "changed_at", "format_mtime", "kept_with", "parse_mtime"]

NAME = "mtime"
"""The name of the metadata entry."""

# Eleven digits reach the year 5138. Larger values are not times: no file system can hold them.
_LARGEST = 1e11
_SECONDS = re.compile(r"-?\d{1,11}(\.\d{1,12})?")


def format_mtime(seconds: float) -> str:
    """Formats a time with microseconds, the precision that a float has for present times.

    Args:
        seconds: since the epoch.

    Returns:
        The text that is kept as the metadata `mtime`.

    Example:
        >>> format_mtime(1700000000.123456)
        '1700000000.123456'
    """
    return f"{seconds:.6f}"


def parse_mtime(text: str | None) -> float | None:
    """Parses what `format_mtime` or rclone wrote; None for anything else.

    Args:
        text: the value of the metadata `mtime`; None if there is none.

    Returns:
        Seconds since the epoch; None.

    Example:
        >>> parse_mtime("1700000000.5"), parse_mtime("yesterday"), parse_mtime("1e400")
        (1700000000.5, None, None)
    """
    return float(text) if text is not None and _SECONDS.fullmatch(text) else None


def changed_at(features: Features, listed: Entry | None, seen: Entry | None) -> float | None:
    """Returns the time kept with an object, else the time when it was stored; None if neither is reported.

    Args:
        features: those of its provider.
        listed: what a listing reported.
        seen: what `stat` or `read` reported.
    """
    kept = kept_with(features, listed, seen)
    if kept is not None:
        return kept
    first, second = (listed, seen) if features.mtime_listed else (seen, listed)
    return (first and first.modified) or (second and second.modified) or None


def kept_with(features: Features, listed: Entry | None, seen: Entry | None) -> float | None:
    """Returns the time kept with an object; None if there is no valid one. The arguments are those of `changed_at`."""
    first, second = (listed, seen) if features.mtime_listed else (seen, listed)
    kept = first.mtime if first is not None else None
    if kept is None and second is not None:
        kept = second.mtime
    return kept if kept is not None and abs(kept) < _LARGEST else None
