"""The minimum speed: peers that move a byte now and then are stalled, and those that we make wait are not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from dxflow_async.net import SEND_SIZE, Client, StalledError, TooSlowError
from tests.net.exchanges import MiB, OnceBody, body_of, fetch
from tests.net.made_clients import MakeClient
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer

STALL = 0.3
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    """A client that asks for 400 bytes a second."""
    return make_client(stall=STALL, min_speed=400)


@pytest.mark.parametrize(
    ("head", "piece", "size"),
    [
        (b"H", b"", 0),
        (b"H", b"", 2 * SEND_SIZE),
        (LENGTH, b"x", 0),
        (LENGTH, b"x", 10),
        (CHUNKED, b"1\r\nx\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x", 0),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\n", b"x", 2 * SEND_SIZE),
    ],
    ids=["head", "head-of-upload", "length", "length-of-upload", "chunked", "until-the-end", "refusal"],
)
async def test_answer_of_a_byte_now_and_then(client: Client, head: bytes, piece: bytes, size: int) -> None:
    """An answer of which some bytes arrive all the time, but too few, fails; the request may be tried a few times."""

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        rest = iter(b"TTP/1.1 200 OK\r\nX-Filler: " + b"x" * 5000)
        while True:
            await asyncio.sleep(STALL / 6)
            writer.write(piece or bytes([next(rest)]))
            await writer.drain()

    async with ScriptedServer(trickle) as server, asyncio.timeout(8 * STALL + 2):
        with pytest.raises(TooSlowError, match=r"bytes moved in .*min_speed \(400 bytes a second\)") as raised:
            await fetch(client, server.url, "PUT" if size else "GET", body(b"x" * size) if size else None)
        assert raised.value.retryable
        assert raised.value.max_attempts is not None


@pytest.mark.parametrize("size", [SEND_SIZE, 32 * MiB])
async def test_upload_that_is_taken_slowly(make_client: MakeClient, size: int) -> None:
    """A server that takes a little of an upload now and then is stalled; bytes that the system only holds do not count.

    The system holds some megabytes that are sent, so that the smaller upload looks like one that waits for its answer.
    """
    client = make_client(stall=STALL, min_speed=4 * MiB)
    async with _slow_server(1024, STALL / 6) as url, asyncio.timeout(8 * STALL + 4):
        with pytest.raises(StalledError):
            await fetch(client, url, "PUT", body(*[b"x" * SEND_SIZE] * (size // SEND_SIZE)))


async def test_bytes_that_the_system_sends_still_move(make_client: MakeClient) -> None:
    """An upload that fits into the system's buffer, and that takes many stall timeouts on the way, arrives."""
    client = make_client(stall=STALL, min_speed=400)
    async with _slow_server(48 << 10, STALL / 5) as url, asyncio.timeout(20):
        response, _ = await fetch(client, url, "PUT", body(*[b"x" * SEND_SIZE] * 4))
    assert response.status == 200


async def test_white_space_keeps_a_request_alive(client: Client) -> None:
    """A server that sends white space while it works, as S3 does, has as long as it wants."""

    async def work(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        for _step in range(12):
            await asyncio.sleep(STALL / 3)
            writer.write(b"1\r\n \r\n")
        writer.write(b"4\r\ndone\r\n0\r\n\r\n")

    async with ScriptedServer(work) as server:
        assert (await fetch(client, server.url, "POST", b"x"))[1].strip() == b"done"


async def test_interim_answers_keep_a_request_alive(client: Client) -> None:
    """A server that says that it still works (102) has as long as it wants."""

    async def work(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _step in range(8):
            await asyncio.sleep(STALL / 3)
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        writer.write(answer(body=b"done"))

    async with ScriptedServer(work) as server:
        assert (await fetch(client, server.url))[1] == b"done"


async def test_our_slowness_is_not_the_peers(client: Client) -> None:
    """Neither a slow source, nor a slow reader, nor a bandwidth limit counts; nor does the time before an answer."""

    class Slowly:
        async def take(self, size: int) -> None:
            await asyncio.sleep(STALL)

    async def think(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(STALL * 0.7)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        await asyncio.sleep(STALL * 0.7)
        writer.write(b"y" * 30)

    async with ScriptedServer(answer(body=b"taken"), answer(body=b"taken"), think, answer(body=b"z" * MiB)) as server:
        slow = OnceBody(*[b"x" * SEND_SIZE] * 3, pause=1.5 * STALL)
        assert (await fetch(client, server.url, "PUT", slow))[1] == b"taken"
        response = await client.send("PUT", server.url, {"host": "h"}, body(b"x" * 3 * SEND_SIZE), throttle=Slowly())
        assert await body_of(response) == b"taken"
        assert (await fetch(client, server.url))[1] == b"y" * 30
        response = await client.send("GET", server.url + "/", {"host": "h"})
        size = len(await response.read())
        await asyncio.sleep(2.5 * STALL)
        assert size + len(await body_of(response)) == MiB


async def test_no_minimum(make_client: MakeClient) -> None:
    """Where the minimum is 0, a byte now and then is enough."""
    client = make_client(stall=STALL, min_speed=0)

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        for _step in range(9):
            await asyncio.sleep(STALL / 3)
            writer.write(b"x")

    async with ScriptedServer(trickle) as server:
        assert (await fetch(client, server.url))[1] == b"x" * 9


class _slow_server:  # noqa: N801 - used like a function
    """A server that takes so many bytes of an upload at a time, and answers once it has all of it.

    Args:
        size: bytes at a time.
        pause: seconds between.
    """

    def __init__(self, size: int, pause: float) -> None:
        self._size, self._pause = size, pause

    async def __aenter__(self) -> str:
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)
        self._listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)  # as over Ethernet
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self._listening.setblocking(False)
        self._task = asyncio.create_task(self._serve())
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self._listening.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        connected, _ = await loop.sock_accept(self._listening)
        with connected:
            connected.setblocking(False)
            left: int | None = None
            async for data in self._pieces(connected):
                if left is None:
                    head, _, rest = data.partition(b"\r\n\r\n")
                    left = int(head.lower().partition(b"content-length: ")[2].split()[0]) - len(rest)
                else:
                    left -= len(data)
                if not left:
                    await loop.sock_sendall(connected, answer())
            await asyncio.sleep(1)

    async def _pieces(self, connected: socket.socket) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(connected, self._size):
            yield data
            await asyncio.sleep(self._pause)
