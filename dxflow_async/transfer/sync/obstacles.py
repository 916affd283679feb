"""Files in the place of directories, and the reverse, found while two listings are merged. Pure.

Where directories are real, a destination cannot hold `x` and `x/y`. Listings come in the order of names, so all that
lies below `x` follows it, with nothing in between but names such as `x-1` and `x.y`, which are greater than `x` and
less than `x/`. Of the files that only one side has, those below which more may follow are remembered here: each lies
within the range of the one before, so they are few.
"""

from __future__ import annotations

from typing import NamedTuple

from dxflow_async.providers.contract import Entry

__all__ = ["Obstacles", "Row"]


class Row(NamedTuple):
    """An entry of a listing: what it is ordered by, its name, and itself."""

    order: bytes
    name: str
    entry: Entry


class Obstacles:
    """The files of either side that what follows may lie below."""

    def __init__(self) -> None:
        self._files: list[tuple[int, Row]] = []

    def add(self, side: int, row: Row) -> None:
        """A file that only this side has."""
        self._files.append((side, row))

    def advance(self, order: bytes | None) -> list[tuple[int, Row]]:
        """Goes on to a name, or to the end with None: returns the files that nothing can lie below any more."""
        files, passed = self._files, []
        while files and (order is None or not files[-1][1].order <= order < files[-1][1].order + b"0"):
            passed.append(files.pop())
        return passed

    def above(self, side: int, order: bytes) -> Row | None:
        """The file of a side that a name lies below."""
        for each, row in self._files:
            if each == side and order.startswith(row.order + b"/"):
                return row
        return None

    def take(self, row: Row) -> None:
        """A file that was found to be in the way, or behind something, is remembered no longer."""
        self._files = [file for file in self._files if file[1] is not row]
