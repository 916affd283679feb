"""A connected TCP socket, with TLS or without, as a transport that reads and writes where the socket itself can.

Why our own: a large body can be received by the thread that writes it (`stream_to`), so that its bytes stay in one
processor's cache; what is written goes out at once, not when the loop comes round; and TLS works on the socket, where
the loop's copies each byte twice more, through buffers that every connection keeps. Loops that cannot watch a
descriptor (Windows') use their own.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import aiohappyeyeballs

from dxflow_async.streams import Buffer, Write

__all__ = ["SocketTransport", "StreamOutcome", "TLSSocket", "connect", "encrypt"]

_WATCHES = os.name != "nt"
"""Whether event loops can watch a descriptor."""

_AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_CORK: int | None = getattr(socket, "TCP_CORK", None)

_RECORD_SIZE = 16 << 10
"""Bytes that are encrypted together, at the most. Source: https://www.rfc-editor.org/rfc/rfc8446#section-5.1"""

_PIECE_SIZE = 64 << 10
"""Bytes that are encrypted at a time: a piece counts as unsent until all of it is."""

_POUR_SIZE = 256 << 10
"""Bytes that `stream_to` receives before they are written: they stay in the processor's cache."""

_POUR_BYTES = 8 << 20
"""Bytes that `stream_to` moves at a time, at the most: a cancelled transfer waits for that."""

_POUR_MILLISECONDS = 2
"""How long `stream_to` waits for more."""

_LOW_WATER = 128 << 10
"""Bytes that it waits for: to be woken for less would cost more than it moves."""

_HEAD_START = 0.25
"""Seconds before the next address is tried. Source: https://www.rfc-editor.org/rfc/rfc8305#section-8"""

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BufferedProtocol)


class TLSSocket(ssl.SSLSocket):
    """For a context's `sslsocket_class`: without what takes time in Python with every record."""

    _sslobj: Any

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        received: int = self._sslobj.read(nbytes or len(buffer), buffer)
        return received

    def send(self, data: Any, flags: int = 0) -> int:
        sent: int = self._sslobj.write(data)
        return sent


class StreamOutcome(NamedTuple):
    """What became of a `stream_to`.

    Attributes:
        received, written: bytes.
        filled: how many of the buffer are yet to be written.
        dry: there was no more to receive, or no more came in time.
        error: why the rest will not come.
    """

    received: int
    written: int
    filled: int
    dry: bool
    error: Exception | None


async def connect(
    host: str, port: int, protocol: Callable[[], ProtocolT], tls: ssl.SSLContext | None = None
) -> ProtocolT:
    """A protocol whose transport leads to a host.

    Raises:
        OSError: it is not reached, or TLS fails.
    """
    loop = asyncio.get_running_loop()
    if not _WATCHES:
        _, made = await loop.create_connection(protocol, host, port, ssl=tls, server_hostname=host if tls else None)
        return made
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    connected = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_HEAD_START)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return await _start(connected, host, protocol, tls)


async def encrypt(
    transport: asyncio.Transport, host: str, protocol: Callable[[], ProtocolT], tls: ssl.SSLContext
) -> ProtocolT:
    """A protocol that goes on with TLS where another one has ended.

    Raises:
        OSError: TLS fails.
    """
    if isinstance(transport, SocketTransport):
        return await _start(transport.detach(), host, protocol, tls)
    made = protocol()
    encrypted = await asyncio.get_running_loop().start_tls(transport, made, tls, server_hostname=host)
    assert encrypted is not None
    made.connection_made(encrypted)
    return made


