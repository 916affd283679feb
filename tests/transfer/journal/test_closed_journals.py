"""A journal is closed with its call, whenever and however often the call is cancelled."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.models import TransferResult
from dxflow_async.transfer.journal.journal import Journal
from dxflow_async.transfer.journal.records import JobSpec
from tests.sessions import open_files, tasks

pytestmark = pytest.mark.every_loop


@pytest.mark.parametrize("succeeded", [True, False])
@pytest.mark.parametrize("cancellations", [1, 3])
async def test_cancelled_while_it_is_closed(
    tmp_path: Path, threads: Threads, cancellations: int, *, succeeded: bool
) -> None:
    """The file is closed, and the job can be resumed or is gone, after cancellations at any turn of the loop."""
    for turns in (0, 2, 5):
        home = tmp_path / f"home-{turns}"
        journal = Journal(home, threads, JobSpec("copy", "/a", "/b", {}))
        for number in range(5):
            journal.planned(cast("Any", None))  # a copy of directories plans its items again, so they are counted only
            await journal.ended(TransferResult(f"/a/{number}", f"/b/{number}"), None)
        await journal._flush()
        await journal.ended(TransferResult("/a/5", "/b/5"), None)
        assert open_files(home) != []
        running = asyncio.ensure_future(journal.close(succeeded=succeeded))
        await asyncio.sleep(0)
        for turn in range(turns):
            await asyncio.sleep(0.001 if turn % 3 == 2 else 0)
        for _ in range(cancellations):
            running.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(running, return_exceptions=True)
        assert open_files(home) == []
        assert bool(list(home.glob("jobs/*.sqlite3"))) is not succeeded
        assert tasks() == set()
