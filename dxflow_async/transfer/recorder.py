"""Records what a call does over time, for its report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dxflow_async.config.settings import Settings
from dxflow_async.security.redaction import redacted
from dxflow_async.timeline import Bucket, Timeline
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.progress import Meter
from dxflow_async.transfer.run_options import RunOptions
from dxflow_async.transfer.waits import Waits

if TYPE_CHECKING:
    from dxflow_async.transfer.limits import Limits

__all__ = ["Recorder"]

_SETTINGS = (
    "part_size",
    "max_concurrency",
    "max_bandwidth",
    "max_memory_bytes",
    "max_attempts",
    "connect_timeout",
    "stall_timeout",
    "min_speed",
    "disk_threads",
    "durable",
    "journal",
    "transport",
    "tls_minimum_version",
)
"""The settings that a report shows. Others may name places, files or secrets."""

_ARGUMENTS = ("compare", "delete", "overwrite", "symlinks", "include", "exclude")
"""The arguments of calls that a report shows."""


class Recorder:
    """Samples the counters of one call. It is begun and ended once.

    Args:
        settings: the session's settings.
        options: how the call runs.
        meter: the call's counters.
        limits: the session's budgets. Requests of other calls of the session that run meanwhile count, too.
        waits: those of the call, and those of the session.

    Attributes:
        timeline: where they are recorded.
    """

    def __init__(
        self, settings: Settings, options: RunOptions, meter: Meter, limits: Limits, waits: Sequence[Waits]
    ) -> None:
        self.timeline = Timeline()
        self._settings = settings
        self._options = options
        self._meter = meter
        self._limits = limits
        self._waits = waits
        self._before = Bucket()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to sample."""
        self._before = self._session_counters()
        self._timer = asyncio.get_running_loop().call_later(self.timeline.width, self._tick)

    def stop(self, spec: JobSpec) -> None:
        """Takes the last sample, and notes which call it was."""
        timeline = self.timeline
        timeline.operation = spec.operation
        timeline.source, timeline.destination = (
            None if end is None else redacted(end) for end in (spec.source, spec.destination)
        )
        timeline.settings = _settings_that_applied(self._settings, spec.arguments, self._options)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._sample()

    def _tick(self) -> None:
        self._sample()
        self._timer = asyncio.get_running_loop().call_later(self.timeline.width, self._tick)

    def _sample(self) -> None:
        meter, timeline = self._meter, self.timeline
        totals = self._session_counters().minus(self._before)
        totals.bytes, totals.items, totals.failed = meter.moved_bytes, meter.ended, meter.failed
        totals.retries = max(totals.retries, meter.retries)  # workers of an executor tell them with an item's result
        totals.item_seconds = timeline.item_seconds
        timeline.sample(meter.seconds, totals)

    def _session_counters(self) -> Bucket:
        found = Bucket(concurrency=self._limits.concurrency())
        for wait in self._waits:
            found.retries += wait.retries
            found.throttles += wait.throttles
        for limit in self._limits.endpoints.values():
            requests, seconds = limit.answered
            found.requests += requests
            found.request_seconds += seconds
        return found


def _settings_that_applied(settings: Settings, arguments: Any, options: RunOptions) -> dict[str, Any]:
    """Returns the settings and arguments that a report shows, as plain JSON types."""
    found: dict[str, Any] = {name: getattr(settings, name) for name in _SETTINGS}
    found |= {name: arguments[name] for name in _ARGUMENTS if name in arguments}
    found |= {"timeout": options.timeout, "on_cancel": options.on_cancel}
    if options.workers is not None:
        executor = options.workers.executor
        found["processes"] = options.workers.processes
        found["executor"] = None if executor is None else type(executor).__name__
    return found
