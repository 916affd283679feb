"""A long listing that is shared out: workers list ranges of its keys, and copy the objects that they find.

Only names and outcomes come back, and the coordinator neither lists nor plans; `SharedRanges` cuts the ranges. Every
key lies in exactly one range, therefore it is copied exactly once. Where a range does not begin with the key that
the range before it has seen there, the service began elsewhere than it was asked to, or ended early. Then, and when a
range has ended its workers, this process lists the directory itself, and hands out the objects that no range had. The
end of the last range is confirmed by one more listing, which has to be empty.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from dxflow_async.exceptions import StorageError, UnsupportedError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Entry
from dxflow_async.transfer.context import ListingRest
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.executor.shard import ItemReceipt, KeyRange, ListedRange, ShardPlace, ShardReceipt
from dxflow_async.transfer.executor.shared_ranges import LEAST_ITEMS, KeySpan, SharedRanges, WorkPerformer
from dxflow_async.transfer.executor.sizes import ShardSizes
from dxflow_async.transfer.executor.work import Work, result_of_receipt
from dxflow_async.transfer.items.choose import item_for
from dxflow_async.transfer.planning.destination import Destination, below, inside
from dxflow_async.transfer.planning.listing import pages, pages_after

__all__ = ["Ranges", "SharedListing", "listed_item", "note_items"]


class Ranges(WorkPerformer, Protocol):
    """What the coordinator does for a shared listing."""

    async def note_listed(self, result: TransferResult, version: str | None, size: int) -> None:
        """Notes the result of an item that a worker has planned."""

    async def run_here(self, item: TransferItem) -> None:
        """Has the engine of this process run an item, whose parts workers move."""


def listed_item(rest: ListingRest, name: str, entry: Entry, destination: Destination) -> TransferItem:
    """Returns the item of an entry of a listing."""
    return item_for(
        rest.context,
        below(rest.source, name),
        destination,
        below(rest.target, name),
        entry,
        rest.options,
        operation=rest.operation,
        move=rest.move,
        overwrite=rest.overwrite,
    )


async def note_items(ranges: Ranges, rest: ListingRest, listed: ListedRange, receipts: Sequence[ItemReceipt]) -> None:
    """Notes the items that a worker has planned, and has those run here that it could not move as a whole."""
    for name, size, each in zip(listed.names, listed.sizes, receipts, strict=True):
        ends = rest.source.shown + name, rest.target.shown + name
        await ranges.note_listed(result_of_receipt(ends, each), each.version, size)
    destination = inside(rest.target, rest.context.threads)
    for entry in listed.large:
        await ranges.run_here(listed_item(rest, entry.key[len(rest.source.key) :], entry, destination))


class SharedListing(SharedRanges["_Range"]):
    """Copies what is left of a listing.

    Args:
        rest: what is left.
        ranges: hands out the ranges, and notes their outcomes.
        workers: returns how many workers there are.
        sizes: the sizes of shards.

    Attributes:
        lost: a range has ended its workers, which may have copied some of it.
        owners: the workers that were lost with such ranges.
    """

    def __init__(self, rest: ListingRest, ranges: Ranges, workers: Callable[[], int], sizes: ShardSizes) -> None:
        super().__init__(rest.source.key, rest.keys, workers)
        self._rest = rest
        self._coordinator = ranges
        self._sizes = sizes
        self.lost = False
        self.owners: set[str] = set()

    async def run(self) -> bool:
        """Has workers copy everything. Returns whether they could; otherwise `uncovered` yields what is left.

        Raises:
            ExecutorError, DxflowError: the workers cannot go on.
        """
        keys = self._rest.keys
        await self._perform_all(_Range(keys[-1], None, (keys[0], keys[-1])))
        while self.error is None and (last := self._unconfirmed_end()) is not None:
            last.reopen()
            await self._perform_again([last])
        if self.error is not None:
            return False
        # An empty answer proves nothing: the service may not know where the listing is to begin.
        found = any(each.first is not None for each in self._ranges)
        whole = all(each.ended and not each.doubtful for each in self._ranges)
        return found and whole and await self._fits()

    async def uncovered(self) -> AsyncIterator[TransferItem]:
        """Lists the directory here, and yields the items of the objects that no range had."""
        rest, done = self._rest, self._ranges
        done.sort(key=lambda each: each.low)
        context, source, destination = rest.context, rest.source, inside(rest.target, rest.context.threads)
        listing = pages(source.provider, source.key, recursive=True, limits=context.limits, policy=context.policy)
        async with aclosing(listing):
            async for page in listing:
                for entry in page:
                    index = bisect_left(done, entry.key, key=lambda each: each.low) - 1
                    if index < 0 or done[index].has(entry.key):
                        continue  # the plan had it, or a range
                    name = entry.key[len(source.key) :]
                    if context.selection is None or context.selection.admits(name, entry):
                        yield listed_item(rest, name, entry, destination)

    def _make(self, low: str, high: str | None, page: tuple[str, str]) -> _Range:
        return _Range(low, high, page)

    async def _perform(self, span: _Range) -> bool:
        work = RangeWork(self._rest, span, self._sizes, self._settle)
        await self._coordinator.perform_range(work)
        if work.failed:
            self.lost = True
            self.owners |= work.owners
        return not (work.failed or span.refused)

    async def _settle(self, span: _Range, receipt: ShardReceipt) -> None:
        """Takes over what a worker did of a range."""
        listed = receipt.listed
        assert listed is not None
        rest, failure = self._rest, receipt.failure
        await note_items(self._coordinator, rest, listed, receipt.items)
        self._space.learn([rest.source.key + name for name in listed.names] or rest.keys[-1:])
        span.took(listed)
        if failure is not None and isinstance(failure.error, UnsupportedError):
            span.refused = True
        elif failure is not None:
            self.error = self.error or failure.restored()

    def _unconfirmed_end(self) -> _Range | None:
        """Returns the last range, if it has ended and nothing has shown yet that no key follows.

        An early end of any other range shows where the next one begins. Here, only an empty answer settles it.
        """
        last = max(self._ranges, key=lambda each: each.low)
        seen = any(each.first is not None for each in self._ranges)
        return last if seen and last.ended and not last.confirmed else None

    async def _fits(self) -> bool:
        """Returns whether each range begins with the key that the ranges before it have seen there.

        Where these have seen none, the listing had ended there, so that there must not be any.
        """
        expected, since = None, self._rest.keys[-1]
        for number, each in enumerate(sorted(self._ranges, key=lambda span: span.low)):
            if expected is None:
                wrong = number > 0 and each.first is not None
            else:
                wrong = each.first is None or each.first > expected
            if wrong and not await self._is_gone(since, each.first):
                return False
            since, expected = each.last or since, each.beyond
        return True

    async def _is_gone(self, since: str, until: str | None) -> bool:
        """Returns whether there is nothing between two keys, so that what was seen there was deleted meanwhile."""
        source, context = self._rest.source, self._rest.context
        listing = pages_after(source.provider, source.key, since, limits=context.limits, policy=context.policy)
        try:
            async with aclosing(listing):
                async for page in listing:
                    if page.entries:
                        return until is not None and page.entries[0].key >= until
        except UnsupportedError:
            return False
        return until is None


class _Range(KeySpan):
    """A range, and what was seen of it.

    Attributes:
        last: the last key in it that was listed.
        confirmed: it was listed again after it had ended, and there was nothing.
        refused: the service does not list from a key.
        doubtful: nothing was listed where a page had announced more.
    """

    __slots__ = ("_begun", "_reopened", "confirmed", "doubtful", "last", "refused")

    def __init__(self, low: str, high: str | None, page: tuple[str, str]) -> None:
        super().__init__(low, high, page)
        self.last: str | None = None
        self.refused = self.doubtful = self.confirmed = self._begun = self._reopened = False

    def reopen(self) -> None:
        """Has what follows a range that has ended listed again."""
        self.ended, self._reopened = False, True

    def has(self, key: str) -> bool:
        """Returns whether a worker has listed a key, or something before it and something behind it."""
        return self.first is not None and self.first <= key <= self.position

    def took(self, listed: ListedRange) -> None:
        """Takes over how far a worker has come."""
        if not self._begun:
            self._begun, self.first = True, listed.first
        elif listed.first is None and self._reopened and listed.ended:
            self.confirmed = True
        elif listed.first is None:
            self.doubtful = True
        if listed.first is not None and listed.last is not None:
            self.page = (listed.first, listed.last)
        self.position, self.last = listed.position, listed.last or self.last
        self.beyond, self.ended = listed.beyond, listed.ended


class RangeWork(Work):
    """A part of a range, as much of it as makes a shard.

    Args:
        rest: what is listed.
        span: the range.
        sizes: the sizes of shards.
        settled: called with the range and the receipt.

    Attributes:
        failed: it has ended its workers.
    """

    def __init__(
        self,
        rest: ListingRest,
        span: _Range,
        sizes: ShardSizes,
        settled: Callable[[_Range, ShardReceipt], Awaitable[None]],
    ) -> None:
        super().__init__()
        selection = rest.context.selection
        self._span = span
        self._settled = settled
        self._key_range = KeyRange(
            ShardPlace.of(*rest.source),
            ShardPlace.of(*rest.target),
            span.position,
            span.high,
            max(sizes.items, LEAST_ITEMS),
            sizes.bytes,
            rest.options,
            rest.overwrite,
            {} if selection is None else selection.to_json(),
        )
        self._names: Sequence[str] = ()
        self.failed = False

    @property
    def fields(self) -> Mapping[str, Any]:
        return {"range": self._key_range}

    @property
    def size(self) -> int:
        return 0

    @property
    def requests(self) -> int:
        return self._key_range.max_items

    def done(self, receipt: ShardReceipt) -> tuple[int, int]:
        return len(receipt.items), sum(each.bytes for each in receipt.items)

    @property
    def written(self) -> Iterable[ShardPlace]:
        target = self._key_range.destination
        return (target._replace(key=target.key + name) for name in self._names)

    @property
    def tree(self) -> ShardPlace | None:
        return self._key_range.destination

    async def settle(self, receipt: ShardReceipt) -> None:
        assert receipt.listed is not None
        self._names = receipt.listed.names
        await self._settled(self._span, receipt)

    async def fail(self, error: StorageError) -> None:
        self.failed = True
