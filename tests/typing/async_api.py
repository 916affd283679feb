"""The types of the async API, as a user's type checker sees them. mypy checks this module; no test runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, assert_type

from dxflow_async import (
    AsyncComputeManager,
    AsyncComputeUnit,
    AsyncItemStream,
    AsyncSession,
    AsyncStorageManager,
    AsyncUnitStorage,
    AWSSettings,
    Item,
    ItemList,
    JobList,
    Leftover,
    Progress,
    S3Settings,
    Settings,
    StorageError,
    SyncPlan,
    TransferError,
    TransferReport,
    TransferResult,
    Unit,
)


async def chunks() -> AsyncIterator[bytes]:
    """Yield a body in chunks."""
    yield b"bytes"


async def sessions() -> None:
    """A session is its own context manager, and its settings are typed."""
    async with AsyncSession(email="you@example.com", password="secret") as session:
        assert_type(session, AsyncSession)
        assert_type(session.settings, Settings)
        assert_type(session.secrets, dict[str, Any] | None)
        assert_type(session.closed, bool)
        assert_type(session.get_storage_manager(), AsyncStorageManager)
        assert_type(session.get_compute_manager(), AsyncComputeManager)
        assert_type(await session.jobs(), JobList)
        assert_type(await session.resume("0123abcd"), TransferReport)
        assert_type(await session.clean_jobs(dry_run=True), list[Leftover])
    AsyncSession(settings=Settings(aws=AWSSettings(endpoint="https://minio.example.org")))
    AsyncSession(remotes={"minio": S3Settings(endpoint="https://minio.example.org")})
    AsyncSession(emial="you@example.com")  # type: ignore[call-arg]
    AsyncSession(b"you@example.com")  # type: ignore[arg-type]


async def transfers(session: AsyncSession) -> None:
    """The result of a sync depends on `dry_run`."""
    assert_type(await session.copy("data/", "aws:/bucket/data/"), TransferReport)
    assert_type(await session.move(Path("data"), "gcp:/bucket/data/"), TransferReport)
    assert_type(await session.sync("data", "aws:/bucket/data"), TransferReport)
    assert_type(await session.sync("data", "aws:/bucket/data", delete=True, exclude=["*.tmp"]), TransferReport)
    assert_type(await session.sync("data", "aws:/bucket/data", dry_run=True), SyncPlan)
    await session.sync("data", "aws:/bucket/data", compare="contents")  # type: ignore[call-overload]


async def storage_calls(storage: AsyncStorageManager) -> None:
    """Listings are items, transfers return reports, and a read yields bytes."""
    assert_type(await storage.list(), ItemList)
    assert_type(await storage.list("AWS", "/bucket/", recursive=True), ItemList)
    assert_type(storage.scan(path="/bucket/"), AsyncItemStream[Item])
    assert_type(await storage.stat("/bucket/key"), Item)
    assert_type(await storage.exists("/bucket/key"), bool)
    assert_type(await storage.upload(Path("data.csv"), "/bucket/"), TransferReport)
    assert_type(await storage.download("/bucket/data.csv"), TransferReport)
    assert_type(await storage.upload_many([("a", "/bucket/a")]), TransferReport)
    assert_type(await storage.write("/bucket/key", chunks()), TransferReport)
    assert_type(storage.read("/bucket/key", 0, 100), AsyncItemStream[bytes])
    assert_type(await storage.delete(["/bucket/key"]), int)
    assert_type(await storage.presign("/bucket/key"), str)
    await storage.write("/bucket/key", "text")  # type: ignore[arg-type]
    await storage.upload(1, "/bucket/")  # type: ignore[arg-type]


async def units(compute: AsyncComputeManager) -> None:
    """A unit's storage has the verbs of every storage."""
    assert_type(await compute.list(), list[Unit])
    unit = await compute.get_unit("Demo")
    assert_type(unit, AsyncComputeUnit)
    assert_type(unit.storage, AsyncUnitStorage)
    assert_type(await unit.storage.list(), ItemList)
    assert_type(await unit.storage.upload("data.csv", "/results/"), TransferReport)


async def reports(storage: AsyncStorageManager) -> None:
    """A report is a sequence of results, and a failed transfer carries one."""

    def on_progress(progress: Progress) -> None:
        assert_type(progress.bytes_done, int)

    report = await storage.upload("data.csv", "/bucket/", on_progress=on_progress)
    assert_type(report[0], TransferResult)
    assert_type(report.bytes, int)
    assert_type(report.job_id, str | None)
    for result in report:
        assert_type(result.error, StorageError | None)
    try:
        await storage.download("/bucket/")
    except TransferError as error:
        assert_type(error.report, TransferReport)
