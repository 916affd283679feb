"""Where a response's head and body end, on both lanes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest

from dxflow_async.net import Client, ConnectionBrokenError, NetError
from tests.net.exchanges import MiB, body_of, fetch, in_pieces
from tests.net.made_clients import MakeClient
from tests.scripted_server import ScriptedServer, answer

RESPONSES = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello world", 200, b"hello world"),
    "chunked": (
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'5\r\nhello\r\n6;x=1;y="a;b"\r\n world\r\n0\r\nX-A: 1\r\nETag: b\r\n\r\n'
        ),
        200,
        b"hello world",
    ),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nX: 1\r\n\r\nHTTP/1.1 404 X\r\nContent-Length: 4\r\n\r\nx404",
        404,
        b"x404",
    ),
    "interim with length": (
        b"HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", 204, b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
    "empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
}


@pytest.mark.parametrize("kind", RESPONSES)
async def test_cut_at_every_byte(client: Client, kind: str) -> None:
    """A response is the same wherever it was cut on its way, and its connection serves again."""
    data, status, expected = RESPONSES[kind]
    async with ScriptedServer() as server:
        for cut in range(1, len(data)):
            server.reply(in_pieces(data, [cut], 0.0005))
            response, found = await fetch(client, server.url)
            assert (response.status, found) == (status, expected), cut
        server.reply(in_pieces(data, range(1, len(data)), 0))
        response, found = await fetch(client, server.url)
        assert (response.status, found) == (status, expected)
        assert server.connections == 1


@pytest.mark.every_loop
@pytest.mark.parametrize("kind", RESPONSES)
async def test_whole_or_in_two(client: Client, kind: str) -> None:
    """A response is read on every loop, whether it comes at once or in two pieces."""
    data, status, expected = RESPONSES[kind]
    async with ScriptedServer(data, in_pieces(data, [len(data) // 2])) as server:
        for _ in range(2):
            response, found = await fetch(client, server.url)
            assert (response.status, found) == (status, expected)
        assert server.connections == 1


async def test_every_cut_of_the_end(client: Client) -> None:
    """A response that ends before its end, at whatever byte, is an error, never a short body."""
    for kind in ("length", "chunked", "interim"):
        data, _, _ = RESPONSES[kind]

        for end in range(len(data)):

            async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter, part: bytes = data[:end]) -> None:
                writer.write(part)
                writer.close()

            async with ScriptedServer(send) as server:
                with pytest.raises(ConnectionBrokenError):
                    await fetch(client, server.url)


@pytest.mark.every_loop
async def test_headers(client: Client) -> None:
    """Names are lower case, repeated headers are joined, values are UTF-8; the repr shows no values."""
    async with ScriptedServer(RESPONSES["length"][0].replace(b"X-A: 1", "X-A: é".encode())) as server:
        response, _ = await fetch(client, server.url)
    assert response.headers == {"content-length": "11", "x-a": "é, 2"}
    assert "é" not in repr(response.headers)


async def test_bytes_that_are_not_utf8(client: Client) -> None:
    """A header's value that is not UTF-8 is shown with replacement characters; it breaks nothing."""
    async with ScriptedServer(b"HTTP/1.1 200 \xff\r\nX-A: \xff\r\nContent-Length: 2\r\n\r\nok") as server:
        response, found = await fetch(client, server.url)
    assert (response.headers["x-a"], found) == ("\ufffd", b"ok")


async def test_trailers_are_no_headers(client: Client) -> None:
    """What comes after a chunked body never becomes a header, whether it comes with the body or later."""
    head = b"HTTP/1.1 200 OK\r\nETag: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    trailers = b"ETag: b\r\nX-Amz-Checksum-Crc32c: AAAAAA==\r\nSet-Cookie: a=b\r\n\r\n"
    for cuts in ([], [len(head)], [len(head) + 5], [len(head) - 5]):
        async with ScriptedServer(in_pieces(head + trailers, cuts)) as server:
            for _ in range(2):
                response, found = await fetch(client, server.url)
                assert found == b"ok"
                assert response.headers == {"etag": "a", "transfer-encoding": "chunked"}
            assert server.connections == 1


@pytest.mark.every_loop
async def test_head_has_no_body(client: Client) -> None:
    """The body that an answer to HEAD announces is not waited for."""
    for framing in ("Content-Length: 1000", "Transfer-Encoding: chunked"):
        async with ScriptedServer(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode()) as server:
            for _ in range(2):
                response, found = await fetch(client, server.url, "HEAD")
                assert (framing.partition(": ")[2] in response.headers.values(), found) == (True, b"")
        assert server.connections == 1


async def test_connection_close(client: Client) -> None:
    """`Connection: close` is believed, and so is HTTP/1.0."""
    old = b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\ntwo"
    async with ScriptedServer(answer(body=b"one", Connection="close"), old, answer(body=b"three")) as server:
        assert [(await fetch(client, server.url))[1] for _ in range(3)] == [b"one", b"two", b"three"]
    assert [request.connection for request in server.requests] == [1, 2, 3]


