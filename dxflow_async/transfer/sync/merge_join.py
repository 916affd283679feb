"""Pairs the entries of two listings by name, without holding either listing in memory.

How it works: listings come in the order of their keys' bytes, so a merge finds each entry's counterpart at once, or
knows that there is none. Not every service keeps that order: SeaweedFS lists `a/b` before `a-b`, and directory buckets
of S3 list in no order at all. So an entry without a counterpart waits on disk (`Spill`) until the other listing has
ended, and an entry that comes too late for the merge is looked up there. Where a provider guarantees the order, nothing
waits.

Where directories are real, a destination cannot hold both `x` and `x/y`. In byte order everything below `x` follows
it, with nothing in between but names such as `x-1` and `x.y`, which sort after `x` and before `x/`. So the merge
remembers the files that only one side has while something below them may follow (`_Obstacles`); each of these lies
within the range of the one before, so they are few.

Pure but for the disk of what waits: no loop, no network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dxflow_async.providers.contract import Entry
from dxflow_async.transfer.failures import is_failure
from dxflow_async.transfer.sync.filters import Protected
from dxflow_async.transfer.sync.spill import Spill

__all__ = ["DESTINATION", "SOURCE", "MergeJoin", "Pair", "order"]

SOURCE, DESTINATION = 0, 1

_BLOCKED = 2
"""The side, in the spill, of source files in whose place the destination has a directory."""

_PAGE_SIZE = 1000


class _Row(NamedTuple):
    """An entry of a listing with its name, and the bytes that names are ordered by."""

    order: bytes
    name: str
    entry: Entry


class Pair(NamedTuple):
    """A name and its entry on either side; at least one side has one.

    `obstacle` is what the destination has in its place: a file above it, or a directory of that name.
    """

    name: str
    source: Entry | None
    destination: Entry | None
    obstacle: Entry | None = None


def order(name: str) -> bytes:
    """Returns the bytes that names are ordered by, also for local names that are not UTF-8.

    Example:
        >>> sorted(["a/b", "a-b", "a"], key=order)
        ['a', 'a-b', 'a/b']
    """
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


class MergeJoin:
    """Pairs two listings page by page. Its methods block.

    Args:
        prefixes: the prefixes of both sides' keys. A name is the rest of a key.
        admits: returns whether a name takes part.
        ordered: which sides guarantee the order of their keys.
        excludes: returns whether a name is left out with everything below it.
        keeps: keep what only the destination has, for `left`.
        real: returns whether the destination's directories are real, so that a file can be in the way of a directory
            and the reverse. It is called at each page until it returns True.

    Attributes:
        disordered: a listing was out of order, or listed a name twice.
        protected: names of the source that could not be read.
    """

    def __init__(
        self,
        prefixes: tuple[str, str],
        admits: Callable[[str], bool] = lambda _: True,
        ordered: tuple[bool, bool] = (False, False),
        *,
        excludes: Callable[[str], bool] = lambda _: False,
        keeps: bool = True,
        real: Callable[[], bool] = lambda: False,
    ) -> None:
        self._lengths = len(prefixes[0]), len(prefixes[1])
        self._prefix = prefixes[DESTINATION]
        self._admits = admits
        self._excludes = excludes
        self._ordered = ordered
        self._keeps = keeps
        self._real = real
        self._obstacles: _Obstacles | None = None
        self._last_file: _Row | None = None
        self._rows: tuple[deque[_Row], deque[_Row]] = (deque(), deque())
        self._fed = [b"", b""]
        self._last = [b"", b""]
        self._ended = [False, False]
        self._spill = Spill()
        self.disordered = False
        self.protected = Protected()

    def wants(self) -> int | None:
        """Returns the side whose next page is needed; None if both listings have ended."""
        waiting = [side for side in (SOURCE, DESTINATION) if not self._ended[side]]
        return min(waiting, key=lambda side: len(self._rows[side]), default=None)

    def feed(self, side: int, page: Sequence[Entry]) -> list[Pair]:
        """Takes the next page of a side, and returns the pairs that are certain now."""
        if self._obstacles is None and self._real():
            self._obstacles = _Obstacles()
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
            if is_failure(entry) and name.endswith("/"):  # something that takes part may be in it
                return not self._excludes(name)
        return self._admits(name)

    def end(self, side: int) -> list[Pair]:
        """Notes that a side's listing has ended, and returns the pairs that are certain now."""
        self._ended[side] = True
        return list(self._step())

    def left(self, side: int, *, reverse: bool = False, below: str = "") -> Iterator[list[Pair]]:
        """Yields what only one side has, page by page, once both listings have ended.

        Args:
            side: `SOURCE` or `DESTINATION`.
            reverse: the last name comes first.
            below: a name that ends in a slash; only entries below it are yielded.
        """
        for page in self._spill.pages(side, _PAGE_SIZE, reverse=reverse, below=order(below)):
            pairs = [_alone(side, entry.key[self._lengths[side] :], entry) for entry in page]
            if side == SOURCE and self._obstacles is not None:
                pairs = [self._late(pair) for pair in pairs]
            yield pairs

    def blocked(self) -> Iterator[list[Pair]]:
        """Yields the source's files in whose place the destination has a directory, once both listings have ended."""
        for page in self._spill.pages(_BLOCKED, _PAGE_SIZE):
            yield [self._behind_directory(entry.key[self._lengths[SOURCE] :], entry) for entry in page]

    def forget(self, below: str) -> None:
        """Drops what only the destination has below a name: it was deleted."""
        self._spill.drop(DESTINATION, order(below))

    def close(self) -> None:
        """Removes the file of waiting entries."""
        self._spill.close()

    def _step(self) -> Iterator[Pair]:
        ours, theirs = self._rows
        while (ours or self._ended[SOURCE]) and (theirs or self._ended[DESTINATION]) and (ours or theirs):
            if ours and theirs and ours[0].order == theirs[0].order:
                one, other = ours.popleft(), theirs.popleft()
                self._passed(SOURCE, one.order)
                self._passed(DESTINATION, other.order)
                yield from self._advance(one.order)
                yield Pair(one.name, one.entry, other.entry)
                continue
            side = SOURCE if ours and (not theirs or ours[0].order < theirs[0].order) else DESTINATION
            yield from self._single(side, self._rows[side].popleft())
        if all(self._ended) and not ours and not theirs:
            yield from self._advance(None)

    def _single(self, side: int, row: _Row) -> Iterator[Pair]:
        """Handles an entry that the merge finds no counterpart for where it stands."""
        other = 1 - side
        if not self._passed(side, row.order):
            counterpart = self._spill.take(other, row.order)
            if counterpart is not None:
                yield _pair(side, row, counterpart)
                return
        yield from self._advance(row.order)
        certain = self._ended[other] or self._ordered[other]
        if side == DESTINATION:
            yield from self._found_in_place(row)
        if side == SOURCE and certain:
            yield from self._new(row)
        elif side == SOURCE or self._keeps or not certain:
            self._spill.put(side, row.order, row.entry)

    # Obstacles

    def _advance(self, order: bytes | None) -> Iterator[Pair]:
        if self._obstacles is not None:
            for side, row in self._obstacles.advance(order):
                if side == SOURCE:
                    yield Pair(row.name, row.entry, None)

    def _new(self, row: _Row) -> Iterator[Pair]:
        """Handles an entry that only the source has. A file waits until nothing can be in its place."""
        file = None if self._obstacles is None else self._obstacles.above(DESTINATION, row.order)
        if file is not None and self.protected.covers(file.name) is None:
            self._spill.take(DESTINATION, file.order)
            yield Pair(row.name, row.entry, None, file.entry)
        elif self._obstacles is None or row.name.endswith("/") or row.entry.unreadable is not None:
            yield Pair(row.name, row.entry, None)
        else:
            self._obstacles.add(SOURCE, row)

    def _found_in_place(self, row: _Row) -> Iterator[Pair]:
        """Checks whether an entry of the destination lies below a file of the source, or may be an obstacle itself."""
        if self._obstacles is None:
            return
        file = self._obstacles.above(SOURCE, row.order)
        if file is not None:
            self._obstacles.take(file)
            if self._keeps:
                self._spill.put(_BLOCKED, file.order, file.entry)
            else:
                yield self._behind_directory(file.name, file.entry)
        elif not row.name.endswith("/"):
            self._obstacles.add(DESTINATION, row)

    def _late(self, pair: Pair) -> Pair:
        """Adds the obstacle to a pair that waited until both listings had ended."""
        name, entry = pair.name, pair.source
        assert entry is not None
        if entry.unreadable is not None:
            return pair
        if not name.endswith("/") and self._spill.has(DESTINATION, order(f"{name}/")):
            return self._behind_directory(name, entry)
        file = self._late_file(name)
        return pair if file is None else Pair(name, entry, None, file.entry)

    def _late_file(self, name: str) -> _Row | None:
        """Returns the file above a name that only the destination has, and takes it from what is left to delete."""
        if self._last_file is not None and name.startswith(f"{self._last_file.name}/"):
            return self._last_file
        end = name.find("/")
        while end > 0:
            above = name[:end]
            if self.protected.covers(above) is None and (entry := self._spill.take(DESTINATION, order(above))):
                self._last_file = _Row(order(above), above, entry)
                return self._last_file
            end = name.find("/", end + 1)
        return None

    def _behind_directory(self, name: str, entry: Entry) -> Pair:
        return Pair(name, entry, None, Entry(f"{self._prefix}{name}/", directory=True))

    def _passed(self, side: int, name: bytes) -> bool:
        """Moves past a name, and returns whether the name came in order."""
        if name > self._last[side]:
            self._last[side] = name
            return True
        self.disordered = True
        return False


