"""The data plane against servers that do as they are told, on real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import NetworkError, NotFoundError, StallTimeoutError, StorageError
from dxflow_async.net.fast import transport
from dxflow_async.net.fast.connection import ENCRYPTED_SIZE, MAX_HEAD_SIZE, READ_BUFFER_SIZE, SEND_SIZE, Connection
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.http import ERROR_BODY_SIZE, HTTP, HTTPReader, read_error_body
from tests.providers.http_requests import CALL, ask, rest
from tests.providers.in_memory_bodies import BrokenBody, body
from tests.scripted_server import Answer, ScriptedServer, answer, hang_up

pytestmark = pytest.mark.every_loop

MiB = 1 << 20


def in_pieces(data: bytes, cuts: list[int]) -> Answer:
    """An answer that is sent in pieces."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        for start, end in pairwise(edges):
            writer.write(data[start:end])
            await writer.drain()
            await asyncio.sleep(0.001)

    return send


RESPONSES = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello world", 200, b"hello world"),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=1\r\n world\r\n0\r\nX: 1\r\n\r\n",
        200,
        b"hello world",
    ),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nX: 1\r\n\r\nHTTP/1.1 404 X\r\nContent-Length: 4\r\n\r\nx404",
        404,
        b"x404",
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", 204, b""),
    "empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
}


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(RESPONSES)), st.lists(st.integers(0, 400), max_size=6))
def test_cut_anywhere(kind: str, cuts: list[int]) -> None:
    """A response is the same wherever it was cut on its way, and the connection serves again after it."""
    data, status, expected = RESPONSES[kind]

    async def twice() -> None:
        threads = Threads(1)
        http = HTTP(threads)
        async with ScriptedServer(in_pieces(data, cuts)) as server:
            for _ in range(2):
                response, found = await ask(http, server.url)
                assert (response.status, found) == (status, expected)
            assert server.connections == 1
            await http.aclose()
        threads.close()

    asyncio.run(twice())


async def test_request_as_sent(http: HTTP) -> None:
    """Method, target, headers and body arrive as they were given, with the length."""
    async with ScriptedServer(answer(body=b"ok")) as server:
        url = f"{server.url}/a%20b/c?x=%2F"
        for data in (b"bytes", body(b"by", b"tes"), body(b"x" * SEND_SIZE, b"y" * SEND_SIZE)):
            response = await http.send(CALL, "PUT", url, {"host": "h", "x-amz-meta-a": "1"}, data)
            assert await rest(http, response) == b"ok"
        await ask(http, server.url, "POST")
    requests = server.requests
    assert (requests[0].method, requests[0].target, requests[0].headers["x-amz-meta-a"]) == (
        "PUT",
        "/a%20b/c?x=%2F",
        "1",
    )
    assert [len(request.body) for request in requests] == [5, 5, 2 * SEND_SIZE, 0]
    assert requests[2].body == b"x" * SEND_SIZE + b"y" * SEND_SIZE
    assert requests[3].headers["content-length"] == "0"
    assert server.connections == 1


async def test_headers_of_a_response(http: HTTP) -> None:
    """Names are lower case, repeated ones are joined, values are UTF-8."""
    async with ScriptedServer(RESPONSES["length"][0].replace(b"X-A: 1", "X-A: é".encode())) as server:
        response, _ = await ask(http, server.url)
    assert response.headers == {"content-length": "11", "x-a": "é, 2"}


async def test_head_has_no_body(http: HTTP) -> None:
    """The length in an answer to HEAD is not waited for."""
    async with ScriptedServer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") as server:
        for _ in range(2):
            response, found = await ask(http, server.url, "HEAD")
            assert (response.headers["content-length"], found) == ("1000", b"")
    assert server.connections == 1


async def test_connection_close(http: HTTP) -> None:
    """`Connection: close` is believed, and so is HTTP/1.0."""
    old = b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\ntwo"
    async with ScriptedServer(answer(body=b"one", Connection="close"), old, answer(body=b"three")) as server:
        assert [(await ask(http, server.url))[1] for _ in range(3)] == [b"one", b"two", b"three"]
    assert [request.connection for request in server.requests] == [1, 2, 3]


