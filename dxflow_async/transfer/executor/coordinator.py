"""The coordinator of a call that runs on an executor.

It reads the plan as far as workers are free, and makes shards of it: items that move as a whole are put together, parts
of large objects are grouped. The engine runs in this process as for any other call. It opens large objects, waits for
their parts, and finishes each of them exactly once; it journals, reports and counts. So an object of several parts has
one owner, whichever workers write its parts.

At most three shards per worker are handed out. A shard whose worker was lost is handed out again. One that was lost
twice runs alone, so that its third loss is certainly its own doing: then its items are tried in halves, and the item
that ends workers fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from time import monotonic

from anyio import move_on_after
from anyio.abc import TaskGroup

from dxflow_async.concurrency.owners import forget_owner, new_owner_id
from dxflow_async.concurrency.pool import open_task_group
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import DxflowError, ExecutorError, SessionClosedError, StorageError
from dxflow_async.models import TransferReport, TransferResult
from dxflow_async.providers.contract import Part, Provider
from dxflow_async.transfer.context import DeletionRest, ListingRest
from dxflow_async.transfer.engine import Engine, TransferItem, close_items
from dxflow_async.transfer.executor.channel import Channel, ShardCancelledError
from dxflow_async.transfer.executor.dispatcher import LOSSES, Dispatcher
from dxflow_async.transfer.executor.killed_calls import remove_dead_channels
from dxflow_async.transfer.executor.monitor import Monitor
from dxflow_async.transfer.executor.seam import ShardExecutor, WorkerLostError
from dxflow_async.transfer.executor.shard import Budget, MovedPart, PartRange, Shard, ShardReceipt
from dxflow_async.transfer.executor.shared_deletion import DeletionRecord, SharedDeletion
from dxflow_async.transfer.executor.shared_listing import SharedListing
from dxflow_async.transfer.executor.shared_move import SharedMove
from dxflow_async.transfer.executor.sizes import SHARDS_PER_WORKER, ShardSizes, Sharers, share
from dxflow_async.transfer.executor.work import DeletionWork, ItemBatch, ItemsWork, PartBatch, PartsWork, Work
from dxflow_async.transfer.journal.journal import Journal
from dxflow_async.transfer.progress import Meter

__all__ = ["Coordinator", "Placement"]

_log = logging.getLogger("dxflow_async.transfer.executor")

_USELESS, _LEAST_USELESS = 12, 40
"""Losses in a row, for each worker and at least, after which a call ends that has had no receipt."""

_GATHER_SECONDS = 0.02
"""Parts of one object that are asked for within this time go into one shard."""

_MAX_PARTS = 1024
"""The most parts that are handed out."""

_DIVIDE_SECONDS = 0.2

_READY = 64
"""Items that wait for the engine."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a call runs, and what is the same for all of its shards.

    Attributes:
        executor: hands shards to workers.
        template: returns a shard without work; it is called with the path of the call's channel.
        max_concurrency, max_bandwidth: the limits of the call.
        hang_seconds: a worker that is not heard of for so long hangs.
        destination: what the workers write to; None for this machine's disks.
    """

    executor: ShardExecutor
    template: Callable[[str], Shard]
    max_concurrency: int
    max_bandwidth: int | None
    hang_seconds: float
    destination: Provider | None


class Coordinator:
    """Runs one call. It is used once.

    Args:
        placement: where the call runs.
        journal: the call's journal.
        threads: for blocking work.
    """

    def __init__(self, placement: Placement, journal: Journal | None, threads: Threads) -> None:
        self._call = placement
        self._threads = threads
        self._journal = journal
        self._meter: Meter
        self._dispatcher: Dispatcher
        self._template: Shard
        self._sizes = ShardSizes()
        self._lost_in_a_row = 0
        self._engine: Engine | None = None
        self._group: TaskGroup | None = None
        self._ready: asyncio.Queue[TransferItem | BaseException | None] = asyncio.Queue(_READY)
        self._number = 0
        self._far_owner = new_owner_id()
        self._sharers = Sharers()
        self._dividing = asyncio.Lock()
        self._channel: Channel
        self._out = 0
        self._alone = False
        self._suspects = 0
        self._part_size = 0
        self._changed = asyncio.Event()
        self._gathered: dict[tuple[str, str], PartBatch] = {}
        self._rests: list[ListingRest] = []

    # Parts and keys

    def most_parts(self, own: Callable[[], int]) -> int:
        """Returns how many parts may move at a time.

        Args:
            own: how many this process would move by itself.
        """
        parts = self._sizes.most_parts(self._part_size) if self._part_size else 1
        return max(own(), min(_MAX_PARTS, SHARDS_PER_WORKER * self._call.executor.workers * parts))

    async def move(self, span: PartRange, part: Part) -> MovedPart:
        """Has a worker write a part; see `PartMover`."""
        self._part_size = max(self._part_size, part.size)
        key = (span.destination.key, span.upload_id)
        gathered = self._gathered.get(key)
        if gathered is None:
            assert self._group is not None
            gathered = self._gathered[key] = PartBatch(span)
            self._group.start_soon(self._perform_parts, key, gathered)
        future: asyncio.Future[MovedPart] = asyncio.get_running_loop().create_future()
        gathered.parts.append((part, future))
        if len(gathered.parts) >= self._sizes.parts(part.size, span.entry.size, self._call.executor.workers):
            del self._gathered[key]
            gathered.full.set()
        try:
            return await future
        except asyncio.CancelledError:
            # The upload is removed next, so no worker may write to it any more.
            await self._dispatcher.end(gathered.ended)
            raise

    @asynccontextmanager
    async def deleting(self) -> AsyncIterator[int]:
        """Prepares for `delete`; yields how many calls of it are worth making at a time."""
        async with self._serving(Meter()):
            yield self._most()

    async def delete(self, keys: Sequence[str]) -> Mapping[str, StorageError]:
        """Has a worker delete keys; returns the errors of those that could not be deleted.

        Raises:
            StorageError: the service never answered for any of the keys.
        """
        future: asyncio.Future[Mapping[str, StorageError]] = asyncio.get_running_loop().create_future()
        await self.perform(DeletionWork(keys, future))
        return await future

    def share_deletion(self, rest: DeletionRest, record: DeletionRecord) -> SharedDeletion:
        """Returns what has workers list and delete what is left of a listing, within `deleting`."""
        return SharedDeletion(rest, record, self, lambda: self._call.executor.workers, self._sizes)

    async def _perform_parts(self, key: tuple[str, str], gathered: PartBatch) -> None:
        try:
            with move_on_after(_GATHER_SECONDS):
                await gathered.full.wait()
            if self._gathered.get(key) is gathered:
                del self._gathered[key]
            await self.perform(PartsWork(gathered.span, gathered.parts))
        except ShardCancelledError:
            gathered.ended.set()
            await self._dispatcher.await_cancellation()
            raise
        finally:
            gathered.ended.set()

    # The whole call

    @asynccontextmanager
    async def _serving(self, meter: Meter) -> AsyncIterator[TaskGroup]:
        """Opens the channel to the workers, and watches it."""
        call = self._call
        channel = await self._threads.run(_channel, self._threads.owner_id, call.executor.same_machine)
        self._channel = channel
        monitor = Monitor(channel, self._threads, meter, call.executor, self._journal, call.hang_seconds)
        self._dispatcher = Dispatcher(call.executor, channel, monitor, self._threads, call.destination, self._far_owner)
        try:
            self._template = replace(call.template(channel.path), owner_id=self._far_owner)
            if self._journal is not None and not call.executor.same_machine:
                self._journal.worker_began(self._far_owner, 0)
            async with open_task_group() as group:
                self._group = group
                group.start_soon(monitor.watch)
                group.start_soon(self._divide)
                yield group
                group.cancel_scope.cancel()
        finally:
            self._group = None
            try:
                await self._dispatcher.close()
            finally:
                forget_owner(self._far_owner)

    async def _divide(self) -> None:
        """Has the workers that have shards use the shares of those that have none."""
        while True:
            await asyncio.sleep(_DIVIDE_SECONDS)
            if self._out and self._sharers.shrink(self._call.executor.sessions, self._out, monotonic()):
                await self._tell_sharers()

    async def _tell_sharers(self) -> None:
        async with self._dividing:
            await self._threads.finish(self._channel.divide, self._sharers.count)

    async def run(self, engine: Engine, items: AsyncIterator[TransferItem], meter: Meter) -> TransferReport:
        """Transfers items, and reports on each of them; as `Engine.run`.

        Raises:
            ExecutorError: the workers cannot go on.
            DxflowError: as for `Engine.run`; or no worker can do the call.
        """
        self._engine, self._meter = engine, meter
        async with self._serving(meter) as group:
            group.start_soon(self._deal, items)
            return await engine.run(self._own_items())

    async def _own_items(self) -> AsyncIterator[TransferItem]:
        """Yields the items that this process runs: those that are refused or skipped, and large ones."""
        while True:
            item = await self._ready.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    async def _deal(self, items: AsyncIterator[TransferItem]) -> None:
        """Reads the plan and makes shards of it."""
        assert self._engine is not None
        broken: DxflowError | None = None
        async with open_task_group() as dealt:
            try:
                await self._deal_items(items, dealt)
            except SessionClosedError:
                raise
            except DxflowError as error:
                broken = error
            while self._rests and broken is None:
                broken = await self._share(self._rests.pop(0), dealt)
            if broken is None:
                self._engine.note_plan_ended()
        await self._ready.put(broken)

    async def _deal_items(
        self, items: AsyncIterator[TransferItem], group: TaskGroup, losses: int = 0, owners: Collection[str] = ()
    ) -> None:
        """Reads items and makes shards of them.

        Args:
            items: the items.
            group: where the shards are awaited.
            losses: how many workers were lost that may have moved the items.
            owners: the owners of temporary files that these workers may have left.
        """
        assert self._engine is not None
        batch = ItemBatch(losses, owners)
        try:
            async for item in items:
                record = item.record()
                if record is None:
                    await self._ready.put(item)
                    continue
                self._engine.note_planned(item)
                if self._journal is not None and self._journal.resuming:
                    provider = record.destination.provider(self._call.destination, self._threads)
                    await self._journal.sweep(provider, record.destination.key)
                batch.add(item, record)
                if batch.count >= self._sizes.items or batch.size >= self._sizes.bytes:
                    full, batch = batch, ItemBatch(losses, owners)
                    await self._begin(full, group)
        except DxflowError:
            await self._begin(batch, group)
            raise
        finally:
            await close_items(items)
        await self._begin(batch, group)

    async def _begin(self, batch: ItemBatch, group: TaskGroup) -> None:
        if not batch.count:
            return
        work = ItemsWork(batch.items, batch.records, self._note, self._move_in_parts)
        work.losses, work.owners = batch.losses, set(batch.owners)
        await self._enter(alone=False)
        group.start_soon(self._perform_items, work)

    # Listings that workers go on with

    def share_out(self, rest: ListingRest) -> None:
        """Takes over what is left of a listing; see `PartMover`."""
        self._rests.append(rest)

    async def note_listed(self, result: TransferResult, version: str | None, size: int) -> None:
        """Notes the result of an item that a worker has listed and moved."""
        assert self._engine is not None
        self._meter.planned(size if result.error is not None else result.bytes)
        if self._journal is not None:
            self._journal.listed()
        self._meter.moved(result.bytes)
        await self._engine.note_result(result, version)

    async def run_here(self, item: TransferItem) -> None:
        """Has the engine of this process run an item, whose parts workers move."""
        await self._ready.put(item)

    async def _share(self, rest: ListingRest, group: TaskGroup) -> StorageError | None:
        """Has workers list and copy, or move, what is left of a listing. Returns why it could not be listed."""
        kind = SharedMove if rest.move else SharedListing
        listing = kind(rest, self, lambda: self._call.executor.workers, self._sizes)
        whole = await listing.run()
        if not whole and listing.error is None:
            try:
                await self._deal_items(listing.uncovered(), group, int(listing.lost), listing.owners)
            except StorageError as error:
                return error
        return listing.error

    async def _perform_items(self, work: Work) -> None:
        try:
            await self._perform_entered(work)
        except ShardCancelledError:
            await self._dispatcher.await_cancellation()
            raise

    async def _note(self, item: TransferItem, result: TransferResult, version: str | None) -> None:
        assert self._engine is not None
        if result.error is None:
            self._meter.sized(result.bytes - item.size)  # it was skipped, or its size was not known
        self._meter.moved(result.bytes)
        await self._engine.note_result(result, version)

    async def _move_in_parts(self, item: TransferItem) -> None:
        assert self._engine is not None
        self._engine.note_again(item)
        await self._ready.put(item)

    # One shard

    async def perform(self, work: Work) -> None:
        """Has workers do some work, and settles it."""
        await self._enter(alone=work.losses >= LOSSES - 1)
        await self._perform_entered(work)

    async def perform_range(self, work: Work) -> None:
        """Does the same for a range of keys, whose end in a cancelled call is that of the call."""
        await self._enter(alone=False)
        await self._perform_items(work)

    async def _perform_entered(self, work: Work) -> None:
        receipt: ShardReceipt | None = None
        try:
            receipt = await self._submit(work)
        except WorkerLostError as error:
            _log.warning("a worker was lost, with up to %d items; they are handed out again", work.requests)
            _log.debug("how the worker was lost", exc_info=error.__cause__)
            self._check_losses()
        finally:
            self._leave()
        if receipt is not None:
            self._lost_in_a_row = 0
            if (done := work.done(receipt)) is not None:
                self._sizes.took(receipt.seconds, *done, receipt.latency)
            await work.settle(receipt)
            await self._dispatcher.settled(work, receipt)
        elif work.losses < LOSSES:
            await self.perform(work)
        elif len(pieces := work.halves()) > 1:
            for piece in pieces:
                await self.perform(piece)
        else:
            await work.fail(_ended_workers(work, self._call.executor.advice))

    def _check_losses(self) -> None:
        """Checks that workers do anything at all.

        Raises:
            ExecutorError: many were lost, and none has done its shard.
        """
        self._lost_in_a_row += 1
        if self._lost_in_a_row > max(_USELESS * self._call.executor.workers, _LEAST_USELESS):
            raise ExecutorError(
                f"{self._lost_in_a_row} workers were lost one after another, and none has finished its work; look for "
                "their end in the system's log (memory?), and use fewer workers or ones with more memory"
            )

    async def _submit(self, work: Work) -> ShardReceipt:
        call = self._call
        if self._sharers.grow(call.executor.sessions, self._out):
            await self._tell_sharers()
        self._number += 1
        shard = replace(
            self._template,
            number=self._number,
            budget=share(call.max_concurrency, call.max_bandwidth, call.executor.sessions),
            limits=Budget(call.max_concurrency, call.max_bandwidth),
            left=self._left,
            again=work.losses > 0,
            **work.fields,
        )
        return await self._dispatcher.submit(shard, work, alone=self._alone)

    @property
    def _left(self) -> int:
        return 0 if self._engine is None else self._engine.left

    async def _enter(self, *, alone: bool) -> None:
        """Waits until a shard may be handed out; a suspect one when no other one is out."""
        self._suspects += alone
        try:
            while self._alone or (self._out > 0 if alone else self._suspects or self._out >= self._most()):
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._suspects -= alone
        self._out += 1
        self._alone = alone

    def _leave(self) -> None:
        self._out -= 1
        self._alone = False
        self._changed.set()

    def _most(self) -> int:
        return SHARDS_PER_WORKER * max(self._call.executor.workers, 1)


def _channel(owner_id: str, same_machine: bool) -> Channel:
    """Creates the channel of a call. Those of calls that were killed are removed."""
    channel = Channel.create(owner_id, same_machine=same_machine)
    remove_dead_channels()
    return channel


def _ended_workers(work: Work, advice: str) -> StorageError:
    return StorageError(f"{work.losses} workers ended while they worked on it, or ran out of memory; {advice}")
