"""The providers that have to keep the contract, each at its real server, on each event loop."""

from __future__ import annotations

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
from tests.contract.tested_places import Place, unit_leftovers
from tests.providers.connected_providers import connect_unit
from tests.server.running_hub import SECRETS, UnitProcess
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.sessions import part_files, unfinished_uploads


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Place]:
    """A local directory."""
    threads = Threads(4)
    root = tmp_path / "root"
    yield Place(LocalProvider(root, threads), "area/", lambda: part_files(root))
    threads.close()


@pytest.fixture
async def aws(weed: SeaweedFS, bucket: str, prefix: str) -> AsyncIterator[Place]:
    """S3 at SeaweedFS, with signatures."""
    threads = Threads(4)
    http = HTTP(threads)
    settings = AWSSettings(
        endpoint=weed.endpoint, region=weed.region, access_key=weed.access_key, secret_key=weed.secret_key
    )
    name = prefix.partition("/")[2]
    yield Place(
        AWSProvider(settings, http, threads),
        prefix,
        lambda: [key for key in unfinished_uploads(weed, bucket) if key.startswith(name)],
    )
    await http.aclose()
    threads.close()


@pytest.fixture
async def azure(azurite: Azurite, container: str) -> AsyncIterator[Place]:
    """Azure Blob Storage at Azurite, with signatures, in a container of the test's own."""
    threads = Threads(4)
    http = HTTP(threads)
    settings = AzureSettings(
        endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key, checksum="crc64"
    )
    yield Place(
        AzureProvider(settings, http, threads),
        f"{container}/area/",
        lambda: azurite.uncommitted(container),
        keeps_aborted=True,
        refused=frozenset({"...", "tilde~-_."}),
    )
    await http.aclose()
    threads.close()


@pytest.fixture
async def gcp(gcs: GCSServer, gcs_bucket: str) -> AsyncIterator[Place]:
    """Google Cloud Storage at fake-gcs-server, in a bucket of the test's own."""
    threads = Threads(4)
    http = HTTP(threads)
    provider = GCPProvider(GCPSettings(endpoint=gcs.endpoint), http, threads)
    yield Place(provider, f"{gcs_bucket}/area/", lambda: gcs.names(gcs_bucket, ".dxflow-parts/"))
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
async def unit(unit_process: UnitProcess) -> AsyncIterator[Place]:
    """A compute unit at our own server, in a directory of the test's own."""
    threads = Threads(4)
    http = HTTP(threads)
    area = f"area-{uuid4().hex[:8]}/"
    (unit_process.root / area).mkdir()
    provider = await connect_unit("Demo", unit_process.url, SECRETS.rw, http, threads)
    yield Place(provider, area, lambda: unit_leftovers(unit_process.root))
    await http.aclose()
    threads.close()


@pytest.fixture(params=["local", "aws", "azure", "gcp", "unit"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each provider: a new one adds its fixture above and its name here."""
    found: Place = request.getfixturevalue(request.param)
    return found