async def test_body_until_the_end(http: HTTP) -> None:
    """A body without a length is whole when the server closes in good order."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall " + b"of it" * 100_000)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with ScriptedServer(send) as server:
        assert (await ask(http, server.url))[1] == b"all " + b"of it" * 100_000


async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers before the body has come, and reads nothing more."""
    writer.write(answer("403 Forbidden", b"no"))
    await writer.drain()
    await asyncio.sleep(5)


async def test_early_refusal_of_a_large_body(http: HTTP) -> None:
    """An answer before the body was taken ends the sending; what was left unsent spoils no later request."""
    async with ScriptedServer(refuse, answer(body=b"ok"), early=True) as server:
        async with asyncio.timeout(5):
            response, found = await ask(http, server.url, "PUT", body(*[b"x" * MiB] * 64))
        assert (response.status, found) == (403, b"no")
        assert (await ask(http, server.url))[1] == b"ok"
    assert [request.connection for request in server.requests] == [1, 2]


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_body_cut_short(http: HTTP, framing: str) -> None:
    """A body that breaks off is an error that may be tried again, never a short body."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n3\r\nabc\r\n".encode())
        writer.close()

    async with ScriptedServer(send) as server:
        with pytest.raises(NetworkError, match="AWS read of /bucket/key failed: the connection was closed") as raised:
            await ask(http, server.url)
        await server.closed()
    assert raised.value.retryable


async def test_reset_ends_no_body(http: HTTP) -> None:
    """A body without a length is not whole when the connection was reset."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\npart")
        await writer.drain()
        await asyncio.sleep(0.05)
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        writer.get_extra_info("socket").setsockopt(1, 13, linger)  # SOL_SOCKET, SO_LINGER: close() resets
        writer.transport.abort()

    async with ScriptedServer(send) as server:
        with pytest.raises(NetworkError):
            await ask(http, server.url)


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


async def take_nothing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Reads nothing."""
    await asyncio.sleep(30)


@pytest.mark.parametrize("reply", [stall, stall_in_head, stall_in_body])
async def test_stall(http: HTTP, reply: Answer) -> None:
    """Where no byte comes for the stall timeout, the request fails, and may be tried again."""
    async with ScriptedServer(reply) as server:
        with pytest.raises(StallTimeoutError, match=r"no byte moved for 0.3 s") as raised:
            await ask(http, server.url)
        assert raised.value.retryable
        await server.closed()


async def test_stall_while_sending(http: HTTP) -> None:
    """Where the server takes no byte for the stall timeout, the request fails."""
    async with ScriptedServer(take_nothing, early=True) as server:
        with pytest.raises(StallTimeoutError):
            await ask(http, server.url, "PUT", body(*[b"x" * MiB] * 64))


async def test_slow_is_not_stalled(http: HTTP) -> None:
    """A body that takes many stall timeouts, but always moves, arrives; so does one that we send or read slowly."""

    class Slow(BrokenBody):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(3):
                await asyncio.sleep(0.45)
                yield b"x" * SEND_SIZE

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _step in range(8):
            await asyncio.sleep(0.1)
            writer.write(b"x")

    async with ScriptedServer(answer(body=b"taken"), trickle, answer(body=b"y" * 4 * MiB)) as server:
        assert (await ask(http, server.url, "PUT", Slow([], 3 * SEND_SIZE)))[1] == b"taken"
        assert (await ask(http, server.url))[1] == b"x" * 8
        response = await http.send(CALL, "GET", server.url + "/", {"host": "h"})
        await asyncio.sleep(0.8)
        assert await rest(http, response) == b"y" * 4 * MiB
    assert len(server.requests) == 3


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
async def test_connection_closed_while_idle(http: HTTP, method: str) -> None:
    """A kept connection that the server closed is replaced, unseen, where doing it twice changes nothing."""
    async with ScriptedServer(answer(body=b""), hang_up, answer(body=b"")) as server:
        await ask(http, server.url)
        data = body(b"data") if method == "PUT" else None
        response, _ = await ask(http, server.url, method, data)
        assert response.status == 200
    assert [request.connection for request in server.requests] == [1, 1, 2]


async def test_closed_while_idle_is_noticed(http: HTTP) -> None:
    """A connection that ended while nobody used it is not used again, also for POST."""

    async def answer_and_close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=b"one"))
        writer.close()

    async with ScriptedServer(answer_and_close, answer(body=b"two")) as server:
        await ask(http, server.url)
        await server.closed()
        await asyncio.sleep(0.02)
        assert not http._all
        assert (await ask(http, server.url, "POST", b"x"))[1] == b"two"


async def test_post_is_not_sent_twice(http: HTTP) -> None:
    """A POST on a connection that broke is for the caller to decide, and so is a body that is gone."""
    once = BrokenBody([b"data"], 4)
    once.readinto = None  # type: ignore[attr-defined]
    for method, data in (("POST", b"x"), ("PUT", once)):
        async with ScriptedServer(answer(), hang_up, answer()) as server:
            await ask(http, server.url)
            with pytest.raises(NetworkError) as raised:
                await ask(http, server.url, method, data)
            assert raised.value.retryable
        assert len(server.requests) == 2


async def test_fresh_connection_that_breaks(http: HTTP) -> None:
    """A new connection that breaks is not tried again here: that is the transfer engine's work."""
    async with ScriptedServer(hang_up) as server:
        with pytest.raises(NetworkError):
            await ask(http, server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\0\0",
        b"\0" * 100,
    ],
    ids=repr,
)
async def test_garbage(http: HTTP, data: bytes) -> None:
    """What is not HTTP is a broken connection, said at once."""
    async with ScriptedServer(data) as server:
        with pytest.raises(NetworkError):
            await ask(http, server.url)
        await server.closed()


