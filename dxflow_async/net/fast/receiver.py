"""What arrives over one HTTP/1.1 connection: the heads of responses and their bodies, with as few copies as possible.

How it works. llhttp (through httptools) parses heads and chunked bodies. A body of known length, which is nearly every
body in storage, bypasses the parser: `get_buffer` hands the reader's own buffer to the socket, so that the system
writes the bytes where they are wanted. While nobody reads, bytes go to `_chunks`, up to `READ_BUFFER_SIZE`; then the
socket is not read any further and the peer has to wait. A large body that is written to a file is received by the
worker thread that writes it (`stream_body_to`); the loop does not touch the socket meanwhile.

Source: https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Any

import httptools

from dxflow_async.net.errors import ConnectionBrokenError, NetError
from dxflow_async.net.fast.sizes import CHUNK_SIZE, INBOX_SIZE, MAX_HEAD_SIZE, PLENTY, READ_BUFFER_SIZE
from dxflow_async.net.fast.transport import SocketTransport, StreamOutcome
from dxflow_async.net.pace import Pace, is_keep_alive
from dxflow_async.net.request import Timeouts
from dxflow_async.net.response import Headers, header_name, unknown_coding
from dxflow_async.streams import Buffer, Run, Write

__all__ = ["Receiver"]


_LARGEST = MAX_HEAD_SIZE + INBOX_SIZE


class Receiver(asyncio.BufferedProtocol):
    """Receives the response to each request of a connection.

    Args:
        inbox: scratch space for received bytes. All connections may share one, since it is emptied at once.
        timeouts: when a request fails because no bytes move, or too few.
    """

    def __init__(self, inbox: memoryview, timeouts: Timeouts) -> None:
        self._inbox = inbox
        self._pace = Pace(timeouts)
        self._loop = asyncio.get_running_loop()
        self._transport: SocketTransport  # set by `connection_made`
        self._thread_waits = True  # whether a worker thread may wait for bytes that are about to arrive
        self._error: NetError | None = None
        self._writable: asyncio.Future[None] | None = None
        self._received = self._written = 0  # bytes over all requests
        self._paused_at = 0.0
        self._headers = Headers()
        self._chunks: deque[Buffer] = deque()
        self._reset("")

    def _reset(self, method: str) -> None:
        self._method = method
        self._parser: Any = None
        self._head_size = 0
        self._framing_size = 0  # bytes of a chunked body since the last that belonged to its content
        self._status = 0
        self._remaining: int | None = None
        self._chunked = False
        self._keep_alive = False
        self._complete = method == ""
        # Where the reader wants the next bytes, how many are there, and at how many it is woken; None: nobody reads.
        self._target: memoryview | None = None
        self._filled = self._wanted = 0
        self._direct = False
        self._buffered = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._sent = self._early = False
        self._unwritten = 0
        self._moved_at = monotonic()

    # Reading the body

    @property
    def complete(self) -> bool:
        """Whether the whole response has arrived, or no request is under way."""
        return self._complete

    @property
    def drained(self) -> bool:
        """Whether the whole response has arrived and was read."""
        return self._complete and not self._chunks

    async def read_body(self) -> Buffer:
        while not self._chunks:
            if self._complete:
                return b""
            if self._remaining:
                block = memoryview(bytearray(min(CHUNK_SIZE, self._remaining)))
                return block[: await self._receive(block, 0, at_least=1)]
            await self._wait()
        chunk = self._chunks.popleft()
        self._taken(len(chunk))
        return chunk

    async def read_body_into(self, buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer):
            if self._chunks:
                filled = self._unchunk(buffer, filled)
            elif self._complete or (filled and self._error is not None):
                break
            elif self._remaining:
                filled = await self._receive(buffer, filled, at_least=len(buffer))
            else:
                await self._wait()
        return filled

    def _unchunk(self, buffer: memoryview, filled: int) -> int:
        """Moves bytes that arrived ahead of their reader into `buffer[filled:]`; returns how far it is filled."""
        while self._chunks and filled < len(buffer):
            chunk = self._chunks.popleft()
            size = min(len(chunk), len(buffer) - filled)
            buffer[filled : filled + size] = chunk[:size]
            filled += size
            if size < len(chunk):
                self._chunks.appendleft(memoryview(chunk)[size:])
            self._taken(size)
        return filled

    async def stream_body_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        """See `Response.stream_to`. The loop waits for bytes; once many have arrived, a worker thread receives them."""
        transport, wanted = self._transport, PLENTY if self._thread_waits else len(buffer)
        filled = self._unchunk(buffer, 0)
        while self._sent and self._remaining and not self._chunks:
            window = buffer[: filled + wanted]
            filled = await self._receive(window, filled, at_least=len(window))
            if not self._remaining or self._error is not None:
                break
            self._pause()
            transport.lend_socket()
            try:
                outcome: StreamOutcome = await run(
                    transport.stream_to, buffer, filled, self._remaining, write, self._thread_waits
                )
            finally:
                transport.reclaim_socket()
            filled = outcome.filled
            self._remaining -= outcome.received
            self._received += outcome.received
            self._complete = not self._remaining
            self._thread_waits = not outcome.dry or outcome.received >= len(buffer)
            if outcome.error is not None:
                self._fail(ConnectionBrokenError(f"the connection was closed ({outcome.error})"))
                self._transport.abort()
            if self._complete:
                self._resume()
            if outcome.written:
                return outcome.written
            wanted = len(buffer)
        if not filled:
            filled = await self.read_body_into(buffer)
        if filled:
            await run(write, buffer[:filled])
        return filled

    async def _receive(self, buffer: memoryview, filled: int, *, at_least: int) -> int:
        """Receives into `buffer[filled:]` until `at_least` bytes are there; returns how far it is filled."""
        self._target, self._filled, self._wanted = buffer, filled, at_least
        self._resume()
        try:
            while self._filled < at_least and not self._complete:
                if self._error is not None and self._filled:
                    break
                await self._wait()
        finally:
            self._target = None
        return self._filled

    def _taken(self, size: int) -> None:
        self._buffered -= size
        if self._paused and self._buffered <= READ_BUFFER_SIZE // 2:
            self._resume()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._moved_at = monotonic()
            self._pace.since += self._moved_at - self._paused_at  # the peer had to wait
            self._transport.resume_reading()

    def _pause(self) -> None:
        if not self._paused and not self._complete:
            self._paused = True
            self._paused_at = monotonic()
            self._transport.pause_reading()

    def _wait(self) -> asyncio.Future[None]:
        """Returns what is done once something has arrived, or the connection has broken."""
        if self._error is not None:
            raise self._error
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _raise_if_broken(self) -> None:
        if self._error is not None:
            raise self._error

    def _fail(self, error: NetError) -> None:
        self._error = self._error or error
        self._wake()
        self.resume_writing()

    # Called by the transport

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        self._moved_at = monotonic()
        if writable is not None and not writable.done():
            writable.set_result(None)

    def get_buffer(self, _: int) -> memoryview:
        target, filled, remaining = self._target, self._filled, self._remaining
        self._direct = target is not None and filled < len(target) and bool(remaining)
        if not self._direct:
            return self._inbox
        assert target is not None
        assert remaining is not None
        return target[filled : filled + remaining]

    def buffer_updated(self, size: int) -> None:
        self._moved_at = monotonic()
        self._received += size
        if self._direct:
            assert self._target is not None
            assert self._remaining is not None
            self._filled += size
            self._remaining -= size
            self._complete = not self._remaining
            if self._filled == len(self._target):
                self._pause()
            if self._filled >= self._wanted or self._complete:
                self._wake()
        elif self._complete:
            self._keep_alive = False  # these bytes answer no request
        elif self._status and not self._chunked:
            self.on_body(bytes(self._inbox[:size]))
        else:
            self._parse(self._inbox[:size])

    def eof_received(self) -> bool:
        return False

    @property
    def _moved(self) -> int:
        """Bytes that the connection has received, and given to the system to send, over all its requests."""
        return self._received + self._written - self._transport.unsent_size

    # Called by the parser

    def _parse(self, data: memoryview) -> None:
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        begins = not self._head_size
        if self._status:
            self._framing_size += len(data)
        else:
            self._head_size += len(data)
        try:
            if self._head_size > _LARGEST or self._framing_size > _LARGEST:
                raise httptools.HttpParserError(f"a head of over {MAX_HEAD_SIZE} bytes")
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self._complete:
                self._keep_alive = False
            else:
                reason = error.__context__ or error  # the parser hides what its callbacks raise
                self._fail(ConnectionBrokenError(f"the answer is not HTTP ({reason})"))
                self._transport.abort()
        if begins and not self._status:  # the time until a server answers is its own
            self._pace.restart(self._moved_at, self._moved)

    def on_message_begin(self) -> None:
        if self._status:
            raise ValueError("two responses to one request")
        self._headers = Headers()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # else it is a trailer, which may be anything but a header of the response
            headers, key, text = self._headers, header_name(name), value.decode("utf-8", "replace")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._pace.keep_alive(self._moved)
            return  # an interim response: the final one follows
        headers = self._headers
        if "transfer-encoding" in headers:
            if (coding := unknown_coding(headers)) is not None:
                raise ValueError(f"an unknown transfer coding, {coding[:40]}")
            self._chunked = "chunked" in headers["transfer-encoding"].lower()
        self._keep_alive = self._parser.should_keep_alive()
        if self._method == "HEAD" or status in (204, 304):
            self._remaining = 0
            self._chunked = False
        elif not self._chunked and "content-length" in headers:
            self._remaining = int(headers["content-length"])
        self._status = status
        if self._pace.min_speed:
            self._pace.restart(self._moved_at, self._moved)
        self._early = self._unwritten > 0 or self._transport.unsent_size > 0
        self._complete = self._remaining == 0
        self._wake()
        if self._writable is not None:
            self.resume_writing()  # a peer that refuses need not take the rest

    def on_body(self, data: bytes) -> None:
        self._framing_size = 0
        if self._remaining is None:
            if is_keep_alive(data):
                self._pace.keep_alive(self._moved)
        else:
            if len(data) > self._remaining:
                data = data[: self._remaining]
                self._keep_alive = False
            self._remaining -= len(data)
            self._complete = not self._remaining
        if data and self._method != "":
            self._chunks.append(data)
            self._buffered += len(data)
            if self._buffered > READ_BUFFER_SIZE:
                self._pause()
        if self._waiter is not None:
            self._wake()

    def on_message_complete(self) -> None:
        if self._status and self._chunked:
            self._complete = True
            self._wake()
