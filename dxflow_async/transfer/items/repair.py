"""Finds the wrong parts of an object whose parts do not make the whole.

No service tells the checksum of a range, only that of the whole object. So every part is read again. A part whose two
reads differ is suspect, and the checksum of the whole says which of the reads is right. Only the wrong parts move
again.

A CRC is linear: replacing one part changes the checksum of the whole by a value that does not depend on the other
parts. The search therefore combines these values (XOR) until they make up the difference to the expected checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, combinations, islice, product

from dxflow_async.checksum import joined
from dxflow_async.providers.contract import PartReceipt

__all__ = ["Join", "PartChecksums", "whole_of"]

Join = Callable[[int, int, int], int]
"""Combines the checksums of two pieces, given the size of the second in bytes, as `checksum.joined` does."""

_MAX_TRIES = 1024
"""Combinations that are tried. Each fits by chance with a probability of one in four billion."""


def whole_of(receipts: Sequence[PartReceipt], values: Mapping[int, int | None], join: Join = joined) -> int | None:
    """Returns the checksum of a whole from those of its parts, by number; None if one of them is not known."""
    whole = 0
    for receipt in receipts:
        value = values.get(receipt.part.number)
        if value is None:
            return None
        whole = join(whole, value, receipt.part.size)
    return whole


class PartChecksums:
    """The checksums that repeated reads of each part had, by part number."""

    def __init__(self) -> None:
        self._seen: dict[int, set[int]] = {}

    def add(self, number: int, value: int) -> None:
        """Adds the checksum of another read of a part."""
        self._seen.setdefault(number, set()).add(value)

    def wrong(
        self, receipts: Sequence[PartReceipt], values: Mapping[int, int | None], expected: int, join: Join = joined
    ) -> list[PartReceipt]:
        """Returns the fewest parts for which another read would make the whole right.

        The list is empty if no reads do: then every part has to be read once more.

        Args:
            receipts: of all parts, in order.
            values: the checksum of each part as it is stored, by number.
            expected: the checksum of the whole.
            join: combines the checksums of two pieces.
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
                # The effect of one part on the whole does not depend on the other parts.
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
    """Yields every choice of one effect for each change."""
    for changes in some:
        for effects in product(*(effects for _, effects in changes)):
            yield effects, [receipt for receipt, _ in changes]
