"""Sockets as transports: bodies that threads receive, and what TLS does with what is sent and read."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import NetworkError
from dxflow_async.net.fast import transport
from dxflow_async.net.fast.transport import SocketTransport
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.http import HTTP, HTTPReader
from dxflow_async.providers.local.files import WRITE_SIZE
from tests.providers.http_requests import CALL, ask
from tests.providers.in_memory_bodies import body
from tests.scripted_server import Answer, ScriptedServer, answer

pytestmark = pytest.mark.every_loop

MiB = 1 << 20
DATA = os.urandom(MiB) * 20


class Sink:
    """Where a body is poured to; it notes which thread does it."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.data = bytearray()
        self.threads: set[str] = set()
        self._fail_at = fail_at

    def write(self, data: memoryview) -> None:
        """Takes what comes next."""
        self.threads.add(threading.current_thread().name)
        if self._fail_at is not None and len(self.data) >= self._fail_at:
            raise OSError("the disk is full")
        self.data += data


class StreamOutcome:
    """Counts what is received in threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.received: list[int] = []
        self.began = threading.Event()
        self._pour = SocketTransport.stream_to
        monkeypatch.setattr(SocketTransport, "stream_to", lambda *arguments: self._note(*arguments))  # noqa: PLW0108 - unbound

    def _note(self, *arguments: object) -> transport.StreamOutcome:
        self.began.set()
        poured = self._pour(*arguments)  # type: ignore[arg-type]
        self.received.append(poured.received)
        return poured


@pytest.fixture
def poured(monkeypatch: pytest.MonkeyPatch) -> StreamOutcome:
    """What threads receive."""
    return StreamOutcome(monkeypatch)


@pytest.fixture(params=["plain", "tls"])
def secure(request: pytest.FixtureRequest) -> bool:
    """Whether there is TLS."""
    return bool(request.param == "tls")


@pytest.fixture
async def http(threads: Threads, certified: tuple[ssl.SSLContext, Path]) -> AsyncIterator[HTTP]:
    """A data plane that trusts the server."""
    http = HTTP(threads, stall_timeout=2, ca_bundle=certified[1])
    yield http
    await http.aclose()
    assert not http._all


@pytest.fixture
def tls(certified: tuple[ssl.SSLContext, Path], secure: bool) -> ssl.SSLContext | None:
    """What a server needs for that."""
    return certified[0] if secure else None


async def stream_to(http: HTTP, threads: Threads, url: str, sink: Sink, size: int = WRITE_SIZE) -> None:
    """Pours a body to its end."""
    response = await http.send(CALL, "GET", f"{url}/x", {"host": "h"})
    block = memoryview(bytearray(size))
    async with HTTPReader(Entry("x"), -1, http, CALL, response) as reading:
        while moved := await reading.stream_to(block, sink.write, threads.run):
            assert moved <= len(sink.data)


def slowly(data: bytes, *edges: int) -> Answer:
    """An answer that pauses at some bytes of its body."""
    head = answer(body=data)[: -len(data)]

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for start, end in pairwise((0, *edges, len(data))):
            writer.write(data[start:end])
            await writer.drain()
            await asyncio.sleep(0.02)

    return send


async def test_threads_receive_a_large_body(
    http: HTTP, threads: Threads, tls: ssl.SSLContext | None, poured: StreamOutcome
) -> None:
    """Most of a large body is received by the threads that write it; the connection serves again afterwards."""
    async with ScriptedServer(answer(body=DATA), answer(body=b"next"), tls=tls) as server:
        sink = Sink()
        await stream_to(http, threads, server.url, sink)
        assert (await ask(http, server.url))[1] == b"next"
        assert server.connections == 1
    assert sink.data == DATA
    assert sum(poured.received) > len(DATA) // 2
    assert not any("MainThread" in name for name in sink.threads)


@pytest.mark.parametrize("size", [1, 1000, 64 << 10, (64 << 10) + 1, MiB - 1, MiB, MiB + 1, 3 * MiB + 5])
@pytest.mark.parametrize("block", [64 << 10, MiB])
async def test_body_of_any_size(
    http: HTTP, threads: Threads, tls: ssl.SSLContext | None, size: int, block: int
) -> None:
    """No byte is lost or put in twice, whatever the sizes of body and buffer."""
    async with ScriptedServer(answer(body=DATA[:size]), tls=tls) as server:
        for _ in range(2):
            sink = Sink()
            await stream_to(http, threads, server.url, sink, block)
            assert sink.data == DATA[:size]
        assert server.connections == 1


async def test_body_that_comes_slowly(
    http: HTTP, threads: Threads, tls: ssl.SSLContext | None, poured: StreamOutcome
) -> None:
    """A body that makes pauses is whole, and no thread waits for it: it is the loop that does."""
    edges = range(100_000, 4 * MiB, 100_000)
    async with ScriptedServer(slowly(DATA[: 4 * MiB], *edges), tls=tls) as server:
        sink = Sink()
        async with asyncio.timeout(5):
            await stream_to(http, threads, server.url, sink)
    assert sink.data == DATA[: 4 * MiB]
    assert len(poured.received) < 7


@pytest.mark.parametrize("size", range(1_000_001, 1_000_100, 20))
async def test_the_end_of_a_record_is_read(http: HTTP, certified: tuple[ssl.SSLContext, Path], size: int) -> None:
    """What a reader left of the last record is read, though the system tells of no more."""
    found, block = bytearray(), memoryview(bytearray(50_000))
    async with ScriptedServer(answer(body=DATA[:size]), tls=certified[0]) as server, asyncio.timeout(1):
        response = await http.send(CALL, "GET", f"{server.url}/x", {"host": "h"})
        async with HTTPReader(Entry("x"), -1, http, CALL, response) as reading:
            while filled := await reading.readinto(block):
                found += block[:filled]
    assert found == DATA[:size]


def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection, ours not blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
    ours.setblocking(False)
    return ours, theirs


async def test_a_thread_that_is_not_to_wait() -> None:
    """A thread takes what is there; where it is not to wait, it does not."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    receiving, sink = SocketTransport(ours, Heard()), Sink()
    theirs.sendall(b"some")
    with patch.object(receiving, "_comes", side_effect=AssertionError):
        poured = receiving.stream_to(memoryview(bytearray(8)), 0, 100, sink.write, False)
    assert (poured.received, poured.written, poured.filled, poured.dry) == (4, 0, 4, True)
    receiving.abort()
    theirs.close()


