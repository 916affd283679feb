"""Which lane serves a request."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.net import (
    Client,
    ProxyError,
    ProxyRules,
    TLSOptions,
)
from dxflow_async.net import client as door
from tests.faults.proxy import ForwardProxy
from tests.net.exchanges import fetch
from tests.net.made_clients import MakeClient
from tests.scripted_server import ScriptedServer, answer
from tests.servers.certificate import make_certificate


@pytest.fixture
def transport() -> str:
    """Whatever fits."""
    return "auto"


def lanes(client: Client) -> tuple[bool, bool]:
    """Which lanes have been at work: fast, aiohttp."""
    return client._fast is not None, client._aiohttp is not None


@pytest.mark.parametrize(("transport", "expected"), [("auto", (True, False)), ("aiohttp", (False, True))])
async def test_direct_origins(make_client: MakeClient, transport: str, expected: tuple[bool, bool]) -> None:
    """A direct origin is served by the fast lane, unless the setting says otherwise."""
    client = make_client(transport=transport)
    async with ScriptedServer(answer(body=b"ok")) as server:
        assert (await fetch(client, server.url))[1] == b"ok"
    assert lanes(client) == expected


async def test_proxies_go_through_aiohttp(make_client: MakeClient) -> None:
    """A proxy is served by aiohttp, while hosts of NO_PROXY keep the fast lane; "fast" refuses one by name."""
    async with ForwardProxy().running() as proxy, ScriptedServer(answer(body=b"ok")) as server:
        rules = ProxyRules.from_environment({"HTTP_PROXY": f"http://{proxy.address}", "NO_PROXY": "localhost"})
        client = make_client(transport="auto", proxies=rules)
        assert (await fetch(client, server.url))[1] == b"ok"
        assert lanes(client) == (False, True)
        assert (await fetch(client, f"http://localhost:{server.port}"))[1] == b"ok"
        assert lanes(client) == (True, True)
        assert len(proxy.targets) == 1
        with pytest.raises(ConfigurationError, match=r'HTTP_PROXY.*transport = "auto"'):
            await fetch(make_client(transport="fast", proxies=rules), server.url)


async def test_client_certificates_go_through_aiohttp(make_client: MakeClient, tmp_path: Path) -> None:
    """A client certificate is shown through aiohttp; plain HTTP, where none is shown, keeps the fast lane."""
    certificate, key, authority = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    options = TLSOptions(ca_bundle=authority, client_certificate=certificate, client_key=key)
    client = make_client(transport="auto", tls=options)
    async with ScriptedServer(answer(body=b"ok"), tls=context) as server:
        assert (await fetch(client, server.url))[1] == b"ok"
    assert lanes(client) == (False, True)
    async with ScriptedServer(answer(body=b"ok")) as server:
        await fetch(client, server.url)
        assert lanes(client) == (True, True)
    with pytest.raises(ConfigurationError, match="client certificates"):
        await fetch(make_client(transport="fast", tls=options), "https://127.0.0.1:1")


async def test_other_systems(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system is not POSIX, aiohttp serves everything."""
    monkeypatch.setattr(door, "_POSIX", False)
    client = make_client(transport="auto")
    async with ScriptedServer(answer(body=b"ok")) as server:
        assert (await fetch(client, server.url))[1] == b"ok"
    assert lanes(client) == (False, True)


async def test_unknown_transport(threads: Threads) -> None:
    """A value that is no lane is refused, naming those there are."""
    with pytest.raises(ConfigurationError, match="auto, fast or aiohttp"):
        Client(threads, transport="quick")


async def test_proxies_that_fail(make_client: MakeClient) -> None:
    """A proxy that is down, or refuses, is named, and never taken for the endpoint; its password is not shown."""
    async with ScriptedServer(answer("407 Proxy Authentication Required")) as server:
        for scheme in ("http", "https"):
            for port, words in ((1, "not reached"), (server.port, "407")):
                proxy = f"http://me:hunter2@127.0.0.1:{port}"
                client = make_client(transport="auto", proxies=ProxyRules.from_environment({"ALL_PROXY": proxy}))
                with pytest.raises(ProxyError, match=words) as raised:
                    await fetch(client, f"{scheme}://storage.example")
                assert f"127.0.0.1:{port} (ALL_PROXY)" in str(raised.value)
                assert "hunter2" not in repr((raised.value, raised.value.__cause__, raised.value.__context__))
                assert raised.value.retryable == (port == 1)