async def test_head_without_an_end(http: HTTP) -> None:
    """A head that goes on and on is refused, and does not fill the memory."""
    sent = 0

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
            sent += 1000
            await writer.drain()

    async with ScriptedServer(send) as server:
        with pytest.raises(NetworkError, match="a head of over"):
            await ask(http, server.url)
        await server.closed()
    assert sent > MAX_HEAD_SIZE


async def test_second_answer_is_not_taken(http: HTTP) -> None:
    """What comes after the answer belongs to nobody: the connection is not used again."""
    smuggled = answer(body=b"right") + answer("500 Wrong", body=b"wrong")
    for first in (smuggled, b"HTTP/1.1 204 No Content\r\n\r\n" + smuggled, answer(body=b"right") + b"\r\n\r\nx"):
        async with ScriptedServer(first, answer(body=b"next")) as server:
            response, found = await ask(http, server.url)
            assert response.status in (200, 204)
            assert found in (b"right", b"")
            assert (await ask(http, server.url))[1] == b"next"
        assert [request.connection for request in server.requests] == [1, 2]


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_answer_that_lies_unread_is_not_taken(
    threads: Threads, certified: tuple[ssl.SSLContext, Path], secure: bool
) -> None:
    """An answer that comes twice at once is never taken for the next request's, however large it is."""
    context, ca_bundle = certified
    asked = 0

    async def twice(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(2 * answer(body=b"%d " % asked + b"x" * (asked * 4999 % (192 << 10))))

    http = HTTP(threads, ca_bundle=ca_bundle)
    async with ScriptedServer(twice, tls=context if secure else None) as server:
        for number in range(1, 81):
            method, data = (("GET", None), ("PUT", body(b"data")), ("POST", b"x"))[number % 3]
            _, found = await ask(http, server.url, method, data)
            assert found.startswith(b"%d " % number)
        await http.aclose()
    assert asked == 80, "nothing is asked for again"


@pytest.mark.parametrize("watches", [True, False], ids=["ours", "the loop's"])
async def test_little_is_received_ahead_of_a_reader(
    threads: Threads, certified: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch, watches: bool
) -> None:
    """Over TLS, too, the peer waits for a reader that is slow: a connection would keep the room that was taken."""
    monkeypatch.setattr(transport, "_WATCHES", watches)
    context, ca_bundle = certified
    http = HTTP(threads, ca_bundle=ca_bundle)
    async with ScriptedServer(answer(body=b"x" * (8 << 20)), tls=context) as server:
        response = await http.send(CALL, "GET", server.url, {"host": "localhost"})
        first = await response.read()
        (connection,) = http._all
        await asyncio.sleep(0.2)
        assert connection._undecrypted() < 4 * ENCRYPTED_SIZE
        size = len(first)
        while chunk := await response.read():
            size += len(chunk)
    assert size == 8 << 20
    await http.aclose()


async def test_end_that_lies_unread_is_seen(http: HTTP) -> None:
    """A connection that its server has closed is not used again, also where the loop had no time to learn of it."""

    async def answer_and_close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=b"x" * READ_BUFFER_SIZE))
        writer.close()

    async with ScriptedServer(answer_and_close) as server:
        for _ in range(50):
            assert len((await ask(http, server.url, "POST", b"x"))[1]) == READ_BUFFER_SIZE
    assert len(server.requests) == 50


