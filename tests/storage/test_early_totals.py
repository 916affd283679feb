"""The files of an upload are counted early for whoever watches, and not in short calls."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.storage import early_totals as module
from dxflow_async.storage.early_totals import early_totals
from dxflow_async.transfer.progress import Meter
from dxflow_async.transfer.selection import Selection


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three files of two bytes."""
    (tmp_path / "tree/below").mkdir(parents=True)
    for name in ("a", "b", "below/c"):
        (tmp_path / "tree" / name).write_bytes(b"xx")
    return tmp_path / "tree"


class _NotedMeter(Meter):
    """Says when it was told what to expect."""

    def __init__(self) -> None:
        super().__init__()
        self.told = asyncio.Event()

    def expect(self, files: int, size: int) -> None:
        super().expect(files, size)
        self.told.set()


async def test_a_long_call_knows_its_totals_early(tree: Path, threads: Threads) -> None:
    """The totals of a call whose plan goes on are known after a while."""
    meter = _NotedMeter()
    async with asyncio.timeout(30), early_totals(threads, [str(tree)], Selection(), meter):
        await meter.told.wait()
    assert (meter.state().files_total, meter.state().bytes_total) == (3, 6)


@pytest.mark.parametrize("planned", [False, True], ids=["ended", "planned"])
async def test_a_short_call_counts_nothing(
    tree: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch, planned: bool
) -> None:
    """A call that has ended, or planned everything, before the counting would begin reads no directory for it."""
    counted: list[object] = []
    monkeypatch.setattr(module, "_count", lambda *arguments: counted.append(arguments))
    meter = Meter()
    if planned:
        meter.plan_ended()
        monkeypatch.setattr(module, "_DELAY", 0.01)
    async with asyncio.timeout(30), early_totals(threads, [str(tree)], Selection(), meter):
        await asyncio.sleep(0.1)
    assert not counted
