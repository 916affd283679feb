"""What one shard is for the coordinator: what it consists of, what its receipt means, what happens when it is lost."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from dxflow_async.exceptions import StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Part
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.executor.shard import ItemReceipt, ItemRecord, MovedPart, PartRange, ShardPlace, ShardReceipt

__all__ = ["DeletionWork", "ItemBatch", "ItemsWork", "PartBatch", "PartsWork", "Work", "result_of_receipt"]


class Work(ABC):
    """The work of one shard.

    Attributes:
        losses: how many workers were lost while they worked on it.
        owners: the owners of temporary files that workers of this machine have left when they were lost.
    """

    def __init__(self) -> None:
        self.losses = 0
        self.owners: set[str] = set()

    @property
    @abstractmethod
    def fields(self) -> Mapping[str, Any]:
        """The fields of the `Shard`."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The bytes to move, as far as they are known."""

    @property
    @abstractmethod
    def requests(self) -> int:
        """The items, parts or keys."""

    def done(self, receipt: ShardReceipt) -> tuple[int, int] | None:
        """Returns how many requests and bytes a worker did; None where that says nothing of the size of shards."""
        return self.requests, self.size

    @property
    def written(self) -> Iterable[ShardPlace]:
        """The places at the destination beside which a lost worker may have left temporary files, as far as known."""
        return ()

    @property
    def tree(self) -> ShardPlace | None:
        """The directory below which a lost worker may have left temporary files under names that are not known."""
        return None

    @abstractmethod
    async def settle(self, receipt: ShardReceipt) -> None:
        """Takes over what a worker did."""

    @abstractmethod
    async def fail(self, error: StorageError) -> None:
        """Notes that the work cannot be done."""

    def halves(self) -> Sequence[Work]:
        """Returns the work in two pieces; it itself if it is not worth cutting or cannot be cut."""
        return (self,)


class ItemsWork(Work):
    """Items that move as a whole.

    Args:
        items, records: the items, and what a worker gets of them.
        ended: called with each item, its result, and the version of its source.
        in_parts: called with each item that has to be cut into parts.
    """

    def __init__(
        self,
        items: Sequence[TransferItem],
        records: Sequence[ItemRecord],
        ended: Callable[[TransferItem, TransferResult, str | None], Awaitable[None]],
        in_parts: Callable[[TransferItem], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._items = items
        self._records = records
        self._ended = ended
        self._in_parts = in_parts

    @property
    def fields(self) -> Mapping[str, Any]:
        return {"items": self._records}

    @property
    def size(self) -> int:
        return sum(item.size for item in self._items)

    @property
    def requests(self) -> int:
        return len(self._items)

    @property
    def written(self) -> Iterable[ShardPlace]:
        return (record.destination for record in self._records)

    async def settle(self, receipt: ShardReceipt) -> None:
        for item, each in zip(self._items, receipt.items, strict=True):
            if each.in_parts:
                await self._in_parts(item)
            else:
                await self._ended(item, result_of_receipt(item.ends, each), each.version)

    async def fail(self, error: StorageError) -> None:
        for item in self._items:
            await self._ended(item, item.result(error), None)

    def halves(self) -> Sequence[Work]:
        middle = len(self._items) // 2
        if not middle:
            return (self,)
        spans = (slice(0, middle), slice(middle, None))
        pieces = [ItemsWork(self._items[each], self._records[each], self._ended, self._in_parts) for each in spans]
        for piece in pieces:
            piece.losses, piece.owners = self.losses - 1, set(self.owners)
        return pieces


class PartsWork(Work):
    """Parts of one object.

    Args:
        span: the upload.
        parts: the parts, each with the future of whoever waits for it.
    """

    def __init__(self, span: PartRange, parts: Sequence[tuple[Part, asyncio.Future[MovedPart]]]) -> None:
        super().__init__()
        self._span = span._replace(parts=[part for part, _ in parts])
        self._futures = {part.number: future for part, future in parts}

    @property
    def fields(self) -> Mapping[str, Any]:
        return {"parts": self._span}

    @property
    def size(self) -> int:
        return sum(part.size for part in self._span.parts)

    @property
    def requests(self) -> int:
        return len(self._span.parts)

    async def settle(self, receipt: ShardReceipt) -> None:
        for moved in receipt.parts:
            future = self._futures.pop(moved.receipt.part.number)
            if not future.done():
                future.set_result(moved)
        if self._futures:
            assert receipt.failure is not None
            await self.fail(receipt.failure.restored())

    async def fail(self, error: StorageError) -> None:
        for future in self._futures.values():
            if not future.done():
                future.set_exception(error)


class DeletionWork(Work):
    """Keys to delete.

    Args:
        keys: the keys.
        future: gets the errors of the keys that could not be deleted.
    """

    def __init__(self, keys: Sequence[str], future: asyncio.Future[Mapping[str, StorageError]]) -> None:
        super().__init__()
        self._keys = keys
        self._future = future

    @property
    def fields(self) -> Mapping[str, Any]:
        return {"keys": self._keys}

    @property
    def size(self) -> int:
        return 0

    @property
    def requests(self) -> int:
        return len(self._keys)

    async def settle(self, receipt: ShardReceipt) -> None:
        if receipt.failure is not None:
            await self.fail(receipt.failure.restored())
        elif not self._future.done():
            self._future.set_result(receipt.failed)

    async def fail(self, error: StorageError) -> None:
        if not self._future.done():
            self._future.set_exception(error)


class ItemBatch:
    """Items that go into one shard. `losses` and `owners` are those of the work that had them before."""

    def __init__(self, losses: int = 0, owners: Collection[str] = ()) -> None:
        self.losses = losses
        self.owners = owners
        self.items: list[TransferItem] = []
        self.records: list[ItemRecord] = []
        self.size = 0

    @property
    def count(self) -> int:
        return len(self.items)

    def add(self, item: TransferItem, record: ItemRecord) -> None:
        self.items.append(item)
        self.records.append(record)
        self.size += item.size


class PartBatch:
    """Parts of one upload that go into one shard."""

    def __init__(self, span: PartRange) -> None:
        self.span = span
        self.parts: list[tuple[Part, asyncio.Future[MovedPart]]] = []
        self.full = asyncio.Event()
        self.ended = asyncio.Event()


def result_of_receipt(ends: tuple[str, str], receipt: ItemReceipt) -> TransferResult:
    """Returns the result of an item that a worker moved, for its source and destination."""
    source, destination = ends
    failure = None if receipt.failure is None else receipt.failure.restored()
    return TransferResult(
        source,
        destination,
        receipt.bytes,
        receipt.seconds,
        receipt.attempts,
        receipt.checksum,
        receipt.verified,
        receipt.skipped,
        failure,
        unverified=receipt.unverified,
    )
