"""One HTTP/1.1 connection: sends requests one after the other, and watches that bytes keep moving.

`receiver.py` receives the responses. `_reset` begins a request, `release` ends it. One timer watches for stalls: some
times a stall timeout, not once a byte.

Source: https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Sequence
from time import monotonic

from dxflow_async.net.errors import ConnectionBrokenError, NetError, StalledError
from dxflow_async.net.fast.receiver import Receiver
from dxflow_async.net.fast.response import FastResponse
from dxflow_async.net.fast.sizes import INBOX_SIZE, MAX_HEAD_SIZE, READ_BUFFER_SIZE
from dxflow_async.net.fast.transport import SocketTransport
from dxflow_async.net.pace import CHECKS, bytes_in_flight
from dxflow_async.net.request import SEND_SIZE, Request, Throttle, Timeouts, check_body_size
from dxflow_async.streams import Body, Buffer, Buffered, chunks_of

__all__ = ["INBOX_SIZE", "MAX_HEAD_SIZE", "READ_BUFFER_SIZE", "Connection"]


_JOINED_SIZE = 64 << 10
"""Up to so many bytes, to copy a request into one buffer costs less than to send its buffers one by one."""


class Connection(Receiver):
    """Sends requests one after the other over a `SocketTransport`.

    Args:
        inbox: scratch space for received bytes. All connections may share one, since it is emptied at once.
        timeouts: when a request fails because no bytes move, or too few.
        on_free: called when the connection can serve another request, or no more (see `usable`).
    """

    def __init__(self, inbox: memoryview, timeouts: Timeouts, on_free: Callable[[Connection], None]) -> None:
        super().__init__(inbox, timeouts)
        self._stall_timeout = timeouts.stall
        self._on_free = on_free
        self._poll: select.poll
        self._timer: asyncio.TimerHandle | None = None
        self._confirmed = self._queued = 0  # bytes written that the peer's system has, and that wait; as last seen
        self._reused = False
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._complete and self._keep_alive and self._error is None and not self._transport.closing

    @property
    def quiet(self) -> bool:
        """Whether no bytes lie unread: neither a response that nobody asked for nor the connection's end."""
        return not (self._transport.get_read_buffer_size() or self._poll.poll(0))

    # A request

    async def request(self, request: Request) -> FastResponse:
        """Sends a request and returns once the response's head has arrived.

        A success that is reported before all of the request was sent is an error: the server cannot have the rest.

        Raises:
            ConnectionBrokenError: the connection ended before that, or success was reported too early.
            StalledError: no byte moved for the stall timeout.
        """
        self._reset(request.method)
        if self._error is not None:
            raise ConnectionBrokenError("the connection was closed while idle", unanswered=True, stale=self._reused)
        self._pace.begin(self._moved_at, self._moved)
        if self._timer is None:
            self._watch()
        head, body = request.head, request.body
        try:
            if body is None:
                self._send_whole((head,), len(head))
            elif isinstance(body, Buffered) and body.size <= SEND_SIZE and request.throttle is None:
                check_body_size(body, sum(map(len, body.chunks)), ended=True)
                self._send_whole((head, *body.chunks), len(head) + body.size)
            elif isinstance(body, bytes):
                self._send_whole((head, body), len(head) + len(body))
            else:
                self._unwritten = body.size
                self._sent = await self._send(head, body, request.throttle)
            while not self._status:
                await self._wait()
            if self._early and self._status < 300:
                raise ConnectionBrokenError("the server reported success before it had all of the request")
        except BaseException as error:
            if isinstance(error, ConnectionBrokenError):
                error.stale = self._reused and error.unanswered
            self._method = ""
            self.abort()
            self._on_free(self)
            raise
        self._reused = True
        return FastResponse(self._status, self._headers, self)

    def _send_whole(self, buffers: Sequence[Buffer], size: int) -> None:
        """Sends a request that is in memory."""
        self._written += size
        if size <= _JOINED_SIZE:
            self._transport.write(b"".join(buffers))
        else:
            self._transport.writelines(buffers)
        self._sent = True

    async def _send(self, head: bytes, body: Body, throttle: Throttle | None) -> bool:
        """Sends head and body; returns whether all of it was sent: a refusal that arrives earlier ends it."""
        if body.size <= SEND_SIZE and throttle is None:
            chunks_read = [chunk async for chunk in body]
            check_body_size(body, sum(map(len, chunks_read)), ended=True)
            if self._head_size:
                self._fail(ConnectionBrokenError("a response arrived before its request", unanswered=True))
            self._raise_if_broken()
            self._unwritten = 0
            self._send_whole((head, *chunks_read), len(head) + body.size)
            return True
        self._write(head)
        sent = 0
        async with chunks_of(body) as chunks:
            async for chunk in chunks:
                view = memoryview(chunk)
                check_body_size(body, sent + len(view), ended=False)
                for start in range(0, len(view), SEND_SIZE):
                    piece = view[start : start + SEND_SIZE]
                    if throttle is not None:
                        await throttle.take(len(piece))
                    if self._status:
                        return False  # refused already: the server has no use for the rest
                    self._raise_if_broken()
                    self._write(piece)
                    sent += len(piece)
                    self._unwritten -= len(piece)
                    if self._writable is not None:
                        await self._writable
        check_body_size(body, sent, ended=True)
        return True

    def _write(self, data: Buffer) -> None:
        """Sends a piece of a body. If nothing was left to send, the peer had to wait for it."""
        self._moved_at = monotonic()
        if not self._transport.unsent_size:
            self._pace.restart(self._moved_at, self._moved - bytes_in_flight(self._socket))
        self._written += len(data)
        self._transport.write(data)

    def release(self) -> None:
        """Ends the request: its response is not read any further."""
        if self._paused or not (self._complete and self._sent):
            self._keep_alive = False
        self._method = ""
        if self._chunks:
            self._chunks.clear()
        if not self.usable:
            self.abort()
        self.idle_since = monotonic()
        self._on_free(self)

    def abort(self) -> None:
        """Ends the connection at once."""
        self._keep_alive = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()

    # Stalls

    def _watch(self) -> None:
        self._timer = self._loop.call_later(self._stall_timeout / CHECKS, self._check)

    def _check(self) -> None:
        """Fails the request if nothing moved since the timer was set, or too little; else sets it again."""
        self._timer = None
        if self._method == "":
            return
        queued = self._transport.unsent_size + bytes_in_flight(self._socket)
        now, confirmed, answering = monotonic(), self._written - queued, self._head_size > 0
        we_are_slow = self._paused or self._complete or (not self._sent and not queued)
        if we_are_slow or (confirmed > self._confirmed and (queued or self._queued)):
            self._moved_at = now
        self._confirmed, self._queued = confirmed, queued
        error: NetError | None = None
        if not we_are_slow and (queued or answering):
            error = self._pace.check(now, self._received + confirmed)
        elif not self._paused:
            self._pace.restart(now, self._received + confirmed)
        idle = now - self._moved_at
        if idle >= self._stall_timeout:
            error = StalledError(f"no byte moved for {self._stall_timeout} s")
        if error is not None:
            self._fail(error)
            self._transport.abort()
        else:
            self._timer = self._loop.call_later(self._pace.next_check(idle), self._check)

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, SocketTransport)
        self._transport = transport
        transport.set_write_buffer_limits(high=SEND_SIZE)
        self._socket = transport.get_extra_info("socket")
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def connection_lost(self, error: Exception | None) -> None:
        unmeasured = self._status and self._remaining is None and not self._chunked
        if unmeasured and error is None and self._error is None:
            self._complete = True  # a body of unknown length ends with the connection
        self._keep_alive = False
        self._fail(
            ConnectionBrokenError(
                f"the connection was closed{f' ({error})' if error else ''}", unanswered=not self._head_size
            )
        )
        if self._method == "":
            self._on_free(self)
