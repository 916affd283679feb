"""Sessions whose processes several tests share: starting one takes a second."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from dxflow_async import AsyncSession
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home directory of the module's session."""
    return tmp_path_factory.mktemp("home")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(weed: SeaweedFS, home: Path) -> AsyncIterator[AsyncSession]:
    """A session at SeaweedFS; its two processes live as long as the module."""
    async with AsyncSession(settings=settings_for(weed, home, part_size=5 * MiB)) as found:
        yield found


@pytest.fixture
def place(bucket: str) -> str:
    """A directory of the test's own at SeaweedFS."""
    return f"/{bucket}/{uuid4().hex[:8]}/"


@pytest.fixture
def channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where calls and their workers see each other."""
    directory = tmp_path / "channels"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory
