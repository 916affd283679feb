"""SeaweedFS, and sessions with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession
from dxflow_async.storage.manager import AsyncStorageManager
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for


@pytest.fixture
async def session(weed: SeaweedFS, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with parts of 5 MiB."""
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home", part_size=5 * MiB)) as session:
        yield session


@pytest.fixture
def storage(session: AsyncSession) -> AsyncStorageManager:
    """The session's storage."""
    return session.get_storage_manager()
