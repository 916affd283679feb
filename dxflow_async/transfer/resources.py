"""The resources that a session owns and all its calls share: the data plane, threads, limits, the retry policy."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from dxflow_async.concurrency.descriptors import Descriptors
from dxflow_async.concurrency.event_loop import check_asyncio
from dxflow_async.concurrency.ownership import Owner
from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.sdk_configuration import aws_bundles
from dxflow_async.exceptions import (
    ExecutorError,
    NotFoundError,
    SessionClosedError,
    TransferError,
    TransferTimeoutError,
    UnsafePathError,
)
from dxflow_async.models import TransferReport
from dxflow_async.net import AddressRule, ProxyRules, TLSOptions
from dxflow_async.plurals import counted
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.registry import ProviderResources
from dxflow_async.security.redaction import printable
from dxflow_async.transfer.context import PartMover, TransferContext
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.progress import Meter, OnProgress
from dxflow_async.transfer.retry import RetryPolicy
from dxflow_async.transfer.run_options import RunOptions
from dxflow_async.transfer.running_call import running_call
from dxflow_async.transfer.waits import Waits

if TYPE_CHECKING:
    from dxflow_async.config.settings import Settings
    from dxflow_async.transfer.engine import Engine, TransferItem
    from dxflow_async.transfer.executor.coordinator import Coordinator, Placement
    from dxflow_async.transfer.executor.seam import ProcessPool
    from dxflow_async.transfer.journal.journal import Journal
    from dxflow_async.transfer.journal.records import ItemId, JobSpec
    from dxflow_async.transfer.recorder import Recorder

__all__ = ["Resources", "TransferCall", "raise_failures"]


_MOST_GROUPS = 5
"""How many reasons the end of a traceback names."""


@dataclass(slots=True, weakref_slot=True, eq=False)
class Resources:
    """Made from the settings; closed with the session.

    Attributes:
        settings: the session's settings.
        rule: the addresses of storage that may be connected to; None: all.
        http: the data plane.
        proxies: the proxy rules of the data plane and of the hub's client.
        threads: the worker threads, for disks.
        limits: the limits of concurrency, memory and bandwidth.
        policy: how often, and after which waits, requests are retried.
        owner: the process and the event loop that the session belongs to.
        closed: whether the session was closed. Calls that begin later raise `SessionClosedError`; the connections
            themselves stay open until `aclose`.
        pools: the processes that calls run on, by their number.
    """

    settings: Settings
    rule: AddressRule | None = None
    http: HTTP = field(init=False)
    proxies: ProxyRules = field(init=False)
    threads: Threads = field(init=False)
    limits: Limits = field(init=False)
    policy: RetryPolicy = field(init=False)
    owner: Owner = field(init=False)
    closed: bool = field(init=False, default=False)
    pools: dict[int, ProcessPool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        check_asyncio()
        settings = self.settings
        self.proxies = ProxyRules.from_system(os.environ)
        descriptors = Descriptors.free()
        self.limits = Limits(
            settings.max_concurrency, settings.max_memory_bytes, settings.max_bandwidth, descriptors=descriptors
        )
        self.threads = Threads(settings.disk_threads, durable=settings.durable)
        self.http = HTTP(
            self.threads,
            connect_timeout=settings.connect_timeout,
            stall_timeout=settings.stall_timeout,
            min_speed=settings.min_speed,
            throttle=self.limits.bandwidth,
            tls=TLSOptions(
                ca_bundle=settings.ca_bundle,
                client_certificate=settings.client_certificate,
                client_key=settings.client_key,
                minimum_version=settings.tls_minimum_version,
                find_bundles=partial(aws_bundles, [settings.aws, *settings.remotes.values()])
                if settings.sdk_configuration
                else None,
            ),
            proxies=self.proxies,
            transport=settings.transport,
            max_connections=descriptors.connections,
            rule=self.rule,
        )
        self.policy = RetryPolicy(settings.max_attempts)
        self.owner = Owner(self)

    def check_open(self) -> None:
        """Checks that the session is open, and used where it belongs.

        Raises:
            ConfigurationError: the caller is a task of trio.
            SessionLoopError: the caller runs in another event loop than the session's.
            SessionClosedError: the session was closed, or belongs to the parent process.
        """
        self.owner.check()
        self.check_not_closed()

    def check_place(self) -> None:
        """Checks the same for a call that does no work, and that may be made without a loop."""
        self.owner.check_place()
        self.check_not_closed()

    def check_not_closed(self) -> None:
        """Checks that the session is open, for what a blocking session calls in its caller's thread.

        Raises:
            SessionClosedError: the session was closed, or belongs to the parent process.
        """
        self.owner.check_process()
        if self.closed:
            raise SessionClosedError("this session was closed; make a new one")

    def of_provider(self, name: str) -> ProviderResources:
        """Returns what the session gives a provider; `name` is the remote's name in capitals."""
        settings = self.settings
        return ProviderResources(name, self.http, self.threads, settings.durable, settings.home)

    def context(
        self, on_progress: OnProgress | None, journal: Journal | None = None, part_mover: PartMover | None = None
    ) -> TransferContext:
        """Returns a context for the items of one call."""
        self.check_open()
        policy = replace(self.policy, waits=Waits(gives_up_once=True))
        return TransferContext(
            self.limits,
            policy,
            Meter(on_progress, self.limits.concurrency, [policy.waits.text, self.policy.waits.text]),
            self.settings.part_size,
            self.threads,
            journal,
            part_mover,
        )

    def begin(
        self,
        spec: JobSpec,
        on_progress: OnProgress | None,
        journal: Journal | None = None,
        placement: Placement | None = None,
        options: RunOptions | None = None,
    ) -> TransferCall:
        """Begins a call that transfers items.

        Args:
            spec: the call, for its journal.
            on_progress: called with a `Progress` at most ten times a second.
            journal: the journal of an earlier call that is resumed; by default a new one, where the settings say so.
            placement: where the call runs; None: in this process.
            options: how the call runs.
        """
        from dxflow_async.transfer.journal.journal import Journal
        from dxflow_async.transfer.recorder import Recorder

        self.check_open()
        if journal is None and self.settings.journal:
            journal = Journal(self.settings.home, self.threads, spec)
        coordinator = None
        if placement is not None:
            from dxflow_async.transfer.executor.coordinator import Coordinator

            coordinator = Coordinator(placement, journal, self.threads)
        context = self.context(on_progress, journal, coordinator)
        options = options or RunOptions()
        waits = (context.policy.waits, self.policy.waits)
        recorder = Recorder(self.settings, options, context.meter, self.limits, waits)
        return TransferCall(context, spec, journal, coordinator, options, recorder)

    def abandon(self) -> None:
        """Closes connections and threads once the session's event loop does not run any more."""
        self.closed = True
        self.http.client.abandon()
        for pool in self.pools.values():
            pool.drop()
        self.threads.close()

    async def aclose(self) -> None:
        """Closes connections and threads, and ends the processes of pools."""
        self.closed = True
        pools = list(self.pools.values())
        self.pools.clear()
        try:
            for pool in pools:
                await self.threads.run(pool.close)
        finally:
            try:
                await self.http.aclose()
            finally:
                self.threads.close()


