"""Numbers with a noun, such as "1 item" and "2 items"."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Formats a number with its noun.

    Args:
        count: the number.
        noun: the noun for one.
        plural: the noun for any other number; by default with an s.

    Example:
        >>> counted(1, "item"), counted(0, "item"), counted(2000, "try", "tries")
        ('1 item', '0 items', '2,000 tries')
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
