"""Sequences of a million items in little memory: all but the newest items are compressed, a thousand together."""

from __future__ import annotations

import json
import zlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

__all__ = ["CompressedSequence"]

T = TypeVar("T")

_GROUP = 1000

_LOOSE = 10
"""Groups that are not compressed: most sequences are short."""


class CompressedSequence(Sequence[T]):
    """A sequence that grows at its end. Items read from it are equal to those appended, but not identical."""

    __slots__ = ("_groups", "_last", "_length", "_unpackable", "_unpacked")

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._groups: list[list[T] | bytes] = []
        self._last: list[T] = []
        self._length = 0
        self._unpackable: dict[int, T] = {}
        self._unpacked: tuple[int, list[T]] = (-1, [])
        for item in items:
            self.append(item)

    @abstractmethod
    def _row(self, item: T) -> Sequence[Any] | None:
        """Returns an item as plain values; None keeps the item as it is."""

    @abstractmethod
    def _item(self, row: Sequence[Any]) -> T:
        """Returns the item for a result of `_row`."""

    def append(self, item: T) -> None:
        """Appends an item."""
        self._length += 1
        self._last.append(item)
        if len(self._last) == _GROUP:
            self._groups.append(self._last if len(self._groups) < _LOOSE else self._packed(self._last))
            self._last = []

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._length))]
        position = range(self._length)[index]
        return self._group(position // _GROUP)[position % _GROUP]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        for number in range(-(-self._length // _GROUP)):
            yield from self._group(number)

    def _packed(self, items: Sequence[T]) -> bytes:
        rows = [self._row(item) for item in items]
        start = len(self._groups) * _GROUP
        self._unpackable |= {start + number: items[number] for number, row in enumerate(rows) if row is None}
        return zlib.compress(json.dumps(rows).encode(), 1)

    def _group(self, number: int) -> Sequence[T]:
        if number == len(self._groups):
            return self._last
        group = self._groups[number]
        if isinstance(group, list):
            return group
        if self._unpacked[0] != number:
            rows = enumerate(json.loads(zlib.decompress(group)), number * _GROUP)
            self._unpacked = number, [self._unpackable[n] if row is None else self._item(row) for n, row in rows]
        return self._unpacked[1]
