"""The deletion of a long listing that is shared out: workers list ranges of its keys, and delete what was listed.

Numbers and failures come back, and packed keys on their way from the worker that has listed them to one that deletes
them. `SharedPieces` says why each key is deleted, and counted, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dxflow_async.exceptions import StorageError
from dxflow_async.transfer.context import DeletionRest
from dxflow_async.transfer.executor.shard import PackedKeys, PackedKeysToDelete, ShardReceipt
from dxflow_async.transfer.executor.shared_pieces import SharedPieces
from dxflow_async.transfer.executor.shared_ranges import WorkPerformer
from dxflow_async.transfer.executor.sizes import ShardSizes
from dxflow_async.transfer.executor.work import Work

__all__ = ["DeletionRecord", "SharedDeletion"]


class DeletionRecord(NamedTuple):
    """Where a shared deletion tells what happened.

    Attributes:
        note: called with a number of keys, and the errors of those among them that could not be deleted.
        gave_up: returns whether so many failed that the rest is not tried.
    """

    note: Callable[[int, Mapping[str, StorageError]], None]
    gave_up: Callable[[], bool]


class SharedDeletion(SharedPieces):
    """Deletes what is left of a listing.

    Args:
        rest: what is left.
        record: where the outcome is told.
        performer: hands out the work.
        workers: returns how many workers there are.
        sizes: the sizes of shards.
    """

    def __init__(
        self,
        rest: DeletionRest,
        record: DeletionRecord,
        performer: WorkPerformer,
        workers: Callable[[], int],
        sizes: ShardSizes,
    ) -> None:
        super().__init__(rest.prefix, rest.keys, performer, workers, sizes, entries=False)
        self._record = record

    def _stops(self) -> bool:
        return self._record.gave_up()

    async def _take(self, keys: PackedKeys) -> None:
        work = ListedKeysWork(PackedKeysToDelete(self._prefix, keys))
        await self._performer.perform_range(work)
        self._record.note(work.tried, work.failed)
        self.error = self.error or work.error


class ListedKeysWork(Work):
    """Keys to delete that a worker has listed.

    Args:
        wanted: the keys.

    Attributes:
        tried: for how many the service answered.
        failed: the errors of the keys that could not be deleted.
        error: why not all were tried.
    """

    def __init__(self, wanted: PackedKeysToDelete) -> None:
        super().__init__()
        self._wanted = wanted
        self.tried = 0
        self.failed: Mapping[str, StorageError] = {}
        self.error: StorageError | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        return {"listed_keys": self._wanted}

    @property
    def size(self) -> int:
        return 0

    @property
    def requests(self) -> int:
        return self._wanted.keys.number

    async def settle(self, receipt: ShardReceipt) -> None:
        self.tried, self.failed = receipt.tried, receipt.failed
        self.error = None if receipt.failure is None else receipt.failure.restored()

    async def fail(self, error: StorageError) -> None:
        self.error = error
