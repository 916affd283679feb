"""OpenTelemetry: spans of calls, items and parts; counters of items, bytes, retries and refusals; requests in flight.

A program that exports telemetry imports OpenTelemetry itself. Until it does, the only cost is one look at `sys.modules`
per call. The package is the extra `otel`. The program configures where data is exported to, as for any instrumented
library.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dxflow_async.exceptions import StorageError
from dxflow_async.models import TransferReport, TransferResult
from dxflow_async.providers.contract import Part
from dxflow_async.security.redaction import printable

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span

__all__ = ["Watch", "concurrency", "retried", "throttled", "watch"]

_SCOPE = "dxflow_async"


def watch() -> Watch | None:
    """Returns what watches a call; None if the program has not imported OpenTelemetry."""
    return Watch() if _listened() else None


def retried(error: StorageError, seconds: float) -> None:
    """Records that a request failed and is tried again after `seconds`."""
    if _listened():
        from opentelemetry import trace

        attributes = {"dxflow.provider": error.provider, "error.type": type(error).__name__}
        _instruments().retries.add(1, attributes)
        event = {**attributes, "dxflow.wait": seconds, **_told(error)}
        trace.get_current_span().add_event("retry", event)


def throttled(endpoint: str) -> None:
    """Records that an endpoint refused a request because there were too many."""
    if _listened():
        _instruments().throttles.add(1, {"dxflow.endpoint": endpoint})


def concurrency(endpoint: str, limit: int) -> None:
    """Records how many requests may be in flight to an endpoint."""
    if _listened():
        _instruments().concurrency.set(limit, {"dxflow.endpoint": endpoint})


class Watch:
    """The spans and counters of one call. `item` is any hashable object that stands for an item."""

    def __init__(self) -> None:
        from opentelemetry import trace

        self._tracer = trace.get_tracer(_SCOPE)
        self._items: dict[Any, Span] = {}
        self._call: Any = None

    @contextmanager
    def call(self, report: TransferReport) -> Iterator[None]:
        """Opens the span of the call, and sets what the call has done as attributes at its end."""
        from opentelemetry import trace

        with self._tracer.start_as_current_span("dxflow.transfer") as span:
            self._call = trace.set_span_in_context(span)
            try:
                yield
            finally:
                for each in self._items.values():
                    each.end()  # items that a cancellation interrupted
                retries = sum(result.attempts - 1 for result in report)
                span.set_attributes(
                    {
                        "dxflow.items": len(report),
                        "dxflow.items.failed": len(report.failed),
                        "dxflow.bytes": report.bytes,
                        "dxflow.retries": retries,
                    }
                )
                _instruments().duration.record(report.seconds)

    def begin(self, item: Any) -> None:
        """Opens the span of an item."""
        self._items[item] = self._tracer.start_span("dxflow.item", self._call)

    @contextmanager
    def part(self, item: Any, part: Part) -> Iterator[None]:
        """Opens the span of one part of an item."""
        from opentelemetry import trace

        attributes = {"dxflow.part": part.number, "dxflow.offset": part.offset, "dxflow.bytes": part.size}
        above = trace.set_span_in_context(self._items[item])
        with self._tracer.start_as_current_span("dxflow.part", above, attributes=attributes):
            yield

    def end(self, item: Any, result: TransferResult | None = None) -> None:
        """Ends the span of an item. Without a result, the item starts anew."""
        span = self._items.pop(item)
        if result is not None:
            _describe(span, result)
            outcome = "failed" if result.error is not None else "skipped" if result.skipped is not None else "done"
            instruments = _instruments()
            instruments.items.add(1, {"dxflow.outcome": outcome})
            instruments.bytes.add(result.bytes)
        span.end()


def _describe(span: Span, result: TransferResult) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attributes(
        {
            "dxflow.source": printable(result.source),
            "dxflow.destination": printable(result.destination),
            "dxflow.bytes": result.bytes,
            "dxflow.attempts": result.attempts,
            "dxflow.verified": result.verified,
        }
    )
    if result.error is not None:
        span.set_attributes({"error.type": type(result.error).__name__, **_told(result.error)})
        span.set_status(Status(StatusCode.ERROR, str(result.error)))


def _told(error: StorageError) -> dict[str, str | int]:
    """Returns the attributes with what the provider said of a failure."""
    told = {"http.response.status_code": error.status, "dxflow.code": error.code, "dxflow.request_id": error.request_id}
    return {name: value for name, value in told.items() if value is not None}


class _Instruments:
    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(_SCOPE)
        self.items = meter.create_counter("dxflow.items", "{item}", "Items that ended, by outcome")
        self.bytes = meter.create_counter("dxflow.bytes", "By", "Bytes of items that ended")
        self.retries = meter.create_counter("dxflow.retries", "{retry}", "Requests that were retried")
        self.throttles = meter.create_counter("dxflow.throttles", "{event}", "Requests refused as too many")
        self.concurrency = meter.create_gauge("dxflow.concurrency", "{request}", "Requests that may be in flight")
        self.duration = meter.create_histogram("dxflow.duration", "s", "Seconds that calls took")


def _instruments() -> _Instruments:
    from opentelemetry import metrics

    return _made(metrics.get_meter_provider())


@functools.lru_cache(maxsize=4)
def _made(provider: MeterProvider) -> _Instruments:
    """Creates the instruments once per provider: OpenTelemetry warns about a second creation."""
    return _Instruments(provider)


def _listened() -> bool:
    return "opentelemetry.trace" in sys.modules
