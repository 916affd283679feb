"""Every provider at its real server, to be reached through a proxy; and trees of files to move."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from dxflow_async import AsyncSession, AWSSettings, AzureSettings, Settings
from dxflow_async.config import GCPSettings
from tests.faults.proxy import Dialect, FaultProxy
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.sessions import MiB, part_files

__all__ = ["Site", "aws_site", "azure_site", "gcp_site", "hashes", "make_tree"]


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

    def proxy(self, *arguments: Any, **options: Any) -> FaultProxy:
        """A proxy before the server."""
        return FaultProxy(self.upstream, *arguments, dialect=self.name, **options)

    def settings(self, home: Path, endpoint: str | None = None, **options: Any) -> Settings:
        """Settings of a session with small parts."""
        given = {"part_size": 5 * MiB, **options}
        return Settings(home=home, **self.configure(endpoint or self.origin), **given)

    @asynccontextmanager
    async def session(self, home: Path, endpoint: str | None = None, **options: Any) -> AsyncIterator[AsyncSession]:
        """A session with the server itself, or through `endpoint`; all it had is given back in the end."""
        async with AsyncSession(settings=self.settings(home, endpoint, **options)) as session:
            yield session
            limits = session._resources.limits
            assert limits.memory.used == 0
            assert all(limit.in_flight == 0 for limit in limits._endpoints.values())

    def __truediv__(self, name: str) -> str:
        return f"/{self.bucket}/{name}"

    def check_nothing_left(self, *directories: Path) -> None:
        """Nothing unfinished is at the server or in these directories."""
        assert self.leftovers() == []
        assert [name for directory in directories for name in part_files(directory)] == []


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
            "azure": AzureSettings(endpoint=endpoint + path, account=azurite.account, account_key=azurite.account_key)
        }

    return Site("AZURE", azurite.endpoint, container, configure, lambda: azurite.uncommitted(container))


def gcp_site(gcs: GCSServer, bucket: str) -> Site:
    """fake-gcs-server."""

    def configure(endpoint: str) -> dict[str, Any]:
        return {"gcp": GCPSettings(endpoint=endpoint)}

    return Site("GCP", gcs.endpoint, bucket, configure, lambda: gcs.names(bucket, ".dxflow-parts/"))


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