async def test_answer_before_its_request(http: HTTP) -> None:
    """What comes while a body is still being gathered is no answer: the request goes over another connection."""
    early = asyncio.Event()

    class Slow(BrokenBody):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            early.set()
            await asyncio.sleep(0.1)
            yield b"data"

    async def again_later(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=b"first"))
        await early.wait()
        writer.write(answer(body=b"first"))

    async with ScriptedServer(again_later, answer(body=b"second")) as server:
        await ask(http, server.url)
        assert (await ask(http, server.url, "PUT", Slow([], 4)))[1] == b"second"
    assert [request.connection for request in server.requests] == [1, 2]


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\rb", "é", "a\0b"])
async def test_header_injection(http: HTTP, value: str) -> None:
    """A header's value with a line break, or beyond ASCII, is refused before anything is sent."""
    async with ScriptedServer(answer()) as server:
        with pytest.raises(NetworkError, match="not valid") as raised:
            await http.send(CALL, "GET", server.url + "/", {"host": "h", "x-amz-meta-a": value})
        assert not raised.value.retryable
        with pytest.raises(NetworkError):
            await http.send(CALL, "GET", f"{server.url}/a\r\nX: 1", {"host": "h"})
    assert server.connections == 0


async def test_error_body_is_bounded(http: HTTP) -> None:
    """Of an error's body no more than 64 KiB are read; a short one is whole, and its connection kept."""
    async with ScriptedServer(answer("500 Error", b"short"), answer("500 Error", b"x" * 50 * MiB)) as server:
        for expected in (5, ERROR_BODY_SIZE):
            response = await http.send(CALL, "GET", server.url + "/", {"host": "h"})
            assert len(await read_error_body(response)) == expected
        await server.closed()
    assert server.connections == 1


async def test_slow_reader_makes_the_peer_wait(http: HTTP) -> None:
    """What is not read is not received: the server has to wait."""
    taken = 0

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {256 * MiB}\r\n\r\n".encode())
        for _step in range(256):
            writer.write(b"x" * MiB)
            await writer.drain()
            taken += MiB

    async with ScriptedServer(send) as server:
        response = await http.send(CALL, "GET", server.url + "/", {"host": "h"})
        await asyncio.sleep(0.5)
        connection = next(iter(http._all))
        assert connection._buffered <= 2 * READ_BUFFER_SIZE
        before = taken
        assert before < 64 * MiB
        await asyncio.sleep(0.1)
        assert taken == before
        async with HTTPReader(Entry("key"), -1, http, CALL, response) as reading:
            for _ in range(10):
                await reading.read()
        await server.closed()