class TransferCall:
    """One call that transfers items. It is used once.

    Attributes:
        context: what its items share.
        spec: the call, for its journal.
        report: the items that have ended.
    """

    def __init__(
        self,
        context: TransferContext,
        spec: JobSpec,
        journal: Journal | None,
        coordinator: Coordinator | None,
        options: RunOptions,
        recorder: Recorder,
    ) -> None:
        self.context = context
        self.spec = spec
        self._recorder = recorder
        self.report = self._follow(TransferReport())
        self._options = options
        self._handle = running_call.get()
        self._journal = journal
        self._coordinator = coordinator

    @property
    def pairs(self) -> Sequence[ItemId]:
        """The items of a call that was given pairs, where its journal could not be written."""
        return () if self._journal is None else self._journal.pairs

    @property
    def recorded(self) -> bool:
        """Whether the call keeps a journal."""
        return self._journal is not None

    async def run(self, items: AsyncIterator[TransferItem]) -> TransferReport:
        """Transfers the items. The journal records each result, and is deleted when all items succeeded.

        Raises:
            TransferError: some item failed; `report` has every item's result.
            ExecutorError: the workers of the executor cannot go on; `job_id` is what to resume.
        """
        from dxflow_async.transfer.engine import Engine

        journal, meter, limits = self._journal, self.context.meter, self.context.limits
        workers = limits.workers if self._coordinator is None else partial(self._coordinator.most_parts, limits.workers)
        engine = Engine(workers, meter, journal, limits.max_finishing, limits.out_of_descriptors, keeps=self._keeps)
        self.report = self._follow(engine.report)
        if self._handle is not None:
            self._handle.report = self.report
            self._handle.reports.append(self.report)
        limits.calls += 1
        limits.watchers.add(engine.call_workers)
        try:
            report = await (self._run(engine, items) if journal is None else self._recorded(journal, engine, items))
        finally:
            limits.calls -= 1
            limits.watchers.discard(engine.call_workers)
        report.concurrency = limits.concurrency()
        meter.close()
        return raise_failures(report)

    def start(self) -> None:
        """Begins to report the progress and to record it. `stop` ends it."""
        self.context.meter.start()
        self._recorder.start()

    def stop(self) -> None:
        """Ends what `start` has begun."""
        self.context.meter.stop()
        self._recorder.stop(self.spec)

    def _follow(self, report: TransferReport) -> TransferReport:
        report.timeline = self._recorder.timeline
        return report

    def timed_out(self) -> TransferTimeoutError:
        """Returns the error of a call that took longer than its timeout."""
        report, job_id = self.report, None if self._journal is None else self._journal.job_id
        report.seconds, report.job_id = self.context.meter.seconds, job_id
        rest = "" if job_id is None else f"; resume job {job_id} to continue"
        ended = f"{counted(len(report), 'item')} ended"
        text = f"the {self.spec.operation} took longer than {self._options.timeout:g} s, and {ended}"
        return TransferTimeoutError(f"{text}{rest}", report=report, operation=self.spec.operation)

    def _keeps(self) -> bool:
        """Returns whether a cancellation leaves the finished parts of large items."""
        return self._options.on_cancel == "keep" or (self._handle is not None and self._handle.pauses)

    async def _run(self, engine: Engine, items: AsyncIterator[TransferItem]) -> TransferReport:
        if self._coordinator is None:
            return await engine.run(items)
        return await self._coordinator.run(engine, items, self.context.meter)

    async def _recorded(self, journal: Journal, engine: Engine, items: AsyncIterator[TransferItem]) -> TransferReport:
        succeeded, resumable, failure = False, True, None
        try:
            report = await self._run(engine, journal.remaining(items))
            succeeded, resumable = report.ok, not _was_hopeless(report)
        except ExecutorError as error:
            failure = error
            raise
        finally:
            pauses = self._handle is not None and self._handle.pauses
            await journal.close(succeeded=succeeded, pauses=pauses, resumable=resumable)
            if self._handle is not None:
                self._handle.job_id, self._handle.planned = (
                    journal.job_id,
                    journal.spec.source is not None or self.context.meter.complete,
                )
            if failure is not None and journal.job_id is not None:
                failure.job_id = journal.job_id
                failure.args = (f"{failure.args[0]}; then resume job {journal.job_id}",)
        if not succeeded:
            report.job_id = journal.job_id
        return report


