"""What the aiohttp lane keeps of connections that have ended."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp.client_proto import ResponseHandler

from dxflow_async.net import Client, NetError, ProxyRules
from tests.net.exchanges import fetch
from tests.net.made_clients import MakeClient
from tests.scripted_server import ScriptedServer, answer, hang_up
from tests.waiting import until

pytestmark = pytest.mark.every_loop


@pytest.fixture
def transport() -> str:
    """The lane."""
    return "aiohttp"


async def test_nothing_is_kept_of_closed_connections(make_client: MakeClient) -> None:
    """Connections that their server closes, whether in good order or not, leave nothing behind."""
    client = make_client()
    async with ScriptedServer(answer(body=b"x", Connection="close"), hang_up) as server:
        for number in range(20):
            server.reply(answer(body=b"x", Connection="close") if number % 2 else hang_up)
            await asyncio.gather(fetch(client, server.url), return_exceptions=True)
        await server.closed()
    await until(lambda: not client._aiohttp._connector.states)  # type: ignore[union-attr]
    await until(lambda: not handlers())


def handlers() -> list[object]:
    """The protocols of connections that something refers to."""
    gc.collect()
    # By type, since `isinstance` asks a dead weak proxy for its class.
    return [each for each in gc.get_objects() if issubclass(type(each), ResponseHandler)]


def answered_once(listening: socket.socket, context: ssl.SSLContext, response: bytes) -> bool:
    """Answers one request over TLS, and never says farewell; returns whether the peer closed its socket then."""
    plain, _ = listening.accept()
    with context.wrap_socket(plain, server_side=True) as encrypted:
        encrypted.recv(1 << 16)
        encrypted.sendall(response)
        with socket.socket(fileno=os.dup(encrypted.fileno())) as below:
            below.settimeout(10)
            try:
                while below.recv(1 << 16):
                    pass
            except TimeoutError:
                return False
            except ConnectionError:
                pass
            return True


async def refused_tunnel(make_client: MakeClient, location: str) -> Client:
    """A client that a proxy has refused."""
    client = make_client(proxies=ProxyRules.from_environment({"HTTPS_PROXY": f"https://{location}"}), stall=30)
    with pytest.raises(NetError):
        await client.send("GET", "https://service.example/x", {"host": "service.example"})
    return client


async def early_end(make_client: MakeClient, location: str) -> Client:
    """A client that has left the rest of a response alone."""
    client = make_client(stall=30)
    (await client.send("GET", f"https://{location}/x", {"host": location})).close()
    return client


@pytest.mark.parametrize(
    ("use", "response"),
    [
        (refused_tunnel, b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"),
        (early_end, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome"),
    ],
)
async def test_no_socket_outlives_its_client(
    make_client: MakeClient,
    certified: tuple[ssl.SSLContext, Path],
    use: Callable[[MakeClient, str], asyncio.Future[Client]],
    response: bytes,
) -> None:
    """A closed client has closed its sockets, also where a peer never answers TLS's farewell."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = asyncio.create_task(asyncio.to_thread(answered_once, listening, certified[0], response))
        client = await use(make_client, f"127.0.0.1:{listening.getsockname()[1]}")
        await client.aclose()
        assert await server
