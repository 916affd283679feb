"""A connected TCP socket, with TLS or without, as a transport that uses the socket itself.

How it works. Three things make it faster than the loop's own transports. The worker thread that writes a large body
to a file also receives it (`stream_to`), so that the bytes stay in one processor's cache; the loop lends it the socket
meanwhile. Bytes are sent by the call that writes them, not in the loop's next turn. And TLS works on the socket
directly, where the loop's TLS copies each byte twice more through buffers that every connection keeps.

It needs a loop that can watch a descriptor (`add_reader`): any loop on a POSIX system.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import aiohappyeyeballs

from dxflow_async.net.address_rule import AddressRule, check_addresses
from dxflow_async.streams import Buffer, Write

__all__ = ["SocketTransport", "StreamOutcome", "TLSSocket", "connect", "connect_unix"]

_AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_CORK: int | None = getattr(socket, "TCP_CORK", None)

_RECORD_SIZE = 16 << 10
"""The most bytes that TLS encrypts together. Source: https://www.rfc-editor.org/rfc/rfc8446#section-5.1"""

_PIECE_SIZE = 64 << 10
"""Bytes that are given to TLS at a time: a piece counts as unsent until all of it is sent."""

_BLOCK_SIZE = 256 << 10
"""Bytes that `stream_to` receives before it writes them: they stay in the processor's cache."""

_MAX_STREAMED_BYTES = 8 << 20
"""The most bytes that one call of `stream_to` moves: a cancelled transfer waits for that long."""

_WAIT_MILLISECONDS = 2
"""How long `stream_to` waits for more bytes."""

_LOW_WATER = 128 << 10
"""Bytes that it waits for: waking up for fewer costs more than it moves."""

_HEAD_START = 0.25
"""Seconds before the next address is tried. Source: https://www.rfc-editor.org/rfc/rfc8305#section-8"""

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BufferedProtocol)


class TLSSocket(ssl.SSLSocket):
    """A context's `sslsocket_class` that skips the checks that `ssl.SSLSocket` makes with every record."""

    _sslobj: Any

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        received: int = self._sslobj.read(nbytes or len(buffer), buffer)
        return received

    def send(self, data: Any, flags: int = 0) -> int:
        sent: int = self._sslobj.write(data)
        return sent


class StreamOutcome(NamedTuple):
    """The result of `SocketTransport.stream_to`.

    Attributes:
        received, written: how many bytes were.
        filled: how many bytes in the buffer are still to be written.
        dry: no more bytes arrived in time, or none are left.
        error: why no more bytes will arrive.
    """

    received: int
    written: int
    filled: int
    dry: bool
    error: Exception | None


async def connect(
    host: str,
    port: int,
    protocol: Callable[[], ProtocolT],
    tls: ssl.SSLContext | None = None,
    rule: AddressRule | None = None,
) -> ProtocolT:
    """Connects to a host, over the first of its addresses that answers.

    Args:
        host: a name or an address.
        port: its port.
        protocol: makes the protocol that is told what arrives.
        tls: the context to encrypt the connection with; None: it is not encrypted.
        rule: the addresses that are allowed; None: all.

    Returns:
        The protocol, connected.

    Raises:
        AddressRefusedError: the host is at an address that is not allowed.
        OSError: the host is not reached, or TLS fails.
    """
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    check_addresses(host, (str(address[4][0]) for address in addresses), rule)
    connected = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_HEAD_START)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


