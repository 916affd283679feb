"""Two listings made into pairs of what has one name: a merge, which also comes out right where no order was kept.

Listings come in the order of their keys' bytes, so a merge finds each entry's counterpart at once, or knows that
there is none. Not every service keeps that order: SeaweedFS lists `a/b` before `a-b`, directory buckets of S3 list
in none. So what the merge found no counterpart for waits on disk until the other listing has ended, and what comes
too late for the merge is looked up there. A listing whose order is kept for sure need not be waited for.

Pure but for the disk of what waits: no loop, no network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dxflow_async.providers.base import Entry
from dxflow_async.transfer.protected import Protected, is_failure
from dxflow_async.transfer.spool import Spool

__all__ = ["DESTINATION", "SOURCE", "Pair", "Pairing", "order"]

SOURCE, DESTINATION = 0, 1

_PAGE_SIZE = 1000


class Pair(NamedTuple):
    """A name below the two directories, and what has it on either side; not None on both."""

    name: str
    source: Entry | None
    destination: Entry | None


def order(name: str) -> bytes:
    """What names are ordered by: their bytes, also those of local names that are no Unicode.

    Example:
        >>> sorted(["a/b", "a-b", "a"], key=order)
        ['a', 'a-b', 'a/b']
    """
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


class Pairing:
    """Takes the pages of two listings as they come, and says what belongs together; its calls block.

    Args:
        prefixes: of the keys of either side; names are what follows.
        admits: which names there are to be.
        excludes: which names are left out with all below them.
        ordered: of which sides the order is kept for sure.
        keeps: whether what only the destination has is asked for at the end.

    Attributes:
        disordered: whether a listing was out of order, or named something twice.
        protected: names of the source of which nothing is known but that they are there.
    """

    def __init__(
        self,
        prefixes: tuple[str, str],
        admits: Callable[[str], bool] = lambda _: True,
        ordered: tuple[bool, bool] = (False, False),
        *,
        excludes: Callable[[str], bool] = lambda _: False,
        keeps: bool = True,
    ) -> None:
        self._lengths = len(prefixes[0]), len(prefixes[1])
        self._admits = admits
        self._excludes = excludes
        self._ordered = ordered
        self._keeps = keeps
        self._rows: tuple[deque[_Row], deque[_Row]] = (deque(), deque())
        self._fed = [b"", b""]
        self._last = [b"", b""]
        self._ended = [False, False]
        self._spool = Spool()
        self.disordered = False
        self.protected = Protected()

    def wants(self) -> int | None:
        """The side whose next page is needed; None when both listings have ended."""
        waiting = [side for side in (SOURCE, DESTINATION) if not self._ended[side]]
        return min(waiting, key=lambda side: len(self._rows[side]), default=None)

    def feed(self, side: int, page: Sequence[Entry]) -> list[Pair]:
        """The next page of a side's listing; what is certain now."""
        length, rows = self._lengths[side], self._rows[side]
        for entry in page:
            name = entry.key[length:]
            if name and self._is_wanted(side, name, entry):
                row = _Row(order(name), name, entry)
                if row.order == self._fed[side]:
                    self.disordered = True
                else:
                    rows.append(row)
                self._fed[side] = row.order
        return list(self._step())

    def _is_wanted(self, side: int, name: str, entry: Entry) -> bool:
        if side == SOURCE and entry.unreadable is not None:
            self.protected.add(name, entry)
            if is_failure(entry) and name.endswith("/"):  # what is wanted may be in it
                return not self._excludes(name)
        return self._admits(name)

    def end(self, side: int) -> list[Pair]:
        """A side's listing has ended; what is certain now."""
        self._ended[side] = True
        return list(self._step())

    def left(self, side: int, *, reverse: bool = False) -> Iterator[list[Pair]]:
        """After both listings: what a side has alone, page by page, in the order of names or the reverse."""
        for page in self._spool.pages(side, _PAGE_SIZE, reverse=reverse):
            yield [_alone(side, entry.key[self._lengths[side] :], entry) for entry in page]

    def close(self) -> None:
        """Removes what waits."""
        self._spool.close()

    def _step(self) -> Iterator[Pair]:
        ours, theirs = self._rows
        while (ours or self._ended[SOURCE]) and (theirs or self._ended[DESTINATION]) and (ours or theirs):
            if ours and theirs and ours[0].order == theirs[0].order:
                one, other = ours.popleft(), theirs.popleft()
                self._passed(SOURCE, one.order)
                self._passed(DESTINATION, other.order)
                yield Pair(one.name, one.entry, other.entry)
                continue
            side = SOURCE if ours and (not theirs or ours[0].order < theirs[0].order) else DESTINATION
            yield from self._single(side, self._rows[side].popleft())

    def _single(self, side: int, row: _Row) -> Iterator[Pair]:
        """An entry that the merge finds no counterpart for, where it stands."""
        other = 1 - side
        if not self._passed(side, row.order):
            counterpart = self._spool.take(other, row.order)
            if counterpart is not None:
                yield _pair(side, row, counterpart)
                return
        certain = self._ended[other] or self._ordered[other]
        if side == SOURCE and certain:
            yield Pair(row.name, row.entry, None)
        elif side == SOURCE or self._keeps or not certain:
            self._spool.put(side, row.order, row.entry)

    def _passed(self, side: int, name: bytes) -> bool:
        """Goes beyond a name; whether it came in order."""
        if name > self._last[side]:
            self._last[side] = name
            return True
        self.disordered = True
        return False


class _Row(NamedTuple):
    order: bytes
    name: str
    entry: Entry


def _pair(side: int, row: _Row, counterpart: Entry) -> Pair:
    return Pair(row.name, row.entry, counterpart) if side == SOURCE else Pair(row.name, counterpart, row.entry)


def _alone(side: int, name: str, entry: Entry) -> Pair:
    return Pair(name, entry, None) if side == SOURCE else Pair(name, None, entry)
