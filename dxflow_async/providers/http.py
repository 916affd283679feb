"""The data plane: every hot request of every provider, over one pool of connections.

A provider supplies method, URL and signed headers; here the bytes stream, stalls time out, and what breaks becomes one
of our errors. Nothing here retries, but for a kept-alive connection that the server had closed meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import ssl
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import (
    ConfigurationError,
    DxflowError,
    NetworkError,
    SessionClosedError,
    StallTimeoutError,
    StorageError,
)
from dxflow_async.net.fast.connection import INBOX_SIZE, Connection
from dxflow_async.net.fast.request_head import build_head
from dxflow_async.net.fast.response import ConnectionBrokenError, Response, StalledError
from dxflow_async.net.fast.transport import TLSSocket, connect, encrypt
from dxflow_async.providers.contract import Body, Buffer, Entry, Reader, Run, Write, is_streamed
from dxflow_async.security.redaction import Secret

__all__ = ["HTTP", "Call", "HTTPReader", "Response", "Throttle", "read_error_body"]

ERROR_BODY_SIZE = 64 << 10
"""Of an error's body, no more is read."""

IDLE_SECONDS = 15.0
"""After which a connection is not used again: servers close theirs after some such time."""


class Throttle(Protocol):
    """A cap on bytes a second."""

    async def take(self, size: int) -> None: ...


class Call(NamedTuple):
    """What a request is for: said in every error."""

    provider: str
    operation: str
    path: str

    def error(self, cls: type[StorageError], text: str, **details: Any) -> StorageError:
        """An error about this call; where the provider named the request, the message does too."""
        if details.get("request_id"):
            text = f"{text} (request {details['request_id']:.100})"
        return cls(
            f"{self.provider} {self.operation} of {self.path} failed: {text}",
            provider=self.provider,
            operation=self.operation,
            path=self.path,
            **details,
        )


class Origin(NamedTuple):
    """Where a connection leads; `proxy` is a URL, or empty."""

    scheme: str
    host: str
    port: int
    proxy: str


