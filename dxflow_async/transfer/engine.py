"""The engine: a pool of workers that moves the parts of one call's items.

The plan yields items lazily into a bounded queue, so it is read only as fast as it is worked off. A free worker takes
the next part of an open item, or else opens a new item. The worker that ends an item's last part finishes the item. No
worker ever waits for another one, so there is nothing to deadlock; one huge file keeps all workers busy, and so do a
hundred thousand tiny ones.

Workers are started one by one while there is work and while the session's limits allow more. An item that only waits
for the disk gives its place to another worker. Whatever an item raises is that item's failure and never ends the call.
When the whole of an item has a wrong checksum, `TransferItem.mend` names parts to move again; where it names none, the
item starts anew. It also starts anew by the limits that a provider learns: fewer parts than planned, no ranges, or no
copies.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from itertools import chain
from time import monotonic

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled

from dxflow_async.concurrency.descriptors import is_out_of_descriptors
from dxflow_async.concurrency.pool import open_task_group
from dxflow_async.concurrency.shielded import clean_up
from dxflow_async.exceptions import (
    AuthenticationError,
    ChecksumMismatchError,
    ConfigurationError,
    DxflowError,
    SessionClosedError,
    StorageError,
)
from dxflow_async.models import TransferReport, TransferResult
from dxflow_async.providers.contract import CopyRefusedError, Part, PartLimitError, RangeIgnoredError
from dxflow_async.transfer import telemetry
from dxflow_async.transfer.executor.shard import ItemRecord
from dxflow_async.transfer.failures import failure_of
from dxflow_async.transfer.item_log import is_logged, log_item
from dxflow_async.transfer.journal.journal import Journal
from dxflow_async.transfer.progress import Meter

__all__ = ["Engine", "TransferItem", "close_items"]

_log = logging.getLogger("dxflow_async.transfer.engine")

_PLANNED = 256
"""Items that the plan may be ahead of the workers. While the plan catches up, it is the only thing that runs."""

_ABORT_SECONDS = 10.0
"""Time for removing what an unfinished item has left, also during a cancellation."""

_RESTARTS = 2
"""How often an item whose whole has a wrong checksum starts anew."""

_LEARNED = 4
"""How often an item starts anew by limits that a provider learned. Each of them may show another one."""

_LEARNED_ERRORS = (PartLimitError, RangeIgnoredError, CopyRefusedError)

_MENDS = 5
"""How often the wrong parts of an item are moved again, where they are known: the second read may be wrong, too."""

_WAITS = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds until an item starts anew for which no file or connection could be opened."""


class TransferItem(ABC):
    """One item of a transfer. Whatever its methods raise is its failure; `abort` must leave nothing behind.

    Attributes:
        size: the size in bytes; 0 if the plan does not know it yet.
        version: the version of the source that was moved, once it is known.
        ends: the source and the destination, as results show them.
        waits_for_disk: `finish` only waits until bytes are on disk, and holds no other resource meanwhile.
    """

    size: int = 0
    version: str | None = None
    waits_for_disk: bool = False

    @property
    @abstractmethod
    def ends(self) -> tuple[str, str]: ...

    async def seen(self) -> str | None:
        """Returns the version of the source that is there now; None if the source has no versions."""
        return None

    def record(self) -> ItemRecord | None:
        """Returns what a worker of an executor needs to move the item; None if it cannot move as a whole there."""
        return None

    @abstractmethod
    async def open(self) -> Iterator[Part]:
        """Returns the parts to move, at least one. It is called again when the item starts anew."""

    @abstractmethod
    async def move(self, part: Part) -> None:
        """Moves one part."""

    @abstractmethod
    async def finish(self) -> TransferResult:
        """Makes the destination visible once all parts have moved, and returns the item's result."""

    async def mend(self) -> Iterator[Part] | None:
        """Returns parts to move again before the item is finished again, after the whole had a wrong checksum.

        None means that no part is known to be wrong, and that the item starts anew.
        """
        return None

    @abstractmethod
    async def abort(self) -> None:
        """Removes everything that is stored so far. The item will not be finished."""

    async def suspend(self) -> None:
        """Frees what the item holds in this process. What a later call can continue with stays stored."""
        await self.abort()

    @abstractmethod
    def result(self, error: StorageError | None) -> TransferResult:
        """Returns the item's result."""


