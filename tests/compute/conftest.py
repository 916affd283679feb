"""A session at the embedded hub, and units that somebody serves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.compute.manager import AsyncComputeManager
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.unit.app import CONNECTION_OPTIONS, create_unit_app
from tests.compute.registered_units import ACCOUNT
from tests.server.running_hub import SECRETS, RunningUnit
from tests.sessions import MiB


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home of the test's own."""
    return Settings(home=tmp_path / "home", part_size=5 * MiB)


@pytest.fixture
async def session(settings: Settings) -> AsyncIterator[AsyncSession]:
    """Signed in to the embedded hub."""
    async with AsyncSession(*ACCOUNT, settings=settings) as session:
        yield session


@pytest.fixture
def compute(session: AsyncSession) -> AsyncComputeManager:
    """The account's units; one is there, Demo."""
    return session.get_compute_manager()


@pytest.fixture
async def demo(compute: AsyncComputeManager) -> AsyncComputeUnit:
    """The embedded hub's unit."""
    return await compute.get_unit(name="Demo")


@pytest.fixture
def volume(settings: Settings) -> Path:
    """What Demo serves."""
    return settings.home / "units" / "Demo"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[RunningUnit]:
    """A unit that no hub knows yet."""
    root = tmp_path / "served"
    root.mkdir()
    async with AsyncExitStack() as stack:
        app = create_unit_app(root, SECRETS)
        server = Server(app, Listening(), CONNECTION_OPTIONS)
        stack.push_async_callback(server.aclose, 1.0)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield RunningUnit(await server.start(), root, http, app)
