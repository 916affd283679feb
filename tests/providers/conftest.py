"""What the tests of providers share."""

from __future__ import annotations

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP
from tests.providers.connected_providers import Connect, ConnectAzure, ConnectGCP
from tests.servers import Azurite, GCSServer, SeaweedFS


@pytest.fixture
def connect(http: HTTP, threads: Threads) -> Connect:
    """Makes providers."""
    http.stall_timeout = 30.0
    return Connect(http, threads)


@pytest.fixture
def aws(weed: SeaweedFS, connect: Connect) -> AWSProvider:
    """The provider at SeaweedFS."""
    return connect(weed.endpoint, access_key=weed.access_key, secret_key=weed.secret_key)


@pytest.fixture
def connect_gcp(http: HTTP, threads: Threads) -> ConnectGCP:
    """Makes providers of Google."""
    http.stall_timeout = 30.0
    return ConnectGCP(http, threads)


@pytest.fixture
def gcp(gcs: GCSServer, connect_gcp: ConnectGCP) -> GCPProvider:
    """The provider at fake-gcs-server."""
    return connect_gcp(gcs.endpoint)


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
