"""Syncs between every two places: a second sync of the same trees transfers nothing, whoever stored the objects."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import AsyncSession
from dxflow_async.config.settings import AzureSettings, GCPSettings
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.servers.ssh import SSHServer
from tests.sessions import settings_for

WHOLE, FRACTION = 1_700_000_000_000_000_000, 1_700_000_000_123_456_789
"""Nanoseconds: a time that every place can keep, and one that some places round."""

TREE = {"foreign": b"11", "d/fraction": b"22", "whole": b"33"}

PLACES = ["local", "aws", "other-aws", "azure", "other-azure", "gcp", "other-gcp", "unit", "lab"]


class Servers:
    """Directories of one test at each place, and what other tools store there.

    Args:
        session: knows the places.
        buckets: a directory for each remote: bucket and prefix.
        disks: a directory of this machine for each place that is one.
        weed, azurite, gcs: the clouds.
    """

    def __init__(
        self,
        session: AsyncSession,
        buckets: dict[str, str],
        disks: dict[str, Path],
        weed: SeaweedFS,
        azurite: Azurite,
        gcs: GCSServer,
    ) -> None:
        self._session = session
        self._buckets = buckets
        self._disks = disks
        self._weed, self._azurite, self._gcs = weed, azurite, gcs

    def location(self, place: str, name: str) -> str:
        """Returns the location of a directory."""
        if place == "local":
            return f"{self._disks[place] / name}/"
        if place in self._disks:
            return {"unit": f"unit:/Demo/{name}/", "lab": f"lab:/{name}/"}[place]
        return f"{place}:/{self._buckets[place]}/{name}/"

    async def fill(self, place: str, name: str, scratch: Path) -> None:
        """Stores `TREE`: `foreign` as another tool does, without metadata, the others with their times."""
        directory = self._disks[place] / name if place in self._disks else scratch / name
        for path, data in TREE.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(data)
        os.utime(directory / "whole", ns=(WHOLE, WHOLE))
        os.utime(directory / "d/fraction", ns=(FRACTION, FRACTION))
        if place not in self._disks:
            await self._session.sync(f"{directory}/", self.location(place, name), exclude="foreign")
            await self.store_foreign(place, name, TREE["foreign"])

    async def store_foreign(self, place: str, name: str, data: bytes) -> None:
        """Stores `foreign` with the service's own tools."""
        bucket, _, prefix = self._buckets.get(place, "").partition("/")
        key = f"{prefix}/{name}/foreign"
        if place in self._disks:
            (self._disks[place] / name / "foreign").write_bytes(data)
        elif "aws" in place:
            await asyncio.to_thread(self._weed.client.put_object, Bucket=bucket, Key=key, Body=data)
        elif "azure" in place:
            blob = self._azurite.client.get_blob_client(bucket, key)
            await asyncio.to_thread(blob.upload_blob, data, overwrite=True)
        else:
            await asyncio.to_thread(self._gcs.put, bucket, key, data)


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """An SSH server."""
    with SSHServer.start(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture
async def session(
    weed: SeaweedFS, azurite: Azurite, gcs: GCSServer, ssh: SSHServer, tmp_path: Path
) -> AsyncIterator[AsyncSession]:
    """A session with two remotes of each cloud: copies between these pass through this machine."""
    settings = settings_for(weed, tmp_path / "home")
    azure = AzureSettings(endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key)
    google, area = GCPSettings(endpoint=gcs.endpoint), f"area-{uuid4().hex[:8]}"
    (ssh.root / area).mkdir()
    remotes = {
        "other-aws": settings.aws,
        "other-azure": azure,
        "other-gcp": google,
        "lab": ssh.settings(path=str(ssh.root / area)),
    }
    settings = replace(settings, azure=azure, gcp=google, remotes=remotes)
    async with AsyncSession("you@example.com", "password", settings=settings) as session:
        yield session


@pytest.fixture
def servers(
    session: AsyncSession,
    weed: SeaweedFS,
    azurite: Azurite,
    gcs: GCSServer,
    bucket: str,
    container: str,
    gcs_bucket: str,
    tmp_path: Path,
) -> Servers:
    """The places of one test."""
    top = uuid4().hex[:8]
    clouds = {"aws": bucket, "azure": container, "gcp": gcs_bucket}
    buckets = {f"{other}{cloud}": f"{clouds[cloud]}/{other}{top}" for cloud in clouds for other in ("", "other-")}
    ssh_settings = session.settings.remotes["lab"]
    disks = {
        "local": tmp_path / "local",
        "unit": session.settings.home / "units/Demo",
        "lab": Path(str(ssh_settings.path)),
    }
    return Servers(session, buckets, disks, weed, azurite, gcs)


_SOURCES = [pytest.param(place, marks=pytest.mark.long if "other" in place else ()) for place in PLACES]


@pytest.mark.parametrize("source", _SOURCES)
async def test_second_sync_transfers_nothing(
    session: AsyncSession, servers: Servers, source: str, tmp_path: Path
) -> None:
    """Neither a second sync, nor its plan, nor a comparison by checksums, nor the way back finds a difference."""
    await servers.fill(source, "from", tmp_path / "scratch")
    start = servers.location(source, "from")
    for place in PLACES:
        target = servers.location(place, f"to-{source}")
        assert len(await session.sync(start, target, delete=True)) == len(TREE), place
        assert [action.reason for action in await session.sync(start, target, delete=True, dry_run=True)] == [], place
        assert len(await session.sync(start, target, delete=True)) == 0, place
        assert len(await session.sync(start, target, compare="checksum")) == 0, place
        back = await session.sync(target, start, delete=True, dry_run=True)
        assert [(action.path, action.reason) for action in back] == [], place
