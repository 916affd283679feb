"""Sees the workers of this machine while a call runs: what they have moved, and whether they hang."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ExecutorError
from dxflow_async.transfer.executor.channel import Beat, Channel
from dxflow_async.transfer.executor.seam import ShardExecutor
from dxflow_async.transfer.executor.silence import WatchedTime, is_alive, named
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
        self._time = WatchedTime()
        self._shards: dict[int, _Shard] = {}
        self._owners: set[str] = set()
        self._gone: list[int] = []
        self._hanging: set[int] = set()
        self._ending: set[int] = set()
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
            if not self._check():
                self._executor.check(self._hang_seconds)

    def began(self, number: int, give_up: Callable[[], object]) -> None:
        """Notes that a shard is handed out. `give_up` ends the waiting for it."""
        self._shards[number] = _Shard(give_up, self._time.look())

    def ended(self, number: int, *, kept: bool) -> Beat | None:
        """Notes that a shard has ended, and returns what was told of it. Its bytes are counted with its receipt.

        Args:
            number: the shard.
            kept: what its worker tells stays, because it may have left something.
        """
        shard = self._shards.pop(number)
        if not kept:
            self._gone.append(number)
        if shard.beat is not None:
            self._meter.moved(-shard.beat.bytes)
        return shard.beat

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
            shard.changed = self._time.look()
            self._executor.heard()
            self._hanging.discard(beat.pid)
            self._ending.discard(beat.pid)
            shard.beat = beat
            moved = beat.bytes - (0 if before is None else before.bytes)
            if moved:
                self._meter.moved(moved)

    def _check(self) -> bool:
        """Gives the shards of workers that hang up; returns whether there are any."""
        now, given_up = self._time.look(), False
        silent: dict[int, list[_Shard]] = {}
        for shard in self._shards.values():
            if shard.beat is not None and now - shard.changed >= self._hang_seconds:
                silent.setdefault(shard.beat.pid, []).append(shard)
        for pid, shards in silent.items():
            if pid not in self._hanging:
                self._hanging.add(pid)
                text = "the worker process %d was not heard of for %d seconds; its work is done again"
                _log.warning(text, pid, self._hang_seconds)
                if self._executor.hung(pid):
                    self._ending.add(pid)
            if pid in self._ending:
                continue
            self._hanging = {each for each in self._hanging if is_alive(each)}
            if len(self._hanging) >= self._executor.workers:
                raise ExecutorError(
                    f"all workers of the executor hang: {named(self._hanging)} was not heard of for "
                    f"{self._hang_seconds:.0f} seconds; find out why, end the workers, and make a new executor"
                )
            for shard in shards:
                given_up = True
                with suppress(RuntimeError):
                    shard.give_up()
        return given_up
