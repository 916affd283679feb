"""A running unit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.server.running_hub import RunningUnit, running_unit


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[RunningUnit]:
    """A unit whose volume is `tmp_path / "volume"`."""
    async with aiohttp.ClientSession() as http, running_unit(tmp_path, http) as unit:
        yield unit
