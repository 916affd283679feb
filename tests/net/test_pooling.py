"""Which connections are used again, on both lanes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest

from dxflow_async.exceptions import SessionClosedError
from dxflow_async.net import Client, ConnectionBrokenError
from tests.net.exchanges import MiB, OnceBody, body_of, fetch, in_pieces
from tests.net.made_clients import MakeClient
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer, hang_up

pytestmark = pytest.mark.every_loop


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
async def test_connection_closed_while_idle(client: Client, method: str) -> None:
    """A kept connection that the server closed is replaced, unseen, where doing it twice changes nothing."""
    async with ScriptedServer(answer(body=b""), hang_up, answer(body=b"")) as server:
        await fetch(client, server.url)
        data = body(b"data") if method == "PUT" else None
        response, _ = await fetch(client, server.url, method, data)
        assert response.status == 200
    assert [request.connection for request in server.requests] == [1, 1, 2]


async def test_large_body_over_a_connection_closed_while_idle(client: Client) -> None:
    """The same where the body is sent piece by piece: it begins again."""
    async with ScriptedServer(answer(body=b""), hang_up, answer(body=b"")) as server:
        await fetch(client, server.url)
        response, _ = await fetch(client, server.url, "PUT", body(b"x" * MiB, b"y" * MiB))
        assert response.status == 200
    assert server.requests[-1].body == b"x" * MiB + b"y" * MiB


async def test_the_new_connection_is_new(client: Client) -> None:
    """What an idle connection lost is not sent over another idle one, which may be lost as well."""
    async with ScriptedServer(in_pieces(answer(body=b"a"), [5], 0.02)) as server:
        await asyncio.gather(*(fetch(client, server.url) for _ in range(5)))
        assert client.idle_connections == 5
        server.reply(hang_up, answer(body=b"b"))
        assert (await fetch(client, server.url))[1] == b"b"
    assert server.requests[-1].connection == 6


async def test_closed_while_idle_is_noticed(client: Client) -> None:
    """A connection that ended while nobody used it is not used again, also for POST."""

    async def answer_and_close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=b"one"))
        writer.close()

    async with ScriptedServer(answer_and_close, answer(body=b"two")) as server:
        await fetch(client, server.url)
        await server.closed()
        await asyncio.sleep(0.02)
        assert not client.open_connections
        assert (await fetch(client, server.url, "POST", b"x"))[1] == b"two"


async def test_end_that_lies_unread_is_seen(client: Client, tls: ssl.SSLContext | None) -> None:
    """A connection that its server has closed is not used again, also where the loop had no time to learn of it."""

    async def answer_and_close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=b"x" * 128 * 1024))
        writer.close()

    async with ScriptedServer(answer_and_close, tls=tls) as server:
        for _ in range(30):
            assert len((await fetch(client, server.url, "POST", b"x"))[1]) == 128 * 1024
    assert len(server.requests) == 30


async def test_what_is_not_repeatable_is_not_sent_twice(client: Client) -> None:
    """A request over a connection that broke is for the caller to decide: a POST, or what is said to be like one."""
    for method, repeatable in (("POST", None), ("PUT", False), ("DELETE", False), ("GET", False)):
        async with ScriptedServer(answer(), hang_up, answer()) as server:
            await fetch(client, server.url)
            with pytest.raises(ConnectionBrokenError) as raised:
                await client.send(method, f"{server.url}/", {"host": "h"}, repeatable=repeatable)
            assert raised.value.retryable
        assert len(server.requests) == 2


async def test_what_is_repeatable_is(client: Client) -> None:
    """A POST that is said to be repeatable is sent again."""
    async with ScriptedServer(answer(), hang_up, answer(body=b"ok")) as server:
        await fetch(client, server.url)
        response = await client.send("POST", f"{server.url}/", {"host": "h"}, b"x", repeatable=True)
        assert await body_of(response) == b"ok"
    assert [request.body for request in server.requests] == [b"", b"x", b"x"]


@pytest.mark.parametrize("size", [4, MiB])
async def test_body_that_is_gone_is_not_sent_twice(client: Client, size: int) -> None:
    """A body that can be read once is not sent again."""
    async with ScriptedServer(answer(), hang_up, answer()) as server:
        await fetch(client, server.url)
        with pytest.raises(ConnectionBrokenError):
            await fetch(client, server.url, "PUT", OnceBody(b"x" * size))
    assert len(server.requests) == 2


async def test_fresh_connection_that_breaks(client: Client) -> None:
    """A new connection that breaks is not tried again here: that is the transfer engine's work."""
    async with ScriptedServer(hang_up) as server:
        with pytest.raises(ConnectionBrokenError):
            await fetch(client, server.url)
    assert len(server.requests) == 1


async def test_server_that_hangs_up_at_once(client: Client) -> None:
    """A server that closes, or resets, each connection as soon as it is made is a broken connection."""

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for number in range(20):
        with pytest.raises(ConnectionBrokenError):
            await fetch(client, url, "PUT", body(b"x" * (number % 2 * MiB + 1)))
    await asyncio.sleep(0.02)
    assert not client.open_connections
    server.close()


async def test_answer_that_breaks_is_not_asked_for_again(client: Client) -> None:
    """Once some of the answer has come over a kept connection, the request was done: it is not sent again."""

    async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-")
        await writer.drain()
        writer.close()

    async with ScriptedServer(answer(), break_off) as server:
        await fetch(client, server.url)
        with pytest.raises(ConnectionBrokenError):
            await fetch(client, server.url)
    assert len(server.requests) == 2