async def test_a_thread_takes_no_more_than_there_is_to_come() -> None:
    """What follows a body is left on the socket; its last bytes are told of at once; if none come, nobody waits."""
    ours, theirs = connected()
    receiving, sink = SocketTransport(ours, Heard()), Sink()
    theirs.sendall(b"some and more")
    block = memoryview(bytearray(8))
    assert receiving.stream_to(block, 0, 4, sink.write, True) == (4, 4, 0, False, None)
    assert sink.data == b"some"
    assert ours.recv(100) == b" and more"
    late = threading.Timer(0.001, theirs.sendall, [b"last"])
    with patch.object(transport, "_POUR_MILLISECONDS", 5000):
        late.start()
        before = time.monotonic()
        assert receiving.stream_to(block, 0, 4, sink.write, True).written == 4
        assert time.monotonic() - before < 2.5
    late.join()
    assert receiving.stream_to(block, 0, 4, sink.write, True) == (0, 0, 0, True, None)
    receiving.abort()
    theirs.close()


@pytest.mark.parametrize("reset", [False, True])
async def test_a_thread_says_how_it_ended(reset: bool) -> None:
    """What came before the end is kept, and the end is told with it, a reset as such."""
    ours, theirs = connected()
    receiving, sink = SocketTransport(ours, Heard()), Sink()
    if reset:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        theirs.sendall(b"some")
    theirs.close()
    poured = receiving.stream_to(memoryview(bytearray(8)), 0, 100, sink.write, True)
    assert poured.filled == (0 if reset else 4)
    assert poured.dry
    assert isinstance(poured.error, ConnectionResetError if reset else EOFError)
    receiving.abort()


async def test_body_that_breaks_off_in_a_thread(http: HTTP, threads: Threads, tls: ssl.SSLContext | None) -> None:
    """What came before the break is written, and the rest is an error that may be tried again."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=DATA)[: 5 * MiB])
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()

    async with ScriptedServer(send, tls=tls) as server:
        sink = Sink()
        with pytest.raises(NetworkError, match="the connection was closed") as raised:
            await stream_to(http, threads, server.url, sink)
    assert raised.value.retryable
    assert len(sink.data) > 4 * MiB
    assert DATA.startswith(sink.data)


class Cap:
    """A cap on bytes a second that only counts."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    async def take(self, size: int) -> None:
        """So many pass."""
        self.taken.append(size)


async def test_capped_body(http: HTTP, threads: Threads, tls: ssl.SSLContext | None, poured: StreamOutcome) -> None:
    """Where bytes a second are capped each buffer waits for its turn, and no thread takes more."""
    http.throttle = cap = Cap()
    async with ScriptedServer(answer(body=DATA), tls=tls) as server:
        sink = Sink()
        await stream_to(http, threads, server.url, sink)
    assert sink.data == DATA
    assert sum(cap.taken) >= len(DATA)
    assert max(cap.taken) <= WRITE_SIZE
    assert not poured.received


async def test_write_that_fails(http: HTTP, threads: Threads, tls: ssl.SSLContext | None) -> None:
    """What the writer raises comes through, and the connection is not used again."""
    async with ScriptedServer(answer(body=DATA), tls=tls) as server:
        with pytest.raises(OSError, match="the disk is full"):
            await stream_to(http, threads, server.url, Sink(fail_at=2 * MiB))
        await server.closed()


