"""What a sync reports when it may not delete."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import AccessDeniedError, StorageError, TransferError
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.transfer.context import Place
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.planning.destination import RemoteDestination
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.sync.rules import Rules
from dxflow_async.transfer.sync.sync import Sync
from tests.transfer.measure_sync_memory import Numbered


class Locked(Numbered):
    """A place of which nothing may be deleted."""

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        raise AccessDeniedError(f"{len(keys)} objects are locked")


async def test_what_could_not_be_deleted_is_an_error(tmp_path: Path) -> None:
    """Each of it is an item of the report that failed; what was copied stays done."""
    place, resources = Locked(1500, "other names"), Resources(Settings(home=tmp_path))
    rules = Rules("size+mtime", delete=True)
    source, target = Place(place, "here/", "x:/here/"), RemoteDestination(Place(place, "there/", "x:/there/"))
    call = resources.begin(JobSpec("sync", "here", "there"), None)
    sync = Sync(resources, source, target, ObjectOptions(), rules)
    try:
        with pytest.raises(TransferError, match=r"1500 of 3000 items failed; .* are locked") as raised:
            await sync.run(call)
    finally:
        await resources.aclose()
    assert place.copied == 1500
    assert {result.source for result in raised.value.report.failed} == {""}
    assert not any(result.deleted for result in raised.value.report)
