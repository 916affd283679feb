"""The providers that have to keep the contract, each at its real server, on each event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings, AzureSettings, GCPSettings
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.http_source.provider import HTTPSourceProvider
from dxflow_async.providers.http_source.settings import HTTPSourceSettings
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.providers.sftp.provider import SFTPProvider
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.testing import ProviderUnderTest
from tests.contract.unit_leftovers import unit_leftovers
from tests.providers.connected_providers import connect_unit
from tests.providers.http_source.file_server import FileServer
from tests.server.running_hub import SECRETS, UnitProcess
from tests.servers import Azurite, GCSServer, JuiceFSGateway, MotoServer, S3Server, SeaweedFS
from tests.servers.process import program
from tests.servers.ssh import SSHServer, openssh_program
from tests.servers.swift import SwiftServer
from tests.sessions import part_files, unfinished_uploads


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[ProviderUnderTest]:
    """A local directory."""
    threads = Threads(4)
    root = tmp_path / "root"
    yield ProviderUnderTest(LocalProvider(root, threads), "area/", lambda: part_files(root))
    threads.close()


@asynccontextmanager
async def s3_provider(
    server: S3Server, bucket: str, refused: frozenset[str] = frozenset()
) -> AsyncIterator[ProviderUnderTest]:
    """The provider at an S3 server, below a prefix of the test's own."""
    threads = Threads(4)
    http = HTTP(threads)
    settings = AWSSettings(
        endpoint=server.endpoint, region=server.region, access_key=server.access_key, secret_key=server.secret_key
    )
    name = f"{uuid4().hex[:12]}/"
    yield ProviderUnderTest(
        AWSProvider(settings, http, threads),
        f"{bucket}/{name}",
        lambda: [key for key in unfinished_uploads(server, bucket) if key.startswith(name)],
        refused=refused,
        with_secret=lambda secret: AWSProvider(replace(settings, secret_key=secret), http, threads),
    )
    await http.aclose()
    threads.close()


@pytest.fixture
async def aws(weed: SeaweedFS, bucket: str) -> AsyncIterator[ProviderUnderTest]:
    """S3 at SeaweedFS, with signatures."""
    async with s3_provider(weed, bucket) as found:
        yield found


@pytest.fixture(scope="session")
def juicefs_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JuiceFSGateway]:
    """JuiceFS's gateway as it is by default: it keeps neither ETags nor metadata."""
    with JuiceFSGateway.start(tmp_path_factory.mktemp("juicefs")) as server:
        server.create_bucket("bucket")
        yield server


@pytest.fixture(scope="session")
def juicefs_keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JuiceFSGateway]:
    """JuiceFS's gateway that keeps both."""
    with JuiceFSGateway.start(tmp_path_factory.mktemp("juicefs-keeping"), keeps_metadata=True) as server:
        server.create_bucket("bucket")
        yield server


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """Moto's server, which keeps everything in memory and checks neither signatures nor checksums."""
    with MotoServer.start(tmp_path_factory.mktemp("moto")) as server:
        server.create_bucket("bucket")
        yield server


@pytest.fixture
async def moto(moto_server: MotoServer) -> AsyncIterator[ProviderUnderTest]:
    """S3 at moto."""
    async with s3_provider(moto_server, "bucket") as found:
        yield found


@pytest.fixture(scope="session")
def swift_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    """OpenStack Swift with its S3 interface."""
    try:
        program("swift-proxy-server")
    except FileNotFoundError:
        pytest.skip("needs OpenStack Swift: uv pip install swift")
    with SwiftServer.start(tmp_path_factory.mktemp("swift")) as server:
        server.create_bucket("bucket")
        yield server


@pytest.fixture
async def swift(swift_server: SwiftServer) -> AsyncIterator[ProviderUnderTest]:
    """S3 at OpenStack Swift."""
    async with s3_provider(swift_server, "bucket") as found:
        yield found


@pytest.fixture
async def juicefs(juicefs_gateway: JuiceFSGateway) -> AsyncIterator[ProviderUnderTest]:
    """S3 at JuiceFS's gateway."""
    async with s3_provider(juicefs_gateway, "bucket") as found:
        yield found


@pytest.fixture
async def juicefs_etags(juicefs_keeping: JuiceFSGateway) -> AsyncIterator[ProviderUnderTest]:
    """S3 at JuiceFS's gateway that keeps ETags and metadata."""
    async with s3_provider(juicefs_keeping, "bucket") as found:
        yield found


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
        with_secret=lambda secret: AzureProvider(replace(settings, account_key=secret), http, threads),
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
    yield ProviderUnderTest(
        provider,
        area,
        lambda: unit_leftovers(unit_process.root),
        with_secret=lambda secret: UnitProvider("Demo", unit_process.url, secret, http, threads),
    )
    await http.aclose()
    threads.close()


@pytest.fixture(scope="session")
def asyncssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """Asyncssh's SSH server, in a process of its own."""
    with SSHServer.start(tmp_path_factory.mktemp("asyncssh")) as server:
        yield server


@pytest.fixture(scope="session")
def openssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """The same with OpenSSH's SFTP server behind it."""
    if openssh_program() is None:
        pytest.skip("needs OpenSSH's sftp-server: apt-get install openssh-sftp-server")
    with SSHServer.start(tmp_path_factory.mktemp("openssh"), openssh=True) as server:
        yield server


@asynccontextmanager
async def sftp_provider(server: SSHServer) -> AsyncIterator[ProviderUnderTest]:
    """The provider at an SSH server, below a directory of the test's own."""
    threads = Threads(4)
    http = HTTP(threads)
    root = server.root / f"root-{uuid4().hex[:8]}"
    root.mkdir()
    settings = server.settings(path=str(root))
    provider = SFTPProvider(settings, http, threads)
    yield ProviderUnderTest(
        provider,
        "area/",
        lambda: part_files(root),
        with_secret=lambda secret: SFTPProvider(replace(settings, key_files="", password=secret), http, threads),
    )
    await provider.aclose()
    await http.aclose()
    threads.close()


@pytest.fixture
async def sftp(asyncssh_server: SSHServer) -> AsyncIterator[ProviderUnderTest]:
    """SFTP at asyncssh's server."""
    async with sftp_provider(asyncssh_server) as found:
        yield found


@pytest.fixture
async def openssh(openssh_server: SSHServer) -> AsyncIterator[ProviderUnderTest]:
    """SFTP at OpenSSH's server."""
    async with sftp_provider(openssh_server) as found:
        yield found


@pytest.fixture
async def https(http: HTTP) -> AsyncIterator[ProviderUnderTest]:
    """Files of a web server, which are put there by other means."""

    async def store(key: str, data: bytes) -> None:
        server.put(f"/{key}", data)

    async with FileServer() as server:
        provider = HTTPSourceProvider(HTTPSourceSettings(endpoint=server.url), http)
        yield ProviderUnderTest(provider, "area/", store=store)
        await provider.aclose()
