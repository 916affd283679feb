"""What is sent, and answers that come before all of it was, on both lanes."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from dxflow_async.exceptions import NotFoundError
from dxflow_async.net import SEND_SIZE, Client, ConnectionBrokenError, InvalidRequestError
from dxflow_async.streams import Body, Buffered
from tests.net.exchanges import MiB, OnceBody, body_of, fetch
from tests.net.made_clients import MakeClient
from tests.providers.in_memory_bodies import BrokenBody, body
from tests.scripted_server import ScriptedServer, answer

pytestmark = pytest.mark.every_loop


async def test_request_as_sent(client: Client) -> None:
    """Method, target, headers and body arrive as they were given, with the length and nothing added."""
    async with ScriptedServer(answer(body=b"ok")) as server:
        url = f"{server.url}/a%20b/c%2Fd/..//e?x=%2F&y&z=a+b"
        bodies: list[Body | bytes] = [b"bytes", body(b"by", b"tes"), body(b"x" * SEND_SIZE, b"y" * SEND_SIZE)]
        for data in (*bodies, OnceBody(b"o", b"nce")):
            response = await client.send("PUT", url, {"host": "h", "x-amz-meta-a": "1"}, data)
            assert await body_of(response) == b"ok"
        for method in ("POST", "PUT", "GET", "DELETE"):
            await fetch(client, server.url, method)
    requests = server.requests
    assert {request.target for request in requests[:4]} == {"/a%20b/c%2Fd/..//e?x=%2F&y&z=a+b"}
    assert [len(request.body) for request in requests[:4]] == [5, 5, 2 * SEND_SIZE, 4]
    assert requests[2].body == b"x" * SEND_SIZE + b"y" * SEND_SIZE
    for request in requests[:4]:
        assert request.headers == {"host": "h", "x-amz-meta-a": "1", "content-length": str(len(request.body))}
    lengths = [request.headers.get("content-length") for request in requests[4:]]
    assert lengths[:3] == ["0", "0", None]
    assert lengths[3] in (None, "0")
    assert server.connections == 1


async def test_the_host_alone(client: Client) -> None:
    """A URL without a path asks for the root."""
    async with ScriptedServer(answer()) as server:
        await body_of(await client.send("GET", server.url, {"host": "h"}))
        await body_of(await client.send("GET", f"{server.url}/", {"host": "h"}))
    assert [request.target for request in server.requests] == ["/", "/"]


@pytest.mark.parametrize("size", [0, 1, SEND_SIZE - 1, SEND_SIZE, SEND_SIZE + 1, 3 * MiB + 5])
async def test_body_of_any_size(client: Client, size: int, tls: ssl.SSLContext | None) -> None:
    """No byte is lost or sent twice, whatever the body's size and pieces."""
    data = bytes(range(251)) * (size // 251 + 1)
    pieces = [data[:size][start : start + 100_001] for start in range(0, size, 100_001)]
    async with ScriptedServer(answer(body=b"ok"), tls=tls) as server:
        for sent in (
            body(*pieces),
            OnceBody(*pieces),
            Buffered([memoryview(bytearray(each)) for each in pieces], size),
        ):
            assert (await fetch(client, server.url, "PUT", sent))[1] == b"ok"
        assert [request.body == data[:size] for request in server.requests] == [True] * 3
        assert server.connections == 1


class Cap:
    """A cap on bytes a second that only counts."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    async def take(self, size: int) -> None:
        """Notes the bytes."""
        self.taken.append(size)


@pytest.mark.parametrize("size", [1000, 3 * MiB])
async def test_throttle(client: Client, size: int) -> None:
    """Each piece that is sent asks the throttle before."""
    cap = Cap()
    async with ScriptedServer(answer(body=b"ok")) as server:
        response = await client.send("PUT", f"{server.url}/", {"host": "h"}, body(b"x" * size), throttle=cap)
        assert await body_of(response) == b"ok"
    assert sum(cap.taken) == size
    assert max(cap.taken) <= SEND_SIZE
    assert len(server.requests[0].body) == size


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\rb", "é", "a\0b"])
async def test_header_injection(client: Client, value: str) -> None:
    """A header with a line break, or beyond ASCII, is refused before anything is sent; so is such a URL."""
    async with ScriptedServer(answer()) as server:
        for url, headers in (
            (f"{server.url}/", {"host": "h", "x-amz-meta-a": value}),
            (f"{server.url}/", {"host": "h", value: "a"}),
            (f"{server.url}/{value}", {"host": "h"}),
        ):
            with pytest.raises(InvalidRequestError) as raised:
                await client.send("GET", url, headers)
            assert not raised.value.retryable
    assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "http:///x",
        "http://host:99999/",
        "/x",
        "http://[::1/",
        "http://x..example/",
        f"https://{'a' * 70}.example/",
    ],
)
async def test_url_that_is_not_http(client: Client, url: str) -> None:
    """A URL that names no HTTP server is an invalid request."""
    with pytest.raises(InvalidRequestError):
        await client.send("GET", url, {"host": "h"})


# Answers that come early


async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers before the body has come, and reads nothing more."""
    writer.write(answer("403 Forbidden", b"no"))
    await writer.drain()
    await asyncio.sleep(5)


async def refuse_without_a_word(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with a head alone."""
    writer.write(answer("403 Forbidden"))
    await writer.drain()
    await asyncio.sleep(5)


async def refuse_and_close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers, and is gone while the body still comes."""
    writer.write(answer("403 Forbidden", b"no", Connection="close"))
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()


@pytest.mark.parametrize("reply", [refuse, refuse_without_a_word])
async def test_early_refusal_of_a_large_body(client: Client, reply: object, tls: ssl.SSLContext | None) -> None:
    """A refusal before the body was taken ends the sending; what was left unsent spoils no later request."""
    async with ScriptedServer(reply, answer(body=b"ok"), early=True, tls=tls) as server:  # type: ignore[arg-type]
        async with asyncio.timeout(5):
            response, found = await fetch(client, server.url, "PUT", body(*[b"x" * MiB] * 64))
        assert (response.status, found) == (403, b"no" if reply is refuse else b"")
        assert (await fetch(client, server.url))[1] == b"ok"
    assert [request.connection for request in server.requests] == [1, 2]


async def test_refusal_with_a_large_body(client: Client) -> None:
    """The body of an early refusal is read whole."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("400 Bad Request", b"why" * 500_000))
        await writer.drain()
        await asyncio.sleep(5)

    async with ScriptedServer(send, early=True) as server:
        response, found = await fetch(client, server.url, "PUT", body(*[b"x" * MiB] * 64))
        assert (response.status, found) == (400, b"why" * 500_000)
        await asyncio.sleep(0)
        assert not client.open_connections


async def test_refusal_while_the_body_is_gathered(client: Client) -> None:
    """A refusal is heard also while the body's next piece is still awaited; then no more of it is read."""
    sent = OnceBody(*[b"x" * SEND_SIZE] * 5, pause=0.1)
    async with ScriptedServer(refuse, early=True) as server:
        response, _ = await fetch(client, server.url, "PUT", sent)
        assert response.status == 403


async def test_refusal_of_a_peer_that_goes(client: Client) -> None:
    """A refusal of a server that then closes arrives, or the connection broke; nothing else happens."""
    async with ScriptedServer(refuse_and_close, early=True) as server:
        try:
            response, found = await fetch(client, server.url, "PUT", body(*[b"x" * MiB] * 64))
        except ConnectionBrokenError:
            return
        assert (response.status, found) == (403, b"no")


async def succeed_early(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reports success with the head of the request only."""
    writer.write(answer(body=b"ok"))
    await writer.drain()
    await asyncio.sleep(2)


async def succeed_early_and_empty(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The same without a body."""
    writer.write(answer())
    await writer.drain()
    await asyncio.sleep(2)


@pytest.mark.parametrize("reply", [succeed_early, succeed_early_and_empty])
async def test_success_before_the_body_was_sent(client: Client, reply: object) -> None:
    """A success that comes before all of the body was sent is a failure that may be retried; the connection ends."""
    async with ScriptedServer(reply, answer(body=b"ok"), early=True) as server:  # type: ignore[arg-type]
        with pytest.raises(ConnectionBrokenError, match="before it had all of the request") as failed:
            await client.send("PUT", f"{server.url}/x", {"host": "h"}, body(*(b"x" * MiB for _ in range(64))))
        assert failed.value.retryable
        assert (await fetch(client, server.url))[1] == b"ok"
    assert server.connections == 2


async def test_interim_answers_while_sending(make_client: MakeClient) -> None:
    """Interim answers at the start of a long upload neither end it nor start a clock."""
    client = make_client(stall=0.3)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        await reader.readexactly(4 * SEND_SIZE)
        writer.write(answer(body=b"ok"))

    async with ScriptedServer(take, early=True) as server:
        assert (await fetch(client, server.url, "PUT", OnceBody(*[b"x" * SEND_SIZE] * 4, pause=0.2)))[1] == b"ok"


# Bodies that fail


@pytest.mark.parametrize("size", [100, 4 * MiB])
async def test_errors_of_a_body_pass_as_they_are(client: Client, size: int) -> None:
    """What a body raises comes through, be it one of ours, of the disk's or a bug, and the connection ends."""
    async with ScriptedServer(answer()) as server:
        for error in (NotFoundError("the source is gone"), OSError("the disk is gone"), KeyError("bug")):
            with pytest.raises(type(error)) as raised:
                await fetch(client, server.url, "PUT", BrokenBody([b"x" * 50], size, error))
            assert raised.value is error
        await server.closed()
        await asyncio.sleep(0)
        assert client.open_connections == client.idle_connections


@pytest.mark.parametrize("size", [100, 4 * MiB])
@pytest.mark.parametrize("more", [-1, 1])
async def test_body_of_another_length(client: Client, size: int, more: int) -> None:
    """A body with fewer or more bytes than it announced is never taken for whole."""
    async with ScriptedServer(answer()) as server:
        with pytest.raises(ConnectionBrokenError, match="announced"):
            await fetch(client, server.url, "PUT", BrokenBody([b"x" * (size + more)], size))
        assert not server.requests


async def test_peer_that_reads_slowly(make_client: MakeClient, tls: ssl.SSLContext | None) -> None:
    """A large body arrives in its order where the peer takes it late."""
    data = bytes(range(256)) * (20 * MiB // 256)
    arrived = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        arrived.extend(await reader.readexactly(len(data)))
        writer.write(answer(body=b"ok"))

    client = make_client()
    async with ScriptedServer(take, tls=tls, early=True) as server:
        pieces = [data[start : start + MiB] for start in range(0, len(data), MiB)]
        assert (await fetch(client, server.url, "PUT", body(*pieces)))[1] == b"ok"
    assert arrived == data
