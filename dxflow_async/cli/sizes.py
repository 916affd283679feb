"""Sizes and times as texts."""

from __future__ import annotations

__all__ = ["human_size", "shown_size"]

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
