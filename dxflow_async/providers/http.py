"""The providers' HTTP client: the session's data plane, with errors that name the storage call that failed.

A provider supplies method, URL and signed headers. `HTTP.send` sends the request over the connections of `net.Client`,
and each of its errors becomes one of ours, by the table at the end of this file. Nothing is retried here but a request
that an idle connection lost.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import AccessDeniedError, NetworkError, StallTimeoutError, StorageError
from dxflow_async.net import (
    AddressRefusedError,
    AddressRule,
    CertificateError,
    Client,
    ConnectError,
    ConnectionBrokenError,
    ConnectionRefusedByHostError,
    ConnectTimeoutError,
    HostNotFoundError,
    InvalidRequestError,
    NetError,
    ProxyError,
    ProxyRules,
    Response,
    StalledError,
    Throttle,
    Timeouts,
    TLSError,
    TLSOptions,
    TooSlowError,
    without_zone,
)
from dxflow_async.providers.contract import Body, Buffer, Entry, Reader, Run, Write
from dxflow_async.security.redaction import Secret

__all__ = ["HTTP", "Call", "HTTPReader", "Response", "Throttle", "authority_of", "read_error_body"]

ERROR_BODY_SIZE = 64 << 10
"""The most bytes that are read of an error's body."""


class Call(NamedTuple):
    """The storage call that a request is for; every error names it.

    Attributes:
        provider: the remote's name, such as `"AWS"`.
        operation: such as `"read"`.
        path: what it is about.
    """

    provider: str
    operation: str
    path: str

    def error(self, cls: type[StorageError], text: str, **details: Any) -> StorageError:
        """Returns an error about this call; its message includes the request's id if the provider gave one.

        Args:
            cls: the error's class.
            text: what went wrong.
            details: further attributes of the error, such as `status`.

        Returns:
            The error, to be raised.

        Example:
            >>> str(Call("DAV", "read", "/a").error(StorageError, "it is locked", status=423))
            'DAV read of /a failed: it is locked'
        """
        if details.get("request_id"):
            text = f"{text} (request {details['request_id']:.100})"
        return cls(
            f"{self.provider} {self.operation} of {self.path} failed: {text}",
            provider=self.provider,
            operation=self.operation,
            path=self.path,
            **details,
        )


class HTTP:
    """The connections of a session. The session's limits decide how many requests are in flight.

    Args:
        threads: load certificates, and write temporary files.
        connect_timeout: seconds to connect, TLS included.
        stall_timeout: seconds without a byte moving, either way.
        min_speed: bytes a second that have to move, over the stall timeout; 0: any number will do.
        ca_bundle: certificate authorities to trust besides the system's; `tls` has it too.
        throttle: a cap on bytes a second, or None.
        tls: the TLS settings.
        proxies: the proxy rules; None takes those of the environment.
        transport, max_connections, rule: see `net.Client`.

    Attributes:
        client: the data plane.
        threads: see above.
        throttle: see above.
    """

    def __init__(
        self,
        threads: Threads,
        *,
        connect_timeout: float = 10.0,
        stall_timeout: float = 60.0,
        min_speed: float = 0.0,
        ca_bundle: Path | None = None,
        throttle: Throttle | None = None,
        tls: TLSOptions | None = None,
        proxies: ProxyRules | None = None,
        transport: str = "auto",
        max_connections: int = 1024,
        rule: AddressRule | None = None,
    ) -> None:
        self.throttle = throttle
        self.threads = threads
        self._timeouts = Timeouts(connect_timeout, stall_timeout, min_speed=min_speed)
        self.client = Client(
            threads,
            transport=transport,
            timeouts=self._timeouts,
            tls=TLSOptions(ca_bundle=ca_bundle) if tls is None else tls,
            proxies=proxies,
            max_connections=max_connections,
            rule=rule,
        )

    @property
    def connect_timeout(self) -> float:
        """Seconds to connect, TLS included; a change counts for new connections."""
        return self._timeouts.connect

    @connect_timeout.setter
    def connect_timeout(self, seconds: float) -> None:
        self._timeouts.connect = seconds

    @property
    def stall_timeout(self) -> float:
        """Seconds without a byte moving, either way; a change counts for new connections."""
        return self._timeouts.stall

    @stall_timeout.setter
    def stall_timeout(self, seconds: float) -> None:
        self._timeouts.stall = seconds

    @property
    def min_speed(self) -> float:
        """Bytes a second that the peer of each connection has to move, over the stall timeout."""
        return self._timeouts.min_speed

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
        """Sends a request once; the response's body is still to be read, or closed.

        Args:
            call: the storage call that it is for.
            method: in capitals.
            url: as it is to be sent: ASCII, every other character of the path and the query escaped (`urllib.parse`).
            headers: their names in small letters. `host` is added if it is missing, and `content-length` always.
            body: what is sent.
            repeatable: whether sending the request twice has no further effect; None: yes, unless it is a POST.

        Raises:
            NetworkError: there is no connection, or it broke; or the URL or a header is not valid.
            StallTimeoutError: no byte moved for the stall timeout.
            SessionClosedError: after `aclose`.
        """
        url = Secret(url)  # it may be signed
        if "host" not in headers:
            headers = {"host": authority_of(url), **headers}
        try:
            return await self.client.send(method, url, headers, body, repeatable=repeatable, throttle=self.throttle)
        except NetError as error:
            raise _translated(call, error, self, authority_of(url), plain=url.startswith("http:")) from error

    async def aclose(self) -> None:
        """Closes every connection, also those in use."""
        await self.client.aclose()

    def over_socket(self, path: str) -> HTTP:
        """Returns a client with the same timeouts and throttle whose connections all lead to one Unix socket.

        The URLs of its requests are `http://` and any host. It has to be closed, too.

        Args:
            path: of the socket.
        """
        other = copy(self)
        other.client = Client(self.threads, timeouts=self._timeouts, unix_socket=path)
        return other

    async def tls_context(self) -> ssl.SSLContext:
        """Returns the TLS context that all connections share.

        Raises:
            ConfigurationError: a certificate file cannot be used; the message names the setting.
        """
        return await self.client.tls_context()


