"""Hosts with IPv6 addresses behind proxies, proxies with IPv6 addresses, and proxies that hang up."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from dxflow_async.net import Client, NetError, ProxyRules

MakeClient = Callable[..., Client]


@asynccontextmanager
async def recording_proxy(host: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that refuses everything, and the heads of the requests that it gets."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(serve, host, 0)
    except OSError:
        pytest.skip(f"this machine has no address {host}")
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"[{host}]:{port}" if server.sockets[0].family == socket.AF_INET6 else f"{host}:{port}", heads


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    ("url", "line", "named"),
    [
        ("https://[::1]/x", "CONNECT [::1]:443 HTTP/1.1", "[::1]"),
        ("https://[2001:db8::7]:8443/x", "CONNECT [2001:db8::7]:8443 HTTP/1.1", "[2001:db8::7]:8443"),
        ("http://[2001:db8::7]:8080/x", "GET http://[2001:db8::7]:8080/x HTTP/1.1", "[2001:db8::7]:8080"),
        ("https://[fe80::1%25eth0]:8443/x", "CONNECT [fe80::1]:8443 HTTP/1.1", "[fe80::1]:8443"),
        ("http://[fe80::1%25eth0]/x", "GET http://[fe80::1]/x HTTP/1.1", "[fe80::1]"),
    ],
)
async def test_addresses_keep_their_brackets(
    make_client: MakeClient, transport: str, host: str, url: str, line: str, named: str
) -> None:
    """CONNECT, the absolute form and `Host` have an address in brackets, without a zone; the proxy gets credentials."""
    async with recording_proxy(host) as (location, heads):
        rules = ProxyRules.from_environment({"all_proxy": f"http://zoe:p%40ss@{location}"})
        client = make_client(transport="auto" if transport == "fast" else transport, proxies=rules)
        with suppress(NetError):  # of a tunnel; a request in the clear has a response
            (await client.send("GET", url, {"host": named})).abort()
    first, *lines = heads[0].splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines if each)}
    assert first == line
    assert headers["host"] == named
    assert headers["proxy-authorization"] == f"Basic {base64.b64encode(b'zoe:p@ss').decode()}"


@pytest.mark.parametrize("entry", ["2001:db8::7", "[2001:db8::7]", "2001:db8::/32", "[2001:db8::7]:8080", "*"])
async def test_addresses_are_reached_directly(make_client: MakeClient, entry: str) -> None:
    """An address of NO_PROXY is not asked of the proxy, however it is written, in both lanes."""
    async with recording_proxy("127.0.0.1") as (location, heads):
        rules = ProxyRules.from_environment({"HTTP_PROXY": location, "NO_PROXY": f" x.example ,{entry}"})
        client = make_client(proxies=rules, connect=0.2)
        with pytest.raises(NetError):
            await client.send("GET", "http://[2001:db8::7]:8080/x", {"host": "[2001:db8::7]:8080"})
    assert heads == []


async def test_a_proxy_that_closes_in_the_handshake(make_client: MakeClient) -> None:
    """A connection that a proxy ends before TLS is there is an error that names the proxy and says so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        proxy = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = make_client(transport="auto", proxies=ProxyRules.from_environment({"HTTPS_PROXY": proxy}))
        with pytest.raises(NetError, match=rf"^the proxy {proxy} \(HTTPS_PROXY\) was not reached \(.*[a-z]\)$"):
            await client.send("GET", "https://service.example/x", {"host": "service.example"})
