"""Finds listings that go in a circle."""

from __future__ import annotations

from typing import Any

__all__ = ["Cursors"]


class Cursors:
    """Finds a listing that goes in a circle, of any length, in the memory of one cursor (Brent's algorithm).

    Cursors that are not texts are ignored: they are running listings.
    """

    def __init__(self) -> None:
        self._number = 0
        self._earlier: str | None = None  # the last cursor whose number was a power of two

    def repeat(self, cursor: Any) -> bool:
        """Takes the next cursor; returns whether it was there before."""
        if not isinstance(cursor, str):
            return False
        if cursor == self._earlier:
            return True
        self._number += 1
        if not self._number & (self._number - 1):
            self._earlier = cursor
        return False
