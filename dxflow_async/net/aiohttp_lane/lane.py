"""The aiohttp lane: requests over one `aiohttp.ClientSession`.

aiohttp is told to do nothing on its own: no redirects, cookies, decompression, retries or added headers. A small body
is sent as bytes, together with the head; a large one piece by piece (`SentBody`). aiohttp times out what it waits to
read; what it waits to write is watched here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, cast

import aiohttp
from aiohttp.payload import AsyncIterablePayload, BytesPayload
from yarl import URL

from dxflow_async.net.address_rule import AddressRule
from dxflow_async.net.aiohttp_lane.connector import Connector, Exchange, exchange
from dxflow_async.net.aiohttp_lane.failures import FOREIGN, net_error
from dxflow_async.net.aiohttp_lane.response import AiohttpResponse
from dxflow_async.net.aiohttp_lane.watch import Watch
from dxflow_async.net.errors import ConnectionBrokenError, NetError
from dxflow_async.net.proxy import Proxy
from dxflow_async.net.request import SEND_SIZE, Request, Timeouts, check_body_size, without_zone
from dxflow_async.net.response import Response, unknown_coding
from dxflow_async.security.redaction import Secret
from dxflow_async.streams import Body, Buffered

__all__ = ["AiohttpLane"]

READ_BUFFER_SIZE = 128 << 10
"""aiohttp keeps up to twice as many bytes of a body for a reader before the peer has to wait."""

MAX_HEADERS = 256
MAX_HEADER_SIZE = 32 << 10
"""Limits of a response's head: how many headers, and how many bytes each name and value may have."""

