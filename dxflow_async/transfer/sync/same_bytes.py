"""Whether two objects of one size have the same bytes, found with as few reads as possible.

What is compared, in this order: the CRC32C of both; another digest that both report; the digest that one side reports,
computed of the other side's bytes; and at last the CRC32C of the bytes of both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dxflow_async.concurrency.threads import Threads
from dxflow_async.digests import ExpectedDigest
from dxflow_async.presumed_digests import PresumedDigest
from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.transfer.items.checksums import checksum_of, digest_of_object
from dxflow_async.transfer.items.ordered_digest import whole_digest
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.request import request
from dxflow_async.transfer.retry import RetryPolicy

__all__ = ["SameBytes", "reported_same"]

Digest = ExpectedDigest | PresumedDigest


class SameBytes:
    """Compares the bytes of two objects.

    Args:
        limits, policy, threads: the session's.
    """

    def __init__(self, limits: Limits, policy: RetryPolicy, threads: Threads) -> None:
        self._limits = limits
        self._policy = policy
        self._threads = threads

    async def compare(self, one: tuple[Provider, Entry], other: tuple[Provider, Entry]) -> bool:
        """Returns whether two objects of the same size have the same bytes.

        Args:
            one, other: the objects, with everything that `stat` reports of them.

        Raises:
            StorageError: one of them could not be read.
        """
        if not one[1].size or (same := reported_same(one[1], other[1])) is True:
            return True
        if same is False:
            return False
        first, second = await self._completed(*one), await self._completed(*other)
        if (same := reported_same(first, second)) is not None:
            return same
        sides = (one[0], first), (other[0], second)
        # A side on this machine's disks is read at next to no cost.
        for reader, teller in (sides, sides[::-1]) if sides[0][0].features.cheap_reread else (sides[::-1], sides):
            digest = whole_digest(teller[1])
            if digest is None or not (reader[0].features.cheap_reread or reader[1].crc32c is None):
                continue
            found = await self._read_digest(reader, digest)
            if (same := digest.judge(teller[1].key, found)) is not None:
                return same
        return await self._checksum(*sides[0]) == await self._checksum(*sides[1])

    async def _completed(self, provider: Provider, entry: Entry) -> Entry:
        if entry.presumed is None or entry.presumed.computable:
            return entry
        ask: Callable[[], Awaitable[Entry]] = lambda: provider.complete_digest(entry)  # noqa: E731
        return await request(ask, provider, limits=self._limits, policy=self._policy)

    async def _read_digest(self, side: tuple[Provider, Entry], digest: Digest) -> bytes:
        return await digest_of_object(*side, digest, limits=self._limits, policy=self._policy, threads=self._threads)

    async def _checksum(self, provider: Provider, entry: Entry) -> int:
        if entry.crc32c is not None:
            return entry.crc32c
        return await checksum_of(provider, entry, limits=self._limits, policy=self._policy)


def reported_same(one: Entry, other: Entry) -> bool | None:
    """Returns whether two objects have the same checksum of one kind; None if they report none that can be compared."""
    if None not in (one.crc32c, other.crc32c):
        return one.crc32c == other.crc32c
    first, second = one.digest, other.digest
    if first is not None and second is not None and first.algorithm == second.algorithm:
        return first.value == second.value
    told, also = one.presumed or first, other.presumed or second
    if told is not None and also is not None and _kind(told) == _kind(also) and told.value == also.value:
        return True  # other values may be no checksums
    return None


def _kind(digest: Digest) -> tuple[str, tuple[int, ...]]:
    if isinstance(digest, ExpectedDigest) or not digest.count:
        return digest.algorithm, ()
    return digest.algorithm, tuple(digest.sizes) or (-digest.count,)
