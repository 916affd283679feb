"""Hands the shards of a call to workers, and awaits each of them until nothing of it is left.

A shard can end in any way at any moment of the call: with a receipt, with its worker, or not at all, before, while or
after the call is cancelled. However it ends, it is noted in one place, without an await, unless a receipt has come.
`Leftovers` finds out what that means, at the latest at the end of the call.
"""

from __future__ import annotations

import asyncio

from anyio import CancelScope, move_on_after

from dxflow_async.concurrency.shielded import clean_up
from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.contract import Provider
from dxflow_async.transfer.executor.channel import Channel
from dxflow_async.transfer.executor.leftovers import Leftovers
from dxflow_async.transfer.executor.monitor import Monitor
from dxflow_async.transfer.executor.seam import ShardExecutor, WorkerLostError
from dxflow_async.transfer.executor.shard import Shard, ShardReceipt
from dxflow_async.transfer.executor.work import Work

__all__ = ["LOSSES", "Dispatcher"]

_END_SECONDS = 10.0
"""Time for workers to end their shards when a call is cancelled."""

LOSSES = 3
"""A shard that was lost with so many workers is not handed out again."""

_SWEEP_SECONDS = 15.0
"""Time to remove what workers have left."""


class Dispatcher:
    """Hands shards to workers, for one call.

    Args:
        executor: hands shards to workers.
        channel: through which workers of this machine see the call.
        monitor: sees these workers.
        threads: for blocking work.
        destination: what the workers write to; None for this machine's disks.
        owner_id: of the temporary files of workers that do not see the channel.
    """

    def __init__(
        self,
        executor: ShardExecutor,
        channel: Channel,
        monitor: Monitor,
        threads: Threads,
        destination: Provider | None,
        owner_id: str,
    ) -> None:
        self._executor = executor
        self._channel = channel
        self._monitor = monitor
        far_owner = None if executor.same_machine else owner_id
        self._leftovers = Leftovers(channel, threads, destination, far_owner, executor.may_have_redone)
        self._abandoned = False  # a worker may still look for the channel

    async def submit(self, shard: Shard, work: Work, *, alone: bool) -> ShardReceipt:
        """Has a worker do a shard.

        Args:
            shard: the shard, whose number is its own.
            work: its work, whose losses are counted.
            alone: no other shard is handed out.

        Raises:
            WorkerLostError: the worker is gone, or hangs.
            ExecutorError, DxflowError: as `ShardExecutor.submit`.
        """
        task = asyncio.ensure_future(self._executor.submit(shard))
        try:
            receipt = await self._receipt(task, shard.number, work)
        except WorkerLostError as error:
            begun = await self._leftovers.lost(shard.number)
            if begun or error.out_of_memory or not self._executor.same_machine:
                # Only a shard that ran alone is certain to have ended its workers by itself.
                most = LOSSES if alone else LOSSES - 1
                work.losses = max(work.losses, min(work.losses + error.workers, most))
            raise
        if receipt is not None:
            return receipt
        work.losses += 1
        try:
            task.cancel()
            await asyncio.sleep(0)
        finally:
            self._abandon(task)
        raise WorkerLostError

    async def settled(self, work: Work, receipt: ShardReceipt) -> None:
        """Removes the files of the workers that were lost with some work before it was done."""
        await self._leftovers.settled(work, receipt)

    async def end(self, ended: asyncio.Event) -> None:
        """Has all workers end their shards, since the call is cancelled, and waits for some of them.

        Args:
            ended: is set once they have ended.
        """
        with CancelScope(shield=True), move_on_after(_END_SECONDS):
            await self._end_shards()
            await ended.wait()

    async def await_cancellation(self) -> None:
        """Waits until this task is cancelled, too, when the call is being cancelled and its workers saw that first."""
        if self._monitor.cancelled:
            await asyncio.sleep(_END_SECONDS)

    async def close(self) -> None:
        """Removes what workers have left, and ends the channel."""
        try:
            await clean_up(self._leftovers.sweep(), _SWEEP_SECONDS)
        finally:
            # A few small files; the threads may be closed already. Workers of this machine miss them at once.
            self._channel.close(abandoned=self._abandoned and not self._executor.same_machine)

    async def _receipt(self, task: asyncio.Task[ShardReceipt], number: int, work: Work) -> ShardReceipt | None:
        """Awaits a shard; returns None if its worker hangs. However it ends, that is noted when this returns."""
        receipt: ShardReceipt | None = None
        silent = None
        hangs = asyncio.Event()
        self._monitor.began(number, hangs.set)
        given_up = asyncio.ensure_future(hangs.wait())
        try:
            await asyncio.wait([task, given_up], return_when=asyncio.FIRST_COMPLETED)
            receipt = task.result() if task.done() else None
        except asyncio.CancelledError:
            before = self._channel.read([number]).get(number)  # a small file; the threads may be closed already
            task.add_done_callback(_ignore)
            with CancelScope(shield=True), move_on_after(_END_SECONDS):
                await self._end_shards()
                task.cancel()
                await asyncio.wait([task])
            if not task.done():
                silent = before
                self._abandon(task)
            raise
        finally:
            given_up.cancel()
            told = self._monitor.ended(number, kept=receipt is None)
            if receipt is not None:
                self._leftovers.note_earlier(work, receipt.owners)
            else:
                self._leftovers.note(number, work, told if hangs.is_set() and not task.done() else silent)
        return receipt

    async def _end_shards(self) -> None:
        """Tells all workers that the call is cancelled."""
        if not self._monitor.cancelled:
            self._monitor.cancel()
            await self._executor.end_shards(self._channel.path)

    def _abandon(self, task: asyncio.Task[ShardReceipt]) -> None:
        """Ends the waiting for a shard that does not end. Its task was cancelled once, and waits for its worker."""
        self._abandoned = True
        task.add_done_callback(_ignore)
        task.cancel()


def _ignore(task: asyncio.Task[ShardReceipt]) -> None:
    """Drops the outcome of a shard that nobody waits for."""
    if not task.cancelled():
        task.exception()