async def test_second_answer_is_not_taken(client: Client) -> None:
    """What comes after the answer belongs to nobody: the connection is not used again."""
    smuggled = answer(body=b"right") + answer("500 Wrong", body=b"wrong")
    for first in (smuggled, answer(body=b"right") + b"\r\n\r\nx", answer(body=b"") + answer(body=b"wrong")):
        async with ScriptedServer(first, answer(body=b"next")) as server:
            with contextlib.suppress(ConnectionBrokenError):  # strict is fine; wrong is not
                assert (await fetch(client, server.url))[1] in (b"right", b"")
            assert (await fetch(client, server.url))[1] == b"next"
        assert [request.connection for request in server.requests] == [1, 2]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_body_where_there_is_none(client: Client, method: str) -> None:
    """A body after an answer that has none is never taken for the next answer."""
    evil = answer(body=b"evil")
    first = evil + evil if method == "HEAD" else b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n" + evil
    async with ScriptedServer(first, answer(body=b"next")) as server:
        try:
            _, found = await fetch(client, server.url, method)
            assert found == b""
        except ConnectionBrokenError:
            pass
        assert (await fetch(client, server.url))[1] == b"next"
    assert [request.connection for request in server.requests] == [1, 2]


async def test_answer_that_lies_unread_is_not_taken(make_client: MakeClient, tls: ssl.SSLContext | None) -> None:
    """An answer that comes twice at once is never taken for the next request's, however large it is."""
    asked = 0

    async def twice(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(2 * answer(body=b"%d " % asked + b"x" * (asked * 997 % (192 << 10))))

    client = make_client()
    async with ScriptedServer(twice, tls=tls) as server:
        for number in range(1, 101):
            method, data = (("GET", None), ("PUT", body(b"data")), ("POST", b"x"))[number % 3]
            _, found = await fetch(client, server.url, method, data)
            assert found.startswith(b"%d " % number)
    assert asked == 100, "nothing is asked for again"


@pytest.mark.parametrize("size", [4, MiB])
async def test_answer_before_its_request(client: Client, size: int) -> None:
    """What comes while a body is still being gathered is no answer to it: the request fails or is sent anew."""
    early = asyncio.Event()

    class Slow(OnceBody):
        async def __aiter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - as the base
            early.set()
            await asyncio.sleep(0.1)
            yield b"d" * size

    async def again_later(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=b"first"))
        await early.wait()
        writer.write(answer(body=b"first"))

    async with ScriptedServer(again_later, answer(body=b"second")) as server:
        await fetch(client, server.url)
        try:
            found = (await fetch(client, server.url, "PUT", Slow(b"", size=size)))[1]
        except ConnectionBrokenError:
            return
        assert found == b"second"


async def test_closed_before_the_end(client: Client) -> None:
    """A response that is closed early ends its connection; one that is read is kept."""
    async with ScriptedServer(answer(body=b"x" * 4 * MiB), answer(body=b"ok")) as server:
        response = await client.send("GET", server.url + "/", {"host": "h"})
        await response.read()
        response.close()
        response.close()
        assert await response.read() == b""
        await server.closed()
        assert not client.open_connections
        for _ in range(3):
            await fetch(client, server.url)
    assert server.connections == 2


async def test_closed_unread(client: Client) -> None:
    """A response whose body is closed unread never gives its bytes to the next request."""
    async with ScriptedServer(answer(body=b"one"), answer(body=b"two")) as server:
        response = await client.send("GET", server.url + "/", {"host": "h"})
        response.close()
        assert (await fetch(client, server.url))[1] == b"two"


@pytest.mark.parametrize("size", [0, 4, 4 * MiB])
async def test_abort(client: Client, size: int) -> None:
    """A response that is aborted ends its connection, also where all of it has come."""
    async with ScriptedServer(answer(body=b"x" * size), answer(body=b"ok")) as server:
        response = await client.send("GET", server.url + "/", {"host": "h"})
        response.abort()
        await server.closed()
        assert not client.open_connections
        assert (await fetch(client, server.url))[1] == b"ok"
    assert server.connections == 2


async def test_connection_that_idled_too_long(make_client: MakeClient) -> None:
    """A kept connection is used again for a while only: after that its server may be about to close it."""
    client = make_client(idle=0.2)
    async with ScriptedServer(answer(body=b"ok")) as server:
        for _ in range(2):
            await fetch(client, server.url)
        assert server.connections == 1
        await asyncio.sleep(0.3)
        await fetch(client, server.url)
    assert server.connections == 2


async def test_many_at_once(client: Client) -> None:
    """Requests at the same time have a connection each, which are used again."""
    async with ScriptedServer(in_pieces(answer(body=b"ok"), [5, 20])) as server:
        for _ in range(3):
            results = await asyncio.gather(*(fetch(client, server.url) for _ in range(20)))
            assert all(found == b"ok" for _, found in results)
        assert server.connections == 20
        assert (client.open_connections, client.idle_connections) == (20, 20)


async def test_dropped_connections(client: Client) -> None:
    """After `drop_connections` requests connect anew; those under way fail."""
    async with ScriptedServer(answer(body=b"x" * 4 * MiB), answer(body=b"ok")) as server:
        response = await client.send("GET", server.url + "/", {"host": "h"})
        await client.drop_connections()
        with pytest.raises(ConnectionBrokenError):
            await body_of(response)
        assert (await fetch(client, server.url))[1] == b"ok"
    assert server.connections == 2


async def test_closed_client_refuses_work(client: Client) -> None:
    """After `aclose` no connection is made any more."""
    async with ScriptedServer(answer()) as server:
        await fetch(client, server.url)
        await client.aclose()
        await client.aclose()
        with pytest.raises(SessionClosedError):
            await fetch(client, server.url)
    assert server.connections == 1
