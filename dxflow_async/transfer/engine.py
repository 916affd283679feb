"""The pool: workers pull parts of open jobs first, then new jobs; whoever ends a job's last part finishes it.

No worker waits for another one, so there is nothing to deadlock; one huge file uses every worker, and so do a
hundred thousand tiny ones. At most as many jobs are open as there are workers, and the plan is read only as fast
as it is worked off.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from time import monotonic

from anyio import CancelScope, move_on_after
from anyio.abc import TaskGroup

from dxflow_async.concurrency.pool import open_task_group
from dxflow_async.exceptions import (
    AuthenticationError,
    ChecksumMismatchError,
    ConfigurationError,
    DxflowError,
    SessionClosedError,
    StorageError,
)
from dxflow_async.models import TransferReport, TransferResult
from dxflow_async.providers.contract import Part
from dxflow_async.transfer import telemetry
from dxflow_async.transfer.failures import failure_of
from dxflow_async.transfer.journal.journal import Journal
from dxflow_async.transfer.progress import Meter

__all__ = ["Engine", "TransferItem"]

_log = logging.getLogger("dxflow_async.transfer.engine")

_PLANNED = 256
"""Jobs the plan may be ahead of the workers: while it catches up, nothing else is done."""

_ABORT_SECONDS = 10.0
"""For removing what an unfinished job has left, also while cancelled."""

_RESTARTS = 2
"""How often an item whose whole turned out wrong is done again."""

_MENDS = 5
"""How often one is mended, where that can be: reading all of it anew may go wrong too."""

_MAX_FINISHING = 256
"""Jobs that wait for a disk, beside those that the workers may work on; each holds a file open."""


class TransferItem(ABC):
    """One item of a transfer. What its methods raise is its failure; `abort` must leave nothing behind.

    Attributes:
        size: bytes; 0 where the plan does not know it yet.
        version: names what of the source was moved, once that is known.
        ends: where it comes from and where it goes, as results show it.
        waits_for_disk: whether `finish` waits until bytes are on disk, and holds no other resource meanwhile.
    """

    size: int = 0
    version: str | None = None
    waits_for_disk: bool = False

    @property
    @abstractmethod
    def ends(self) -> tuple[str, str]: ...

    async def seen(self) -> str | None:
        """Names the version of the source that is there now; None where it has none."""
        return None

    @abstractmethod
    async def open(self) -> Iterator[Part]:
        """First contact: the parts there are to do, at least one. Called anew when the job is restarted."""

    @abstractmethod
    async def move(self, part: Part) -> None:
        """Does one part."""

    @abstractmethod
    async def finish(self) -> TransferResult:
        """All parts are done: makes the destination visible, and says what became of the item."""

    async def mend(self) -> Iterator[Part] | None:
        """The whole turned out wrong: parts that are to be moved before it is finished anew; None: it starts anew."""
        return None

    @abstractmethod
    async def abort(self) -> None:
        """Not to be finished: removes what is there so far."""

    @abstractmethod
    def result(self, error: StorageError | None) -> TransferResult:
        """What became of the item."""


class _Running:
    """A job in the hands of the workers."""

    __slots__ = ("error", "in_flight", "job", "mends", "parts", "restarts")

    def __init__(self, job: TransferItem, restarts: int = 0) -> None:
        self.job = job
        self.parts: Iterator[Part] = iter(())
        self.in_flight = 1
        self.error: StorageError | None = None
        self.mends = 0
        self.restarts = restarts


class Engine:
    """Runs the jobs of one call.

    Args:
        max_workers: at most that many parts are worked on at a time; asked again and again, since it adapts.
        meter: counts, for progress.
        journal: remembers, for whoever goes on when this process is gone.
    """

    def __init__(self, max_workers: Callable[[], int], meter: Meter, journal: Journal | None = None) -> None:
        self._max_workers = max_workers
        self._meter = meter
        self._journal = journal
        self._new: deque[_Running] = deque()
        self._open: deque[_Running] = deque()
        self._running: set[_Running] = set()
        self._report = TransferReport()
        self._planned = False
        self._plan_error: DxflowError | None = None
        self._workers = 0
        self._finishing = 0
        self._max_finishing = min(_MAX_FINISHING, _max_open_files() // 4)
        self._idle: deque[asyncio.Future[None]] = deque()
        self._room: asyncio.Future[None] | None = None
        self._watch = telemetry.watch()

    async def run(self, jobs: AsyncIterator[TransferItem]) -> TransferReport:
        """Does all jobs and reports on each.

        Raises:
            DxflowError: nothing could be planned. Where the plan breaks off later, that is a failed item of its own.
            ConfigurationError, AuthenticationError: every item failed because of it.
        """
        if self._watch is None:
            return await self._run(jobs)
        with self._watch.call(self._report):
            return await self._run(jobs)

    async def _run(self, jobs: AsyncIterator[TransferItem]) -> TransferReport:
        started = monotonic()
        try:
            async with open_task_group() as group:
                await self._plan(jobs, group)
        finally:
            await self._abort_all()
        if self._plan_error is not None:
            if not self._report:
                raise self._plan_error
            error = failure_of(self._plan_error, ("its items", ""))
            self._report.append(TransferResult(error.path, "", error=error))
        self._raise_shared_reason()
        self._report.seconds = monotonic() - started
        return self._report

    async def _plan(self, jobs: AsyncIterator[TransferItem], group: TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for job in jobs:
                self._meter.planned(job.size)
                if self._journal is not None:
                    self._journal.planned(job)
                self._new.append(_Running(job))
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
            await _close(jobs)
        self._planned = True
        self._meter.plan_ended()
        self._wake_all()

    def _free_places(self) -> int:
        """How many more workers there may be; those who wait for a disk do not count. Negative: so many too many."""
        return self._max_workers() + self._finishing - self._workers + len(self._idle)

    def _call_worker(self, group: TaskGroup) -> None:
        while self._idle and self._free_places() > 0:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        if self._free_places() > len(self._idle):
            self._workers += 1
            group.start_soon(self._work, group)

    async def _work(self, group: TaskGroup) -> None:
        while True:
            found = None if self._free_places() < 0 else self._take()
            if found is None:
                if self._planned and not self._running and not self._new:
                    self._wake_all()
                    return
                waiter = asyncio.get_running_loop().create_future()
                self._idle.append(waiter)
                await waiter
                continue
            if self._open or self._new:
                self._call_worker(group)
            running, part = found
            try:
                if part is None:
                    part = await self._begin(running, group)
                if running.error is None:
                    with nullcontext() if self._watch is None else self._watch.part(running, part):
                        await running.job.move(part)
            except Exception as error:  # noqa: BLE001 - whatever an item raises is its own failure
                failure = self._failure(running.job, error)
                running.error = running.error or failure
            running.in_flight -= 1
            if not running.in_flight and (running.error is not None or not self._more(running)):
                await self._end(running, group)

    def _take(self) -> tuple[_Running, Part | None] | None:
        """The next part of an open job, or else a new job."""
        while self._open:
            running = self._open[0]
            part = None if running.error is not None else next(running.parts, None)
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
        """Opens a job, keeps its first part, and offers the others to whoever is free."""
        if self._watch is not None:
            self._watch.begin(running)
        running.parts = await running.job.open()
        first = next(running.parts)
        second = next(running.parts, None)
        if second is not None:
            running.parts = _chain(second, running.parts)
            self._open.append(running)
            self._call_worker(group)
        return first

    def _more(self, running: _Running) -> bool:
        """Whether parts are left; they are then still on offer."""
        part = next(running.parts, None)
        if part is not None:
            running.parts = _chain(part, running.parts)
        return part is not None

    async def _end(self, running: _Running, group: TaskGroup) -> None:
        try:
            if running.error is not None:
                raise running.error
            result = await self._finish(running.job, group)
        except Exception as error:  # noqa: BLE001 - whatever an item raises is its own failure
            failure = self._failure(running.job, error)
            mismatch = isinstance(failure, ChecksumMismatchError)
            parts = await self._mended(running.job) if mismatch and running.mends < _MENDS else None
            if parts is not None:
                running.parts, running.error, running.mends = parts, None, running.mends + 1
                self._open.appendleft(running)
                return
            with CancelScope(shield=True), move_on_after(_ABORT_SECONDS):
                await self._abort_quietly(running.job)
            self._running.discard(running)
            if mismatch and not running.mends and running.restarts < _RESTARTS:
                self._new.appendleft(_Running(running.job, running.restarts + 1))
                if self._watch is not None:
                    self._watch.end(running)
                return
            result = running.job.result(failure)
        self._running.discard(running)
        if result.error is not None:
            _log.info("%s", result.error, extra={"fields": result.error.fields()})
        if self._watch is not None:
            self._watch.end(running, result)
        self._report.append(result)
        self._meter.done(result)
        if self._journal is not None:
            await self._journal.ended(result, running.job.version)
        if self._planned and not self._running and not self._new:
            self._wake_all()

    async def _finish(self, job: TransferItem, group: TaskGroup) -> TransferResult:
        if not job.waits_for_disk or self._finishing >= self._max_finishing:
            return await job.finish()
        self._finishing += 1
        try:
            if self._open or self._new:
                self._call_worker(group)
            return await job.finish()
        finally:
            self._finishing -= 1

    def _failure(self, job: TransferItem, error: Exception) -> StorageError:
        """The failure of an item; what the user's own `on_progress` raised ends the call as it is."""
        if self._meter.raised is not None:
            raise self._meter.raised
        return failure_of(error, job.ends)

    async def _mended(self, job: TransferItem) -> Iterator[Part] | None:
        try:
            return await job.mend()
        except Exception as error:  # noqa: BLE001 - whatever an item raises is its own failure
            self._failure(job, error)  # the mismatch is what the caller is to see
            return None

    def _raise_shared_reason(self) -> None:
        """Where each item failed because of the same wrong setting or sign-in, there is nothing else to report."""
        failed = self._report.failed
        reason = failed[0].error.__cause__ if failed and failed[0].error is not None else None
        if len(failed) == len(self._report) and isinstance(reason, (ConfigurationError, AuthenticationError)):
            reasons = {str(each.error.__cause__) for each in failed if each.error is not None}
            if len(reasons) == 1:
                raise reason

    def _wake_all(self) -> None:
        while self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)

    async def _abort_all(self) -> None:
        """After a cancellation: nothing of the jobs under way is left."""
        if self._running:
            with CancelScope(shield=True), move_on_after(_ABORT_SECONDS):
                async with open_task_group() as group:
                    for running in self._running:
                        group.start_soon(self._abort_quietly, running.job)

    async def _abort_quietly(self, job: TransferItem) -> None:
        # Nothing more can be done, and the reason for the abort is what the caller is to see.
        try:
            await job.abort()
        except StorageError as error:
            _log.info("%s", error, extra={"fields": error.fields()})
        except Exception as error:  # noqa: BLE001 - whatever an item raises is its own failure
            failure_of(error, job.ends, "clean-up")


def _max_open_files() -> int:
    try:
        import resource
    except ImportError:
        return 4 * _MAX_FINISHING
    limit: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit if limit > 0 else 4 * _MAX_FINISHING


async def _close(jobs: AsyncIterator[TransferItem]) -> None:
    """A plan that was broken off ends now, not when it happens to be collected."""
    if isinstance(jobs, AsyncGenerator):
        with CancelScope(shield=True), move_on_after(_ABORT_SECONDS):
            await jobs.aclose()


def _chain(first: Part, rest: Iterator[Part]) -> Iterator[Part]:
    yield first
    yield from rest
