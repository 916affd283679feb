"""Ranges of keys whose objects go away: workers list a piece of a range first, and then work on what was listed.

The coordinator gets the keys of a piece, packed, before anything is done with them. A lost worker costs the step that
it was at: the same keys are listed, or worked on, again. Only keys that were listed below the directory are touched: a
mistake can leave a key, and never take a wrong one. That no key stays is shown by keys that are known to be there:

- The last key that was listed is left for the next piece, which has to begin with it.
- A range that begins between two keys has to begin with the key that the range before it has seen there, or before.
- A range that ended because nothing followed, though there were keys in it or in ranges behind it, has to end so once
  more.

Where that does not hold, the service began elsewhere than it was asked to or ended early, or the key is gone since.
Then, and when a range has ended its workers, this process lists the directory itself, and hands out the keys in the
gaps.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.transfer.executor.shard import ListedKeys, ListingRange, PackedKeys, ShardReceipt
from dxflow_async.transfer.executor.shared_ranges import LEAST_ITEMS, KeySpan, SharedRanges, WorkPerformer
from dxflow_async.transfer.executor.sizes import ShardSizes
from dxflow_async.transfer.executor.work import Work
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.planning.listing import pages
from dxflow_async.transfer.retry import RetryPolicy

__all__ = ["PieceRange", "SharedPieces"]


class SharedPieces(SharedRanges["PieceRange"]):
    """Has workers list what is left of a listing, and work on it.

    Args:
        prefix: the directory.
        keys: the last keys that were listed, at least two. All but the last of them are planned.
        performer: hands out the work.
        workers: returns how many workers there are.
        sizes: the sizes of shards.
        entries: workers keep what the listing told of each key.
    """

    def __init__(
        self,
        prefix: str,
        keys: Sequence[str],
        performer: WorkPerformer,
        workers: Callable[[], int],
        sizes: ShardSizes,
        *,
        entries: bool,
    ) -> None:
        super().__init__(prefix, keys, workers)
        self._prefix = prefix
        self._keys = keys
        self._performer = performer
        self._sizes = sizes
        self._entries = entries

    @abstractmethod
    async def _take(self, keys: PackedKeys) -> None:
        """Has a worker work on keys that were listed."""

    def _stops(self) -> bool:
        """Returns whether no further piece is listed."""
        return False

    async def run(self) -> bool:
        """Has workers do everything. Returns whether they could; otherwise `missed` yields what is left.

        Raises:
            ExecutorError, DxflowError: the workers cannot go on.
        """
        keys = self._keys
        first = PieceRange(keys[-2], None, (keys[0], keys[-1]))
        first.expected = keys[-1]
        await self._perform_all(first)
        while self.error is None and not self._stops() and (doubtful := self._doubtful_ends()):
            for each in doubtful:
                each.reopen()
            await self._perform_again(doubtful)
        self._compare()
        return self.error is None and all(each.ended and not each.gaps for each in self._ranges)

    async def missed(self, provider: Provider, *, limits: Limits, policy: RetryPolicy) -> AsyncIterator[Entry]:
        """Lists the directory here, and yields what workers may not have listed.

        Args:
            provider: where the directory is.
            limits, policy: those of this process.

        Raises:
            StorageError: a page could not be fetched.
        """
        spans = sorted(self._ranges, key=lambda each: each.low)
        listing = pages(provider, self._prefix, recursive=True, limits=limits, policy=policy)
        async with aclosing(listing):
            async for page in listing:
                for entry in page:
                    index = bisect_left(spans, entry.key, key=lambda each: each.low) - 1
                    if index >= 0 and spans[index].may_lack(entry.key):
                        yield entry

    def _make(self, low: str, high: str | None, page: tuple[str, str]) -> PieceRange:
        return PieceRange(low, high, page)

    async def _perform(self, span: PieceRange) -> bool:
        if self._stops():
            return False
        most = max(self._sizes.items, LEAST_ITEMS)
        work = ListingWork(ListingRange(self._prefix, span.position, span.high, most, self._entries))
        await self._performer.perform_range(work)
        listed = work.listed
        if listed is None or listed.refused:
            return False
        if work.error is not None:
            self.error = self.error or work.error
            return False
        self._space.learn(listed.sample or self._keys[-1:])
        span.took(listed)
        if listed.keys.number:
            await self._take(listed.keys)
        return self.error is None

    def _cut(self, span: PieceRange) -> list[PieceRange]:
        later = super()._cut(span)
        span.end_before_expected()
        return later

    def _doubtful_ends(self) -> list[PieceRange]:
        """Returns the ranges that ended because nothing followed, though they or ranges behind them have seen a key.

        That key may be gone by then, as all keys are in the end, or the listing was cut. An empty answer settles it.
        """
        found, doubtful = False, list[PieceRange]()
        for each in sorted(self._ranges, key=lambda span: span.low, reverse=True):
            found = found or each.first is not None
            if found and each.ended and each.beyond is None and not each.confirmed:
                doubtful.append(each)
        return doubtful

    def _compare(self) -> None:
        """Notes where a range began behind the key that the ranges before it have seen there."""
        expected = None
        for each in sorted(self._ranges, key=lambda span: span.low):
            if expected is not None and (each.first is None or each.first > expected):
                each.gaps.append((each.low, each.first))
            expected = each.beyond


class PieceRange(KeySpan):
    """A range, and what of it may not have been listed.

    Attributes:
        expected: the key that the next listing has to begin with, or one before it.
        gaps: pairs of keys between which there may be more; None: up to the end of the range.
        confirmed: it was listed again after it had ended, and there was nothing.
    """

    __slots__ = ("_begun", "_reopened", "confirmed", "expected", "gaps")

    def __init__(self, low: str, high: str | None, page: tuple[str, str]) -> None:
        super().__init__(low, high, page)
        self.expected: str | None = None
        self.gaps: list[tuple[str, str | None]] = []
        self.confirmed = self._begun = self._reopened = False

    def reopen(self) -> None:
        """Has the rest of a range that has ended listed again."""
        self.ended, self._reopened = False, True

    def took(self, listed: ListedKeys) -> None:
        """Takes over how far a worker has come."""
        if not self._begun:
            self._begun, self.first = True, listed.first
        if self.expected is not None and (listed.first is None or listed.first > self.expected):
            self.gaps.append((self.position, listed.first))
        if listed.first is not None and listed.keys.number:
            self.page = (listed.first, listed.position)
        self.position, self.ended, self.beyond = listed.position, listed.ended, listed.beyond
        self.expected = None if listed.ended else listed.beyond
        self.confirmed = self._reopened and listed.ended and not listed.keys.number

    def end_before_expected(self) -> None:
        """Ends the range if nothing is left of it since it was cut: its next key belongs to another one."""
        if self.expected is not None and self.high is not None and self.expected > self.high:
            self.ended, self.beyond = True, self.expected

    def may_lack(self, key: str) -> bool:
        """Returns whether workers may not have listed a key of the range."""
        if self.first is None or key < self.first:
            return True
        if key > self.position and not self.ended:
            return True
        return any(low < key and (high is None or key < high) for low, high in self.gaps)


class ListingWork(Work):
    """A piece of a range to list.

    Args:
        span: the range.

    Attributes:
        listed: what a worker has listed; None: it has ended its workers.
        error: why it was not listed.
    """

    def __init__(self, span: ListingRange) -> None:
        super().__init__()
        self._span = span
        self.listed: ListedKeys | None = None
        self.error: StorageError | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        return {"listing": self._span}

    @property
    def size(self) -> int:
        return 0

    @property
    def requests(self) -> int:
        return self._span.max_items

    def done(self, receipt: ShardReceipt) -> None:
        return None  # how long it takes says nothing of what is done with the keys

    async def settle(self, receipt: ShardReceipt) -> None:
        self.listed = receipt.keys
        self.error = None if receipt.failure is None else receipt.failure.restored()

    async def fail(self, error: StorageError) -> None:
        self.listed = None
