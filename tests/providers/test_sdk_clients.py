"""One table over the transports of all SDKs: proxies, NO_PROXY and the CA bundle of the session reach each of them."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.net import ProxyRules
from dxflow_async.providers.aws.sdk_transport import SDKTransport as AWSTransport
from dxflow_async.providers.azure.sdk_transport import SDKTransport as AzureTransport
from dxflow_async.providers.gcp.token_transport import TokenTransport
from dxflow_async.providers.http import HTTP
from tests.scripted_server import ScriptedServer, answer


def _request(url: str) -> Any:
    return SimpleNamespace(method="GET", url=url, headers={}, body=None, content=None)


SDKS: dict[str, Callable[[HTTP, str], Awaitable[Any]]] = {
    "aws": lambda http, url: AWSTransport(http, "AWS").send(_request(url)),
    "azure": lambda http, url: AzureTransport(http, "AZURE").send(_request(url)),
    "gcp": lambda http, url: TokenTransport(http).get(url, {}),
}

pytestmark = [pytest.mark.parametrize("sdk", SDKS), pytest.mark.asyncio(loop_factories=["asyncio"])]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_a_proxy_is_used(sdk: str, variable: str, threads: Threads) -> None:
    """A sign-in goes through the proxy of the environment."""
    async with ScriptedServer(answer(body=b"{}")) as proxy:
        name = variable.lower() if variable == "HTTP_PROXY" else variable
        http = HTTP(threads, proxies=ProxyRules.from_environment({name: proxy.url}))
        try:
            await SDKS[sdk](http, "http://sign-in.example/token")
        finally:
            await http.aclose()
        assert [request.target for request in proxy.requests] == ["http://sign-in.example/token"]


@pytest.mark.parametrize("exempt", ["127.0.0.1", "127.0.0.0/8", "*"])
async def test_no_proxy_leads_around_it(sdk: str, exempt: str, threads: Threads) -> None:
    """A host, a network or everything in NO_PROXY is reached directly."""
    async with ScriptedServer(answer(body=b"{}")) as server:
        http = HTTP(
            threads, proxies=ProxyRules.from_environment({"ALL_PROXY": "http://127.0.0.1:1", "NO_PROXY": exempt})
        )
        try:
            await SDKS[sdk](http, f"{server.url}/token")
        finally:
            await http.aclose()
        assert [request.target for request in server.requests] == ["/token"]


async def test_the_bundle_is_trusted_and_nothing_else(
    sdk: str, certified: tuple[ssl.SSLContext, Path], threads: Threads
) -> None:
    """A certificate of `ca_bundle` is accepted, and refused without it before anything is sent."""
    context, bundle = certified
    async with ScriptedServer(answer(body=b"{}"), tls=context) as server:
        for ca_bundle in (None, bundle):
            http = HTTP(threads, ca_bundle=ca_bundle, proxies=ProxyRules.from_environment({}))
            try:
                if ca_bundle is None:
                    with pytest.raises(Exception, match=r"certificate of 127\.0\.0\.1:\d+ is not trusted"):
                        await SDKS[sdk](http, f"{server.url}/token")
                    assert server.requests == []
                else:
                    await SDKS[sdk](http, f"{server.url}/token")
            finally:
                await http.aclose()
        assert len(server.requests) == 1
