"""What a session owns and all its calls share: the data plane, threads, budgets, the retry policy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from dxflow_async.config import Settings
from dxflow_async.exceptions import TransferError
from dxflow_async.models import TransferReport
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.threads import Threads
from dxflow_async.transfer.engine import Engine, Job
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.moving import Route
from dxflow_async.transfer.progress import Meter, OnProgress
from dxflow_async.transfer.retry import RetryPolicy

__all__ = ["Resources", "checked"]


@dataclass(slots=True)
class Resources:
    """Made from the settings; closed with the session."""

    settings: Settings
    http: HTTP = field(init=False)
    threads: Threads = field(init=False)
    limits: Limits = field(init=False)
    policy: RetryPolicy = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.limits = Limits(settings.max_concurrency, settings.max_memory_bytes, settings.max_bandwidth)
        self.threads = Threads(settings.disk_threads)
        self.http = HTTP(
            self.threads,
            connect_timeout=settings.connect_timeout,
            stall_timeout=settings.stall_timeout,
            ca_bundle=settings.ca_bundle,
            throttle=self.limits.bandwidth,
        )
        self.policy = RetryPolicy(settings.max_attempts)

    def route(self, on_progress: OnProgress | None) -> Route:
        """What the jobs of one call share."""
        return Route(self.limits, self.policy, Meter(on_progress), self.settings.part_size)

    async def transfer(
        self, plan: Callable[[Route], AsyncIterator[Job]], on_progress: OnProgress | None
    ) -> TransferReport:
        """Runs the jobs of a plan.

        Raises:
            TransferError: some item failed; it has the report.
        """
        route = self.route(on_progress)
        report = await Engine(self.limits.workers, route.meter).run(plan(route))
        route.meter.close()
        return checked(report)

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
