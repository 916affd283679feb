"""The data plane: every hot request of every provider, over one aiohttp session.

A provider supplies method, URL and signed headers; here the bytes stream, stalls time out, and what aiohttp raises
becomes one of our errors. Nothing here retries.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from dxflow_async.exceptions import ConfigurationError, NetworkError, StallTimeoutError, StorageError
from dxflow_async.providers.base import Body, Buffer, Entry, Reading

__all__ = ["HTTP", "Call", "HTTPReading", "Response", "Throttle", "read_error_body"]

Response = aiohttp.ClientResponse

SEND_SIZE = 256 << 10
"""Bytes handed to the socket at a time: small enough that a stall shows."""

ERROR_BODY_SIZE = 64 << 10
"""Of an error's body, no more is read."""


class Throttle(Protocol):
    """A cap on bytes a second."""

    async def take(self, size: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """What a request is for: said in every error."""

    provider: str
    operation: str
    path: str

    def error(self, cls: type[StorageError], text: str, **details: Any) -> StorageError:
        """An error about this call."""
        return cls(
            f"{self.provider} {self.operation} of {self.path} failed: {text}",
            provider=self.provider,
            operation=self.operation,
            path=self.path,
            **details,
        )


@dataclass(slots=True)
class HTTP:
    """One connection pool for a session.

    Args:
        connect_timeout: seconds to connect, TLS included.
        stall_timeout: seconds without a byte moving, either way.
        ca_bundle: certificate authorities to trust besides the system's.
        throttle: a cap on bytes a second, or None.
    """

    connect_timeout: float = 10.0
    stall_timeout: float = 60.0
    ca_bundle: Path | None = None
    throttle: Throttle | None = None
    _session: aiohttp.ClientSession | None = None
    _proxies: Mapping[str, str] = field(default_factory=getproxies)

    async def send(
        self, call: Call, method: str, url: str, headers: Mapping[str, str], body: Body | bytes | None = None
    ) -> Response:
        """One attempt at one request; the response's body is still to be read, or released.

        Raises:
            NetworkError: not connected, or cut off.
            StallTimeoutError: no byte moved for the stall timeout.
        """
        session = self._session or self._open()
        target = URL(url, encoded=True)
        options: dict[str, Any] = {"headers": headers, "allow_redirects": False}
        if self._proxies and not proxy_bypass(target.host or ""):
            options["proxy"] = self._proxies.get(target.scheme)
        try:
            if body is None or isinstance(body, bytes):
                return await session.request(method, target, data=body, **options)
            return await self._send_body(session, method, target, body, options)
        except _FOREIGN as error:
            raise _translated(call, error, self) from error

    async def _send_body(
        self, session: aiohttp.ClientSession, method: str, url: URL, body: Body, options: dict[str, Any]
    ) -> Response:
        chunks = getattr(body, "chunks", None)
        if chunks is not None and body.size <= SEND_SIZE and len(chunks) == 1 and self.throttle is None:
            return await session.request(method, url, data=chunks[0], **options)
        options["headers"] = {**options["headers"], "Content-Length": str(body.size)}
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.stall_timeout) as clock:

            async def moving() -> AsyncIterator[Buffer]:
                async for piece in self._pieces(body):
                    clock.reschedule(loop.time() + self.stall_timeout)
                    yield piece
                clock.reschedule(loop.time() + self.stall_timeout)

            return await session.request(method, url, data=moving(), **options)

    async def _pieces(self, body: Body) -> AsyncIterator[Buffer]:
        async for chunk in body:
            view = memoryview(chunk)
            for start in range(0, len(view), SEND_SIZE):
                piece = view[start : start + SEND_SIZE]
                if self.throttle is not None:
                    await self.throttle.take(len(piece))
                yield piece

    async def aclose(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            # The session's limits say how many requests are in flight; a second limit here could only deadlock.
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls(), ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self.connect_timeout, sock_read=self.stall_timeout
            ),
            auto_decompress=False,
            read_bufsize=READ_BUFFER_SIZE,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        return self._session

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.ca_bundle is not None:
            try:
                context.load_verify_locations(self.ca_bundle)
            except (OSError, ssl.SSLError) as error:
                raise ConfigurationError(f"ca_bundle = {str(self.ca_bundle)!r} is not a PEM file: {error}") from error
        return context


READ_BUFFER_SIZE = 512 << 10


@dataclass(slots=True)
class HTTPReading(Reading):
    """The body of a response as a `Reading`."""

    entry: Entry
    size: int
    http: HTTP
    call: Call
    response: Response
    crc32c: int | None = None

    async def read(self) -> Buffer:
        try:
            chunk = await self.response.content.readany()
        except _FOREIGN as error:
            raise _translated(self.call, error, self.http) from error
        if self.http.throttle is not None and chunk:
            await self.http.throttle.take(len(chunk))
        return chunk

    async def aclose(self) -> None:
        if self.response.content.at_eof():
            self.response.release()
        else:
            self.response.close()


async def read_error_body(response: Response) -> bytes:
    """At most 64 KiB of a response that says why something failed; its connection is given back."""
    try:
        pieces, size = [], 0
        while size < ERROR_BODY_SIZE and (piece := await response.content.readany()):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)[:ERROR_BODY_SIZE]
    except _FOREIGN:
        return b""
    finally:
        if response.content.at_eof():
            response.release()
        else:
            response.close()


_FOREIGN = (aiohttp.ClientError, TimeoutError, OSError)

# The first row that fits.
_ERRORS: tuple[tuple[type[BaseException], type[StorageError], str, bool], ...] = (
    (aiohttp.ClientConnectorCertificateError, NetworkError, "the certificate is not trusted ({error}); set ca_bundle", False),
    (aiohttp.ClientConnectorDNSError, NetworkError, "the host name was not found ({error})", True),
    (aiohttp.ConnectionTimeoutError, StallTimeoutError, "no connection within {connect_timeout} s", True),
    (TimeoutError, StallTimeoutError, "no byte moved for {stall_timeout} s", True),
    (aiohttp.ClientConnectorError, NetworkError, "could not connect ({error})", True),
    (aiohttp.InvalidURL, NetworkError, "the URL is not valid ({error})", False),
    (aiohttp.ClientPayloadError, NetworkError, "the connection broke in mid-body ({error})", True),
    (aiohttp.ClientError, NetworkError, "the connection broke ({error})", True),
    (OSError, NetworkError, "the connection broke ({error})", True),
)


def _translated(call: Call, error: BaseException, http: HTTP) -> StorageError:
    for foreign, ours, text, retryable in _ERRORS:
        if isinstance(error, foreign):
            said = text.format(
                error=error, connect_timeout=http.connect_timeout, stall_timeout=http.stall_timeout
            )
            return call.error(ours, said, retryable=retryable)
    raise TypeError(f"no row for {type(error).__name__}") from error
