"""Every provider at its real server, to be reached through a proxy; and trees of files to move."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4
from weakref import WeakKeyDictionary

from dxflow_async import AsyncSession, AWSSettings, AzureSettings, Settings
from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.config.settings import GCPSettings
from dxflow_async.storage.manager import AsyncStorageManager
from tests.contract.unit_leftovers import unit_leftovers
from tests.faults.proxy import Dialect, FaultProxy
from tests.server.running_hub import SECRETS, UnitProcess
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.sessions import MiB, part_files, retry_soon

__all__ = ["Site", "Storage", "aws_site", "azure_site", "gcp_site", "hashes", "make_tree", "unit_site"]


@dataclass(frozen=True)
class Site:
    """A provider's server.

    Attributes:
        name: the provider's.
        upstream: the server's URL.
        bucket: one of the test's own.
        configure: the provider's settings for an endpoint.
        leftovers: what unfinished uploads have left.
    """

    name: Dialect
    upstream: str
    bucket: str
    configure: Callable[[str], dict[str, Any]]
    leftovers: Callable[[], list[str]]

    @property
    def origin(self) -> str:
        """The server's URL without a path."""
        return "{0.scheme}://{0.netloc}".format(urlsplit(self.upstream))

    @property
    def three_parts(self) -> int:
        """Bytes of a file that is sent in three parts; at Google a part of a file is four times as large as is set."""
        return (41 if self.name == "GCP" else 11) * MiB

    def proxy(self, *arguments: Any, **options: Any) -> FaultProxy:
        """A proxy before the server."""
        return FaultProxy(self.upstream, *arguments, dialect=self.name, **options)

    def settings(self, home: Path, endpoint: str | None = None, **options: Any) -> Settings:
        """Settings of a session with small parts."""
        given = {"part_size": 5 * MiB, **options}
        return Settings(home=home, **self.configure(endpoint or self.origin), **given)

    async def storage(self, session: AsyncSession) -> Storage:
        """Its storage, for a session that it made."""
        return Storage(session.get_storage_manager(), self.name)

    @asynccontextmanager
    async def session(self, home: Path, endpoint: str | None = None, **options: Any) -> AsyncIterator[AsyncSession]:
        """A session with the server itself, or through `endpoint`; all it had is given back in the end."""
        async with AsyncSession(settings=self.settings(home, endpoint, **options)) as session:
            retry_soon(session)
            yield session
            self.check_given_back(session)

    def check_given_back(self, session: AsyncSession) -> None:
        """No memory is taken, and no request is under way."""
        limits = session._resources.limits
        assert limits.memory.used == 0
        assert all(limit.in_flight == 0 for limit in limits.endpoints.values())

    def __truediv__(self, name: str) -> str:
        return f"/{self.bucket}/{name}"

    def location(self, session: AsyncSession, path: str) -> str:
        """A path of this site, as the calls of a session that it made take it."""
        return f"{self.name.lower()}:{path}"

    def check_nothing_left(self, *directories: Path) -> None:
        """Nothing unfinished is at the server or in these directories."""
        assert self.leftovers() == []
        assert [name for directory in directories for name in part_files(directory)] == []


class Storage:
    """The calls that are the same everywhere, at one provider."""

    def __init__(self, storage: AsyncStorageManager | AsyncUnitStorage, provider: str) -> None:
        self._given = {} if provider == "UNIT" else {"provider": provider}
        self._storage: Any = storage

    def __getattr__(self, name: str) -> Any:
        return partial(getattr(self._storage, name), **self._given)


@dataclass(frozen=True)
class UnitSite(Site):
    """A unit that is registered anew for each session, as where it is reached differs."""

    @asynccontextmanager
    async def session(self, home: Path, endpoint: str | None = None, **options: Any) -> AsyncIterator[AsyncSession]:
        settings = self.settings(home, endpoint, **options)
        async with AsyncSession("you@example.com", "password", settings=settings) as session:
            retry_soon(session)
            name = f"unit-{uuid4().hex[:8]}"
            url, compute = endpoint or self.origin, session.get_compute_manager()
            _UNITS[session] = await compute.register(name, url, rw_secret=SECRETS.rw, ro_secret=SECRETS.ro)
            yield session
            self.check_given_back(session)

    def location(self, session: AsyncSession, path: str) -> str:
        return f"unit:/{_UNITS[session].name}{path}"

    async def storage(self, session: AsyncSession) -> Storage:
        return Storage(_UNITS[session].storage, self.name)


_UNITS: WeakKeyDictionary[AsyncSession, AsyncComputeUnit] = WeakKeyDictionary()


def aws_site(weed: SeaweedFS, bucket: str) -> Site:
    """SeaweedFS, with signatures."""

    def configure(endpoint: str) -> dict[str, Any]:
        return {
            "aws": AWSSettings(
                endpoint=endpoint, region=weed.region, access_key=weed.access_key, secret_key=weed.secret_key
            )
        }

    return Site("AWS", weed.endpoint, bucket, configure, lambda: _parts_left(weed, bucket))


def _parts_left(weed: SeaweedFS, bucket: str) -> list[str]:
    """The uploads that hold parts. One whose beginning was answered to nobody is empty, and nobody can know its id."""
    found = weed.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())
    ids = [(upload["Key"], upload["UploadId"]) for upload in found]
    return [key for key, upload in ids if weed.client.list_parts(Bucket=bucket, Key=key, UploadId=upload).get("Parts")]


def azure_site(azurite: Azurite, container: str) -> Site:
    """Azurite, with signatures."""
    path = urlsplit(azurite.endpoint).path

    def configure(endpoint: str) -> dict[str, Any]:
        return {
            "azure": AzureSettings(
                endpoint=endpoint + path, account=azurite.account, account_key=azurite.account_key, checksum="crc64"
            )
        }

    return Site("AZURE", azurite.endpoint, container, configure, lambda: azurite.uncommitted(container))


def gcp_site(gcs: GCSServer, bucket: str) -> Site:
    """fake-gcs-server."""

    def configure(endpoint: str) -> dict[str, Any]:
        return {"gcp": GCPSettings(endpoint=endpoint)}

    return Site("GCP", gcs.endpoint, bucket, configure, lambda: gcs.names(bucket, ".dxflow-parts/"))


def unit_site(unit: UnitProcess, directory: str) -> Site:
    """A compute unit at our own server."""
    (unit.root / directory).mkdir()
    return UnitSite("UNIT", unit.url, directory, lambda _: {}, lambda: unit_leftovers(unit.root))


def make_tree(top: Path, small: int, *large: int) -> Path:
    """That many files of up to 20 kB, and these large ones."""
    random = Random(small)
    top.mkdir(parents=True, exist_ok=True)
    for number in range(small):
        (top / f"small-{number:04}").write_bytes(random.randbytes(random.randrange(1, 20_000)))
    for number, size in enumerate(large):
        with (top / f"large-{number}").open("wb") as file:
            for start in range(0, size, 8 * MiB):
                file.write(random.randbytes(min(8 * MiB, size - start)))
    return top


def hashes(top: Path) -> dict[str, str]:
    """What is in each file of a directory."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in top.iterdir() if path.is_file()}
