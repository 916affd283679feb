"""The types of the blocking API, as a user's type checker sees them. mypy checks this module; no test runs it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from dxflow_async import ItemStream, Session
from dxflow_async.blocking.compute import ComputeManager, ComputeUnit, UnitStorage
from dxflow_async.blocking.storage import StorageManager
from dxflow_async.models import Item, ItemList, JobList, SyncPlan, TransferReport, Unit


def sessions() -> None:
    """A session is its own context manager."""
    with Session(email="your@email.com", password="your_password") as session:
        assert_type(session, Session)
        assert_type(session.get_storage_manager(), StorageManager)
        assert_type(session.get_compute_manager(), ComputeManager)
        assert_type(session.jobs(), JobList)
        assert_type(session.copy("data/", "aws:/bucket/data/"), TransferReport)
        assert_type(session.sync("data", "aws:/bucket/data"), TransferReport)
        assert_type(session.sync("data", "aws:/bucket/data", dry_run=True), SyncPlan)
    Session(emial="your@email.com")  # type: ignore[call-arg]


def storage_calls(storage: StorageManager) -> None:
    """`list` prints and returns None unless `return_info` is set; no call returns an awaitable."""
    assert_type(storage.list(return_info=True), ItemList)
    assert_type(storage.scan(path="/bucket/"), ItemStream[Item])
    assert_type(storage.stat("/bucket/key"), Item)
    assert_type(storage.exists("/bucket/key"), bool)
    assert_type(storage.upload(Path("data.csv"), "/bucket/"), TransferReport)
    assert_type(storage.download("/bucket/data.csv", "."), TransferReport)
    assert_type(storage.write("/bucket/key", b"bytes"), TransferReport)
    assert_type(storage.write("/bucket/key", [b"a", b"b"]), TransferReport)
    assert_type(storage.read("/bucket/key"), ItemStream[bytes])
    assert_type(storage.delete("/bucket/key"), int)
    storage.write("/bucket/key", "text")  # type: ignore[arg-type]
    assert_type(storage.list(path="/bucket/"), None)


def units(compute: ComputeManager) -> None:
    """Units have typed details and a storage."""
    assert_type(compute.list(return_info=True), list[Unit])
    unit = compute.get_unit("Demo")
    assert_type(unit, ComputeUnit)
    assert_type(unit.storage, UnitStorage)
    assert_type(unit.storage.list("/", return_info=True), ItemList)
    assert_type(unit.storage.download("/results/"), TransferReport)
