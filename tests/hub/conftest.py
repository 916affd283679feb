"""A running hub and a client session for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from dxflow_async.hub.embedded import EmbeddedHub


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[str]:
    """The base URL of a hub whose home is `tmp_path / "home"`."""
    embedded = EmbeddedHub(tmp_path / "home")
    yield await embedded.start()
    await embedded.aclose()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session."""
    async with aiohttp.ClientSession() as session:
        yield session
