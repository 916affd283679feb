"""Sees the workers of this machine while a call runs: what they have moved, and whether they hang."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ExecutorError
from dxflow_async.transfer.executor.channel import Beat, Channel
from dxflow_async.transfer.executor.seam import ShardExecutor
from dxflow_async.transfer.journal.journal import Journal
from dxflow_async.transfer.progress import Meter

__all__ = ["Monitor"]

_log = logging.getLogger("dxflow_async.transfer.executor")

_SECONDS = 0.2


@dataclass(slots=True)
class _Shard:
    give_up: Callable[[], object]
    changed: float
    beat: Beat | None = None


class Monitor:
    """Reads what workers tell through the channel of a call.

    Args:
        channel: the channel.
        threads: where files are read.
        meter: the call's counters, which get the bytes of shards that have not ended.
        executor: is told of workers that hang.
        journal: notes the owners of temporary files, so that a later process can remove them.
        hang_seconds: a worker that is not heard of for so long hangs.
    """

    def __init__(
        self,
        channel: Channel,
        threads: Threads,
        meter: Meter,
        executor: ShardExecutor,
        journal: Journal | None,
        hang_seconds: float,
    ) -> None:
        self._channel = channel
        self._threads = threads
        self._meter = meter
        self._executor = executor
        self._journal = journal
        self._hang_seconds = hang_seconds
        self._shards: dict[int, _Shard] = {}
        self._owners: set[str] = set()
        self._gone: list[int] = []
        self._hanging: set[int] = set()
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    async def watch(self) -> None:
        """Looks at all shards several times a second, until it is cancelled.

        Raises:
            ExecutorError: all workers hang.
        """
        while True:
            await asyncio.sleep(_SECONDS)
            gone, self._gone = self._gone, []
            beats = await self._threads.run(self._read, list(self._shards), gone)
            for number, beat in beats.items():
                if number in self._shards:
                    self._heard(self._shards[number], beat)
            self._check()
            self._executor.check(self._hang_seconds)

    def began(self, number: int, give_up: Callable[[], object]) -> None:
        """Notes that a shard is handed out. `give_up` ends the waiting for it."""
        self._shards[number] = _Shard(give_up, monotonic())

    def ended(self, number: int) -> None:
        """Notes that a shard has ended. Its bytes are counted with its receipt."""
        shard = self._shards.pop(number)
        self._gone.append(number)
        if shard.beat is not None:
            self._meter.moved(-shard.beat.bytes)

    async def lost(self, number: int) -> str | None:
        """Returns the owner of the temporary files of a shard whose worker is gone; None if no worker had begun it."""
        beats = await self._threads.run(self._channel.read, [number])
        return beats[number].owner_id if number in beats else None

    def cancel(self) -> None:
        """Has all workers end their shards."""
        if not self._cancelled:
            self._cancelled = True
            self._channel.cancel()  # creates a file; the threads may be closed already

    def _read(self, numbers: list[int], gone: list[int]) -> dict[int, Beat]:
        for number in gone:
            self._channel.forget(number)
        return self._channel.read(numbers)

    def _heard(self, shard: _Shard, beat: Beat) -> None:
        before = shard.beat
        if before is None and beat.owner_id not in self._owners:
            self._owners.add(beat.owner_id)
            if self._journal is not None:
                self._journal.worker_began(beat.owner_id, beat.pid)
        if before is None or beat.beats != before.beats:
            shard.changed = monotonic()
            self._executor.heard()
            self._hanging.discard(beat.pid)
            shard.beat = beat
            moved = beat.bytes - (0 if before is None else before.bytes)
            if moved:
                self._meter.moved(moved)

    def _check(self) -> None:
        now = monotonic()
        for shard in list(self._shards.values()):
            if shard.beat is None or now - shard.changed < self._hang_seconds:
                continue
            pid = shard.beat.pid
            if pid in self._hanging:
                continue
            self._hanging.add(pid)
            _log.warning("the worker process %d was not heard of for %d seconds", pid, self._hang_seconds)
            if not self._executor.hung(pid):
                if len(self._hanging) >= self._executor.workers:
                    raise ExecutorError("all workers of the executor hang; look at their processes")
                with suppress(RuntimeError):
                    shard.give_up()
