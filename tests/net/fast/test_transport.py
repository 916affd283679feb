"""The fast lane's sockets: bodies that threads receive, and ends of connections."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
import time
from pathlib import Path
from unittest.mock import patch

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.net import Client, ConnectionBrokenError
from dxflow_async.net.fast import transport as sockets
from dxflow_async.net.fast.connection import Connection
from dxflow_async.net.fast.transport import SocketTransport, StreamOutcome
from tests.net.exchanges import MiB, fetch, in_pieces, slowly
from tests.net.made_clients import MakeClient
from tests.net.sinks import Sink, stream
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer

pytestmark = pytest.mark.every_loop

DATA = bytes(range(256)) * (20 * MiB // 256)


@pytest.fixture
def transport() -> str:
    """The lane."""
    return "fast"


class Received:
    """Counts the bytes that threads receive."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.began = threading.Event()
        self._stream_to = SocketTransport.stream_to
        monkeypatch.setattr(SocketTransport, "stream_to", lambda *arguments: self._note(*arguments))  # noqa: PLW0108 - unbound

    def _note(self, *arguments: object) -> StreamOutcome:
        self.began.set()
        outcome = self._stream_to(*arguments)  # type: ignore[arg-type]
        self.sizes.append(outcome.received)
        return outcome


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Received:
    """What threads receive."""
    return Received(monkeypatch)


async def test_threads_receive_a_large_body(
    client: Client, threads: Threads, tls: ssl.SSLContext | None, received: Received
) -> None:
    """Most of a large body is received by the threads that write it."""
    async with ScriptedServer(answer(body=DATA), tls=tls) as server:
        sink = Sink()
        await stream(client, threads, server.url, sink)
    assert sink.data == DATA
    assert sum(received.sizes) > len(DATA) // 2


async def test_no_thread_waits_for_a_slow_body(
    client: Client, threads: Threads, tls: ssl.SSLContext | None, received: Received
) -> None:
    """A body that makes pauses is waited for by the loop."""
    edges = range(100_000, 4 * MiB, 100_000)
    async with ScriptedServer(slowly(DATA[: 4 * MiB], *edges), tls=tls) as server:
        sink = Sink()
        async with asyncio.timeout(5):
            await stream(client, threads, server.url, sink)
    assert sink.data == DATA[: 4 * MiB]
    assert len(received.sizes) < 7


async def test_cancelled_while_a_thread_receives(
    client: Client, threads: Threads, tls: ssl.SSLContext | None, received: Received
) -> None:
    """A cancellation waits for the thread, and ends the connection."""
    async with ScriptedServer(answer(body=DATA * 5), tls=tls) as server:
        task = asyncio.ensure_future(stream(client, threads, server.url, Sink()))
        assert await asyncio.to_thread(received.began.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert received.sizes
        await server.closed()


async def test_closed_while_a_thread_receives(
    client: Client, threads: Threads, tls: ssl.SSLContext | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that a thread has is closed once the thread gives it back, so that nobody else gets its descriptor."""
    seen: list[int] = []
    receive = SocketTransport.stream_to

    def closing(plane: SocketTransport, *arguments: object) -> StreamOutcome:
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
        with pytest.raises(ConnectionBrokenError, match="the connection was closed"):
            await stream(client, threads, server.url, Sink())
        await server.closed()
    assert all(descriptor >= 0 for descriptor in seen)
    assert seen


@pytest.mark.skipif(not hasattr(socket, "TCP_CORK"), reason="the system has no TCP_CORK")
async def test_nothing_stays_corked(make_client: MakeClient, certified: tuple[ssl.SSLContext, Path]) -> None:
    """After a large body was sent over TLS the socket sends small writes at once again."""
    client = make_client()
    async with ScriptedServer(answer(body=b"ok"), tls=certified[0]) as server:
        await fetch(client, server.url, "PUT", body(*[b"x" * MiB] * 8))
        (connection,) = client._fast._all  # type: ignore[union-attr]
        assert connection._transport._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK) == 0


def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection, ours not blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
    ours.setblocking(False)
    return ours, theirs


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


async def test_a_thread_that_is_not_to_wait() -> None:
    """A thread takes what is there; where it is not to wait, it does not."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    receiving, sink = SocketTransport(ours, Heard()), Sink()
    theirs.sendall(b"some")
    with patch.object(receiving, "_arrives", side_effect=AssertionError):
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
    with patch.object(sockets, "_WAIT_MILLISECONDS", 5000):
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


@pytest.mark.parametrize("size", [256 << 10, 100 << 10, 1 << 20], ids=["as large", "smaller", "larger"])
async def test_a_reader_is_woken_once(client: Client, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
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
        response = await client.send("GET", f"{server.url}/path", {"host": "127.0.0.1"})
        before, found = len(wakes), b""
        async with asyncio.timeout(5):
            while filled := await response.readinto(buffer := memoryview(bytearray(size))):
                found += buffer[:filled]
        assert found == data
        assert len(wakes) - before <= -(-len(data) // size) + 1