class _Running:
    """An item that workers are moving."""

    __slots__ = ("error", "in_flight", "item", "learned", "mends", "parts", "restarts", "waits")

    def __init__(self, item: TransferItem, restarts: int = 0, learned: int = 0, waits: int = 0) -> None:
        self.item = item
        self.parts: Iterator[Part] | None = None  # those that are left, if more than one was opened
        self.in_flight = 1
        self.error: StorageError | None = None
        self.mends = 0
        self.restarts = restarts
        self.learned = learned
        self.waits = waits

    def anew(self, failure: StorageError) -> _Running | None:
        """Returns what runs when the item starts anew after a failure; None if that would not help."""
        if isinstance(failure, _LEARNED_ERRORS) and self.learned < _LEARNED:
            return _Running(self.item, self.restarts, self.learned + 1, self.waits)
        if isinstance(failure, ChecksumMismatchError) and not self.mends and self.restarts < _RESTARTS:
            return _Running(self.item, self.restarts + 1, self.learned, self.waits)
        if self.waits < len(_WAITS) and is_out_of_descriptors(failure):
            return _Running(self.item, self.restarts, self.learned, self.waits + 1)
        return None


class Engine:
    """Runs the items of one call.

    Args:
        max_workers: returns how many parts may move at a time now. It is called often, since the answer changes.
        meter: counts items and bytes for the caller's progress.
        journal: notes what is done, so that another process can resume the call.
        max_finishing: items that may wait for the disk beside those that workers move. Each of them holds a file open.
        out_of_descriptors: called when an item failed because too many files are open.
        ended: called with each item that ended, and its result.
        keeps: returns whether a cancellation leaves what a call that resumes this one continues with.

    Attributes:
        report: the items that have ended.
    """

    def __init__(
        self,
        max_workers: Callable[[], int],
        meter: Meter,
        journal: Journal | None = None,
        max_finishing: int = 256,
        out_of_descriptors: Callable[[], None] = lambda: None,
        ended: Callable[[TransferItem, TransferResult], None] | None = None,
        keeps: Callable[[], bool] = lambda: False,
    ) -> None:
        self._max_workers = max_workers
        self._meter = meter
        self._journal = journal
        self._new: deque[_Running] = deque()
        self._open: deque[_Running] = deque()
        self._running: set[_Running] = set()
        self.report = TransferReport()
        self._planned = False
        self._plan_error: DxflowError | None = None
        self._group: TaskGroup | None = None
        self._workers = 0
        self._finishing = 0
        self._max_finishing = max_finishing
        self._out_of_descriptors = out_of_descriptors
        self._ended = ended
        self._keeps = keeps
        self._noted: set[TransferItem] = set()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._room: asyncio.Future[None] | None = None
        self._watch = telemetry.watch()
        self._logs_items = is_logged()

    async def run(self, items: AsyncIterator[TransferItem]) -> TransferReport:
        """Transfers all items and reports on each of them.

        Raises:
            DxflowError: nothing could be planned. A plan that breaks off later is reported as a failed item.
            ConfigurationError, AuthenticationError: every item failed because of it.
        """
        if self._watch is None:
            return await self._run(items)
        with self._watch.call(self.report):
            return await self._run(items)

    @property
    def left(self) -> int:
        """Items that are planned and have not ended."""
        return self._meter.left

    def call_workers(self) -> None:
        """Starts workers after `max_workers` has risen, instead of when a part ends, which may take long."""
        if self._group is not None and (self._open or self._new):
            self._call_worker(self._group)

    def note_planned(self, item: TransferItem) -> None:
        """Notes that an item is planned, before the engine gets it, or when a worker of an executor gets it."""
        self._meter.planned(item.size)
        if self._journal is not None:
            self._journal.planned(item)

    def note_again(self, item: TransferItem) -> None:
        """Notes that the engine gets an item that `note_planned` was called for."""
        self._noted.add(item)

    def note_plan_ended(self) -> None:
        """Notes that all items are planned."""
        self._meter.plan_ended()
        if self._journal is not None:
            self._journal.plan_ended()

    async def note_result(self, result: TransferResult, version: str | None) -> None:
        """Notes the result of an item that a worker of an executor moved."""
        self._count(result)
        if self._journal is not None:
            await self._journal.ended(result, version)

    def _count(self, result: TransferResult) -> None:
        if result.error is not None:
            _log.info("%s", result.error, extra={"fields": result.error.fields()})
        if self._logs_items:
            log_item(result)
        self.report.note(result)
        self._meter.done(result)

    async def _run(self, items: AsyncIterator[TransferItem]) -> TransferReport:
        started = monotonic()
        try:
            try:
                async with open_task_group() as self._group:
                    await self._plan(items, self._group)
            finally:
                self._group = None
            # The tasks of a cancelled scope may end before this one sees that it is cancelled.
            await checkpoint_if_cancelled()
        finally:
            await self._abort_all()
        if self._meter.raised is not None:  # a CancelledError of the callback's ends a worker, and no more
            raise self._meter.raised
        if self._plan_error is not None:
            if not self.report:
                raise self._plan_error
            error = failure_of(self._plan_error, ("its items", ""))
            self.report.append(TransferResult(error.path, "", error=error))
        self._raise_shared_reason()
        self.report.seconds = monotonic() - started
        return self.report

    async def _plan(self, items: AsyncIterator[TransferItem], group: TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for item in items:
                if item in self._noted:
                    self._noted.discard(item)
                else:
                    self.note_planned(item)
                self._new.append(_Running(item))
                self._call_worker(group)
                if len(self._new) >= _PLANNED:
                    self._room = loop.create_future()
                    await self._room
            if self._journal is not None:
                self._journal.plan_ended()
        except SessionClosedError:
            raise
        except DxflowError as error:
            self._plan_error = error
        finally:
            await close_items(items)
        self._planned = True
        self._meter.plan_ended()
        self._wake_all()

    def _free_places(self) -> int:
        """Returns how many more workers may run; negative if too many do. Waiting for the disk is not counted."""
        return self._max_workers() + self._finishing - self._workers + len(self._idle)

    def _call_worker(self, group: TaskGroup) -> None:
        free = self._free_places()
        if free <= 0:
            return
        while self._idle and free > 0:
            waiter = self._idle.popleft()
            free -= 1
            if not waiter.done():
                waiter.set_result(None)
                return
        if free > len(self._idle):
            self._workers += 1
            group.start_soon(self._work, group)

    async def _work(self, group: TaskGroup) -> None:
        while True:
            free = self._free_places()
            found = None if free < 0 else self._take()
            if found is None:
                if self._planned and not self._running and not self._new:
                    self._wake_all()
                    return
                waiter = asyncio.get_running_loop().create_future()
                self._idle.append(waiter)
                await waiter
                continue
            if free > 0 and (self._open or self._new):
                self._call_worker(group)
            running, part = found
            try:
                if part is None:
                    part = await self._begin(running, group)
                if running.error is None:
                    if self._watch is None:
                        await running.item.move(part)
                    else:
                        with self._watch.part(running, part):
                            await running.item.move(part)
            except Exception as error:  # noqa: BLE001 - whatever an item raises is its own failure
                failure = self._failure(running.item, error)
                running.error = running.error or failure
            running.in_flight -= 1
            if not running.in_flight and (running.error or running.parts is None or not self._more(running)):
                await self._end(running, group)

    def _take(self) -> tuple[_Running, Part | None] | None:
        """Returns the next part of an open item, or else a new item."""
        while self._open:
            running = self._open[0]
            part = None if running.error is not None or running.parts is None else next(running.parts, None)
            if part is not None:
                running.in_flight += 1
                return running, part
            self._open.popleft()
        if not self._new:
            return None
        running = self._new.popleft()
        self._running.add(running)
        if self._room is not None and len(self._new) < _PLANNED // 2:
            room, self._room = self._room, None
            if not room.done():
                room.set_result(None)
        return running, None

    async def _begin(self, running: _Running, group: TaskGroup) -> Part:
        """Opens an item, returns its first part, and offers its other parts to free workers."""
        if self._watch is not None:
            self._watch.begin(running)
        parts = await running.item.open()
        first, second = next(parts), next(parts, None)
        if second is not None:
            running.parts = chain((second,), parts)
            self._open.append(running)
            self._call_worker(group)
        return first

    def _more(self, running: _Running) -> bool:
        """Returns whether parts are left. They stay on offer."""
        assert running.parts is not None
        part = next(running.parts, None)
        running.parts = None if part is None else chain((part,), running.parts)
        return part is not None

    async def _end(self, running: _Running, group: TaskGroup) -> None:
        try:
            if running.error is not None:
                raise running.error
            item = running.item
            result = await (self._finish(item, group) if item.waits_for_disk else item.finish())
        except Exception as error:  # noqa: BLE001 - whatever an item raises is its own failure
            failure = self._failure(running.item, error)
            mismatch = isinstance(failure, ChecksumMismatchError)
            parts = await self._mended(running.item) if mismatch and running.mends < _MENDS else None
            if parts is not None:
                running.parts, running.error, running.mends = parts, None, running.mends + 1
                self._open.appendleft(running)
                return
            await clean_up(self._quietly(running.item.abort, running.item), _ABORT_SECONDS)
            if (anew := running.anew(failure)) is not None:
                await self._start_anew(running, anew, failure)
                return
            result = running.item.result(failure)
        self._running.discard(running)
        if self._watch is not None:
            self._watch.end(running, result)
        if self._ended is not None:
            self._ended(running.item, result)
        self._count(result)
        if self._journal is not None:
            await self._journal.ended(result, running.item.version)
        if self._planned and not self._running and not self._new:
            self._wake_all()

    async def _start_anew(self, running: _Running, anew: _Running, failure: StorageError) -> None:
        _log.info("%s; it starts anew", failure, extra={"fields": failure.fields()})
        if anew.waits > running.waits:
            self._out_of_descriptors()
            await anyio.sleep(_WAITS[running.waits])
        self._running.discard(running)
        self._new.appendleft(anew)
        if self._watch is not None:
            self._watch.end(running)

    async def _finish(self, item: TransferItem, group: TaskGroup) -> TransferResult:
        if self._finishing >= self._max_finishing:
            return await item.finish()
        self._finishing += 1
        try:
            if self._open or self._new:
                self._call_worker(group)
            return await item.finish()
        finally:
            self._finishing -= 1

    def _failure(self, item: TransferItem, error: Exception) -> StorageError:
        """Returns an item's failure. An exception of the caller's `on_progress` is raised instead: it ends the call."""
        if self._meter.raised is not None:
            raise self._meter.raised
        return failure_of(error, item.ends)

    async def _mended(self, item: TransferItem) -> Iterator[Part] | None:
        try:
            return await item.mend()
        except Exception as error:  # noqa: BLE001 - whatever an item raises is its own failure
            self._failure(item, error)  # the caller is to see the mismatch
            return None

    def _raise_shared_reason(self) -> None:
        """Raises the one reason if every item failed because of the same wrong setting or sign-in."""
        failed = self.report.failed
        reason = failed[0].error.__cause__ if failed and failed[0].error is not None else None
        if len(failed) == len(self.report) and isinstance(reason, (ConfigurationError, AuthenticationError)):
            reasons = {str(each.error.__cause__) for each in failed if each.error is not None}
            if len(reasons) == 1:
                raise reason

    def _wake_all(self) -> None:
        while self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)

    async def _abort_all(self) -> None:
        """Removes what open items have left when the call is cancelled, or leaves what a later call resumes."""
        keeps = self._keeps()

        async def abort() -> None:
            async with open_task_group() as group:
                for running in self._running:
                    item = running.item
                    group.start_soon(self._quietly, item.suspend if keeps else item.abort, item)

        if self._running:
            await clean_up(abort(), _ABORT_SECONDS)

    async def _quietly(self, release: Callable[[], Awaitable[None]], item: TransferItem) -> None:
        # Nothing more can be done, and the caller is to see the reason for the abort.
        try:
            await release()
        except StorageError as error:
            _log.info("%s", error, extra={"fields": error.fields()})
        except Exception as error:  # noqa: BLE001 - whatever an item raises is its own failure
            failure_of(error, item.ends, "clean-up")


async def close_items(items: AsyncIterator[TransferItem]) -> None:
    """Closes the plan now, instead of whenever it is garbage collected."""
    if isinstance(items, AsyncGenerator):
        await clean_up(items.aclose(), _ABORT_SECONDS)
