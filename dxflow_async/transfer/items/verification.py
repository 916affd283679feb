"""Which checksum of a copied object is known when, and what is compared with it.

The CRC32C of a body is known before the body is sent (`Features.checksum_first`) or after it arrived. The CRC32Cs of
the parts make the CRC32C of the whole. It must equal what the source reports before the copy becomes visible, and what
the destination reports after. Where a source reports another digest (CRC-64/NVME, CRC-32, MD5, ...) and no CRC32C,
that digest is compared instead: by the reader for an object that moves as one part, and by `PartDigests` for parts.

When the parts do not make the whole, `wrong_parts` names the ones to move again (see `repair`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dxflow_async.checksum import crc32c, joined
from dxflow_async.concurrency.threads import Threads
from dxflow_async.digests import ExpectedDigest, RunningDigest, is_combinable, joiner
from dxflow_async.providers.common.verified_reader import ChecksummedReader
from dxflow_async.providers.contract import Body, Entry, Features, PartReceipt, Reader
from dxflow_async.transfer.items.composite_digests import CompositeDigests
from dxflow_async.transfer.items.ordered_digest import OrderedDigest, whole_digest
from dxflow_async.transfer.items.repair import Join, PartChecksums, whole_of

__all__ = ["PartDigests", "Verification"]

_READ_SIZE = 256 << 10


class Verification:
    """The checksums of one object while it is copied.

    Args:
        source, destination: the features of both providers.

    Attributes:
        digests: the parts' digests, where the source reports another digest than a CRC32C.
        ordered: the digest of the whole in the order of the bytes, where those of the parts do not make it.
        compared: all bytes that were read have the other digest that the source reports.
        unverified: why not everything could be compared; None if it was.
        computed: the digest of the whole could be computed, whether it proved anything or not.
        rereads: parts are being read again only for their checksums; nothing is written.
    """

    __slots__ = (
        "_destination",
        "_readings",
        "_source",
        "compared",
        "computed",
        "digests",
        "ordered",
        "rereads",
        "unverified",
    )

    def __init__(self, source: Features, destination: Features) -> None:
        self._source = source.checksum
        self._destination = destination.checksum or destination.verifies_writes
        self.digests: PartDigests | CompositeDigests | None = None
        self.computed = True
        self.ordered: OrderedDigest | None = None
        self.compared = False
        self.unverified: str | None = None
        self.rereads = False
        self._readings: PartChecksums | None = None

    def begin_parts(self, entry: Entry) -> None:
        """Prepares for parts of the object."""
        self.computed = False
        self.digests = PartDigests.of(entry)
        expected = whole_digest(entry)
        self.ordered = None if expected is None or self.digests is not None else OrderedDigest(expected)

    def align_parts(self, entry: Entry, destination: Features, max_size: int) -> int | None:
        """Returns the size in which the source was stored in parts, if moving these parts verifies it; else None.

        Args:
            entry: the source.
            destination: what the destination can do.
            max_size: the largest part that may be held in memory.
        """
        digests = None if self.digests is not None else CompositeDigests.of(entry, destination, max_size)
        if digests is None:
            return None
        self.digests, self.ordered = digests, None
        return digests.part_size

    def verdict(self, moved: int | None, entry: Entry, stored: Entry) -> bool | None:
        """Compares the CRC32C of the bytes that moved with what both sides report.

        Args:
            moved: the CRC32C of the bytes, if it is known.
            entry: the source.
            stored: what the destination says it stored.

        Returns:
            True if everything that can be compared is equal, False if anything differs, None if too little is known.
        """
        self.unverified = None
        if not entry.size and not moved and _may_be_empty(entry):
            return stored.crc32c in (None, 0)
        if moved is None:
            self.unverified = "an earlier process moved a part whose checksum is not known"
        if self._source and not self.compared:
            if entry.crc32c is None:
                self.unverified = self._why_not(entry)
            elif entry.crc32c != moved:
                return False
        if self._destination:
            if stored.crc32c is None:
                self.unverified = self.unverified or "the destination reports no checksum"
            elif moved is not None and stored.crc32c != moved:
                return False
        if not (self._source or self._destination or self.compared):
            self.unverified = "neither side keeps checksums"
        return True if self.unverified is None else None

    def _why_not(self, entry: Entry) -> str:
        """Returns why a source without a CRC32C was not compared."""
        if entry.digest is not None:
            return f"the {entry.digest.shown} of the source cannot be computed from parts that move side by side"
        if entry.presumed is not None:
            reason = f"the {entry.presumed.shown} of the source cannot be computed from parts that move side by side"
            return entry.presumed.reason if self.computed or not entry.presumed.computable else reason
        return "the source reports no checksum"

    def wrong_parts(self, receipts: Sequence[PartReceipt], entry: Entry) -> list[PartReceipt] | None:
        """Finds the parts that make the whole wrong.

        Args:
            receipts: of all parts, ordered by number.
            entry: the source.

        Returns:
            The parts to move again; an empty list if they are not known yet, and every part must be read again first
            (`rereads` is set then); None if the parts are not what is wrong.
        """
        values: Mapping[int, int | None] = {receipt.part.number: receipt.crc32c for receipt in receipts}
        expected = entry.crc32c
        join: Join = joined
        if isinstance(self.digests, PartDigests):
            values, expected, join = self.digests.values, self.digests.expected, self.digests.join
        if expected is None or whole_of(receipts, values, join) in (None, expected):
            return None
        wrong = [] if self._readings is None else self._readings.wrong(receipts, values, expected, join)
        self.rereads = not wrong
        return wrong

    async def read_again(self, number: int, reading: Reader, threads: Threads) -> None:
        """Reads a part to its end and keeps its checksum for `wrong_parts`."""
        buffer, crc = memoryview(bytearray(_READ_SIZE)), 0
        if isinstance(self.digests, PartDigests):
            crc = await self.digests.read(reading, buffer, threads)
        else:
            while size := await reading.readinto(buffer):
                crc = crc32c(buffer[:size], crc)
        if self._readings is None:
            self._readings = PartChecksums()
        self._readings.add(number, crc)


def _may_be_empty(entry: Entry) -> bool:
    """Returns whether everything that is reported of an object is right for no bytes at all."""
    digest = entry.digest
    return entry.crc32c in (None, 0) and (digest is None or digest.value == digest.running().value)


class PartDigests:
    """The digests of the parts that this process moved, from which the digest of the whole is made.

    Args:
        expected: the digest of the whole; `digests.is_combinable` holds for its algorithm.

    Attributes:
        expected: the same as a number.
        join: combines the digests of two pieces.
        values: the parts' digests, by part number.
    """

    def __init__(self, expected: ExpectedDigest) -> None:
        self._algorithm = expected.algorithm
        self._size = len(expected.value)
        self.expected = int.from_bytes(expected.value, "big")
        self.join = joiner(expected.algorithm)
        self.values: dict[int, int] = {}

    @classmethod
    def of(cls, entry: Entry) -> PartDigests | None:
        """Returns the digests for an object; None if it has a CRC32C, or no digest that parts can be combined to."""
        digest = entry.digest
        if digest is None or entry.crc32c is not None or not is_combinable(digest.algorithm):
            return None
        return cls(digest)

    def watch(self, reading: Reader) -> ChecksummedReader:
        """Wraps a read so that its digest is computed while it is read."""
        return ChecksummedReader(reading, RunningDigest(self._algorithm))

    def keep(self, number: int, reading: ChecksummedReader) -> None:
        """Keeps the digest of everything that was read through `watch`."""
        self.values[number] = self.value_of(reading)

    def value_of(self, reading: ChecksummedReader) -> int:
        """Returns the digest of everything that was read through `watch`."""
        return int.from_bytes(reading.digest.value, "big")

    async def read(self, reading: Reader, buffer: memoryview, threads: Threads) -> int:
        """Reads a part to its end and returns its digest."""
        digest = RunningDigest(self._algorithm)
        while await reading.stream_to(buffer, digest.update, threads.run):
            pass
        return int.from_bytes(digest.value, "big")

    async def keep_body(self, number: int, body: Body, threads: Threads) -> None:
        """Computes and keeps the digest of a part that is in memory."""
        digest = RunningDigest(self._algorithm)
        async for chunk in body:
            await threads.run(digest.update, chunk)
        self.values[number] = int.from_bytes(digest.value, "big")

    def combined(self, receipts: Sequence[PartReceipt]) -> bytes | None:
        """Returns the digest of all parts in order; None if another process moved some of them."""
        whole = whole_of(receipts, self.values, self.join)
        return None if whole is None else whole.to_bytes(self._size, "big")