async def test_cancelled_while_a_thread_receives(
    http: HTTP, threads: Threads, tls: ssl.SSLContext | None, poured: StreamOutcome
) -> None:
    """A cancellation waits for the thread, and ends the connection."""
    async with ScriptedServer(answer(body=DATA * 5), tls=tls) as server:
        task = asyncio.ensure_future(stream_to(http, threads, server.url, Sink()))
        assert await asyncio.to_thread(poured.began.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert poured.received
        await server.closed()


async def test_closed_while_a_thread_receives(
    http: HTTP, threads: Threads, tls: ssl.SSLContext | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that a thread has is closed once the thread gives it back, so that nobody else gets its descriptor."""
    seen: list[int] = []
    receive = SocketTransport.stream_to

    def closing(plane: SocketTransport, *arguments: object) -> transport.StreamOutcome:
        done = threading.Event()

        def end() -> None:
            plane.abort()
            done.set()

        plane._loop.call_soon_threadsafe(end)
        done.wait(5)
        seen.append(plane._socket.fileno())
        return receive(plane, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(SocketTransport, "stream_to", closing)
    async with ScriptedServer(answer(body=DATA), tls=tls) as server:
        with pytest.raises(NetworkError, match="the connection was closed"):
            await stream_to(http, threads, server.url, Sink())
        await server.closed()
    assert all(descriptor >= 0 for descriptor in seen)
    assert seen


async def test_a_small_answer_is_told_of_after_a_large_one(
    http: HTTP, threads: Threads, tls: ssl.SSLContext | None
) -> None:
    """What a thread waited for at the least does not keep a later answer waiting."""
    async with ScriptedServer(slowly(DATA[: 4 * MiB], MiB, 2 * MiB), answer(body=b"x"), tls=tls) as server:
        await stream_to(http, threads, server.url, Sink())
        async with asyncio.timeout(1):
            assert (await ask(http, server.url))[1] == b"x"
        assert server.connections == 1


async def test_peer_that_reads_slowly(http: HTTP, tls: ssl.SSLContext | None) -> None:
    """A large body arrives in its order where the peer takes it late."""
    arrived = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        arrived.extend(await reader.readexactly(len(DATA)))
        writer.write(answer(body=b"ok"))

    async with ScriptedServer(take, tls=tls, early=True) as server:
        pieces = [DATA[start : start + MiB] for start in range(0, len(DATA), MiB)]
        assert (await ask(http, server.url, "PUT", body(*pieces)))[1] == b"ok"
        if tls is not None and hasattr(socket, "TCP_CORK"):
            (connection,) = http._all
            assert connection._transport._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK) == 0
    assert arrived == DATA


class Heard(asyncio.BufferedProtocol):
    """What a peer said."""

    complete = False

    def __init__(self) -> None:
        self.data = b""
        self.lost: list[Exception | None] = []
        self.ended = asyncio.Event()
        self._buffer = bytearray(64)

    def get_buffer(self, _: int) -> bytearray:
        """Room for it."""
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        """It came."""
        self.data += self._buffer[:size]

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will."""
        self.lost.append(error)
        self.ended.set()


async def test_peer_that_answers_and_closes() -> None:
    """What a peer has said before it took no more is heard, and then that it is gone; once."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    heard = Heard()
    sending = SocketTransport(ours, heard)
    theirs.sendall(b"no")
    theirs.close()
    sending.write(b"x")
    sending.write(b"y")
    assert (heard.data, sending.is_closing()) == (b"no", True)
    await asyncio.sleep(0)
    assert len(heard.lost) == 1


async def test_reset_with_bytes_on_the_way() -> None:
    """A reset is heard at once, also where bytes have come before it: uvloop tells of it only once."""
    ours, theirs = connected()
    heard = Heard()
    theirs.sendall(b"x" * 100)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    SocketTransport(ours, heard)
    await asyncio.wait_for(heard.ended.wait(), 2)
    assert heard.data == b"x" * 100
    assert isinstance(heard.lost[0], ConnectionResetError)


async def test_body_without_a_length_that_is_cut(http: HTTP, certified: tuple[ssl.SSLContext, Path]) -> None:
    """Over TLS a body that ends with the connection is whole only where the peer has said so."""

    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    async with ScriptedServer(cut, tls=certified[0]) as server:
        with pytest.raises(NetworkError, match="the connection was closed"):
            await ask(http, server.url)


async def test_loops_that_watch_no_descriptors(
    http: HTTP,
    threads: Threads,
    tls: ssl.SSLContext | None,
    poured: StreamOutcome,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where a loop cannot watch a descriptor its own transports do the work."""
    monkeypatch.setattr(transport, "_WATCHES", False)
    async with ScriptedServer(answer(body=DATA), tls=tls) as server:
        sink = Sink()
        await stream_to(http, threads, server.url, sink)
    assert sink.data == DATA
    assert not poured.received