class HTTP:
    """The connections of a session. How many requests are in flight is for the session's limits to say.

    Args:
        threads: where certificates are loaded.
        connect_timeout: seconds to connect, TLS included.
        stall_timeout: seconds without a byte moving, either way.
        ca_bundle: certificate authorities to trust besides the system's.
        throttle: a cap on bytes a second, or None.
    """

    def __init__(
        self,
        threads: Threads,
        *,
        connect_timeout: float = 10.0,
        stall_timeout: float = 60.0,
        ca_bundle: Path | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self.connect_timeout = connect_timeout
        self.stall_timeout = stall_timeout
        self.throttle = throttle
        self._threads = threads
        self._ca_bundle = ca_bundle
        self._tls: ssl.SSLContext | None = None
        self._loading = asyncio.Lock()
        self._proxies = _proxies()
        self._origins: dict[tuple[str, str], Origin] = {}
        self._idle: dict[Origin, deque[Connection]] = {}
        self._all: set[Connection] = set()
        self._inbox = memoryview(bytearray(INBOX_SIZE))
        self._closed = False

    async def send(
        self,
        call: Call,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body | bytes | None = None,
        *,
        repeatable: bool | None = None,
    ) -> Response:
        """One attempt at one request; the response's body is still to be read, or closed.

        Args:
            call: what it is for.
            method: in capitals.
            url: escaped as it is to be sent.
            headers: as they are to be sent, `host` among them; the length is added.
            body: what is sent.
            repeatable: whether doing it twice changes nothing; by default, whatever is no POST.

        Raises:
            NetworkError: not connected, or cut off.
            StallTimeoutError: no byte moved for the stall timeout.
            SessionClosedError: after `aclose`.
        """
        if self._closed:
            raise SessionClosedError("the session was closed; make a new one")
        url = Secret(url)  # it may be signed
        try:
            origin, head = self._prepare(method, url, headers, body)
        except DxflowError:  # of the settings
            raise
        except ValueError as error:
            # Without its frames, which have all of the request.
            raise _translated(call, error.with_traceback(None), self) from error
        try:
            connection, fresh = self._take(origin), False
            if connection is None:
                connection, fresh = await self._connect(origin), True
            try:
                return await connection.request(method, head, body, self.throttle)
            except ConnectionBrokenError as error:
                # Closed by the server while it was idle. What changes nothing when done twice is done again.
                again = method != "POST" if repeatable is None else repeatable
                if fresh or not error.unanswered or not again or _is_gone(body):
                    raise
            connection = await self._connect(origin)
            return await connection.request(method, head, body, self.throttle)
        except DxflowError:  # the body's, or the settings'
            raise
        except _FOREIGN as error:
            raise _translated(call, error, self) from error

    async def aclose(self) -> None:
        """Closes every connection, also those in use."""
        self._closed = True
        for connection in list(self._all):
            connection.abort()
        self._all.clear()
        self._idle.clear()
        await asyncio.sleep(0)  # the transports close in the loop's next turn

    def _prepare(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | bytes | None
    ) -> tuple[Origin, bytes]:
        """Where a request goes, and its head."""
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        origin = self._origins.get((scheme, authority)) or self._origin(scheme, authority)
        through_proxy = origin.proxy and scheme == "http"
        size: int | None = None
        if body is not None:
            size = len(body) if isinstance(body, bytes) else body.size
        elif method in ("PUT", "POST"):
            size = 0
        if through_proxy:
            headers = {**headers, **_proxy_of(origin)[2]}
        try:
            return origin, build_head(method, url if through_proxy else slash + path, headers, size)
        except ValueError as error:
            reason = "it has characters beyond ASCII" if isinstance(error, UnicodeError) else str(error)
        # Not from the error, which holds the whole head.
        raise ValueError(reason)

    def _origin(self, scheme: str, authority: str) -> Origin:
        parts = urlsplit(f"{scheme}://{authority}")
        host = parts.hostname or ""
        proxy = self._proxies.get(scheme, "")
        if proxy and _bypasses_proxy(authority):
            proxy = ""
        _check_proxy(scheme, proxy)
        port = parts.port or {"http": 80, "https": 443}[scheme]
        origin = self._origins[scheme, authority] = Origin(scheme, host, port, Secret(proxy))
        return origin

    def _take(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            fresh_enough = monotonic() - connection.idle_since < IDLE_SECONDS
            if connection.usable and fresh_enough and connection.quiet:
                return connection
            connection.abort()
            self._all.discard(connection)
        return None

    async def _connect(self, origin: Origin) -> Connection:
        idle = self._idle.setdefault(origin, deque())

        def on_free(connection: Connection) -> None:
            if connection.usable and connection in self._all:
                idle.append(connection)
            else:
                self._all.discard(connection)

        def make() -> Connection:
            return Connection(self._inbox, self.stall_timeout, on_free)

        tls = await self.tls_context() if origin.scheme == "https" else None
        async with asyncio.timeout(self.connect_timeout):
            if origin.proxy:
                connection = await self._connect_through_proxy(origin, make, tls)
            else:
                connection = await connect(origin.host, origin.port, make, tls)
        self._all.add(connection)
        return connection

    async def _connect_through_proxy(
        self, origin: Origin, make: Callable[[], Connection], tls: ssl.SSLContext | None
    ) -> Connection:
        """A plain request goes to the proxy itself; for TLS the proxy is asked for a tunnel."""
        host, port, headers = _proxy_of(origin)
        connection = await connect(host, port, make)
        if tls is None:
            return connection
        authority = f"{origin.host}:{origin.port}"
        headers["host"] = authority
        response = await connection.request("CONNECT", build_head("CONNECT", authority, headers), None)
        if response.status != 200:
            connection.abort()
            raise ConnectionBrokenError(f"the proxy {host} refused a tunnel ({response.status})")
        return await encrypt(connection.detach(), origin.host, make, tls)

    async def tls_context(self) -> ssl.SSLContext:
        """Who is trusted: the system's authorities, and those of `ca_bundle`.

        Raises:
            ConfigurationError: that file is none.
        """
        async with self._loading:
            if self._tls is None:
                self._tls = await self._threads.run(_make_context, self._ca_bundle)
        return self._tls


def _proxies() -> dict[str, str]:
    """By scheme, as the environment has them, or the system's settings where there are such."""
    if sys.platform not in ("darwin", "win32") and not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}
    from urllib.request import getproxies

    return {scheme: Secret(proxy) for scheme, proxy in getproxies().items()}


def _bypasses_proxy(authority: str) -> bool:
    from urllib.request import proxy_bypass

    return bool(proxy_bypass(authority))


def _proxy_of(origin: Origin) -> tuple[str, int, dict[str, str]]:
    """A proxy's host and port, and what it is to be told with each request."""
    proxy = urlsplit(origin.proxy if "://" in origin.proxy else f"http://{origin.proxy}")
    headers: dict[str, str] = {}
    if proxy.username is not None:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        headers["proxy-authorization"] = Secret(f"Basic {base64.b64encode(pair.encode()).decode()}")
    return proxy.hostname or "", proxy.port or 80, headers


def _check_proxy(scheme: str, proxy: str) -> None:
    """Nothing is sent to a proxy that is not spoken to in the way its URL says: its password would be in clear.

    Raises:
        ConfigurationError: the proxy is reached by TLS or another protocol, or its URL is not valid.
    """
    if not proxy:
        return
    scheme_of_proxy = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", proxy)
    name = scheme_of_proxy[1].lower() if scheme_of_proxy else "http"
    rest = proxy.removeprefix(scheme_of_proxy[0]) if scheme_of_proxy else proxy
    try:
        parts = urlsplit(Secret(f"//{rest}"))
        valid = bool(parts.hostname) and parts.port != 0
        where = f"{name}://{parts.hostname}"
    except ValueError:
        valid, where = False, "its value"
    if not valid:
        raise ConfigurationError(f"{scheme.upper()}_PROXY is not allowed: it must be http://host:port")
    if name != "http":
        raise ConfigurationError(
            f"{scheme.upper()}_PROXY is not allowed: the proxy {where} is not spoken to in plain HTTP, which is not "
            "supported; write http://host:port, unset it, or add the service to NO_PROXY"
        )


def _make_context(ca_bundle: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.sslsocket_class = TLSSocket
    context.set_alpn_protocols(["http/1.1"])
    if ca_bundle is not None:
        try:
            context.load_verify_locations(ca_bundle)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"ca_bundle = {str(ca_bundle)!r} is not a PEM file: {error}") from error
    return context


@dataclass(slots=True)
class HTTPReader(Reader):
    """The body of a response as a `Reader`."""

    entry: Entry
    size: int
    http: HTTP
    call: Call
    response: Response
    crc32c: int | None = None
    verified: bool = False

    async def read(self) -> Buffer:
        try:
            chunk = await self.response.read()
        except _FOREIGN as error:
            raise _translated(self.call, error, self.http) from error
        if self.http.throttle is not None and chunk:
            await self.http.throttle.take(len(chunk))
        return chunk

    async def readinto(self, buffer: memoryview) -> int:
        try:
            size = await self.response.readinto(buffer)
        except _FOREIGN as error:
            raise _translated(self.call, error, self.http) from error
        if self.http.throttle is not None and size:
            await self.http.throttle.take(size)
        return size

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        if self.http.throttle is not None:
            return await Reader.stream_to(self, buffer, write, run)
        try:
            return await self.response.stream_to(buffer, write, run)
        except _FOREIGN as error:
            raise _translated(self.call, error, self.http) from error

    async def aclose(self) -> None:
        self.response.close()


def _is_gone(body: Body | bytes | None) -> bool:
    """Whether what was sent of a body cannot be had again."""
    return body is not None and not isinstance(body, bytes) and is_streamed(body)


async def read_error_body(response: Response, max_size: int = ERROR_BODY_SIZE) -> bytes:
    """A small body, such as one that says why something failed; its connection is given back."""
    pieces, size = [], 0
    try:
        while size < max_size and (piece := await response.read()):
            pieces.append(piece)
            size += len(piece)
    except _FOREIGN:
        pass  # what came of it has to do
    finally:
        response.close()
    return b"".join(pieces)[:max_size]


_FOREIGN = (OSError, ValueError)  # TimeoutError and ssl.SSLError are OSErrors

# The first row that fits.
_ERRORS: tuple[tuple[type[BaseException], type[StorageError], str, bool], ...] = (
    (ssl.SSLCertVerificationError, NetworkError, "the certificate is not trusted ({error}); set ca_bundle", False),
    (StalledError, StallTimeoutError, "no byte moved for {stall_timeout} s", True),
    (TimeoutError, StallTimeoutError, "no connection within {connect_timeout} s", True),
    (ConnectionBrokenError, NetworkError, "{error}", True),
    (ssl.SSLError, NetworkError, "the encrypted connection failed ({error})", True),
    (ConnectionRefusedError, NetworkError, "the connection was refused; check the endpoint", True),
    (OSError, NetworkError, "could not connect ({error})", True),
    (ValueError, NetworkError, "the request is not valid ({error})", False),
)


def _translated(call: Call, error: BaseException, http: HTTP) -> StorageError:
    for foreign, ours, text, retryable in _ERRORS:
        if isinstance(error, foreign):
            said = text.format(error=error, connect_timeout=http.connect_timeout, stall_timeout=http.stall_timeout)
            return call.error(ours, said, retryable=retryable)
    raise TypeError(f"no row for {type(error).__name__}") from error
