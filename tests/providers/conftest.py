"""What the tests of providers share."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings, AzureSettings, GCPSettings
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.servers.certificate import make_certificate


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Threads, ended afterwards."""
    threads = Threads(4)
    yield threads
    threads.close()


@pytest.fixture
async def http(threads: Threads) -> AsyncIterator[HTTP]:
    """A data plane that is not patient."""
    http = HTTP(threads, connect_timeout=5, stall_timeout=0.3)
    yield http
    await http.aclose()
    assert not http._all


@pytest.fixture
def certified(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """What a server needs, and the authority to trust."""
    certificate, key, authority = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, authority


class Connect:
    """Makes providers, and gives the data plane back."""

    def __init__(self, http: HTTP, threads: Threads) -> None:
        self._http, self._threads = http, threads

    def __call__(self, endpoint: str, **settings: Any) -> AWSProvider:
        given = {"access_key": "AKIDEXAMPLE", "secret_key": "secret", "region": "us-east-1", **settings}
        return AWSProvider(AWSSettings(endpoint=endpoint, **given), self._http, self._threads)


@pytest.fixture
def connect(http: HTTP, threads: Threads) -> Connect:
    """Makes providers."""
    http.stall_timeout = 30.0
    return Connect(http, threads)


@pytest.fixture
def aws(weed: SeaweedFS, connect: Connect) -> AWSProvider:
    """The provider at SeaweedFS."""
    return connect(weed.endpoint, access_key=weed.access_key, secret_key=weed.secret_key)


class ConnectGCP:
    """Makes providers of Google."""

    def __init__(self, http: HTTP, threads: Threads) -> None:
        self._http, self._threads = http, threads

    def __call__(self, endpoint: str | None = None, **settings: Any) -> GCPProvider:
        return GCPProvider(GCPSettings(endpoint=endpoint, **settings), self._http, self._threads)


@pytest.fixture
def connect_gcp(http: HTTP, threads: Threads) -> ConnectGCP:
    """Makes providers of Google."""
    http.stall_timeout = 30.0
    return ConnectGCP(http, threads)


@pytest.fixture
def gcp(gcs: GCSServer, connect_gcp: ConnectGCP) -> GCPProvider:
    """The provider at fake-gcs-server."""
    return connect_gcp(gcs.endpoint)


class ConnectAzure:
    """Makes providers of Azure."""

    def __init__(self, http: HTTP, threads: Threads) -> None:
        self._http, self._threads = http, threads

    def __call__(self, endpoint: str, **settings: Any) -> AzureProvider:
        given = {"account": "account1", "account_key": "a2V5", **settings}
        return AzureProvider(AzureSettings(endpoint=endpoint, **given), self._http, self._threads)


@pytest.fixture
def connect_azure(http: HTTP, threads: Threads) -> ConnectAzure:
    """Makes providers of Azure."""
    http.stall_timeout = 30.0
    return ConnectAzure(http, threads)


@pytest.fixture
def azure(azurite: Azurite, connect_azure: ConnectAzure) -> AzureProvider:
    """The provider at Azurite, which is sent what the service is."""
    account = {"account": azurite.account, "account_key": azurite.account_key}
    return connect_azure(azurite.endpoint, checksum="crc64", **account)
