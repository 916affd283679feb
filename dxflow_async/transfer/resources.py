"""What a session owns and all its calls share: the data plane, threads, budgets, the retry policy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Self

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import TransferError
from dxflow_async.models import TransferReport
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.registry import ProviderResources
from dxflow_async.transfer.context import TransferContext
from dxflow_async.transfer.engine import Engine, TransferItem
from dxflow_async.transfer.journal.journal import Journal
from dxflow_async.transfer.journal.records import ItemId, JobSpec
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.progress import Meter, OnProgress
from dxflow_async.transfer.retry import RetryPolicy

__all__ = ["Resources", "checked"]


Again = Callable[[JobSpec, str | None, Sequence[ItemId]], Any]


@dataclass(slots=True)
class Resources:
    """Made from the settings; closed with the session.

    Attributes:
        account: the hub that the session's account is at, once it has signed in to one.
        again: does once more what a call was asked, but for what is done already.
    """

    settings: Settings
    http: HTTP = field(init=False)
    threads: Threads = field(init=False)
    limits: Limits = field(init=False)
    policy: RetryPolicy = field(init=False)
    account: str | None = field(init=False, default=None)
    again: Again | None = field(init=False, default=None)
    _earlier: Callable[[JobSpec], Journal] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        settings = self.settings
        self.limits = Limits(settings.max_concurrency, settings.max_memory_bytes, settings.max_bandwidth)
        self.threads = Threads(settings.disk_threads, durable=settings.durable)
        self.http = HTTP(
            self.threads,
            connect_timeout=settings.connect_timeout,
            stall_timeout=settings.stall_timeout,
            ca_bundle=settings.ca_bundle,
            throttle=self.limits.bandwidth,
        )
        self.policy = RetryPolicy(settings.max_attempts)

    def of_provider(self, name: str) -> ProviderResources:
        """What the session gives a provider; `name` is the remote's, in capitals."""
        return ProviderResources(name, self.http, self.threads, self.settings.durable)

    def resuming(self, journal: Callable[[JobSpec], Journal]) -> Self:
        """The same, for a call that goes on with what an earlier one has begun."""
        resources = copy(self)
        resources._earlier = journal
        return resources

    def context(self, on_progress: OnProgress | None, journal: Journal | None = None) -> TransferContext:
        """What the jobs of one call share."""
        return TransferContext(
            self.limits, self.policy, Meter(on_progress), self.settings.part_size, self.threads, journal
        )

    async def transfer(
        self,
        plan: Callable[[TransferContext], AsyncIterator[TransferItem]],
        on_progress: OnProgress | None,
        asked: JobSpec,
    ) -> TransferReport:
        """Runs the jobs of a plan, and remembers what is done until all is.

        Raises:
            TransferError: some item failed; it has the report.
        """
        journal = self._journal(asked)
        context = self.context(on_progress, journal)
        engine, jobs = Engine(self.limits.workers, context.meter, journal), plan(context)
        if journal is None:
            report = await engine.run(jobs)
        else:
            report = await self._recorded(journal, engine, jobs)
        context.meter.close()
        return checked(report)

    def _journal(self, asked: JobSpec) -> Journal | None:
        if not self.settings.journal:
            return None
        if self._earlier is not None:
            return self._earlier(asked)
        return Journal(self.settings.home, self.threads, replace(asked, account=self.account))

    async def _recorded(self, journal: Journal, engine: Engine, jobs: AsyncIterator[TransferItem]) -> TransferReport:
        well = False
        try:
            report = await engine.run(journal.remaining(jobs))
            well = report.ok
        finally:
            await journal.close(well=well)
        if not well:
            report.job_id = journal.job_id
            report.may_retry(self.repeated(journal.asked, journal))
        return report

    def repeated(self, asked: JobSpec, journal: Journal | None = None) -> Callable[[], Any] | None:
        """What does that once more, but for what the journal has as done."""
        again = self.again
        if again is None:
            return None
        job_id, pairs = (None, ()) if journal is None else (journal.job_id, journal.pairs)
        return lambda: again(asked, job_id, pairs)

    async def aclose(self) -> None:
        """Closes connections and threads."""
        await self.http.aclose()
        self.threads.close()


def checked(report: TransferReport) -> TransferReport:
    """The report itself, when nothing failed.

    Raises:
        TransferError: something did; the first reason is in its message.
    """
    failed = report.failed
    if failed:
        first = failed[0].error
        assert first is not None
        message = str(first) if len(report) == 1 else f"{len(failed)} of {len(report)} items failed; the first: {first}"
        raise TransferError(
            message,
            report=report,
            provider=first.provider,
            operation=first.operation,
            path=first.path,
            status=first.status,
            code=first.code,
            request_id=first.request_id,
        ) from first
    return report