async def _start(
    connected: socket.socket, host: str, protocol: Callable[[], ProtocolT], tls: ssl.SSLContext | None
) -> ProtocolT:
    try:
        if tls is not None:
            connected = tls.wrap_socket(
                connected, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
            await _shake_hands(connected)
        made = protocol()
        SocketTransport(connected, made)
    except BaseException:
        connected.close()
        raise
    return made


async def _shake_hands(connected: ssl.SSLSocket) -> None:
    loop, descriptor = asyncio.get_running_loop(), connected.fileno()
    while True:
        ready = loop.create_future()
        try:
            connected.do_handshake()
        except ssl.SSLWantReadError:
            watch, forget = loop.add_reader, loop.remove_reader
        except ssl.SSLWantWriteError:
            watch, forget = loop.add_writer, loop.remove_writer
        else:
            return
        watch(descriptor, _settle, ready)
        try:
            await ready
        finally:
            forget(descriptor)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class SocketTransport(asyncio.Transport):
    """See above; made by `connect`.

    Args:
        connected: does not block; closed with the transport.
        protocol: is told what arrives. It pauses reading before `stream_to`, and resumes it afterwards.
    """

    def __init__(self, connected: socket.socket, protocol: asyncio.BufferedProtocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._socket = connected
        self._tls = connected if isinstance(connected, ssl.SSLSocket) else None
        self._descriptor = connected.fileno()
        self._protocol: Any = protocol
        self._unsent: deque[memoryview] = deque()
        self._unsent_size = 0
        self._high, self._low = _PIECE_SIZE, 0
        self._full = False
        self._writer = False
        self._reading = False
        self._closing = False
        self._lent = False
        self._low_water = 1
        protocol.connection_made(self)
        self.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    # Reading

    def get_read_buffer_size(self) -> int:
        """Bytes that were received and decrypted, but not read."""
        return 0 if self._tls is None else self._tls.pending()

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._descriptor)

    def resume_reading(self) -> None:
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.add_reader(self._descriptor, self._readable)
            if self.get_read_buffer_size():  # which the descriptor does not tell of
                self._loop.call_soon(self._readable)

    def _readable(self) -> None:
        # To the end of what there is: of a connection that was reset uvloop tells once.
        while self._reading:
            buffer = self._protocol.get_buffer(-1)
            try:
                size = self._socket.recv_into(buffer)
            except _AGAIN:
                break
            except OSError as error:
                self._end(error)
                return
            if not size:
                self._end(None)
                return
            self._protocol.buffer_updated(size)
            if self._protocol.complete:
                break
        if self._tls is not None and self._unsent:  # TLS may have to read before it writes
            self._flush()

    def lend_socket(self) -> None:
        """From now until `reclaim_socket` the socket is another thread's: it is not closed meanwhile."""
        self._lent = True

    def reclaim_socket(self) -> None:
        """See `lend_socket`."""
        self._lent = False
        if self._closing:
            self._socket.close()

    def stream_to(self, buffer: memoryview, filled: int, remaining: int, write: Write, wait: bool) -> StreamOutcome:
        """In a thread: receives what is there, and what comes within moments, and has it written.

        Args:
            buffer: where it is received, piece by piece; its first `filled` bytes are yet to be written.
            filled: see above.
            remaining: bytes there are to receive.
            write: blocks; what it raises is raised here.
            wait: for what is yet to come.
        """
        buffer = buffer[: max(_POUR_SIZE, filled)]
        received = written = 0
        error: Exception | None = None
        more = True
        while more and remaining and written < _POUR_BYTES:
            window = buffer[: filled + remaining]
            end, error = self._fill(window, filled, wait)
            more = end == len(window)
            received, remaining, filled = received + end - filled, remaining - end + filled, end
            if filled and (written or not remaining or filled == len(buffer)):
                write(buffer[:filled])
                written, filled = written + filled, 0
        self._set_low_water(1)
        return StreamOutcome(received, written, filled, not more, error)

    def _fill(self, window: memoryview, filled: int, wait: bool) -> tuple[int, Exception | None]:
        """Receives until it is full or no more comes in time; how far it is filled, and why the rest will not come."""
        receive, size = self._socket.recv_into, len(window)
        while filled < size:
            try:
                received = receive(window[filled:])
            except _AGAIN:
                if not (wait and self._comes(min(_LOW_WATER, size - filled))):
                    break
            except OSError as error:
                return filled, error
            else:
                if not received:
                    return filled, EOFError("it ended early")
                filled += received
        return filled, None

    def _comes(self, size: int) -> bool:
        """Whether so many bytes come within moments."""
        self._set_low_water(size)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(_POUR_MILLISECONDS))

    def _set_low_water(self, size: int) -> None:
        """Of fewer bytes the system does not tell."""
        if size != self._low_water:
            self._low_water = size
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    # Writing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = _PIECE_SIZE if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return self._unsent_size

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        buffers = list(list_of_data)
        if sum(map(len, buffers)) <= _PIECE_SIZE:
            self.write(b"".join(buffers))
        else:
            for data in buffers:
                self.write(data)

    def write(self, data: Buffer) -> None:
        if self._closing or not data:
            return
        view = memoryview(data)
        if self._unsent or len(view) > _PIECE_SIZE:
            self._queue(view)
            if self._writer:
                self._tell()
            else:
                self._flush()
            return
        try:
            sent = self._send(view)
        except _AGAIN:
            sent = 0
        except OSError as error:
            self._refuse(error)
            return
        if sent < len(view):
            self._queue(view[sent:])
            self._flush()

    def _queue(self, view: memoryview) -> None:
        size = len(view) if self._tls is None else _PIECE_SIZE
        self._unsent += [view[start : start + size] for start in range(0, len(view), size)]
        self._unsent_size += len(view)

    def _flush(self) -> None:
        try:
            while self._unsent:
                first = self._unsent[0]
                sent = self._send(first)
                self._unsent_size -= sent
                self._unsent[0] = first[sent:]
                if sent == len(first):
                    self._unsent.popleft()
        except _AGAIN:
            pass
        except OSError as error:
            self._refuse(error)
            return
        if bool(self._unsent) != self._writer:
            self._writer = not self._writer
            if self._writer:
                self._loop.add_writer(self._descriptor, self._flush)
            else:
                self._loop.remove_writer(self._descriptor)
        self._tell()

    def _send(self, view: memoryview) -> int:
        """How much of it went; of what TLS could not send, all has to be given again."""
        if self._tls is None or len(view) <= _RECORD_SIZE or _CORK is None:
            return self._socket.send(view)
        self._socket.setsockopt(socket.IPPROTO_TCP, _CORK, 1)  # several records, sent as one
        try:
            return self._socket.send(view)
        finally:
            self._socket.setsockopt(socket.IPPROTO_TCP, _CORK, 0)

    def _tell(self) -> None:
        """Has the protocol pause, or go on, where it is time to."""
        if self._full != (self._unsent_size > (self._low if self._full else self._high)):
            self._full = not self._full
            if self._full:
                self._protocol.pause_writing()
            else:
                self._protocol.resume_writing()

    # The end

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        self._end(None)

    def detach(self) -> socket.socket:
        """The socket, which is another's from now on; the protocol hears no more."""
        self.pause_reading()
        self._closing = True
        return self._socket

    def _refuse(self, error: OSError) -> None:
        """The peer takes no more. What it has said before that is heard."""
        self._unsent.clear()
        self._readable()
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self.pause_reading()
        if self._writer:
            self._loop.remove_writer(self._descriptor)
        self._unsent.clear()
        self._unsent_size = 0
        if not self._lent:
            self._socket.close()
        self._loop.call_soon(self._protocol.connection_lost, error)
