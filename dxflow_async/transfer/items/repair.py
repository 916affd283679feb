"""An object whose parts do not make the whole: which of them came wrong is found out by reading them again.

No service tells the checksum of a range, but only that of the whole. Two readings of a part that differ say which
part it is, and the checksum of the whole says which reading is right; only that part is then done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, combinations, islice, product

from dxflow_async.checksum import joined
from dxflow_async.providers.contract import PartReceipt

__all__ = ["Join", "PartChecksums", "whole_of"]

Join = Callable[[int, int, int], int]
"""The checksum of two pieces, from those of both and the size of the second, as `checksum.joined`."""

_MAX_TRIES = 1024
"""Of combinations: each has a chance of one in four thousand millions to fit without being right."""


def whole_of(receipts: Sequence[PartReceipt], values: Mapping[int, int | None], join: Join = joined) -> int | None:
    """The checksum of a whole from those of its parts, by number; None where one is not known."""
    whole = 0
    for receipt in receipts:
        value = values.get(receipt.part.number)
        if value is None:
            return None
        whole = join(whole, value, receipt.part.size)
    return whole


class PartChecksums:
    """The checksums of each part, by number, as they were read so far."""

    def __init__(self) -> None:
        self._seen: dict[int, set[int]] = {}

    def add(self, number: int, value: int) -> None:
        """A part was read once more."""
        self._seen.setdefault(number, set()).add(value)

    def wrong(
        self, receipts: Sequence[PartReceipt], values: Mapping[int, int | None], expected: int, join: Join = joined
    ) -> list[PartReceipt]:
        """Which of the parts (all of them, in order) another reading of would make the whole; as few as will do.

        Nothing where no readings do: then all parts have to be read once more.

        Args:
            receipts: of the parts.
            values: the checksum of each as it is stored, by number.
            expected: of the whole.
            join: makes one checksum of two.
        """
        whole = whole_of(receipts, values, join)
        if whole is None:
            return []
        missing = whole ^ expected
        changes, behind = [], 0
        for receipt in reversed(receipts):
            stored = values[receipt.part.number] or 0
            others = self._seen.get(receipt.part.number, set()) - {stored}
            if others:
                # What a change of a part does to the whole does not depend on the other parts.
                changes.append((receipt, [join(stored ^ other, 0, behind) for other in others]))
            behind += receipt.part.size
        some = chain.from_iterable(combinations(changes, count) for count in range(1, len(changes) + 1))
        for effects, chosen in islice(_choices(some), _MAX_TRIES):
            total = 0
            for effect in effects:
                total ^= effect
            if total == missing:
                return chosen
        return []


_Change = tuple[PartReceipt, list[int]]


def _choices(some: Iterable[tuple[_Change, ...]]) -> Iterable[tuple[tuple[int, ...], list[PartReceipt]]]:
    """One effect of each change."""
    for changes in some:
        for effects in product(*(effects for _, effects in changes)):
            yield effects, [receipt for receipt, _ in changes]
