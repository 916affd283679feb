"""The move of a long listing that is shared out: workers list ranges of its keys, and move what was listed.

A worker moves an object as one process does: it deletes the source once the copy is stored and compared. The
coordinator has the entries of a piece, packed, before the first of its sources is deleted. So a worker that is lost in
the middle costs nothing but time: whoever gets the piece next finds some sources gone and their copies stored, and
reports these as moved. A piece that has ended its workers is unpacked here, and its items are tried as those of any
other shard.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from dxflow_async.exceptions import StorageError
from dxflow_async.transfer.context import ListingRest
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.executor.range_listing import unpack
from dxflow_async.transfer.executor.shard import KeyRange, PackedKeys, ShardPlace, ShardReceipt
from dxflow_async.transfer.executor.shared_listing import Ranges, listed_item, note_items
from dxflow_async.transfer.executor.shared_pieces import SharedPieces
from dxflow_async.transfer.executor.sizes import ShardSizes
from dxflow_async.transfer.executor.work import Work
from dxflow_async.transfer.planning.destination import inside

__all__ = ["SharedMove"]


class SharedMove(SharedPieces):
    """Moves what is left of a listing.

    Args:
        rest: what is left.
        ranges: hands out the work, and notes its outcomes.
        workers: returns how many workers there are.
        sizes: the sizes of shards.

    Attributes:
        lost: a piece has ended its workers, which may have moved some of it.
        owners: the workers that were lost with such pieces.
    """

    def __init__(self, rest: ListingRest, ranges: Ranges, workers: Callable[[], int], sizes: ShardSizes) -> None:
        super().__init__(rest.source.key, rest.keys, ranges, workers, sizes, entries=True)
        self._rest = rest
        self._coordinator = ranges
        self._lost_pieces: list[PackedKeys] = []
        self._whole = False
        self.lost = False
        self.owners: set[str] = set()

    async def run(self) -> bool:
        self._whole = await super().run()
        return self._whole and not self.lost

    async def uncovered(self) -> AsyncIterator[TransferItem]:
        """Yields the items of the pieces that have ended their workers, and of what workers may not have listed."""
        rest, context = self._rest, self._rest.context
        start, destination = len(rest.source.key), inside(rest.target, context.threads)
        for piece in self._lost_pieces:
            for entry in unpack(piece.content):
                if context.selection is None or context.selection.admits(entry.key[start:], entry):
                    yield listed_item(rest, entry.key[start:], entry, destination)
        if self._whole:
            return
        async for entry in self.missed(rest.source.provider, limits=context.limits, policy=context.policy):
            if context.selection is None or context.selection.admits(entry.key[start:], entry):
                yield listed_item(rest, entry.key[start:], entry, destination)

    async def _take(self, keys: PackedKeys) -> None:
        work = MoveWork(self._rest, keys, self._coordinator)
        await self._performer.perform_range(work)
        if work.failed:
            self._lost_pieces.append(keys)
            self.lost = True
            self.owners |= work.owners


class MoveWork(Work):
    """Objects to move that a worker has listed.

    Args:
        rest: what is listed.
        keys: their entries.
        ranges: notes the outcomes.

    Attributes:
        failed: it has ended its workers.
    """

    def __init__(self, rest: ListingRest, keys: PackedKeys, ranges: Ranges) -> None:
        super().__init__()
        selection = rest.context.selection
        self._rest = rest
        self._coordinator = ranges
        self._key_range = KeyRange(
            ShardPlace.of(*rest.source),
            ShardPlace.of(*rest.target),
            rest.keys[-2],
            None,
            keys.number,
            0,
            rest.options,
            rest.overwrite,
            {} if selection is None else selection.to_json(),
            moves=True,
            entries=keys.content,
        )
        self._keys = keys
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
        span = self._key_range
        start, target = len(span.source.key), span.destination
        return (target._replace(key=target.key + entry.key[start:]) for entry in unpack(self._keys.content))

    async def settle(self, receipt: ShardReceipt) -> None:
        assert receipt.listed is not None
        await note_items(self._coordinator, self._rest, receipt.listed, receipt.items)

    async def fail(self, error: StorageError) -> None:
        self.failed = True
