"""Clients of both lanes: a test that takes `client` or `make_client` runs once on each."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.net import Client, ProxyRules, Timeouts, TLSOptions
from tests.net.made_clients import MakeClient
from tests.servers.certificate import make_certificate


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the loop's debug mode where it has nothing to find: aiohttp's lane, and what other tests go through."""
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        name = item.nodeid
        through = ("test_framing", "test_sending", "test_pooling", "test_streaming", "aiohttp")
        spared = "/net/" in name and "[debug" in name and any(each in name for each in through)
        (dropped if spared else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """What a server needs, and the authority to trust; one for all tests."""
    certificate, key, authority = make_certificate(tmp_path_factory.mktemp("certificate"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, authority


@pytest.fixture(params=["fast", "aiohttp"])
def transport(request: pytest.FixtureRequest) -> str:
    """The lane."""
    return str(request.param)


@pytest.fixture
async def make_client(
    threads: Threads, transport: str, certified: tuple[ssl.SSLContext, Path]
) -> AsyncIterator[MakeClient]:
    """Makes clients that trust `certified` and use no proxy; they are closed afterwards."""
    made: list[Client] = []

    def make(
        *, connect: float = 5.0, stall: float = 2.0, idle: float = 15.0, min_speed: float = 0.0, **options: Any
    ) -> Client:
        given = {"transport": transport, "tls": TLSOptions(ca_bundle=certified[1]), "proxies": ProxyRules(), **options}
        made.append(Client(threads, timeouts=Timeouts(connect, stall, idle, min_speed), **given))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()
        assert not client.open_connections


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    """A client that is not patient."""
    return make_client(stall=0.3)


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, certified: tuple[ssl.SSLContext, Path]) -> ssl.SSLContext | None:
    """What a server needs to be reached with TLS, or without."""
    return certified[0] if request.param == "tls" else None