async def test_cancelled_in_mid_body(http: HTTP) -> None:
    """A reading, or a request, that is cancelled leaves no connection open, and the pool usable."""
    async with ScriptedServer(stall_in_body, stall, answer(body=b"ok")) as server:
        for _ in range(2):
            task = asyncio.create_task(ask(http, server.url))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.closed()
        await asyncio.sleep(0)
        assert not http._all
        assert (await ask(http, server.url))[1] == b"ok"


async def test_closed_before_the_end(http: HTTP) -> None:
    """A response that is closed early ends its connection; one that is read is kept."""
    async with ScriptedServer(answer(body=b"x" * 4 * MiB), answer(body=b"ok")) as server:
        response = await http.send(CALL, "GET", server.url + "/", {"host": "h"})
        await response.read()
        response.close()
        response.close()
        assert await response.read() == b""
        await server.closed()
        assert not http._all
        for _ in range(3):
            await ask(http, server.url)
    assert server.connections == 2


async def test_connection_that_idled_too_long(http: HTTP, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept connection is used again for a while only: after that its server may be about to close it."""
    async with ScriptedServer(answer(body=b"ok")) as server:
        for _ in range(2):
            await ask(http, server.url)
        assert server.connections == 1
        monkeypatch.setattr("dxflow_async.providers.http.IDLE_SECONDS", 0.0)
        await ask(http, server.url)
    assert server.connections == 2


async def test_errors_of_a_body_pass_as_they_are(http: HTTP) -> None:
    """An error of ours that a body raises is not taken for one of the connection."""
    async with ScriptedServer(answer()) as server:
        for size in (100, 4 * MiB):
            error = NotFoundError("the source is gone")
            with pytest.raises(NotFoundError) as raised:
                await ask(http, server.url, "PUT", BrokenBody([b"x" * 50], size, error))
            assert raised.value is error
        await server.closed()
        await asyncio.sleep(0)
        assert not http._all


async def test_nobody_listens(http: HTTP) -> None:
    """A refused connection says so, and may be tried again; a name that does not exist is said too."""
    async with ScriptedServer(answer()) as server:
        url = server.url
    with pytest.raises(NetworkError, match="refused") as raised:
        await ask(http, url)
    assert raised.value.retryable
    with pytest.raises(NetworkError, match="could not connect"):
        await ask(http, "http://no-such-host.invalid")


async def test_many_at_once(http: HTTP) -> None:
    """Requests at the same time have a connection each, which are used again."""
    async with ScriptedServer(in_pieces(answer(body=b"ok"), [5, 20])) as server:
        for _ in range(3):
            results = await asyncio.gather(*(ask(http, server.url) for _ in range(20)))
            assert all(found == b"ok" for _, found in results)
        assert server.connections == 20


async def test_an_error_names_the_call(http: HTTP) -> None:
    """Every error says provider, operation and path."""
    with pytest.raises(StorageError) as raised:
        await ask(http, "http://127.0.0.1:9")
    error = raised.value
    assert (error.provider, error.operation, error.path) == ("AWS", "read", "/bucket/key")


@pytest.mark.parametrize("size", [256 << 10, 100 << 10, 1 << 20], ids=["as large", "smaller", "larger"])
async def test_a_reader_is_woken_once(http: HTTP, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Whoever fills a buffer hears of it when it is full, or the body at its end, not of each piece that arrives."""
    data = bytes(range(256)) * 1024
    wakes: list[Connection] = []
    wake = Connection._wake

    def counted(connection: Connection) -> None:
        wakes.append(connection)
        wake(connection)

    monkeypatch.setattr(Connection, "_wake", counted)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    async with ScriptedServer(in_pieces(head + data, list(range(len(head), len(data), 16 << 10)))) as server:
        response = await http.send(CALL, "GET", f"{server.url}/path", {"host": "127.0.0.1"})
        before, found = len(wakes), b""
        async with asyncio.timeout(5):
            while filled := await response.readinto(buffer := memoryview(bytearray(size))):
                found += buffer[:filled]
        assert found == data
        assert len(wakes) - before <= -(-len(data) // size) + 1
