"""Calls record what happens when: bytes, items, requests, retries and throttles."""

from __future__ import annotations

from pathlib import Path

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import TransferError
from dxflow_async.reports import TransferReport
from tests.faults.proxy import FaultProxy
from tests.servers import SeaweedFS
from tests.sessions import retry_soon, settings_for


async def test_retries_and_throttles_are_on_the_time_line(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """A service that refuses requests shows as retries and throttles, and requests have a latency."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(5):
        (source / str(number)).write_bytes(bytes(1000))
    proxy = FaultProxy(weed.endpoint, ("too_many",), rate=1.0, limit=3)
    async with (
        proxy.running(),
        AsyncSession(settings=settings_for(weed, tmp_path / "home", endpoint=proxy.endpoint)) as session,
    ):
        retry_soon(session)
        report = await session.copy(f"{source}/", f"aws:/{bucket}/recorded/")
    timeline = report.timeline
    assert timeline is not None
    totals = timeline.totals
    assert (totals.items, totals.bytes, totals.failed) == (5, 5000, 0)
    assert (totals.retries, totals.throttles) == (3, 3)
    assert totals.requests >= 8
    assert totals.latency is not None
    assert (timeline.operation, timeline.destination) == ("copy", f"aws:/{bucket}/recorded/")
    assert timeline.sizes.bins() == [(512.0, 1024.0, 5)]
    assert timeline.seconds >= report.seconds


async def test_a_second_call_counts_only_its_own(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """Counters of the session that are older than a call are not the call's."""
    (tmp_path / "file").write_bytes(b"content")
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        first = await session.copy(tmp_path / "file", f"aws:/{bucket}/once")
        second = await session.copy(tmp_path / "file", f"aws:/{bucket}/twice")
    assert first.timeline is not None
    assert second.timeline is not None
    assert second.timeline.totals.requests <= first.timeline.totals.requests
    assert second.timeline.totals.items == 1


async def test_a_failed_call_has_its_record(tmp_path: Path) -> None:
    """The report of a `TransferError` has the time line, too, and no secret is among its settings."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"content")
    (tmp_path / "there" / "file").mkdir(parents=True)
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        try:
            await session.copy(f"{source}/", f"{tmp_path / 'there'}/")
        except TransferError as error:
            report = error.report
    assert report.timeline is not None
    assert report.timeline.totals.failed == 1
    assert not {key for key in report.timeline.settings if "secret" in key or "key" in key}


async def test_workers_of_processes_are_recorded(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """Items that other processes move are in the coordinator's record."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(20):
        (source / str(number)).write_bytes(bytes(1000))
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        report = await session.copy(f"{source}/", f"aws:/{bucket}/spread/", processes=2)
    assert report.timeline is not None
    totals = report.timeline.totals
    assert (totals.items, totals.bytes, report.timeline.sizes.count) == (20, 20_000, 20)
    assert report.timeline.settings["processes"] == 2


async def test_a_sync_counts_what_it_deletes(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """What it copies and deletes is in one record."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "new").write_bytes(b"new")
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        await session.write(f"aws:/{bucket}/synced/old", b"old")
        report = await session.sync(source, f"aws:/{bucket}/synced", delete=True)
    assert isinstance(report, TransferReport)
    assert report.timeline is not None
    assert report.timeline.operation == "sync"
    assert report.timeline.totals.items == 2
    assert report.timeline.settings["delete"] is True
