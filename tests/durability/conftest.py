"""A running unit, and a disk that nobody takes for memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from dxflow_async.providers.local.cached_reads import CachedReads
from tests.server.running_hub import RunningUnit, running_unit


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the file system of `tmp_path` count as one on a disk, also where it is tmpfs."""
    monkeypatch.setattr(CachedReads, "is_memory", lambda _reads, _device: False)


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[RunningUnit]:
    """A unit whose volume is `tmp_path / "volume"`."""
    async with aiohttp.ClientSession() as http, running_unit(tmp_path, http) as unit:
        yield unit
