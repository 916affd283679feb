"""An object whose parts do not make the whole: which of them came wrong is found out by reading them again.

No service tells the checksum of a range, but only that of the whole. Two readings of a part that differ say which
part it is, and the checksum of the whole says which reading is right; only that part is then done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, combinations, islice, product

from dxflow_async.checksum import combine
from dxflow_async.providers.base import Receipt

__all__ = ["Readings"]

_MAX_TRIES = 1024
"""Of combinations: each has a chance of one in four thousand millions to fit without being right."""


class Readings:
    """The checksums of each part, by number, as they were read so far."""

    def __init__(self) -> None:
        self._seen: dict[int, set[int]] = {}

    def add(self, number: int, crc32c: int) -> None:
        """A part was read once more."""
        self._seen.setdefault(number, set()).add(crc32c)

    def wrong(self, receipts: Sequence[Receipt], expected: int) -> list[Receipt]:
        """Which of the parts (all of them, in order) another reading of would make the whole; as few as will do.

        Nothing where no readings do: then all parts have to be read once more.
        """
        whole = combine((receipt.crc32c, receipt.part.size) for receipt in receipts)
        if whole is None:
            return []
        missing = whole ^ expected
        changes, behind = [], 0
        for receipt in reversed(receipts):
            stored = receipt.crc32c or 0
            others = self._seen.get(receipt.part.number, set()) - {stored}
            if others:
                # What a change of a part does to the whole does not depend on the other parts.
                changes.append((receipt, [_moved(stored ^ other, behind) for other in others]))
            behind += receipt.part.size
        some = chain.from_iterable(combinations(changes, count) for count in range(1, len(changes) + 1))
        for effects, chosen in islice(_choices(some), _MAX_TRIES):
            total = 0
            for effect in effects:
                total ^= effect
            if total == missing:
                return chosen
        return []


_Change = tuple[Receipt, list[int]]


def _choices(some: Iterable[tuple[_Change, ...]]) -> Iterable[tuple[tuple[int, ...], list[Receipt]]]:
    """One effect of each change."""
    for changes in some:
        for effects in product(*(effects for _, effects in changes)):
            yield effects, [receipt for receipt, _ in changes]


def _moved(change: int, behind: int) -> int:
    """The change of a whole's checksum by that of a part's with so many bytes behind it."""
    moved = combine(((change, 1), (0, behind)))
    assert moved is not None
    return moved
