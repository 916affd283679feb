"""The jobs of a session: started from the page, watched, paused, and kept for the next visit."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from dxflow_async.exceptions import DxflowError, TransferError
from dxflow_async.handles import AsyncTransferJob, JobState
from dxflow_async.hub_page.events import Events
from dxflow_async.hub_page.job_plan import JobPlan
from dxflow_async.hub_page.locations import encode_location
from dxflow_async.models import JobInfo, Progress, TransferReport, TransferResult
from dxflow_async.paths import utf8_shown
from dxflow_async.server.common.middleware import refusal
from dxflow_async.session import AsyncSession
from dxflow_async.timeline import Bucket, Timeline
from dxflow_async.transfer.progress import OnProgress

__all__ = ["PageJob", "PageJobs"]

_log = logging.getLogger("dxflow_async.hub")

MAX_RUNNING = 16
MAX_KEPT = 100
_MAX_FAILURES = 100
_MAX_SOURCES_SHOWN = 20
_PAUSE_SECONDS = 20.0

Start = Callable[[OnProgress], AsyncTransferJob[Any]]


class PageJob:
    """One job of the page.

    Args:
        plan: what it does.
        changed: called when it has changed.
        info: the record of a job that an earlier process has left; it is paused until it is resumed.
    """

    def __init__(self, plan: JobPlan, changed: Callable[[PageJob], None], info: JobInfo | None = None) -> None:
        self.id = secrets.token_urlsafe(16)
        self.plan = plan
        self.began = time.time() if info is None else info.began
        self.info = info
        self.handle: AsyncTransferJob[Any] | None = None
        self._changed = changed
        self._ended: float | None = None
        self._error: BaseException | None = None
        self._report: TransferReport | None = None
        self._timeline: Timeline | None = None
        self._following: asyncio.Task[None] | None = None
        self._pausing: asyncio.Future[None] | None = None
        self._given_up = False

    @property
    def state(self) -> JobState:
        """As `AsyncTransferJob.state`."""
        if self.handle is not None:
            return self.handle.state
        return "cancelled" if self._given_up else "paused"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in ("done", "failed", "cancelled")

    def start(self, start: Start) -> None:
        """Starts, or starts again."""
        self._ended = self._error = self._report = None
        self._timeline = None
        if self.plan.verb == "delete":
            self._timeline = Timeline("delete", ", ".join(map(utf8_shown, self.plan.sources[:_MAX_SOURCES_SHOWN])))
        self.handle = start(self._progressed)
        self._following = asyncio.get_running_loop().create_task(self._follow(self.handle))
        self._changed(self)

    def pause(self) -> None:
        """Begins to pause."""
        if self.handle is not None and self.handle.state == "running":
            self._pausing = asyncio.ensure_future(self._settle(self.handle.pause()))

    def resume(self, session: AsyncSession) -> None:
        """Goes on."""
        if self.handle is None and self.info is not None and not self._given_up:
            job_id = self.info.id
            self.start(lambda told: session.start.resume(job_id, on_progress=told))
        elif self.handle is not None:
            self.handle.resume()
            self._changed(self)

    async def cancel(self, session: AsyncSession) -> None:
        """Ends the job; finished parts of large items are removed."""
        if self.handle is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_SECONDS):
                    await self.handle.cancel()
        elif self.info is not None and not self._given_up:
            await session.clean_jobs(self.info.id, dry_run=False)
            self._given_up, self._ended = True, time.time()
        self._changed(self)

    async def keep(self) -> None:
        """Stops, and keeps finished parts for the next visit."""
        handle = self.handle
        if handle is not None and not handle.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_SECONDS):
                    await (handle.cancel() if self.plan.verb == "delete" else handle.pause())

    def unfinished_id(self) -> str | None:
        """Returns the argument for `AsyncSession.resume`, if there is something to resume."""
        report = self._report
        found = None if report is None else report.job_id
        return found or (None if self.handle is None else self.handle.job_id)

    def report(self) -> TransferReport:
        """Returns the report of an ended job."""
        report = self._known() or TransferReport()
        if report.timeline is None:
            report.timeline = self._timeline or Timeline(self.plan.verb)
            report.seconds = report.seconds or report.timeline.seconds
        return report

    @property
    def failure(self) -> str | None:
        """Why the job ended early; None if it did not."""
        if self._error is None or isinstance(self._error, TransferError):
            return None
        return str(self._error) if isinstance(self._error, DxflowError) else "the server failed; its log says why"

    def to_dict(self) -> dict[str, Any]:
        """Returns the job as plain JSON types."""
        progress = None if self.handle is None else self.handle.progress
        failed = self._failures()
        count = len(failed) if progress is None else max(progress.failed, len(failed))
        plan = self.plan
        return {
            "id": self.id,
            "verb": plan.verb,
            "title": utf8_shown(plan.title),
            "sources": [encode_location(each) for each in plan.sources[:_MAX_SOURCES_SHOWN]],
            "sources_count": len(plan.sources),
            "destination": None if plan.destination is None else encode_location(plan.destination),
            "state": self.state,
            **_progress_tree(progress, self.info),
            "failed": [_failure(each) for each in failed[:_MAX_FAILURES]]
            or ([{"name": utf8_shown(plan.title), "reason": self.failure}] if self.failure else []),
            "skipped": 0 if self._report is None else self._report.counts["skipped"],
            "failed_count": count or int(self.failure is not None),
            "started": self.began,
            "ended": self._ended,
        }

    def _failures(self) -> list[TransferResult]:
        report = self._known()
        return [] if report is None else report.failed

    def _known(self) -> TransferReport | None:
        """Returns the report; of a job that runs or was cancelled, that of what it has done."""
        if self._report is None and self.handle is not None:
            return self.handle._running.report
        return self._report

    def _progressed(self, progress: Progress) -> None:
        if self._timeline is not None:
            counted = Bucket(items=progress.files_done, failed=progress.failed, retries=progress.retries)
            self._timeline.sample(progress.seconds, counted)
        self._changed(self)

    async def _settle(self, settled: Any) -> None:
        await settled
        self._changed(self)

    async def _follow(self, handle: AsyncTransferJob[Any]) -> None:
        outcome = await handle.outcome_within(None)
        self._ended = time.time()
        if not outcome.cancelled():
            self._error = outcome.exception()
            if self._error is None:
                result = outcome.result()
                self._report = result if isinstance(result, TransferReport) else None
            elif isinstance(self._error, TransferError):
                self._report = self._error.report
            elif not isinstance(self._error, DxflowError):
                _log.error("a job of the page failed", exc_info=self._error)
        self._changed(self)


class PageJobs:
    """The jobs of a session.

    Args:
        session: the session.

    Attributes:
        events: the pages that follow the jobs.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._jobs: dict[str, PageJob] = {}
        self.events = Events(self._snapshot)
        self._loaded = False
        self._loading = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return any(job.state == "running" for job in self._jobs.values())

    async def all(self) -> list[PageJob]:
        """Returns the jobs; the first call looks for those that earlier visits have left."""
        async with self._loading:
            if not self._loaded:
                self._loaded = True
                await self._load()
        return [*self._jobs.values()]

    def find(self, job_id: str) -> PageJob:
        """Returns a job.

        Raises:
            HTTPNotFound: there is no such job here.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise refusal(web.HTTPNotFound, "not_found", "there is no such job")
        return job

    async def start(self, plan: JobPlan) -> PageJob:
        """Starts a job.

        Raises:
            HTTPError, StorageError: it cannot be started.
        """
        await self.all()
        self.check_room()
        call = await plan.call(self._session)
        self.check_room()
        job = PageJob(plan, self._notify)
        self._add(job)
        job.start(lambda told: call.start(self._session, told))
        return job

    async def retry(self, job: PageJob) -> None:
        """Goes on with what failed, or does it all again where no record was kept."""
        if job.state not in ("failed", "cancelled"):
            raise refusal(web.HTTPConflict, "not_ended", "only a job that failed or was cancelled is tried again")
        self.check_room()
        job_id = job.unfinished_id() if job.state == "failed" else None
        if job_id is not None:
            job.start(lambda told: self._session.start.resume(job_id, on_progress=told))
            return
        call = await job.plan.call(self._session)
        job.start(lambda told: call.start(self._session, told))

    def dismiss(self, job: PageJob) -> None:
        """Takes an ended job off the list.

        Raises:
            HTTPConflict: it has not ended.
        """
        if not job.ended:
            raise refusal(web.HTTPConflict, "not_ended", "the job has not ended; cancel it first")
        self._remove(job)

    def check_room(self) -> None:
        """Refuses another job when too many run.

        Raises:
            HTTPTooManyRequests: too many run.
        """
        if sum(job.state == "running" for job in self._jobs.values()) >= MAX_RUNNING:
            text = f"{MAX_RUNNING} jobs run already; wait until one has ended"
            raise refusal(web.HTTPTooManyRequests, "too_many", text, {"Retry-After": "10"})

    async def aclose(self) -> None:
        """Stops the jobs, and keeps finished parts for the next visit."""
        self.events.close()
        await asyncio.gather(*(job.keep() for job in self._jobs.values()))

    async def _load(self) -> None:
        try:
            found = await self._session.jobs()
        except DxflowError:
            _log.warning("unfinished jobs could not be listed", exc_info=True)
            return
        for info in found[:MAX_KEPT]:
            if info.pid is None and info.source is not None:
                verb = "move" if info.operation == "move" else "copy"
                plan = JobPlan(verb, (info.source,), info.destination)  # type: ignore[arg-type]
                self._add(PageJob(plan, self._notify, info))

    def _add(self, job: PageJob) -> None:
        ended = [each for each in self._jobs.values() if each.ended]
        for each in ended[: max(0, len(self._jobs) + 1 - MAX_KEPT)]:
            self._remove(each)
        self._jobs[job.id] = job

    def _remove(self, job: PageJob) -> None:
        self._jobs.pop(job.id, None)
        self.events.removed(job.id)

    def _notify(self, job: PageJob) -> None:
        if job.id in self._jobs:
            self.events.changed(job.id)

    def _snapshot(self, job_id: str) -> dict[str, Any] | None:
        job = self._jobs.get(job_id)
        return None if job is None else job.to_dict()


def _progress_tree(progress: Progress | None, info: JobInfo | None) -> dict[str, Any]:
    if progress is None:
        return {
            "phase": "listing",
            "items_done": 0 if info is None else info.done,
            "items_total": None if info is None else info.done + info.waiting + info.failed,
            "bytes_done": 0 if info is None else info.bytes,
            "bytes_total": None,
            "rate": 0.0,
            "items_rate": 0.0,
            "eta": None,
            "concurrency": 0,
            "waiting_for": None,
        }
    return {
        "phase": progress.phase,
        "items_done": progress.files_done,
        "items_total": progress.files_total,
        "bytes_done": progress.bytes_done,
        "bytes_total": progress.bytes_total,
        "rate": progress.rate.bytes,
        "items_rate": progress.rate.items,
        "eta": progress.eta,
        "concurrency": progress.concurrency,
        "waiting_for": progress.waiting_for,
    }


def _failure(result: TransferResult) -> dict[str, str]:
    return {"name": utf8_shown(result.source or result.destination), "reason": utf8_shown(str(result.error))}
