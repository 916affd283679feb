"""The digest of an object that is read in parts, where its service tells another one than a CRC32C."""

from __future__ import annotations

from collections.abc import Sequence

from dxflow_async.digests import ExpectedDigest, RunningDigest, combined, is_combinable
from dxflow_async.providers.base import Entry, Reading, Receipt
from dxflow_async.providers.verified import SummedReading

__all__ = ["PartDigests"]


class PartDigests:
    """The digests of the parts that this process moved, from which that of the whole is made.

    Args:
        expected: of the whole; its algorithm is one that `is_combinable`.
    """

    def __init__(self, expected: ExpectedDigest) -> None:
        self._expected = expected
        self._parts: dict[int, bytes] = {}

    @classmethod
    def of(cls, entry: Entry) -> PartDigests | None:
        """For an object; None where it has a CRC32C, or no digest that could be made from those of parts."""
        digest = entry.digest
        return (
            None if digest is None or entry.crc32c is not None or not is_combinable(digest.algorithm) else cls(digest)
        )

    def watch(self, reading: Reading) -> Reading:
        """The same reading, summed as it passes."""
        return SummedReading(reading, RunningDigest(self._expected.algorithm))

    def keep(self, number: int, reading: Reading) -> None:
        """All bytes of a part passed through a reading that is watched."""
        assert isinstance(reading, SummedReading)
        self._parts[number] = reading.digest.value

    def combined(self, receipts: Sequence[Receipt]) -> bytes | None:
        """The digest that all parts make, in their order; None where another process moved some of them."""
        parts = [(self._parts.get(receipt.part.number), receipt.part.size) for receipt in receipts]
        known = [(value, size) for value, size in parts if value is not None]
        if len(known) < len(parts):
            return None
        return combined(self._expected.algorithm, known)
