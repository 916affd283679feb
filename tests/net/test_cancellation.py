"""Requests that are cancelled wherever they wait, on both lanes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.net import SEND_SIZE, Client
from tests.net.exchanges import MiB, fetch, in_pieces
from tests.net.sinks import Sink, stream
from tests.scripted_server import Answer, ScriptedServer, answer


async def turns(count: int) -> None:
    """Lets the loop make so many turns."""
    for _ in range(count):
        await asyncio.sleep(0)


async def assert_usable(client: Client, server: ScriptedServer) -> None:
    """Nothing is left behind: no open request, no task, and the client serves again."""
    await turns(3)
    server.reply(answer(body=b"ok"))
    async with asyncio.timeout(5):
        assert (await fetch(client, server.url))[1] == b"ok"
    assert client.open_connections == client.idle_connections


class Pieces:
    """A body of several pieces with a pause in each; it knows whether somebody is reading it."""

    def __init__(self, count: int = 3) -> None:
        self.size = count * SEND_SIZE
        self.crc32c = None
        self.inside = False
        self._count = count

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._count):
            self.inside = True
            try:
                await asyncio.sleep(0.001)
            finally:
                self.inside = False
            yield b"x" * SEND_SIZE


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_cancelled_at_every_turn(client: Client, tls: ssl.SSLContext | None, count: int) -> None:
    """A request may be cancelled in any turn of the loop, from connecting to the last byte of its body."""
    reply = in_pieces(answer(body=b"y" * 100_000), [10, 60, 50_000], 0)
    async with ScriptedServer(reply, tls=tls) as server:
        for turn in range(0, 60, 7 if tls else 2):
            server.reply(reply)
            body = Pieces(count)
            task = asyncio.create_task(fetch(client, server.url, "PUT", body if count else None))
            await turns(turn)
            task.cancel()
            done = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(done[0], asyncio.CancelledError) or done[0][1] == b"y" * 100_000  # type: ignore[index]
            assert not body.inside
        await assert_usable(client, server)
    assert len(asyncio.all_tasks()) == 1


async def take_nothing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Reads nothing."""
    await asyncio.sleep(30)


async def stall(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Says nothing more."""
    await reader.readexactly(1)


async def stall_in_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Stops in the body."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    await reader.readexactly(1)


@pytest.mark.every_loop
@pytest.mark.parametrize("reply", [stall, stall_in_body, take_nothing])
async def test_cancelled_while_it_waits(client: Client, reply: Answer) -> None:
    """A request that is cancelled while the peer makes it wait leaves no connection open."""
    async with ScriptedServer(reply, early=reply is take_nothing) as server:
        task = asyncio.create_task(fetch(client, server.url, "PUT", Pieces(100 if reply is take_nothing else 2)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await turns(3)
        assert not client.open_connections
        if reply is not take_nothing:
            await assert_usable(client, server)


async def test_cancelled_while_the_body_waits(client: Client) -> None:
    """A body whose reading cannot be interrupted has ended its work when the cancelled request returns."""
    at_work = asyncio.Event()
    ended = False

    class Stubborn(Pieces):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal ended
            yield b"x" * SEND_SIZE
            at_work.set()
            try:
                await asyncio.sleep(30)
            finally:
                await asyncio.sleep(0.05)
                ended = True

    async with ScriptedServer(stall, early=True) as server:
        task = asyncio.create_task(fetch(client, server.url, "PUT", Stubborn()))
        await at_work.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended
        await turns(3)
        assert not client.open_connections


async def test_cancelled_in_the_handshake(client: Client, certified: tuple[ssl.SSLContext, object]) -> None:
    """A request that is cancelled while it shakes hands leaves no connection open."""
    async with ScriptedServer(stall) as silent:
        task = asyncio.create_task(fetch(client, f"https://127.0.0.1:{silent.port}"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await silent.closed()
    async with ScriptedServer(answer(body=b"ok"), tls=certified[0]) as server:
        await assert_usable(client, server)


@pytest.mark.every_loop
async def test_cancelled_while_streaming(client: Client, threads: Threads, tls: ssl.SSLContext | None) -> None:
    """A streamed body that is cancelled ends its connection, and no thread writes any more."""
    async with ScriptedServer(answer(body=b"x" * 64 * MiB), tls=tls) as server:
        sink = Sink()
        task = asyncio.create_task(stream(client, threads, server.url, sink))
        assert await asyncio.to_thread(sink.began.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        size = len(sink.data)
        await asyncio.sleep(0.05)
        assert len(sink.data) == size < 64 * MiB
        await assert_usable(client, server)
