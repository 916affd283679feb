"""The digest of an object that is read in parts, where its service tells another one than a CRC32C."""

from __future__ import annotations

from collections.abc import Sequence

from dxflow_async.concurrency.threads import Threads
from dxflow_async.digests import ExpectedDigest, RunningDigest, is_combinable, joiner
from dxflow_async.providers.common.verified_reader import ChecksummedReader
from dxflow_async.providers.contract import Body, Entry, PartReceipt, Reader
from dxflow_async.transfer.items.repair import whole_of

__all__ = ["PartDigests"]


class PartDigests:
    """The checksums of the parts that this process moved, from which that of the whole is made.

    Args:
        expected: of the whole; its algorithm is one that `is_combinable`.

    Attributes:
        expected: the same, as a number.
        join: makes one checksum of two.
        values: the parts' checksums, by number.
    """

    def __init__(self, expected: ExpectedDigest) -> None:
        self._algorithm = expected.algorithm
        self._size = len(expected.value)
        self.expected = int.from_bytes(expected.value, "big")
        self.join = joiner(expected.algorithm)
        self.values: dict[int, int] = {}

    @classmethod
    def of(cls, entry: Entry) -> PartDigests | None:
        """For an object; None where it has a CRC32C, or no digest that could be made from those of parts."""
        digest = entry.digest
        if digest is None or entry.crc32c is not None or not is_combinable(digest.algorithm):
            return None
        return cls(digest)

    def watch(self, reading: Reader) -> ChecksummedReader:
        """The same reading, summed as it passes."""
        return ChecksummedReader(reading, RunningDigest(self._algorithm))

    def value_of(self, reading: ChecksummedReader) -> int:
        """The checksum of what passed through a reading that is watched."""
        return int.from_bytes(reading.digest.value, "big")

    async def read(self, reading: Reader, buffer: memoryview, threads: Threads) -> int:
        """Reads a part for nothing but its checksum."""
        digest = RunningDigest(self._algorithm)
        while await reading.stream_to(buffer, digest.update, threads.run):
            pass
        return int.from_bytes(digest.value, "big")

    async def keep_body(self, number: int, body: Body, threads: Threads) -> None:
        """Sums a part that is in memory."""
        digest = RunningDigest(self._algorithm)
        async for chunk in body:
            await threads.run(digest.update, chunk)
        self.values[number] = int.from_bytes(digest.value, "big")

    def combined(self, receipts: Sequence[PartReceipt]) -> bytes | None:
        """The digest that all parts make, in their order; None where another process moved some of them."""
        whole = whole_of(receipts, self.values, self.join)
        return None if whole is None else whole.to_bytes(self._size, "big")
