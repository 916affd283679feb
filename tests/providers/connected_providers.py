"""Makes providers on a test's own data plane."""

from __future__ import annotations

from typing import Any

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings, AzureSettings, GCPSettings
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.unit.provider import UnitProvider

__all__ = ["Connect", "ConnectAzure", "ConnectGCP", "connect_unit"]


async def connect_unit(name: str, url: str, secret: str, http: HTTP, threads: Threads) -> UnitProvider:
    """Makes a provider of a unit that was asked what it can do."""
    provider = UnitProvider(name, url, secret, http, threads)
    await provider.connect()
    return provider


class Connect:
    """Makes providers, and gives the data plane back."""

    def __init__(self, http: HTTP, threads: Threads) -> None:
        self._http, self._threads = http, threads

    def __call__(self, endpoint: str, **settings: Any) -> AWSProvider:
        given = {"access_key": "AKIDEXAMPLE", "secret_key": "secret", "region": "us-east-1", **settings}
        return AWSProvider(AWSSettings(endpoint=endpoint, **given), self._http, self._threads)


class ConnectGCP:
    """Makes providers of Google."""

    def __init__(self, http: HTTP, threads: Threads) -> None:
        self._http, self._threads = http, threads

    def __call__(self, endpoint: str | None = None, **settings: Any) -> GCPProvider:
        return GCPProvider(GCPSettings(endpoint=endpoint, **settings), self._http, self._threads)


class ConnectAzure:
    """Makes providers of Azure."""

    def __init__(self, http: HTTP, threads: Threads) -> None:
        self._http, self._threads = http, threads

    def __call__(self, endpoint: str, **settings: Any) -> AzureProvider:
        given = {"account": "account1", "account_key": "a2V5", **settings}
        return AzureProvider(AzureSettings(endpoint=endpoint, **given), self._http, self._threads)
