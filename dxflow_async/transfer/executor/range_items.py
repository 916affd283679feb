"""The items of a worker that lists a range of keys by itself, and copies the objects that it finds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import Entry
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.executor.range_listing import unpack
from dxflow_async.transfer.executor.shard import ItemReceipt, KeyRange, ListedRange
from dxflow_async.transfer.executor.worker_items import Redone, whole_item
from dxflow_async.transfer.items.choose import item_for
from dxflow_async.transfer.items.empty_items import MarkerItem, SettledItem
from dxflow_async.transfer.planning.destination import below, inside
from dxflow_async.transfer.planning.listing import pages_after
from dxflow_async.transfer.selection import Selection

__all__ = ["RangeItems"]


class RangeItems:
    """Plans the items of a range as it is listed.

    Args:
        context: what the items of the shard share.
        source, target: the two directories.
        span: the range.
        operation: the operation of the call, for errors.
        redone: whether another worker may have moved the items already.

    Attributes:
        error: why the listing ended early.
    """

    def __init__(
        self, context: TransferContext, source: Place, target: Place, span: KeyRange, operation: str, redone: Redone
    ) -> None:
        self._context = context
        self._source = source
        self._target = target
        self._destination = inside(target, context.threads)
        self._span = span
        self._operation = operation
        self._redone = redone
        self._selection = Selection.from_json(span.selection) if span.selection else None
        self._planned: dict[int, tuple[TransferItem, Entry]] = {}
        self._large: list[Entry] = []
        self._first: str | None = None
        self._last: str | None = None
        self._beyond: str | None = None
        self._ended = False
        self._bytes = 0
        self.error: StorageError | None = None

    async def items(self) -> AsyncIterator[TransferItem]:
        """Yields the items: of the entries that were listed before, or those of a listing."""
        if self._span.entries is None:
            async for listed in self._listed_items():
                yield listed
            return
        for entry in unpack(self._span.entries):
            item = self._item(entry)
            if item is not None:
                yield item

    async def _listed_items(self) -> AsyncIterator[TransferItem]:
        """Yields the items, up to the end of a page with which there are enough of them."""
        span, context, provider = self._span, self._context, self._source.provider
        listing = pages_after(provider, self._source.key, span.low, limits=context.limits, policy=context.policy)
        try:
            async with aclosing(listing):
                async for page in listing:
                    for entry in page.entries:
                        if self._first is None:
                            self._first = entry.key
                        if span.high is not None and entry.key > span.high:
                            self._beyond, self._ended = entry.key, True
                            return
                        item = self._item(entry)
                        self._last = entry.key
                        if item is not None:
                            yield item
                    if page.cursor is None:
                        self._ended = True
                        return
                    if len(self._planned) >= span.max_items or self._bytes >= span.max_bytes:
                        return
        except StorageError as error:
            self.error = error

    def _item(self, entry: Entry) -> TransferItem | None:
        """Returns the item of an entry; None if it is left out, or has to be cut into parts."""
        name, span = entry.key[len(self._source.key) :], self._span
        if self._selection is not None and not self._selection.admits(name, entry):
            return None
        source, target = below(self._source, name), below(self._target, name)
        item = item_for(
            self._context,
            source,
            self._destination,
            target,
            entry,
            span.options,
            operation=self._operation,
            move=span.moves,
            overwrite=span.overwrite,
        )
        record = item.record()
        if record is not None:
            item = whole_item(self._context, source, target, record, self._redone)
        elif not isinstance(item, SettledItem) and (span.moves or not isinstance(item, MarkerItem)):
            self._large.append(entry)  # also a marker that is moved, because it does not tell whether it was moved
            return None
        self._planned[id(item)] = (item, entry)
        self._bytes += entry.size
        return item

    def listed(self, receipts: dict[int, ItemReceipt]) -> tuple[ListedRange, Sequence[ItemReceipt]]:
        """Returns how far the worker has come, and the receipts of the items that it has moved.

        Args:
            receipts: the receipt of each item, by the item's `id`.
        """
        start, names, sizes, moved = len(self._source.key), list[str](), list[int](), list[ItemReceipt]()
        for number, (_, entry) in self._planned.items():
            receipt = receipts[number]
            if receipt.in_parts:
                self._large.append(entry)
                continue
            names.append(entry.key[start:])
            sizes.append(entry.size)
            moved.append(receipt)
        position = self._span.low if self._last is None else self._last
        found = ListedRange(names, sizes, self._large, self._first, self._last, position, self._beyond, self._ended)
        return found, moved
