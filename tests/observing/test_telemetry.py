from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dxflow_async import AsyncSession, AWSSettings, Settings
from dxflow_async.exceptions import DxflowError, ServiceError, ThrottledError
from dxflow_async.providers.http import Call
from dxflow_async.transfer.adaptive_limit import AdaptiveLimit
from tests.scripted_server import ScriptedServer, answer
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for


class Exported:
    """What a program's OpenTelemetry got."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracing = TracerProvider()
        self.tracing.add_span_processor(SimpleSpanProcessor(self.spans))
        self.metering = MeterProvider([self.reader])

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def sums(self) -> dict[str, Any]:
        """Of each metric its value over all attributes, or how often it was recorded."""
        data = self.reader.get_metrics_data()
        found: dict[str, Any] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = metric.data.data_points
                    found[metric.name] = sum(
                        getattr(point, "value", None) or getattr(point, "count", 0) for point in points
                    )
        return found


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exported]:
    """A program's providers, as long as the test."""
    found = Exported()
    monkeypatch.setattr(trace, "get_tracer", found.tracing.get_tracer)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: found.metering)
    yield found
    found.metering.shutdown()
    found.tracing.shutdown()


async def test_spans_and_counts_of_a_transfer(weed: SeaweedFS, bucket: str, tmp_path: Path, exported: Exported) -> None:
    """A call has a span, each item one below it, each part one below that; items and bytes are counted."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(b"x" * 16 * MiB)
    (source / "small").write_bytes(b"y" * 1000)
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home", part_size=5 * MiB)) as session:
        report = await session.get_storage_manager().upload(f"{source}/", f"/{bucket}/telemetry/")
    (call,) = exported.named("dxflow.transfer")
    items, parts = exported.named("dxflow.item"), exported.named("dxflow.part")
    assert call.attributes is not None
    assert call.attributes["dxflow.items"] == len(items) == len(report) == 2
    assert call.attributes["dxflow.bytes"] == report.bytes == 16 * MiB + 1000
    assert {span.parent.span_id for span in items if span.parent} == {call.context.span_id}
    by_item = {span.context.span_id: (span.attributes or {})["dxflow.source"] for span in items}
    sources = [by_item[span.parent.span_id] for span in parts if span.parent]
    assert sorted(Path(str(each)).name for each in sources) == ["large"] * 4 + ["small"]
    sums = exported.sums()
    assert (sums["dxflow.items"], sums["dxflow.bytes"], sums["dxflow.duration"]) == (2, 16 * MiB + 1000, 1)
    assert "dxflow.retries" not in sums


async def test_retries_and_failures(tmp_path: Path, exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
    """Each retry is an event and a count, throttling is one, and a failed item's span tells the request; so do logs."""
    caplog.set_level(logging.INFO, "dxflow_async")
    slow = answer("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>", x_amz_request_id="REQ-1", Retry_After="0")
    own = AWSSettings(region="us-east-1", access_key="ID", secret_key="KEY")
    (tmp_path / "file").write_text("x")
    async with ScriptedServer(slow) as server:
        aws = AWSSettings(endpoint=server.url, region=own.region, access_key="ID", secret_key="KEY")
        async with AsyncSession(settings=Settings(home=tmp_path / "home", max_attempts=3, aws=aws)) as session:
            with pytest.raises(DxflowError, match=r"\(request REQ-1\)"):
                await session.get_storage_manager().upload(tmp_path / "file", "/bucket/key")
    (item,) = exported.named("dxflow.item")
    assert item.attributes is not None
    assert item.attributes["dxflow.request_id"] == "REQ-1"
    assert item.attributes["http.response.status_code"] == 503
    assert not item.status.is_ok
    (part,) = exported.named("dxflow.part")
    assert [event.name for event in part.events if event.name == "retry"] == ["retry"] * 2
    sums = exported.sums()
    assert (sums["dxflow.retries"], sums["dxflow.throttles"]) == (2, 3)
    fields = [getattr(record, "fields", {}) for record in caplog.records]
    assert {"attempt", "wait", "provider", "operation", "path", "status", "code", "request_id"} in [
        set(each) for each in fields
    ]


async def test_a_call_that_is_broken_off(exported: Exported, tmp_path: Path) -> None:
    """When nothing can be planned, the call's span ends, with the error."""
    async with ScriptedServer(answer("404 Not Found")) as server:
        aws = AWSSettings(endpoint=server.url, region="us-east-1", access_key="ID", secret_key="KEY")
        async with AsyncSession(settings=Settings(home=tmp_path / "home", max_attempts=1, aws=aws)) as session:
            with pytest.raises(DxflowError):
                await session.get_storage_manager().download("/bucket/key", tmp_path / "to")
    (call,) = exported.named("dxflow.transfer")
    assert not call.status.is_ok
    assert exported.named("dxflow.item") == []


def test_nothing_is_loaded_for_it(tmp_path: Path) -> None:
    """A program that has not imported OpenTelemetry transfers without it being loaded."""
    code = f"""
import asyncio, sys
from pathlib import Path
from dxflow_async import AsyncSession, Settings

async def main():
    home = Path({str(tmp_path)!r})
    (home / "a").write_text("x")
    async with AsyncSession(settings=Settings(home=home)) as session:
        await session.copy(home / "a", home / "b")

asyncio.run(main())
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert run.stdout.strip() == "[]"
    assert (tmp_path / "b").read_text() == "x"


def test_the_request_is_named() -> None:
    """An error has the provider's id of the request, and its message does, where there is one."""
    call = Call("AWS", "read", "/b/k")
    assert str(call.error(ServiceError, "no", request_id="R1")) == "AWS read of /b/k failed: no (request R1)"
    assert call.error(ServiceError, "no", request_id="R1").request_id == "R1"
    assert str(call.error(ServiceError, "no")) == "AWS read of /b/k failed: no"


async def test_limits_name_their_endpoint(exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
    """Throttling is logged and counted with the endpoint, and how many requests may be in flight from now on."""
    caplog.set_level(logging.INFO, "dxflow_async")
    limit = AdaptiveLimit(64, 40, endpoint="https://host")
    permits = [await limit.acquire() for _ in range(8)]
    await asyncio.sleep(0.1)
    for permit in permits:
        limit.release(permit, ThrottledError("slow down"))
    assert caplog.records[-1].__dict__["fields"] == {"endpoint": "https://host", "concurrency": 26}
    sums = exported.sums()
    assert (sums["dxflow.throttles"], sums["dxflow.concurrency"]) == (8, 26)
