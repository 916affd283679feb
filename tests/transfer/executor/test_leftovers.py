"""Whether the temporary files of a worker are removed at the end of a call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.transfer.executor import silence
from dxflow_async.transfer.executor.channel import Channel, WorkerChannel
from dxflow_async.transfer.executor.leftovers import Leftovers
from dxflow_async.transfer.executor.shard import ItemRecord, ShardPlace
from dxflow_async.transfer.executor.work import ItemsWork
from tests.sessions import part_files

pytestmark = pytest.mark.timeout(60)

_OWNER = "0badcafe"
_LOOKS = 5


async def never(*_: Any) -> bool:
    """No worker was lost."""
    return False


@pytest.mark.usefixtures("channels")
async def test_a_program_that_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While this process was stopped, as by Ctrl-Z, its workers were not silent: they are waited for."""
    looks, late = 0, 0.0

    def time() -> float:
        nonlocal looks, late
        looks += 1
        late += 100.0 if looks == _LOOKS else 0.0
        return monotonic() + late

    monkeypatch.setattr(silence, "monotonic", time)
    left = tmp_path / f".{_OWNER}00000001.dxpart"
    left.write_bytes(b"half of it")
    place = ShardPlace("file", "file", str(tmp_path))
    work = ItemsWork([], [ItemRecord("copy", place, place, None, ObjectOptions())], never, never)  # type: ignore[arg-type]
    channel, threads = Channel.create("0" * 8, same_machine=True), Threads(1)
    try:
        worker = WorkerChannel(channel.path, 1, _OWNER)
        worker.beat(0)
        leftovers = Leftovers(channel, threads, None, None, never)
        leftovers.note(1, work)
        ending = asyncio.ensure_future(leftovers.sweep())
        while looks < 2 * _LOOKS and not ending.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert not ending.done()
        assert part_files(tmp_path) == [str(left)]
        left.unlink()
        worker.close()
        await ending
    finally:
        channel.close(abandoned=False)
        threads.close()