@pytest.mark.every_loop
@pytest.mark.parametrize("size", [0, 1, 500_000])
async def test_body_until_the_end(client: Client, size: int, tls: ssl.SSLContext | None) -> None:
    """A body without a length is whole when the server closes in good order."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * size)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with ScriptedServer(send, tls=tls) as server:
        for _ in range(2):
            assert (await fetch(client, server.url))[1] == b"x" * size
    assert server.connections == 2


@pytest.mark.every_loop
async def test_reset_ends_no_body(client: Client) -> None:
    """A body without a length is not whole when the connection was reset."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\npart")
        await writer.drain()
        await asyncio.sleep(0.05)
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        writer.get_extra_info("socket").setsockopt(1, 13, linger)  # SOL_SOCKET, SO_LINGER: close() resets
        writer.transport.abort()

    async with ScriptedServer(send) as server:
        with pytest.raises(ConnectionBrokenError):
            await fetch(client, server.url)


@pytest.mark.every_loop
@pytest.mark.parametrize("read_first", [False, True])
async def test_tls_that_is_cut(client: Client, certified: tuple[ssl.SSLContext, Path], read_first: bool) -> None:
    """Over TLS a body that ends with the connection is whole only where the peer has said so."""

    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    async with ScriptedServer(cut, tls=certified[0]) as server:
        response = await client.send("GET", f"{server.url}/", {"host": "h"})
        if not read_first:
            await asyncio.sleep(0.1)
        with pytest.raises(ConnectionBrokenError):
            await body_of(response)


@pytest.mark.every_loop
@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_body_cut_short(client: Client, framing: str) -> None:
    """A body that breaks off is an error, again and again, that may be tried again."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n3\r\nabc\r\n".encode())
        writer.close()

    async with ScriptedServer(send) as server:
        response = await client.send("GET", f"{server.url}/", {"host": "h"})
        buffer = memoryview(bytearray(100))
        with contextlib.suppress(ConnectionBrokenError):
            assert await response.readinto(buffer) <= 8
        for _ in range(3):
            with pytest.raises(ConnectionBrokenError, match="the connection was closed") as raised:
                await response.read()
            assert raised.value.retryable
        response.close()
        await server.closed()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\0\0",
        b"\0" * 100,
    ],
    ids=repr,
)
async def test_garbage(client: Client, data: bytes) -> None:
    """An answer that is not HTTP, or says its length in two ways, is a broken connection, said at once."""
    async with ScriptedServer(data) as server:
        with pytest.raises(ConnectionBrokenError) as raised:
            await fetch(client, server.url)
        assert "\n" not in str(raised.value)
        await server.closed()


@pytest.mark.parametrize("where", ["head", "interim", "trailers"])
async def test_head_without_an_end(client: Client, where: str) -> None:
    """A head, or trailers, that go on and on are refused, and do not fill the memory."""
    sent = 0

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        start = {"trailers": b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0", "interim": b"103 X"}
        writer.write(b"HTTP/1.1 " + start.get(where, b"200 OK") + b"\r\n")
        while True:
            writer.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
            sent += 1000
            await writer.drain()

    async with ScriptedServer(send) as server:
        with pytest.raises(ConnectionBrokenError):
            await fetch(client, server.url)
        await server.closed()
    assert sent < 64 * MiB


async def test_a_header_without_an_end(client: Client) -> None:
    """One header that goes on and on is refused, and does not fill the memory."""
    sent = 0

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nX-Filler: ")
        while True:
            writer.write(b"x" * 1000)
            sent += 1000
            await writer.drain()

    async with ScriptedServer(send) as server:
        with pytest.raises(ConnectionBrokenError):
            await fetch(client, server.url)
        await server.closed()
    assert sent < 64 * MiB


async def test_large_heads_that_are_fine(client: Client) -> None:
    """Large metadata arrives whole: 200 headers, and one of 30 KB."""
    lines = "".join(f"X-Amz-Meta-{number}: {number}\r\n" for number in range(200))
    head = f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Large: {'y' * 30_000}\r\n{lines}\r\nok"
    async with ScriptedServer(head.encode()) as server:
        response, found = await fetch(client, server.url)
    assert (response.headers["x-large"], response.headers["x-amz-meta-199"], found) == ("y" * 30_000, "199", b"ok")


async def test_nothing_is_decoded(make_client: MakeClient) -> None:
    """A body that says it is compressed comes as it is, and no redirect is followed."""
    client = make_client()
    async with ScriptedServer(
        answer(body=b"not gzip", Content_Encoding="gzip"), answer("302 Found", b"there", Location="http://127.0.0.1:9/")
    ) as server:
        assert (await fetch(client, server.url))[1] == b"not gzip"
        response, found = await fetch(client, server.url)
        assert (response.status, found) == (302, b"there")


async def test_two_answers_are_not_one(client: Client) -> None:
    """A body is never longer than its length, whatever follows it."""
    async with ScriptedServer(answer(body=b"right") + b"HTTP/1.1 200 OK\r\n") as server:
        with contextlib.suppress(NetError):  # strict is fine; wrong is not
            assert (await fetch(client, server.url))[1] == b"right"


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "x-new"])
async def test_bodies_in_an_unknown_coding(client: Client, coding: str) -> None:
    """A body with a transfer coding that nobody asked for is an error that names it, never the object's bytes."""
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\nConnection: close\r\n\r\n".encode()
    async with ScriptedServer(head + b"2\r\nok\r\n0\r\n\r\n") as server:
        with pytest.raises(NetError, match=f"coding, {coding.partition(',')[0]}"):
            await fetch(client, server.url)


async def test_chunked_in_other_letters(client: Client) -> None:
    """The coding's name counts in any letters."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
    async with ScriptedServer(head + b"2\r\nok\r\n0\r\n\r\n") as server:
        assert (await fetch(client, server.url))[1] == b"ok"
