"""The digests of parts that move as the source was stored: together they make its composite digest."""

from __future__ import annotations

from collections.abc import Sequence

from dxflow_async.concurrency.threads import Threads
from dxflow_async.digests import RunningDigest, digest_of
from dxflow_async.presumed_digests import PresumedDigest
from dxflow_async.providers.common.verified_reader import ChecksummedReader
from dxflow_async.providers.contract import Body, Entry, Features, PartReceipt, Reader

__all__ = ["CompositeDigests"]


class CompositeDigests:
    """The digests of the parts that this process moved.

    Args:
        expected: the composite digest of the source, with the sizes of its parts.
    """

    def __init__(self, expected: PresumedDigest) -> None:
        self.expected = expected
        self._values: dict[int, bytes] = {}

    @classmethod
    def of(cls, entry: Entry, destination: Features, max_size: int) -> CompositeDigests | None:
        """Returns the digests for an object; None if its parts cannot be those of the destination.

        Args:
            entry: the source.
            destination: what the destination can do.
            max_size: the largest part that may be held in memory.
        """
        presumed = entry.presumed
        if presumed is None or len(presumed.sizes) < 2 or len(set(presumed.sizes[:-1])) > 1:
            return None
        size = presumed.sizes[0]
        fits = destination.min_part_size <= size <= min(destination.max_part_size, max_size)
        return cls(presumed) if fits and presumed.count <= destination.max_parts else None

    @property
    def part_size(self) -> int:
        """The size of all parts but the last, in bytes."""
        return self.expected.sizes[0]

    def watch(self, reading: Reader) -> ChecksummedReader:
        """Wraps a read so that its digest is computed while it is read."""
        return ChecksummedReader(reading, RunningDigest(self.expected.algorithm))

    def keep(self, number: int, reading: ChecksummedReader) -> None:
        """Keeps the digest of everything that was read through `watch`."""
        self._values[number] = reading.digest.value

    async def keep_body(self, number: int, body: Body, threads: Threads) -> None:
        """Computes and keeps the digest of a part that is in memory."""
        digest = RunningDigest(self.expected.algorithm)
        async for chunk in body:
            await threads.run(digest.update, chunk)
        self._values[number] = digest.value

    def combined(self, receipts: Sequence[PartReceipt]) -> bytes | None:
        """Returns the digest of the parts' digests; None if the parts are others, or another process moved some."""
        if [receipt.part.size for receipt in receipts] != list(self.expected.sizes):
            return None
        found = [self._values.get(receipt.part.number) for receipt in receipts]
        known = [each for each in found if each is not None]
        return digest_of(self.expected.algorithm, b"".join(known)) if len(known) == len(found) else None