@dataclass(slots=True)
class HTTPReader(Reader):
    """The body of a response as a `Reader`.

    Attributes:
        http: the client that the response came by.
        call: the read, for errors.
        response: the response; it is closed with the reader.
    """

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
        except NetError as error:
            raise _translated(self.call, error, self.http) from error
        if self.http.throttle is not None and chunk:
            await self.http.throttle.take(len(chunk))
        return chunk

    async def readinto(self, buffer: memoryview) -> int:
        try:
            size = await self.response.readinto(buffer)
        except NetError as error:
            raise _translated(self.call, error, self.http) from error
        if self.http.throttle is not None and size:
            await self.http.throttle.take(size)
        return size

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        if self.http.throttle is not None:
            return await Reader.stream_to(self, buffer, write, run)
        try:
            return await self.response.stream_to(buffer, write, run)
        except NetError as error:
            raise _translated(self.call, error, self.http) from error

    async def aclose(self) -> None:
        self.response.close()


def authority_of(url: str) -> str:
    """Returns the host of a URL, with its port if there is one, as the header `host` has it.

    Example:
        >>> authority_of("https://me@example.org:8443/a?b")
        'example.org:8443'
        >>> authority_of("https://[fe80::1%25eth0]:8443/")
        '[fe80::1]:8443'
    """
    return without_zone(url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2])


async def read_error_body(response: Response, max_size: int = ERROR_BODY_SIZE) -> bytes:
    """Returns the beginning of a small body, such as an error's, and closes the response.

    Args:
        response: what is read. If it breaks off, the bytes that arrived are returned.
        max_size: the most bytes that are returned.

    Returns:
        The bytes, perhaps none.

    Example:
        >>> if response.status >= 400:
        ...     reason = (await read_error_body(response)).decode(errors="replace")
    """
    pieces, size = [], 0
    try:
        while size < max_size and (piece := await response.read()):
            pieces.append(piece)
            size += len(piece)
    except NetError:
        pass  # the bytes that arrived have to do
    finally:
        response.close()
    return b"".join(pieces)[:max_size]


# The first row that fits. Whether the call may be tried again, the error itself says.
_ERRORS: tuple[tuple[type[NetError], type[StorageError], str], ...] = (
    (
        CertificateError,
        NetworkError,
        "the certificate of {host} is not trusted ({error}); set ca_bundle (DXFLOW_CA_BUNDLE) to its authority",
    ),
    (
        TLSError,
        NetworkError,
        "the encrypted connection with {host} failed ({error}); check the endpoint, and whether it is http or https",
    ),
    (TooSlowError, StallTimeoutError, "{error}; check the network, or set min_speed to a smaller value"),
    (StalledError, StallTimeoutError, "no byte moved for {stall_timeout} s between this machine and {host}"),
    (
        ConnectTimeoutError,
        StallTimeoutError,
        "no connection with {host} within {connect_timeout} s; check the endpoint, the network and the proxy",
    ),
    (AddressRefusedError, AccessDeniedError, "{error}"),
    (HostNotFoundError, NetworkError, "{error}; check the endpoint and the network"),
    (ConnectionRefusedByHostError, NetworkError, "{host} refused the connection; check the endpoint"),
    (ConnectError, NetworkError, "could not connect to {host} ({error}); check the endpoint and the network"),
    (ProxyError, NetworkError, "{error}; check the proxy, or list the host in NO_PROXY if it needs none"),
    (ConnectionBrokenError, NetworkError, "{error}; check {host} and the network"),
    (InvalidRequestError, NetworkError, "the request is not valid ({error})"),
)


def _translated(
    call: Call, error: NetError, http: HTTP, host: str = "the service", *, plain: bool = False
) -> StorageError:
    for foreign, ours, text in _ERRORS:
        if isinstance(error, foreign):
            said = text.format(
                error=error, host=host, connect_timeout=http.connect_timeout, stall_timeout=http.stall_timeout
            )
            if plain and isinstance(error, ConnectionBrokenError) and error.unanswered and not error.stale:
                said += "; an endpoint that speaks TLS is written https://"
            found = call.error(ours, said, retryable=error.retryable, max_attempts=error.max_attempts)
            if isinstance(error, ConnectionRefusedByHostError):
                found.refused_by = error.endpoint
            return found
    raise TypeError(f"no row for {type(error).__name__}") from error
