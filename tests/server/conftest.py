"""A running hub, a running unit, and a client session for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import create_app
from tests.server.running_hub import RunningUnit, running_unit


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[str]:
    """The base URL of a hub whose home is `tmp_path / "home"`."""
    server = Server(create_app(tmp_path / "home"), Listening())
    yield await server.start()
    await server.aclose(1.0)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def unit(tmp_path: Path, http: aiohttp.ClientSession) -> AsyncIterator[RunningUnit]:
    """A unit whose volume is `tmp_path / "volume"`."""
    async with running_unit(tmp_path, http) as unit:
        yield unit