_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class AiohttpLane:
    """Sends requests through aiohttp.

    Args:
        timeouts: shared with the client.
        tls_context: returns the TLS context.
        max_connections: idle connections are closed before more than these are open.
        rule: the addresses that are allowed; None: all. A proxy is always allowed, and looks up hosts itself.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        tls_context: Callable[[], Awaitable[ssl.SSLContext]],
        max_connections: int,
        *,
        rule: AddressRule | None = None,
    ) -> None:
        self._rule = rule
        self._max_connections = max_connections
        self._timeouts = timeouts
        self._tls_context = tls_context
        self._session: aiohttp.ClientSession | None = None
        self._connector: Connector | None = None
        self._proxies: dict[Proxy, dict[str, Any]] = {}

    async def send(self, request: Request, *, fresh: bool = False) -> Response:
        current = Exchange(fresh=fresh, direct=request.origin.proxy is None)
        options = await self._options(request)
        streamed: Body | None = None
        if request.body is not None and not isinstance(request.body, bytes):
            if request.body.size <= SEND_SIZE and request.throttle is None:
                options["data"] = BytesPayload(await _joined(request))
            else:
                streamed = request.body
        elif request.body:
            options["data"] = BytesPayload(request.body)
        watch = Watch(current, self._timeouts)
        if streamed is not None:
            body = watch.watch(streamed, request.throttle)
            options["data"] = AsyncIterablePayload(cast("AsyncIterable[bytes]", body))
            options["timeout"] = self._timeout(sock_read=None)  # until all of it is sent
        failure: BaseException
        token = exchange.set(current)
        try:
            url = request.url if request.origin.proxy is None else Secret(without_zone(request.url))
            response = await self._opened().request(request.method, URL(url, encoded=True), **options)
        except FOREIGN as error:
            failure = net_error(error, self._timeouts.stall, request.origin.proxy)
        except BaseException:
            await watch.end()
            raise
        else:
            return await self._started(response, current, watch)
        finally:
            exchange.reset(token)
        await watch.end()
        failure = watch.failure or failure
        if isinstance(failure, ConnectionBrokenError):
            failure.stale = failure.unanswered and current.reused
        raise failure

    def abandon(self) -> None:
        if self._connector is not None:
            self._connector.abandon()
            self._session = self._connector = None

    async def drop_connections(self) -> None:
        session, connector, self._session, self._connector = self._session, self._connector, None, None
        if session is not None and connector is not None:
            connector.abort()
            await session.close()
            await asyncio.sleep(0)  # the sockets' protocols hear of it in the loop's next turn

    @property
    def open_connections(self) -> int:
        return 0 if self._connector is None else sum(state.open for state in self._connector.states.values())

    @property
    def idle_connections(self) -> int:
        if self._connector is None:
            return 0
        return sum(proto.is_connected() for idle in self._connector._conns.values() for proto, _ in idle)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._connector = Connector(
                max_connections=self._max_connections,
                rule=self._rule,
                limit=0,  # the caller's limits decide how many requests are in flight
                keepalive_timeout=self._timeouts.idle,
                resolver=aiohttp.ThreadedResolver(),
            )
            self._session = aiohttp.ClientSession(
                connector=self._connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=_AUTOMATIC_HEADERS,
                read_bufsize=READ_BUFFER_SIZE,
                max_line_size=MAX_HEADER_SIZE,
                max_field_size=MAX_HEADER_SIZE,
                max_headers=MAX_HEADERS,
            )
            # aiohttp would send any idempotent request again, also one that its caller calls not repeatable.
            self._session._retry_connection = False
        return self._session

    async def _options(self, request: Request) -> dict[str, Any]:
        headers: dict[str, str] = dict(request.headers)
        if request.size is not None:
            headers["content-length"] = str(request.size)
        options: dict[str, Any] = {
            "headers": headers,
            "allow_redirects": False,
            "timeout": self._timeout(self._timeouts.stall),
        }
        proxy = request.origin.proxy
        if proxy is not None:
            options |= self._proxy_options(proxy)
        if request.origin.scheme == "https" or (proxy is not None and proxy.scheme == "https"):
            options["ssl"] = await self._tls_context()
        return options

    def _timeout(self, sock_read: float | None) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect, sock_read=sock_read)

    def _proxy_options(self, proxy: Proxy) -> dict[str, Any]:
        found = self._proxies.get(proxy)
        if found is None:
            found = {"proxy": URL(proxy.url)}
            if proxy.authorization is not None:
                # aiohttp makes it Proxy-Authorization, of the request itself or of the one for a tunnel.
                found["proxy_headers"] = {"authorization": proxy.authorization}
            self._proxies[proxy] = found
        return found

    async def _started(self, response: aiohttp.ClientResponse, current: Exchange, watch: Watch) -> Response:
        """The response, unless it reports success too early; a body that is refused is not sent any further."""
        connection = current.connection
        assert connection is not None
        early, untimed = watch.refused, watch.sending
        failure: NetError | None = None
        if early and response.status < 300:
            failure = ConnectionBrokenError("the server reported success before it had all of the request")
        elif response.status == 101:
            failure = ConnectionBrokenError("the answer is not HTTP (it switches protocols)")
        if failure is not None:
            response.close()
        try:
            await watch.end()
        except BaseException:
            response.close()
            raise
        if failure is not None:
            raise failure
        if early:
            connection.protocol.force_close()
        if early or (untimed and not response.content.is_eof()):
            connection.protocol.read_timeout = self._timeouts.stall
            connection.protocol.start_timeout()
        made = AiohttpResponse(response, connection, self._timeouts)
        if (coding := unknown_coding(made.headers)) is not None:
            response.close()
            raise ConnectionBrokenError(f"the answer is not HTTP (an unknown transfer coding, {coding[:40]})")
        return made


async def _joined(request: Request) -> bytes:
    """A small body in one piece: it is sent together with the head."""
    body = request.body
    assert body is not None
    assert not isinstance(body, bytes)
    chunks = body.chunks if isinstance(body, Buffered) else [chunk async for chunk in body]
    data = b"".join(chunks)
    check_body_size(body, len(data), ended=True)
    return data
