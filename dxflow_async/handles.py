"""Running calls as handles: each is started, watched, paused, resumed and cancelled while the program goes on."""

from __future__ import annotations

import asyncio
import functools
import html
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextvars import copy_context
from dataclasses import replace
from typing import Any, Generic, Literal, TypeVar, cast

from dxflow_async.exceptions import ConfigurationError, TransferError
from dxflow_async.models import Progress, TransferReport
from dxflow_async.progress_text import progress_text
from dxflow_async.reports import joined_timeline
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.running_call import RunningCall, running_call

__all__ = ["AsyncTransferJob", "CollectedPairs", "JobState"]

R = TypeVar("R")

JobState = Literal["running", "paused", "done", "failed", "cancelled"]


class AsyncTransferJob(Generic[R]):
    """A bulk call that runs while the program goes on. `AsyncSession.start` makes it.

    `await job` returns what the call returns, or raises what it raises; `async for progress in job` yields its progress
    until it ends. A task that is cancelled while it awaits the job cancels the job.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession() as session:
        ...         job = session.start.copy("results/", "aws:/bucket/results/")
        ...         async for progress in job:
        ...             print(progress.phase, progress.fraction, progress.eta)
        ...         report = await job
    """

    def __init__(
        self,
        operation: str,
        call: Callable[[OnProgress], Awaitable[R]],
        resume: Callable[[str, OnProgress], Awaitable[R]] | None,
        discard: Callable[[str], Awaitable[object]],
        on_progress: OnProgress | None,
    ) -> None:
        self._operation = operation
        self._call = call
        self._resume = resume
        self._discard = discard
        self._on_progress = on_progress
        self._outcome: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()
        self._state: JobState = "running"
        self._progress: Progress | None = None
        self._before: Progress | None = None
        self._reports: list[TransferReport] = []
        self._job_id: str | None = None
        self._cancels = self._resumes = False
        self._ending: asyncio.Task[None] | None = None  # held, so that it is not collected
        self._running = RunningCall()
        self._task = self._begin(call)

    @property
    def operation(self) -> str:
        """The name of the call, such as `"copy"`."""
        return self._operation

    @property
    def state(self) -> JobState:
        """`"running"`, `"paused"`, `"done"`, `"failed"` or `"cancelled"`."""
        return self._state

    @property
    def progress(self) -> Progress | None:
        """The latest progress; None before the first one."""
        return self._progress

    @property
    def job_id(self) -> str | None:
        """The argument for `AsyncSession.resume`, while the job is paused or when it has ended unfinished."""
        return self._job_id

    def done(self) -> bool:
        """Returns whether the job has ended. A paused job has not."""
        return self._outcome.done()

    def cancel(self) -> Awaitable[None]:
        """Cancels the job, as a cancelled task is; `on_cancel` of the call decides what becomes of finished parts.

        Returns:
            An awaitable that waits until the job has ended. It need not be awaited.
        """
        if not (self._outcome.done() or self._cancels):
            self._cancels = True
            self._running.pauses = False
            if self._state == "paused":
                self._ending = asyncio.get_running_loop().create_task(self._end_paused())
            else:
                self._task.cancel()
        return _Settling(self)

    def pause(self) -> Awaitable[None]:
        """Stops the job, and keeps what is finished, also the finished parts of large items, for `resume`.

        Without the setting `journal`, the call begins anew when it is resumed. So does a call that was given pairs and
        had not read all of them.

        Returns:
            An awaitable that waits until nothing moves any more. It need not be awaited.
        """
        if self._state == "running" and not self._cancels:
            self._running.pauses, self._resumes = True, False
            self._task.cancel()
        return _Settling(self)

    def resume(self) -> None:
        """Continues a paused job. A job that is not paused is left alone."""
        if self._state == "paused" and not self._cancels:
            self._continue()
        elif self._running.pauses:
            self._resumes = True

    def __await__(self) -> Generator[Any, None, R]:
        return self._wait().__await__()

    async def __aiter__(self) -> AsyncIterator[Progress]:
        seen: Progress | None = None
        while True:
            changed, ended = self._changed, self._outcome.done()
            if self._progress is not None and self._progress is not seen:
                seen = self._progress
                yield seen
            elif ended:
                return
            else:
                await changed.wait()

    def __repr__(self) -> str:
        text = "" if self._progress is None else f" {progress_text(self._progress)}"
        return f"<{type(self).__name__} {self._operation} {self._state}{text}>"

    def _repr_html_(self) -> str:
        """Returns the job's state and progress as HTML, for notebooks."""
        return job_html(self._operation, self._state, self._progress)

    def add_done_callback(self, call: Callable[[AsyncTransferJob[R]], object]) -> None:
        """Has a function called with the job when it has ended.

        Args:
            call: the function; its result is ignored.
        """
        self._outcome.add_done_callback(lambda _: call(self))

    def belongs_to(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Returns whether the job runs in an event loop.

        Args:
            loop: the event loop.
        """
        return self._outcome.get_loop() is loop

    async def close(self) -> None:
        """Cancels the job with its session. What a paused job has kept stays for `AsyncSession.resume`."""
        if self._state == "paused":
            self._state = "cancelled"
            self._outcome.cancel()
            self._notify()
            return
        await self.cancel()

    async def outcome_within(self, seconds: float | None) -> asyncio.Future[R]:
        """Waits until the job has ended, and returns its outcome.

        Args:
            seconds: the longest time to wait; None: without a limit.

        Raises:
            TimeoutError: it took longer than `seconds`; the job goes on.
        """
        await asyncio.wait({self._outcome}, timeout=seconds)
        if not self._outcome.done():
            raise TimeoutError(f"the {self._operation} has not ended within {seconds:g} s; it goes on")
        return self._outcome

    async def settled(self) -> None:
        """Waits until the job is paused or has ended."""
        while not self._outcome.done() and (self._state == "running" or self._cancels):
            await self._changed.wait()

    async def _wait(self) -> R:
        try:
            return await asyncio.shield(self._outcome)
        except asyncio.CancelledError:
            if not self._outcome.done():
                await self.cancel()
            raise

    def _begin(self, call: Callable[[OnProgress], Awaitable[R]]) -> asyncio.Task[R]:
        self._running = RunningCall()
        context = copy_context()
        context.run(running_call.set, self._running)

        async def run() -> R:
            return await call(self._told)

        task = asyncio.get_running_loop().create_task(run(), context=context)
        task.add_done_callback(self._ended)
        return task

    def _continue(self) -> None:
        self._state, job_id = "running", self._job_id
        self._before = self._progress
        if job_id is not None and self._resume is not None and self._running.planned:
            if self._running.report is not None:
                self._reports.append(self._running.report)
            self._task = self._begin(functools.partial(self._resume, job_id))
        else:
            self._before = None
            self._task = self._begin(self._call if job_id is None else self._anew(job_id))
        self._notify()

    def _anew(self, job_id: str) -> Callable[[OnProgress], Awaitable[R]]:
        """Returns a call that begins anew, once the job that an earlier one has left is removed."""

        async def call(told: OnProgress) -> R:
            await self._discard(job_id)
            return await self._call(told)

        return call

    def _ended(self, task: asyncio.Task[R]) -> None:
        if task is not self._task:
            return
        self._job_id = self._running.job_id
        if task.cancelled() and self._running.pauses:
            self._state = "paused"
            if self._resumes:
                self._continue()
        elif task.cancelled():
            self._state = "cancelled"
            self._outcome.cancel()
        elif (error := task.exception()) is not None:
            self._state = "failed"
            if isinstance(error, TransferError):
                error.report = self._merged(error.report)
            self._outcome.set_exception(error)
        else:
            self._state = "done"
            result = task.result()
            whole = self._merged(result) if isinstance(result, TransferReport) else result
            self._outcome.set_result(cast("R", whole))
        self._notify()

    async def _end_paused(self) -> None:
        """Ends a job that is cancelled while it is paused; its finished parts are removed."""
        try:
            if self._job_id is not None and self._resume is not None:
                await self._discard(self._job_id)
                self._job_id = None
        finally:
            self._state = "cancelled"
            self._outcome.cancel()
            self._notify()

    def _merged(self, report: TransferReport) -> TransferReport:
        """Returns a report with the items that ended before the job was paused, and those of the last run."""
        if not self._reports:
            return report
        whole = TransferReport([each for old in self._reports for each in old if each.error is None])
        for each in report:
            whole.append(each)
        whole.seconds = report.seconds + sum(old.seconds for old in self._reports)
        whole.concurrency, whole.job_id, whole.notices = report.concurrency, report.job_id, report.notices
        whole.compared_by_age = report.compared_by_age
        whole.timeline = joined_timeline([*self._reports, report])
        whole.may_retry(report.again)
        return whole

    def _told(self, progress: Progress) -> None:
        before = self._before
        if before is not None:
            files, size = before.files_done - before.failed, before.bytes_done
            progress = replace(
                progress,
                files_done=progress.files_done + files,
                files_total=None if progress.files_total is None else progress.files_total + files,
                bytes_done=progress.bytes_done + size,
                bytes_total=None if progress.bytes_total is None else progress.bytes_total + size,
                retries=progress.retries + before.retries,
                seconds=progress.seconds + before.seconds,
            )
        self._progress = progress
        self._notify()
        if self._on_progress is not None:
            self._on_progress(progress)

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class _Settling:
    """Waits until a job is paused or has ended, if it is awaited."""

    def __init__(self, job: AsyncTransferJob[Any]) -> None:
        self._job = job

    def __await__(self) -> Generator[Any, None, None]:
        return self._job.settled().__await__()


class CollectedPairs:
    """Pairs that a call is given, which can be read from the beginning again, also those of an iterator.

    An asynchronous iterator is read in a task of its own: the cancellation of a call that pauses would end a generator.

    Args:
        pairs: the pairs. What is no asynchronous iterable is read at once.

    Raises:
        ConfigurationError: it is not iterable.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]] | AsyncIterable[tuple[str, str]]) -> None:
        self._rest: AsyncIterator[tuple[str, str]] | None = None
        self._reading: asyncio.Task[tuple[str, str]] | None = None
        self._seen: list[tuple[str, str]] = []
        if isinstance(pairs, AsyncIterable):
            self._rest = aiter(pairs)
            return
        try:
            self._seen += pairs
        except TypeError:
            raise ConfigurationError("pairs must be an iterable of pairs of a source and a destination") from None

    async def __aiter__(self) -> AsyncIterator[tuple[str, str]]:
        for each in list(self._seen):
            yield each
        while self._rest is not None:
            if self._reading is None:
                self._reading = asyncio.get_running_loop().create_task(_next(self._rest))
            try:
                each = await asyncio.shield(self._reading)
            except StopAsyncIteration:
                return
            self._reading = None
            self._seen.append(each)
            yield each

    def close(self) -> None:
        """Stops reading."""
        if self._reading is not None:
            self._reading.cancel()
        self._rest = None


async def _next(pairs: AsyncIterator[tuple[str, str]]) -> tuple[str, str]:
    return await anext(pairs)


def job_html(operation: str, state: str, progress: Progress | None) -> str:
    """Returns a job's state and progress as HTML."""
    fraction = None if progress is None else progress.fraction
    value = "" if fraction is None else f' value="{fraction:.4f}"'
    bar = f'<progress max="1"{value} style="width: 20em"></progress> ' if state in ("running", "paused") else ""
    text = "" if progress is None else html.escape(progress_text(progress))
    return f"<div><b>{html.escape(operation)}</b> {html.escape(state)} {bar}{text}</div>"
