"""The account's storage at SeaweedFS, and where a local directory stands in for it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.config.settings import AzureSettings, GCPSettings
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.sessions import MiB, settings_for
from tests.storage.scratch_directories import CloudSpot, LocalSpot, Spot, UnitSpot
from tests.storage.tested_accounts import Account, Spots


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


@pytest.fixture
async def everywhere(
    weed: SeaweedFS, azurite: Azurite, gcs: GCSServer, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[AsyncSession]:
    """A session that knows every provider, each at its real server; for tests about `UNIT` it has an account.

    Without one there is no unit, and no hub to be started.
    """
    settings = replace(
        settings_for(weed, tmp_path / "home", part_size=5 * MiB),
        azure=AzureSettings(
            endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key, checksum="crc64"
        ),
        gcp=GCPSettings(endpoint=gcs.endpoint),
    )
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    account = ("you@example.com", "password") if "UNIT" in parameters.values() else ()
    async with AsyncSession(*account, settings=settings) as session:
        yield session


@pytest.fixture
def spots(everywhere: AsyncSession, bucket: str, container: str, gcs_bucket: str, tmp_path: Path) -> Spots:
    """Makes a directory of a name at a provider."""
    buckets = {"AWS": f"/{bucket}/{uuid4().hex[:8]}", "AZURE": f"/{container}", "GCP": f"/{gcs_bucket}"}

    def spot(provider: str, name: str) -> Spot:
        if provider == "LOCAL":
            return LocalSpot(tmp_path / name)
        if provider == "UNIT":
            return UnitSpot(everywhere.settings.home / "units" / "Demo", name)
        return CloudSpot(everywhere.get_storage_manager(), provider, f"{buckets[provider]}/{name}")

    return spot


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on another disk than `tmp_path`: shared memory, which Linux keeps as one."""
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    assert directory.stat().st_dev != tmp_path.stat().st_dev
    yield directory
    shutil.rmtree(directory)
