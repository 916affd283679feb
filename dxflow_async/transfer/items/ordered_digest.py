"""The digest of an object whose parts arrive in any order, where it cannot be combined from those of the parts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dxflow_async.digests import ExpectedDigest
from dxflow_async.presumed_digests import PresumedDigest
from dxflow_async.providers.contract import Entry, Part, PartReceipt, Upload

__all__ = ["OrderedDigest", "whole_digest"]


def whole_digest(entry: Entry) -> ExpectedDigest | PresumedDigest | None:
    """Returns the digest that an object's bytes can be compared with; None if it has a CRC32C, or no digest."""
    if entry.crc32c is not None:
        return None
    if entry.digest is not None or entry.presumed is None:
        return entry.digest
    return entry.presumed if entry.presumed.computable else None


class OrderedDigest:
    """Computes a digest in the order of the bytes, from parts that are stored, while other parts still move.

    The destination hashes what was just written, which is still in memory as a rule.

    Args:
        expected: the digest that the source reports.

    Attributes:
        expected: the digest that the source reports.
        computed: the digest of all bytes is known.
    """

    def __init__(self, expected: ExpectedDigest | PresumedDigest) -> None:
        self.expected = expected
        self.computed = False
        self._running = expected.running()
        self._stored: dict[int, int] = {}
        self._end = 0
        self._works = True
        self._lock = asyncio.Lock()

    async def stored(self, part: Part, upload: Upload) -> None:
        """Notes that a part is stored, and adds all parts to the digest that now follow each other."""
        self._stored[part.offset] = part.size
        if not self._lock.locked():
            await self._advance(upload)

    async def value(self, upload: Upload, receipts: Sequence[PartReceipt]) -> bytes | None:
        """Returns the digest of all parts; None if the destination does not read what it stored again."""
        for receipt in receipts:
            if receipt.part.offset >= self._end:
                self._stored[receipt.part.offset] = receipt.part.size
        await self._advance(upload)
        self.computed = not self._stored and self._works
        return self._running.value if self.computed else None

    async def _advance(self, upload: Upload) -> None:
        async with self._lock:
            while self._works and (size := self._stored.get(self._end)):
                self._works = await upload.add_to_digest(self._running, self._end, size)
                del self._stored[self._end]
                self._end += size
