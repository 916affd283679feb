"""Errors of the data plane, in one tree.

    NetError(OSError)
    ├─ InvalidRequestError(ValueError)   the request cannot be sent as HTTP
    ├─ ConnectError                      the host was not reached
    │  ├─ HostNotFoundError              its name has no address, or cannot be looked up
    │  ├─ AddressRefusedError            it is at an address that the client must not connect to
    │  ├─ ConnectionRefusedByHostError   nothing listens there
    │  └─ ConnectTimeoutError(TimeoutError)
    ├─ TLSError                          the encrypted connection failed
    │  └─ CertificateError               the server's certificate is not trusted
    ├─ ProxyError                        the proxy was not reached, or refused
    ├─ ConnectionBrokenError(ConnectionError)  the connection ended, or the answer is not HTTP
    └─ StalledError(TimeoutError)        no byte moved for the stall timeout
       └─ TooSlowError                   bytes moved, but fewer than `min_speed` asks for

Both lanes raise these and nothing else for what happens on the network. Errors that a request's body or a writer
raises, and configuration errors, pass through as they are.
"""

from __future__ import annotations

import os
import re
import socket
import ssl

from dxflow_async.concurrency.descriptors import ADVICE, OUT_OF_DESCRIPTORS

__all__ = [
    "AddressRefusedError",
    "CertificateError",
    "ConnectError",
    "ConnectTimeoutError",
    "ConnectionBrokenError",
    "ConnectionRefusedByHostError",
    "HostNotFoundError",
    "InvalidRequestError",
    "NetError",
    "ProxyError",
    "StalledError",
    "TLSError",
    "TooSlowError",
    "connect_error",
    "system_reason",
    "tls_reason",
]


FEW_ATTEMPTS = 5
"""Attempts at a request that hardly ever succeeds later. They take two to three seconds, besides the requests."""


class NetError(OSError):
    """A request failed on the network.

    Attributes:
        retryable: whether the same request may succeed later.
        max_attempts: the most attempts, where waiting longer hardly ever helps; None: as many as usual.
    """

    retryable = True
    max_attempts: int | None = None

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InvalidRequestError(NetError, ValueError):
    """The request cannot be sent: its URL or a header is not valid in HTTP."""

    retryable = False


class ConnectError(NetError):
    """The host was not reached."""


class HostNotFoundError(ConnectError):
    """The host's name has no address, or cannot be looked up. The message names the host.

    Args:
        reason: the message.
        temporary: the name could not be looked up just now. Otherwise it is unknown.
    """

    def __init__(self, reason: str, *, temporary: bool = False) -> None:
        super().__init__(reason)
        self.max_attempts = None if temporary else FEW_ATTEMPTS


class AddressRefusedError(ConnectError):
    """The host is at an address that the client must not connect to. The message names both."""

    retryable = False


class ConnectionRefusedByHostError(ConnectError):
    """The host refused the connection: nothing listens at that port.

    Args:
        reason: the message.
        endpoint: the host and port, if they are known.
    """

    def __init__(self, reason: str, endpoint: str | None = None) -> None:
        super().__init__(reason)
        self.endpoint = endpoint


class ConnectTimeoutError(ConnectError, TimeoutError):
    """There was no connection within the connect timeout, TLS included."""


class TLSError(NetError):
    """The encrypted connection failed."""

    max_attempts: int | None = FEW_ATTEMPTS


class CertificateError(TLSError):
    """The server's certificate is not trusted."""

    retryable = False


class ProxyError(NetError):
    """The proxy was not reached, or refused the request. The message names the proxy."""

    def __init__(self, reason: str, *, retryable: bool = True) -> None:
        super().__init__(reason)
        self.retryable = retryable


class ConnectionBrokenError(NetError, ConnectionError):
    """The connection ended early, or the bytes that arrived are not HTTP.

    Attributes:
        unanswered: no byte of the response had arrived.
        stale: the connection had served another request before and broke unanswered: the server most likely closed it
            while it was idle, and the request may be sent again over a new connection.
    """

    def __init__(self, reason: str, *, unanswered: bool = False, stale: bool = False) -> None:
        super().__init__(reason)
        self.unanswered = unanswered
        self.stale = stale


class StalledError(NetError, TimeoutError):
    """No byte moved, either way, for the stall timeout."""


class TooSlowError(StalledError):
    """Bytes moved, but fewer than the minimum speed asks for over the stall timeout."""

    max_attempts = FEW_ATTEMPTS


def tls_reason(error: Exception) -> str:
    """Returns why TLS failed, without the place in Python's own source that its text has.

    Args:
        error: the error of TLS.

    Example:
        >>> tls_reason(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"))
        'wrong version number'
    """
    text: str = getattr(error, "verify_message", "") or getattr(error, "strerror", None) or str(error)
    return re.sub(r"^\[[^]]*\] | ?\(_ssl\.c:\d+\)", "", text)


def system_reason(error: OSError) -> str:
    """Returns why the system refused, in its own words and without addresses.

    Args:
        error: an error of the system, or of asyncio, whose text has the address.
    """
    if error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__


def connect_error(error: OSError, host: str, port: int | None = None) -> NetError:
    """Returns the error of ours for one that was raised while connecting.

    Args:
        error: raised by the resolver, the socket or TLS.
        host: the host, for the message.
        port: the port, for the message.
    """
    if isinstance(error, NetError):
        return error
    if isinstance(error, ssl.SSLError):
        found = (CertificateError if isinstance(error, ssl.SSLCertVerificationError) else TLSError)(tls_reason(error))
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            found.max_attempts = None  # the connection ended, as when a server restarts
        return found
    if isinstance(error, TimeoutError) and error.errno is None:
        return ConnectTimeoutError("no connection within the connect timeout")
    if isinstance(error, socket.gaierror):
        temporary = error.errno == socket.EAI_AGAIN
        return HostNotFoundError(f"could not find the host {host} ({error.strerror})", temporary=temporary)
    if isinstance(error, ConnectionRefusedError):
        return ConnectionRefusedByHostError(str(error), host if port is None else f"{host}:{port}")
    return ConnectError(ADVICE if error.errno in OUT_OF_DESCRIPTORS else str(error) or "the connection was closed")