def _was_hopeless(report: TransferReport) -> bool:
    """Returns whether every item failed because its source does not exist, or because of its name."""
    return len(report.failed) == len(report) and all(
        isinstance(each.error, UnsafePathError)
        or (isinstance(each.error, NotFoundError) and each.error.operation not in ("write", "make directory"))
        for each in report.failed
    )


def raise_failures(report: TransferReport) -> TransferReport:
    """Returns the report when no item failed.

    Raises:
        TransferError: some item failed; the message has the first reason.
    """
    failed = report.failed
    if failed:
        first = failed[0].error
        assert first is not None
        message = str(first) if len(report) == 1 else f"{len(failed)} of {len(report)} items failed; the first: {first}"
        failure = TransferError(
            message,
            report=report,
            provider=first.provider,
            operation=first.operation,
            path=first.path,
            status=first.status,
            code=first.code,
            request_id=first.request_id,
        )
        if len(report) > 1:
            for note in _summary(report):
                failure.add_note(note)
        raise failure from first
    return report


def _summary(report: TransferReport) -> list[str]:
    """Returns the lines that end a traceback: what failed how often, and how to go on."""
    groups = report.failure_groups()
    lines = [f"{len(items)} x {text} (such as {printable(items[0].source)})" for text, items in groups[:_MOST_GROUPS]]
    if len(groups) > _MOST_GROUPS:
        lines.append(f"and {len(groups) - _MOST_GROUPS} other reasons")
    if report.job_id is not None:
        lines.append(f"error.report.retry_failed() tries these items again, and so does resume({report.job_id!r})")
    return lines
