"""The fast lane: a pool of our own HTTP/1.1 connections, for origins that are reached directly on POSIX systems."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any

from dxflow_async.concurrency.descriptors import is_out_of_descriptors
from dxflow_async.net.address_rule import AddressRule
from dxflow_async.net.errors import connect_error
from dxflow_async.net.fast.connection import INBOX_SIZE, Connection
from dxflow_async.net.fast.transport import TLSSocket, connect, connect_unix
from dxflow_async.net.request import Origin, Request, Timeouts
from dxflow_async.net.response import Response

__all__ = ["FastLane"]


class FastLane:
    """Sends requests over connections of its own; the one that was used last is used first.

    Args:
        timeouts: shared with the client.
        tls_context: returns the TLS context.
        max_connections: idle connections are closed before more than these are open.
        unix_socket: the path of a Unix socket that every connection leads to.
        rule: the addresses that are allowed; None: all.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        tls_context: Callable[[], Awaitable[ssl.SSLContext]],
        max_connections: int,
        *,
        unix_socket: str | None = None,
        rule: AddressRule | None = None,
    ) -> None:
        self._rule = rule
        self._unix_socket = unix_socket
        self._max_connections = max_connections
        self._timeouts = timeouts
        self._tls_context = tls_context
        self._idle: dict[Origin, deque[Connection]] = {}
        self._all: set[Connection] = set()
        self._inbox = memoryview(bytearray(INBOX_SIZE))

    def send(self, request: Request, *, fresh: bool = False) -> Coroutine[Any, Any, Response]:
        connection = None if fresh else self._take(request.origin)
        return self._send_anew(request) if connection is None else connection.request(request)

    async def _send_anew(self, request: Request) -> Response:
        connection = await self._connect(request.origin)
        return await connection.request(request)

    def abandon(self) -> None:
        for connection in list(self._all):
            connection.abort()
        self._all.clear()
        self._idle.clear()

    async def drop_connections(self) -> None:
        self.abandon()
        await asyncio.sleep(0)  # the sockets' protocols hear of it in the loop's next turn

    @property
    def open_connections(self) -> int:
        return len(self._all)

    @property
    def idle_connections(self) -> int:
        return sum(map(len, self._idle.values()))

    def _take(self, origin: Origin) -> Connection | None:
        """An idle connection that can be used."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            recent = monotonic() - connection.idle_since < self._timeouts.idle
            if connection.usable and recent and connection.quiet:
                return connection
            connection.abort()
            self._all.discard(connection)
        return None

    def _close_idle(self) -> bool:
        """Closes the connection that has been idle for longest, to any origin; returns whether there was one."""
        oldest = min((idle for idle in self._idle.values() if idle), key=lambda idle: idle[0].idle_since, default=None)
        if oldest is None:
            return False
        connection = oldest.popleft()
        connection.abort()
        self._all.discard(connection)
        return True

    async def _connect(self, origin: Origin) -> Connection:
        idle = self._idle.setdefault(origin, deque())

        def on_free(connection: Connection) -> None:
            if connection.usable and connection in self._all:
                idle.append(connection)
            else:
                self._all.discard(connection)

        def make() -> Connection:
            return Connection(self._inbox, self._timeouts, on_free)

        tls: ssl.SSLContext | None = None
        if origin.scheme == "https":
            tls = await self._tls_context()
            tls.sslsocket_class = TLSSocket
        while len(self._all) >= self._max_connections and self._close_idle():
            pass
        try:
            async with asyncio.timeout(self._timeouts.connect):
                try:
                    connection = await self._open(origin, make, tls)
                except OSError as error:
                    if not (is_out_of_descriptors(error) and self._close_idle()):
                        raise
                    connection = await self._open(origin, make, tls)
        except OSError as error:
            raise connect_error(error, origin.host, origin.port) from error
        self._all.add(connection)
        return connection

    async def _open(self, origin: Origin, make: Callable[[], Connection], tls: ssl.SSLContext | None) -> Connection:
        if self._unix_socket is not None:
            return await connect_unix(self._unix_socket, make)
        return await connect(origin.host, origin.port, make, tls, self._rule)