async def connect_unix(path: str, make: Callable[[], ProtocolT]) -> ProtocolT:
    """Connects to a Unix socket.

    Args:
        path: the socket's.
        make: makes the protocol.

    Raises:
        OSError: there is no connection.
    """
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, path)
        made = make()
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
    """A transport over a socket; `connect` makes it.

    Args:
        connected: a socket that does not block; it is closed with the transport.
        protocol: is told what arrives. It pauses reading before `stream_to`, and resumes it afterwards.

    Attributes:
        unsent_size: bytes that were written and not yet given to the system.
        closing: whether the connection has ended, or is about to.
    """

    def __init__(self, connected: socket.socket, protocol: asyncio.BufferedProtocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._socket = connected
        self._tls = connected if isinstance(connected, ssl.SSLSocket) else None
        self._descriptor = connected.fileno()
        self._protocol: Any = protocol
        self._unsent: deque[memoryview] = deque()
        self.unsent_size = 0
        self._high, self._low = _PIECE_SIZE, 0
        self._full = False
        self._writer = False
        self._reading = False
        self.closing = False
        self._lent = False
        self._low_water = 1
        protocol.connection_made(self)
        self.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    # Reading

    def get_read_buffer_size(self) -> int:
        """Returns how many bytes were received and decrypted, but not read."""
        return 0 if self._tls is None else self._tls.pending()

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._descriptor)

    def resume_reading(self) -> None:
        if not self._reading and not self.closing:
            self._reading = True
            self._loop.add_reader(self._descriptor, self._readable)
            if self.get_read_buffer_size():  # the descriptor does not signal these bytes
                self._loop.call_soon(self._readable)

    def _readable(self) -> None:
        # Reads until nothing is left, since uvloop signals a reset connection only once.
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
        """Lets another thread use the socket until `reclaim_socket`: it is not closed meanwhile."""
        self._lent = True

    def reclaim_socket(self) -> None:
        """Takes the socket back from the other thread."""
        self._lent = False
        if self.closing:
            self._socket.close()

    def stream_to(self, buffer: memoryview, filled: int, remaining: int, write: Write, wait: bool) -> StreamOutcome:
        """Receives bytes and writes them, block by block; called in a worker thread.

        Args:
            buffer: scratch space; its first `filled` bytes are still to be written.
            filled: how many bytes that are.
            remaining: bytes that are still to be received.
            write: takes the bytes; it blocks. What it raises comes through.
            wait: whether to wait some milliseconds for bytes that are about to arrive.
        """
        buffer = buffer[: max(_BLOCK_SIZE, filled)]
        received = written = 0
        error: Exception | None = None
        more = True
        while more and remaining and written < _MAX_STREAMED_BYTES:
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
        """Fills the window while bytes arrive in time; returns how far, and why the rest will not arrive."""
        receive, size = self._socket.recv_into, len(window)
        while filled < size:
            try:
                received = receive(window[filled:])
            except _AGAIN:
                if not (wait and self._arrives(min(_LOW_WATER, size - filled))):
                    break
            except OSError as error:
                return filled, error
            else:
                if not received:
                    return filled, EOFError("it ended early")
                filled += received
        return filled, None

    def _arrives(self, size: int) -> bool:
        """Waits some milliseconds for so many bytes; returns whether they arrived."""
        self._set_low_water(size)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(_WAIT_MILLISECONDS))

    def _set_low_water(self, size: int) -> None:
        """Has the system signal the socket only when so many bytes are there."""
        if size != self._low_water:
            self._low_water = size
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    # Writing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = _PIECE_SIZE if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return self.unsent_size

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        buffers = list(list_of_data)
        if sum(map(len, buffers)) <= _PIECE_SIZE:
            self.write(b"".join(buffers))
        else:
            for data in buffers:
                self.write(data)

    def write(self, data: Buffer) -> None:
        if self.closing or not data:
            return
        view = memoryview(data)
        if self._unsent or len(view) > _PIECE_SIZE:
            self._queue(view)
            if self._writer:
                self._signal_flow()
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
        self.unsent_size += len(view)

    def _flush(self) -> None:
        try:
            while self._unsent:
                first = self._unsent[0]
                sent = self._send(first)
                self.unsent_size -= sent
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
        self._signal_flow()

    def _send(self, view: memoryview) -> int:
        """Sends bytes and returns how many went. If TLS blocks, the same bytes have to be given again."""
        if self._tls is None or len(view) <= _RECORD_SIZE or _CORK is None:
            return self._socket.send(view)
        self._socket.setsockopt(socket.IPPROTO_TCP, _CORK, 1)  # several records, sent as one
        try:
            return self._socket.send(view)
        finally:
            self._socket.setsockopt(socket.IPPROTO_TCP, _CORK, 0)

    def _signal_flow(self) -> None:
        """Has the protocol pause or resume writing, depending on how much is unsent."""
        if self._full != (self.unsent_size > (self._low if self._full else self._high)):
            self._full = not self._full
            if self._full:
                self._protocol.pause_writing()
            else:
                self._protocol.resume_writing()

    # The end

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        self._end(None)

    def _refuse(self, error: OSError) -> None:
        """Ends the connection after a failed write; what the peer sent before that is received first."""
        self._unsent.clear()
        self._readable()
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        if self.closing:
            return
        self.closing = True
        self.pause_reading()
        if self._writer:
            self._loop.remove_writer(self._descriptor)
        self._unsent.clear()
        self.unsent_size = 0
        if not self._lent:
            self._socket.close()
        if self._loop.is_closed():
            return  # nobody is left to hear of it
        self._loop.call_soon(self._protocol.connection_lost, error)
