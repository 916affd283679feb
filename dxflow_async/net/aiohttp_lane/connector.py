"""aiohttp's connection pool, with what the data plane has to know about each connection.

aiohttp hands an idle connection to the next request without looking at its socket, and takes any end of a connection
for the proper end of a body of unknown length. Both would let wrong bytes pass for right ones. So this connector
looks at a connection before it is used again, and notes how each one ended.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from dxflow_async.concurrency.descriptors import is_out_of_descriptors
from dxflow_async.net.address_rule import AddressRule, check_addresses

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace

__all__ = ["ConnectionState", "Connector", "Exchange", "exchange"]


class Handler(ResponseHandler):
    """aiohttp's protocol, which also counts.

    Attributes:
        received: bytes of the response to the current request, without interim answers.
        answered_at: when the first of them arrived, by the monotonic clock.
    """

    received = 0
    answered_at = 0.0

    def data_received(self, data: bytes) -> None:
        if self.received:
            self.received += len(data)
        elif data and not data.startswith(_INTERIM):
            self.received, self.answered_at = len(data), monotonic()
        super().data_received(data)


_INTERIM = (b"HTTP/1.1 1", b"HTTP/1.0 1")


class ConnectionState:
    """A connection, over all its requests.

    Attributes:
        protocol: aiohttp's.
        transport: the loop's.
        error: why the connection was lost; None: it is open, or was closed in good order.
        used: whether it has served a request.
    """

    def __init__(self, protocol: Handler) -> None:
        assert protocol.transport is not None
        self.protocol = protocol
        self.transport: Any = protocol.transport
        self.error: BaseException | None = None
        self.used = False
        self._tls: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object")
        self._poll = select.poll() if hasattr(select, "poll") else None
        connected = self.transport.get_extra_info("socket")
        if self._poll is not None and connected is not None:
            self._poll.register(connected.fileno(), select.POLLIN)

    def note_end(self, closed: asyncio.Future[None]) -> None:
        """Notes how the connection ended, as aiohttp tells it."""
        self.error = None if closed.cancelled() else closed.exception()

    @property
    def open(self) -> bool:
        """Whether the connection is open."""
        return self.protocol.is_connected()

    @property
    def quiet(self) -> bool:
        """Whether no bytes lie unread: neither a response that nobody asked for nor the connection's end."""
        if self.protocol.should_close or not self.open:
            return False
        return self._poll is None or not self._poll.poll(0)

    @property
    def ended_properly(self) -> bool:
        """Whether the peer ended the connection on purpose: no reset, and with TLS's own farewell."""
        if self.error is not None:
            return False
        if self._tls is None:
            return True
        try:
            return not self._tls.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except (OSError, ValueError):
            return False


class Exchange:
    """One request and its response.

    Args:
        fresh: use a new connection.
        direct: it leads to the request's own host, not to a proxy.

    Attributes:
        connection: the one that is used, once there is one.
        reused: whether it has served a request before.
        transport: of the connection that is being made, once the host or the proxy is reached.
    """

    def __init__(self, *, fresh: bool, direct: bool = True) -> None:
        self.fresh = fresh
        self.direct = direct
        self.connection: ConnectionState | None = None
        self.reused = False
        self.transport: asyncio.Transport | None = None


exchange: ContextVar[Exchange] = ContextVar("exchange")
"""The exchange that a connection is wanted for."""


class Connector(aiohttp.TCPConnector):
    """A pool that tells the current `exchange` which connection it gets, and never gives it one that is not quiet."""

    states: dict[Handler, ConnectionState]
    """The connections that are open."""

    def __init__(self, *, max_connections: int, rule: AddressRule | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._rule = rule
        self._max_connections = max_connections
        self.states = {}
        handler: type[ResponseHandler] = Handler
        self._factory = partial(handler, loop=self._loop)

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        current = exchange.get()
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            assert isinstance(protocol, Handler)
            if protocol.transport is None:  # lost again already
                connection.close()
                raise aiohttp.ServerDisconnectedError
            state = self.states.get(protocol)
            if state is None:
                state = self._watched(protocol)
            elif current.fresh or not state.quiet:
                connection.close()
                continue
            protocol.received = 0
            current.connection, current.reused, state.used = state, state.used, True
            return connection

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> ResponseHandler:
        """Connects. Idle connections are closed first if enough are open, or if no more can be opened."""
        while len(self.states) >= self._max_connections and self._close_idle():
            pass
        try:
            return await self._reached(req, traces, timeout)
        except OSError as error:
            if not (is_out_of_descriptors(error) and self._close_idle()):
                raise
        return await self._reached(req, traces, timeout)

    async def _reached(self, *wanted: Any) -> ResponseHandler:
        """Connects, through a proxy if there is one. What a refusal leaves open does not wait for TLS's farewell."""
        current = exchange.get()
        current.transport = None
        try:
            return await super()._create_connection(*wanted)
        except BaseException:
            if current.transport is not None:
                current.transport.abort()
            raise
        finally:
            current.transport = None

    async def _create_direct_connection(self, *args: Any, **options: Any) -> tuple[asyncio.Transport, ResponseHandler]:
        """Connects to the host itself, or to the proxy."""
        transport, protocol = await super()._create_direct_connection(*args, **options)
        exchange.get().transport = transport
        return transport, protocol

    async def _resolve_host(self, host: str, port: int, traces: Sequence[Trace] | None = None) -> list[ResolveResult]:
        """Looks a host up. The connection is made to one of the addresses that are returned."""
        found = await super()._resolve_host(host, port, traces)
        if exchange.get().direct:
            check_addresses(host, (each["host"] for each in found), self._rule)
        return found

    def _close_idle(self) -> bool:
        """Closes the connection that has been idle for longest, to any origin; returns whether there was one."""
        oldest = min((idle for idle in self._conns.values() if idle), key=lambda idle: idle[0][1], default=None)
        if oldest is None:
            return False
        protocol, _ = oldest.popleft()
        assert isinstance(protocol, Handler)
        self.states.pop(protocol, None)
        protocol.abort()
        return True

    def abort(self) -> None:
        """Ends every connection at once, also those that wait for the peer's farewell."""
        for state in list(self.states.values()):
            state.transport.abort()

    def abandon(self) -> None:
        """Closes every socket once the event loop does not run any more."""
        for state in list(self.states.values()):
            # asyncio closes a socket in the loop's next turn, which does not come; uvloop does it at once.
            connected = getattr(state.transport.get_extra_info("socket"), "_sock", None)
            with suppress(RuntimeError):  # the loop is closed
                state.transport.abort()
            with suppress(AttributeError, RuntimeError):
                state.transport._call_connection_lost(None)
            if connected is not None:
                connected.close()
        self.states.clear()
        with suppress(RuntimeError):
            self._close()

    def _watched(self, protocol: Handler) -> ConnectionState:
        """The state of a new connection, which is forgotten with its end."""
        state, closed = ConnectionState(protocol), protocol.closed

        def forget(closed: asyncio.Future[None]) -> None:
            state.note_end(closed)
            self.states.pop(protocol, None)

        if closed is not None:
            self.states[protocol] = state
            closed.add_done_callback(forget)
        return state
