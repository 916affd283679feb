"""The account's storage at SeaweedFS, and where a local directory stands in for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.storage.manager import AsyncStorageManager
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for


@dataclass(frozen=True)
class Account:
    """A storage, and a bucket in it that is the test's own."""

    storage: AsyncStorageManager
    bucket: str
    is_cloud: bool

    def __truediv__(self, name: str) -> str:
        return f"/{self.bucket}/{name}"


@pytest.fixture
async def cloud(weed: SeaweedFS, bucket: str, tmp_path: Path) -> AsyncIterator[Account]:
    """An area of its own at SeaweedFS."""
    settings = settings_for(weed, tmp_path / "home", part_size=5 * MiB)
    async with AsyncSession(settings=settings) as session:
        yield Account(session.get_storage_manager(), f"{bucket}/{uuid4().hex[:8]}", is_cloud=True)


@pytest.fixture
async def stand_in(tmp_path: Path) -> AsyncIterator[Account]:
    """The local directory of an account at the embedded hub."""
    settings = Settings(home=tmp_path / "home", part_size=5 * MiB)
    async with AsyncSession("you@example.com", "password", settings=settings) as session:
        yield Account(session.get_storage_manager(), "bucket-one/area", is_cloud=False)


@pytest.fixture(params=["cloud", "stand_in"])
def account(request: pytest.FixtureRequest) -> Account:
    """Both, one after the other."""
    found: Account = request.getfixturevalue(request.param)
    return found
