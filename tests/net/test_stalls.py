"""Peers that do not move, and those that are only slow, on both lanes."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from dxflow_async.net import SEND_SIZE, Client, ConnectTimeoutError, StalledError
from tests.net.exchanges import MiB, OnceBody, body_of, fetch
from tests.net.made_clients import MakeClient
from tests.providers.in_memory_bodies import body
from tests.scripted_server import Answer, ScriptedServer, answer

pytestmark = pytest.mark.every_loop


async def stall(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Says nothing more, until the other side has gone."""
    await reader.readexactly(1)


async def stall_in_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Stops in the head."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-")
    await reader.readexactly(1)


async def stall_in_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Stops in the body."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    await reader.readexactly(1)


async def stall_in_chunk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Stops in a chunk."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
    await reader.readexactly(1)


async def take_nothing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Reads nothing."""
    await asyncio.sleep(30)


async def refuse_and_stall(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Refuses early, and stops in the refusal's body."""
    writer.write(answer("403 Forbidden", b"why")[:-1])
    await asyncio.sleep(30)


@pytest.mark.parametrize("reply", [stall, stall_in_head, stall_in_body, stall_in_chunk])
async def test_stall(client: Client, reply: Answer, tls: ssl.SSLContext | None) -> None:
    """Where no byte comes for the stall timeout, the request fails, and may be tried again."""
    async with ScriptedServer(reply, tls=tls) as server:
        async with asyncio.timeout(5):
            with pytest.raises(StalledError, match=r"no byte moved for 0.3 s") as raised:
                await fetch(client, server.url)
        assert raised.value.retryable
        await server.closed()


@pytest.mark.parametrize("reply", [take_nothing, refuse_and_stall])
async def test_stall_while_sending(client: Client, reply: Answer) -> None:
    """Where the server takes no byte for the stall timeout, the request fails; so it does in an early refusal."""
    async with ScriptedServer(reply, early=True) as server, asyncio.timeout(5):
        with pytest.raises(StalledError):
            await fetch(client, server.url, "PUT", body(*[b"x" * MiB] * 64))


@pytest.mark.parametrize("size", [10, 4 * SEND_SIZE])
async def test_stall_after_sending(client: Client, size: int) -> None:
    """Where all of the body was sent and no answer comes, the request fails."""
    async with ScriptedServer(stall) as server, asyncio.timeout(5):
        with pytest.raises(StalledError):
            await fetch(client, server.url, "PUT", body(b"x" * size))


async def test_slow_is_not_stalled(client: Client) -> None:
    """A body that takes many stall timeouts, but always moves, arrives; so does one that we send or read slowly."""

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _step in range(8):
            await asyncio.sleep(0.1)
            writer.write(b"x")

    async with ScriptedServer(answer(body=b"taken"), trickle, answer(body=b"y" * 4 * MiB)) as server:
        slow = OnceBody(*[b"x" * SEND_SIZE] * 3, pause=0.45)
        assert (await fetch(client, server.url, "PUT", slow))[1] == b"taken"
        assert (await fetch(client, server.url))[1] == b"x" * 8
        response = await client.send("GET", server.url + "/", {"host": "h"})
        await asyncio.sleep(0.8)
        assert await body_of(response) == b"y" * 4 * MiB
    assert len(server.requests) == 3


async def test_slow_peer_is_not_stalled(make_client: MakeClient) -> None:
    """A peer that takes a large body over longer than the stall timeout, but always takes some, gets it."""
    size = 24 * MiB
    client = make_client(stall=1.0)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(8):
            await reader.readexactly(size // 8)
            await asyncio.sleep(0.2)
        writer.write(answer(body=b"taken"))

    async with ScriptedServer(take, early=True) as server:
        assert (await fetch(client, server.url, "PUT", body(*[b"x" * MiB] * 24)))[1] == b"taken"


async def test_slow_reader_makes_the_peer_wait(client: Client, tls: ssl.SSLContext | None) -> None:
    """What is not read is not received: the server has to wait."""
    taken = 0

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {256 * MiB}\r\n\r\n".encode())
        for _step in range(256):
            writer.write(b"x" * MiB)
            await writer.drain()
            taken += MiB

    async with ScriptedServer(send, tls=tls) as server:
        response = await client.send("GET", server.url + "/", {"host": "h"})
        await asyncio.sleep(0.5)
        before = taken
        assert before < 32 * MiB
        await asyncio.sleep(0.1)
        assert taken == before
        for _ in range(10):
            assert await response.read()
        response.close()
        await server.closed()


async def test_no_answer_to_a_handshake(make_client: MakeClient) -> None:
    """Connecting, the handshake included, takes no longer than the connect timeout."""
    client = make_client(connect=0.2)
    async with ScriptedServer(stall) as server:
        with pytest.raises(ConnectTimeoutError):
            await fetch(client, f"https://127.0.0.1:{server.port}")
        await server.closed()
