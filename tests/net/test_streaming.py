"""Bodies that are read into buffers or written by worker threads, on both lanes."""

from __future__ import annotations

import asyncio
import ssl
from itertools import cycle

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.net import Client, ConnectionBrokenError
from tests.net.exchanges import MiB, fetch, slowly
from tests.net.sinks import Sink, stream
from tests.scripted_server import ScriptedServer, answer

pytestmark = pytest.mark.every_loop

DATA = bytes(range(251)) * (6 * MiB // 251)


@pytest.mark.parametrize("size", [1, 64 << 10, MiB - 1, MiB + 1, 3 * MiB + 5])
@pytest.mark.parametrize("block", [64 << 10, MiB])
async def test_streamed_body_of_any_size(
    client: Client, threads: Threads, tls: ssl.SSLContext | None, size: int, block: int
) -> None:
    """No byte is lost or written twice, whatever the sizes of body and buffer; and threads write."""
    async with ScriptedServer(answer(body=DATA[:size]), tls=tls) as server:
        for _ in range(2):
            sink = Sink()
            await stream(client, threads, server.url, sink, block)
            assert sink.data == DATA[:size]
            assert not any("MainThread" in name for name in sink.threads)
        assert server.connections == 1


async def test_chunked_body(client: Client, threads: Threads) -> None:
    """A chunked body is streamed without its framing."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (DATA[:100_000], DATA[:1], DATA[:300_000]))
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    async with ScriptedServer(reply) as server:
        for _ in range(2):
            sink = Sink()
            await stream(client, threads, server.url, sink)
            assert sink.data == DATA[:100_000] + DATA[:1] + DATA[:300_000]
        assert server.connections == 1


async def test_body_that_comes_slowly(client: Client, threads: Threads, tls: ssl.SSLContext | None) -> None:
    """A body that makes pauses is whole."""
    async with ScriptedServer(slowly(DATA[: 4 * MiB], *range(400_000, 4 * MiB, 400_000)), tls=tls) as server:
        sink = Sink()
        async with asyncio.timeout(5):
            await stream(client, threads, server.url, sink)
    assert sink.data == DATA[: 4 * MiB]


@pytest.mark.parametrize("size", range(1_000_001, 1_000_100, 33))
async def test_filled_buffers(client: Client, tls: ssl.SSLContext | None, size: int) -> None:
    """Each buffer but the last one is filled; the rest of the last record is read, though no more comes."""
    found, block = bytearray(), memoryview(bytearray(50_000))
    async with ScriptedServer(answer(body=DATA[:size]), tls=tls) as server, asyncio.timeout(5):
        response = await client.send("GET", f"{server.url}/x", {"host": "h"})
        while filled := await response.readinto(block):
            found += block[:filled]
            assert filled == 50_000 or len(found) == size
        response.close()
    assert found == DATA[:size]


async def test_ways_of_reading_mix(client: Client, threads: Threads) -> None:
    """A body may be read in one way after the other."""
    async with ScriptedServer(answer(body=DATA), answer(body=b"next")) as server:
        response = await client.send("GET", f"{server.url}/x", {"host": "h"})
        sink, block = Sink(), memoryview(bytearray(70_001))
        for way in cycle(("read", "readinto", "stream_to")):
            before = len(sink.data)
            if way == "read":
                sink.data += await response.read()
            elif way == "readinto":
                sink.data += block[: await response.readinto(block)]
            else:
                await response.stream_to(block, sink.write, threads.run)
            if len(sink.data) == before:
                break
        response.close()
        assert sink.data == DATA
        assert (await fetch(client, server.url))[1] == b"next"
        assert server.connections == 1


async def test_body_that_breaks_off(client: Client, threads: Threads, tls: ssl.SSLContext | None) -> None:
    """Bytes that came before the break are written, in their order, and the rest is an error."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=DATA)[: 5 * MiB])
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()

    async with ScriptedServer(send, tls=tls) as server:
        sink = Sink()
        with pytest.raises(ConnectionBrokenError, match="the connection was closed") as raised:
            await stream(client, threads, server.url, sink)
    assert raised.value.retryable
    assert len(sink.data) > 4 * MiB
    assert DATA.startswith(sink.data)


async def test_write_that_fails(client: Client, threads: Threads, tls: ssl.SSLContext | None) -> None:
    """What the writer raises comes through, and the connection is not used again."""
    async with ScriptedServer(answer(body=DATA), tls=tls) as server:
        with pytest.raises(OSError, match="the disk is full") as raised:
            await stream(client, threads, server.url, Sink(fail_at=2 * MiB))
        assert type(raised.value) is OSError
        await server.closed()


async def test_a_small_answer_after_a_large_one(client: Client, threads: Threads, tls: ssl.SSLContext | None) -> None:
    """A small answer is heard at once after a large body was streamed over the connection."""
    async with ScriptedServer(slowly(DATA[: 4 * MiB], MiB, 2 * MiB), answer(body=b"x"), tls=tls) as server:
        await stream(client, threads, server.url, Sink())
        async with asyncio.timeout(1):
            assert (await fetch(client, server.url))[1] == b"x"
        assert server.connections == 1
