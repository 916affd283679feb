"""The HTTP client of a session: it picks the lane for each request, and repeats what an idle connection lost."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping

from dxflow_async.concurrency.imports import importing
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ConfigurationError, SessionClosedError
from dxflow_async.net.address_rule import AddressRule
from dxflow_async.net.errors import ConnectionBrokenError, InvalidRequestError, NetError, ProxyError
from dxflow_async.net.proxy import ProxyRules
from dxflow_async.net.reached import ReachedOrigins
from dxflow_async.net.request import Lane, Origin, Request, Throttle, Timeouts, build_head, check_url
from dxflow_async.net.response import Response
from dxflow_async.net.tls import TLSOptions, make_context
from dxflow_async.security.redaction import Secret
from dxflow_async.streams import Body, is_streamed

__all__ = ["TRANSPORTS", "Client"]

TRANSPORTS = ("auto", "fast", "aiohttp")
"""The values of the setting `transport`."""

_POSIX = os.name == "posix"


class Client:
    """Sends HTTP/1.1 requests over pooled connections, from one event loop.

    Bodies stream both ways, stalls time out, and whatever fails is one of `net.errors`. Redirects are not followed,
    cookies are not kept, bodies are not decompressed, and nothing is retried but a request that an idle connection
    lost. How many requests are in flight is for the caller to limit.

    Args:
        threads: load certificates and modules.
        transport: `"fast"` is our own HTTP/1.1 lane; it serves direct connections on POSIX systems. `"aiohttp"` also
            serves proxies, client certificates and other systems. `"auto"` takes the fast lane where it can serve.
            Experimental: `"fast"` may come to mean `"aiohttp"`.
        timeouts: may be changed later, for the connections made from then on.
        tls: the TLS settings.
        proxies: the proxy rules; None takes those of the environment.
        max_connections: idle connections are closed before a lane has more than these open.
        unix_socket: the path of a Unix socket that every connection leads to, whatever its URL says; POSIX only.
        rule: the addresses that may be connected to; None: all. A proxy may have any.

    Example:
        >>> async def get(url: str, host: str, threads: Threads) -> bytes:
        ...     client = Client(threads)
        ...     response = await client.send("GET", url, {"host": host})
        ...     try:
        ...         return bytes(await response.read())
        ...     finally:
        ...         response.close()
        ...         await client.aclose()
    """

    def __init__(
        self,
        threads: Threads,
        *,
        transport: str = "auto",
        timeouts: Timeouts | None = None,
        tls: TLSOptions | None = None,
        proxies: ProxyRules | None = None,
        max_connections: int = 1024,
        unix_socket: str | None = None,
        rule: AddressRule | None = None,
    ) -> None:
        if transport not in TRANSPORTS:
            raise ConfigurationError(f"transport = {transport!r} is not allowed: it must be auto, fast or aiohttp")
        self.transport = transport
        self.timeouts = Timeouts() if timeouts is None else timeouts
        self._threads = threads
        self._max_connections = max_connections
        self._tls_options = TLSOptions() if tls is None else tls
        self._tls: ssl.SSLContext | None = None
        self._loading = asyncio.Lock()
        self._unix_socket = unix_socket
        self._rule = rule
        if unix_socket is not None:
            proxies = ProxyRules()
        self._proxies = ProxyRules.from_system(os.environ) if proxies is None else proxies
        self._origins: dict[tuple[str, str], Origin] = {}
        self._lanes: dict[Origin, Lane] = {}
        self._reached = ReachedOrigins()
        self._fast: Lane | None = None
        self._aiohttp: Lane | None = None
        self._closed = False

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body | bytes | None = None,
        *,
        repeatable: bool | None = None,
        throttle: Throttle | None = None,
    ) -> Response:
        """Sends a request and returns once the response's head has arrived; its body is still to be read, or closed.

        Args:
            method: in capitals.
            url: escaped as it is to be sent.
            headers: as they are to be sent, `host` among them; `content-length` is added.
            body: what is sent.
            repeatable: whether sending the request twice has no further effect; None: yes, unless it is a POST.
            throttle: a cap on the bytes a second that are sent.

        Raises:
            NetError: see `net.errors`.
            ConfigurationError: the TLS or proxy settings are wrong.
            SessionClosedError: after `aclose`.
        """
        if self._closed:
            raise SessionClosedError("the session was closed; make a new one")
        if not isinstance(url, Secret):
            url = Secret(url)  # it may be signed
        try:
            request = self._prepare(method, url, headers, body, throttle)
        except InvalidRequestError as error:
            raise error.with_traceback(None) from None  # the frames have parts of the URL in them
        lane = self._lanes.get(request.origin) or await self._load_lane(request.origin)
        try:
            try:
                response = await lane.send(request)
            except ConnectionBrokenError as error:
                if not _is_lost(error, request, repeatable=repeatable):
                    raise
                response = await lane.send(request, fresh=True)
        except NetError as error:
            self._reached.failed(request.origin, error)
            raise
        self._reached.answered(request.origin)
        if response.status == 407 and request.origin.proxy is not None:
            response.abort()
            raise ProxyError(f"the proxy {request.origin.proxy} refused the request (407)", retryable=False)
        return response

    async def aclose(self) -> None:
        """Closes every connection, also those in use."""
        self._closed = True
        await self.drop_connections()

    def abandon(self) -> None:
        """Closes every socket once the event loop does not run any more. Nobody hears of it."""
        self._closed = True
        for lane in (self._fast, self._aiohttp):
            if lane is not None:
                lane.abandon()

    async def drop_connections(self) -> None:
        """Ends every connection; requests under way fail, later ones connect anew."""
        for lane in (self._fast, self._aiohttp):
            if lane is not None:
                await lane.drop_connections()

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return sum(lane.open_connections for lane in (self._fast, self._aiohttp) if lane is not None)

    @property
    def idle_connections(self) -> int:
        """How many of the open connections wait for a request."""
        return sum(lane.idle_connections for lane in (self._fast, self._aiohttp) if lane is not None)

    async def tls_context(self) -> ssl.SSLContext:
        """Returns the TLS context that all connections share.

        Raises:
            ConfigurationError: a certificate file cannot be used; the message names the setting.
        """
        if self._tls is None:
            async with self._loading:
                if self._tls is None:
                    self._tls = await self._threads.run(make_context, self._tls_options)
        return self._tls

    def _prepare(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body | bytes | None,
        throttle: Throttle | None,
    ) -> Request:
        check_url(url)
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        origin = self._origins.get((scheme, authority)) or self._find_origin(scheme, authority)
        size: int | None = None
        if body is not None:
            size = len(body) if isinstance(body, bytes) else body.size
        elif method in ("PUT", "POST"):
            size = 0
        try:
            head = build_head(method, slash + path or "/", headers, size)
            return Request(origin, method, url, headers, head, body, size, throttle)
        except ValueError as error:
            reason = "a header has characters beyond ASCII" if isinstance(error, UnicodeError) else str(error)
        # Raised here, not in the handler: the ValueError and its frames hold the whole head.
        raise InvalidRequestError(reason)

    def _find_origin(self, scheme: str, authority: str) -> Origin:
        direct = Origin.of(scheme, authority)
        proxy = self._proxies.proxy_for(direct.scheme, direct.host, direct.port)
        origin = self._origins[scheme, authority] = direct._replace(proxy=proxy)
        return origin

    # Lanes

    def _is_fast(self, origin: Origin) -> bool:
        if self.transport == "aiohttp":
            return False
        reason = self._slow_reason(origin)
        if reason and self.transport == "fast":
            raise ConfigurationError(f'transport = "fast" does not serve {reason}; set transport = "auto"')
        return not reason

    def _slow_reason(self, origin: Origin) -> str:
        """Why the fast lane does not serve an origin; empty: it does."""
        if origin.proxy is not None:
            return f"requests through a proxy, and {origin.proxy} is set"
        if self._tls_options.client_certificate is not None and origin.scheme == "https":
            return "client certificates"
        return "" if _POSIX else "this operating system"

    async def _load_lane(self, origin: Origin) -> Lane:
        """Returns the lane for an origin; its modules are imported in a worker thread, which keeps the loop running."""
        fast = self._is_fast(origin)
        if (self._fast if fast else self._aiohttp) is None:
            await self._threads.run(importing, _import_fast if fast else _import_aiohttp)
        lane = self._fast if fast else self._aiohttp  # another request may have come first
        if lane is None:
            lane = self._make_lane(fast=fast)
        self._lanes[origin] = lane
        return lane

    def _make_lane(self, *, fast: bool) -> Lane:
        if fast:
            from dxflow_async.net.fast.lane import FastLane

            self._fast = made = FastLane(
                self.timeouts,
                self.tls_context,
                self._max_connections,
                unix_socket=self._unix_socket,
                rule=self._rule,
            )
            return made
        from dxflow_async.net.aiohttp_lane.lane import AiohttpLane

        self._aiohttp = lane = AiohttpLane(self.timeouts, self.tls_context, self._max_connections, rule=self._rule)
        return lane


def _import_fast() -> None:
    import dxflow_async.net.fast.lane  # noqa: F401


def _import_aiohttp() -> None:
    import dxflow_async.net.aiohttp_lane.lane  # noqa: F401


def _is_lost(error: ConnectionBrokenError, request: Request, *, repeatable: bool | None) -> bool:
    """Whether a server had closed an idle connection, and the request may be sent once more over a new one."""
    again = request.method != "POST" if repeatable is None else repeatable
    return error.stale and again and not _is_gone(request.body)


def _is_gone(body: Body | bytes | None) -> bool:
    """Whether the bytes of a body that were sent cannot be read again."""
    return body is not None and not isinstance(body, bytes) and is_streamed(body)