class _Obstacles:
    """The files that only one side has, while entries below them may follow."""

    def __init__(self) -> None:
        self._files: list[tuple[int, _Row]] = []

    def add(self, side: int, row: _Row) -> None:
        """Adds a file that only this side has."""
        self._files.append((side, row))

    def advance(self, order: bytes | None) -> list[tuple[int, _Row]]:
        """Moves on to a name, or to the end with None, and returns the files that nothing can lie below any more."""
        files, passed = self._files, []
        while files and (order is None or not files[-1][1].order <= order < files[-1][1].order + b"0"):
            passed.append(files.pop())
        return passed

    def above(self, side: int, order: bytes) -> _Row | None:
        """Returns the file of a side that a name lies below."""
        for each, row in self._files:
            if each == side and order.startswith(row.order + b"/"):
                return row
        return None

    def take(self, row: _Row) -> None:
        """Drops a file that was found to be an obstacle, or to have one."""
        self._files = [file for file in self._files if file[1] is not row]


def _pair(side: int, row: _Row, counterpart: Entry) -> Pair:
    return Pair(row.name, row.entry, counterpart) if side == SOURCE else Pair(row.name, counterpart, row.entry)


def _alone(side: int, name: str, entry: Entry) -> Pair:
    return Pair(name, entry, None) if side == SOURCE else Pair(name, None, entry)
