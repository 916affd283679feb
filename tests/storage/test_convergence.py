"""Syncs between places that keep no times, checksums or ETags: they converge, and no change is missed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import AsyncSession
from dxflow_async.config.settings import AzureSettings, GCPSettings
from dxflow_async.server.unit import tus
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.servers.forgetful import forgetful
from tests.sessions import settings_for
from tests.storage.scratch_directories import CloudSpot, LocalSpot, Spot, UnitSpot

PLACES = ["LOCAL", "AWS", "AZURE", "GCP", "UNIT"]


class ForeignAzure(CloudSpot):
    """A prefix in a container, filled by another tool: no time and no checksum is kept."""

    def __init__(self, spot: CloudSpot, azurite: Azurite) -> None:
        super().__init__(spot.storage, spot.provider, spot.path)
        self._azurite = azurite

    async def put(self, tree: dict[str, bytes]) -> None:
        container, _, prefix = self.path[1:].partition("/")
        for name, data in tree.items():
            blob = self._azurite.client.get_blob_client(container, f"{prefix}/{name}")
            await asyncio.to_thread(blob.upload_blob, data, overwrite=True)


@pytest.fixture
async def session(
    weed: SeaweedFS, azurite: Azurite, gcs: GCSServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AsyncSession]:
    """Its S3 server is one that forgets, and its unit can do no more than any tus server."""
    monkeypatch.delitem(tus._PROTOCOL, "Dx-Extension")
    async with forgetful(weed.endpoint) as endpoint:
        settings = replace(
            settings_for(weed, tmp_path / "home", endpoint=endpoint),
            azure=AzureSettings(endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key),
            gcp=GCPSettings(endpoint=gcs.endpoint),
        )
        async with AsyncSession("you@example.com", "password", settings=settings) as session:
            yield session


@pytest.mark.parametrize("one", PLACES)
async def test_second_sync_moves_nothing(
    session: AsyncSession, azurite: Azurite, bucket: str, container: str, gcs_bucket: str, tmp_path: Path, one: str
) -> None:
    """From each place to every one; afterwards what has changed is copied, also when its size is the same."""
    buckets = {"AWS": f"/{bucket}/{uuid4().hex[:8]}", "AZURE": f"/{container}", "GCP": f"/{gcs_bucket}"}

    def spot(provider: str, name: str) -> Spot:
        if provider == "LOCAL":
            return LocalSpot(tmp_path / name)
        if provider == "UNIT":
            return UnitSpot(session.settings.home / "units" / "Demo", name)
        cloud = CloudSpot(session.get_storage_manager(), provider, f"{buckets[provider]}/{name}")
        return ForeignAzure(cloud, azurite) if provider == "AZURE" else cloud

    source, targets = spot(one, "from"), [spot(other, f"to-{one}") for other in PLACES]
    await source.put({"a": b"1", "d/b": b"22", "empty": b"", "large": os.urandom(70_000)})
    for target in targets:
        assert len(await session.sync(source / "", target / "", delete=True)) == 4
        report = await session.sync(source / "", target / "", delete=True)
        assert (len(report), target.location) == (0, target.location)
        assert list(await session.sync(source / "", target / "", delete=True, dry_run=True)) == []
        assert len(await session.sync(source / "", target / "", compare="checksum")) == 0
        assert await target.tree() == await source.tree()
    await asyncio.sleep(1.1)  # some tell times by the second
    await source.put({"d/b": b"33"})
    for target in targets:
        report = await session.sync(source / "", target / "", delete=True)
        assert [result.destination for result in report] == [target / "d/b"]
        assert await target.tree() == await source.tree()
        assert len(await session.sync(source / "", target / "", delete=True)) == 0


async def test_mirrors_both_ways_converge(session: AsyncSession, bucket: str, tmp_path: Path) -> None:
    """The way back from a place without times transfers each item at most once; then neither way finds a difference."""
    source = LocalSpot(tmp_path / "from")
    await source.put({"a": b"1", "d/b": b"22"})
    os.utime(source.path / "a", (1.7e9, 1.7e9))
    for target in (f"aws:/{bucket}/{uuid4().hex[:8]}/", "unit:/Demo/mirror/"):
        await session.sync(source / "", target)
        await session.sync(target, source / "")
        for _ in range(2):
            assert len(await session.sync(source / "", target, delete=True)) == 0
            assert len(await session.sync(target, source / "", delete=True)) == 0
    assert await source.tree() == {"a": b"1", "d/b": b"22"}


async def test_rule_is_said(session: AsyncSession, bucket: str, tmp_path: Path) -> None:
    """Report and plan tell how many items were compared by size and age."""
    source, target = LocalSpot(tmp_path / "x"), f"aws:/{bucket}/{uuid4().hex[:8]}/"
    await source.put({"a": b"1", "b": b"2"})
    assert (await session.sync(f"{source.path}/", target)).compared_by_age == 0
    os.utime(source.path / "a", (1, 1))
    os.utime(source.path / "b", (1, 1))
    assert (await session.sync(f"{source.path}/", target)).compared_by_age == 2
    assert (await session.sync(f"{source.path}/", target, dry_run=True)).compared_by_age == 2
