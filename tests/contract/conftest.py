"""The providers that have to keep the contract, each at its real server, on each event loop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings, AzureSettings, GCPSettings
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.testing import ProviderUnderTest
from tests.providers.connected_providers import connect_unit
from tests.server.running_hub import SECRETS, UnitProcess
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.sessions import part_files, unfinished_uploads


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[ProviderUnderTest]:
    """A local directory."""
    threads = Threads(4)
    root = tmp_path / "root"
    yield ProviderUnderTest(LocalProvider(root, threads), "area/", lambda: part_files(root))
    threads.close()


@pytest.fixture
async def aws(weed: SeaweedFS, bucket: str, prefix: str) -> AsyncIterator[ProviderUnderTest]:
    """S3 at SeaweedFS, with signatures."""
    threads = Threads(4)
    http = HTTP(threads)
    settings = AWSSettings(
        endpoint=weed.endpoint, region=weed.region, access_key=weed.access_key, secret_key=weed.secret_key
    )
    name = prefix.partition("/")[2]
    yield ProviderUnderTest(
        AWSProvider(settings, http, threads),
        prefix,
        lambda: [key for key in unfinished_uploads(weed, bucket) if key.startswith(name)],
    )
    await http.aclose()
    threads.close()


@pytest.fixture
async def azure(azurite: Azurite, container: str) -> AsyncIterator[ProviderUnderTest]:
    """Azure Blob Storage at Azurite, with signatures, in a container of the test's own."""
    threads = Threads(4)
    http = HTTP(threads)
    settings = AzureSettings(
        endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key, checksum="crc64"
    )
    yield ProviderUnderTest(
        AzureProvider(settings, http, threads),
        f"{container}/area/",
        lambda: azurite.uncommitted(container),
        keeps_aborted=True,
        refused=frozenset({"...", "tilde~-_."}),
    )
    await http.aclose()
    threads.close()


@pytest.fixture
async def gcp(gcs: GCSServer, gcs_bucket: str) -> AsyncIterator[ProviderUnderTest]:
    """Google Cloud Storage at fake-gcs-server, in a bucket of the test's own."""
    threads = Threads(4)
    http = HTTP(threads)
    provider = GCPProvider(GCPSettings(endpoint=gcs.endpoint), http, threads)
    yield ProviderUnderTest(provider, f"{gcs_bucket}/area/", lambda: gcs.names(gcs_bucket, ".dxflow-parts/"))
    await http.aclose()
    threads.close()


@pytest.fixture(scope="session")
def unit_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnitProcess]:
    """A unit's server."""
    unit = UnitProcess(tmp_path_factory.mktemp("unit"))
    process = unit.start()
    yield unit
    process.kill()


@pytest.fixture
async def unit(unit_process: UnitProcess) -> AsyncIterator[ProviderUnderTest]:
    """A compute unit at our own server, in a directory of the test's own."""
    threads = Threads(4)
    http = HTTP(threads)
    area = f"area-{uuid4().hex[:8]}/"
    (unit_process.root / area).mkdir()
    provider = await connect_unit("Demo", unit_process.url, SECRETS.rw, http, threads)
    yield ProviderUnderTest(provider, area, lambda: unit_leftovers(unit_process.root))
    await http.aclose()
    threads.close()


def unit_leftovers(root: Path) -> list[str]:
    """What a unit keeps of unfinished uploads, once it has seen which connections are gone."""
    for _ in range(100):
        names = [path.name for path in root.glob(".dx-uploads/*.data")]
        if not names:
            return []
        time.sleep(0.02)
    return names
