"""aiohttp's errors as errors of the data plane.

The result never refers to aiohttp's own error: that one holds the request, its URL and headers, and the proxy's
password.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import aiohttp

from dxflow_async.net.errors import (
    CertificateError,
    ConnectError,
    ConnectionBrokenError,
    ConnectTimeoutError,
    InvalidRequestError,
    NetError,
    ProxyError,
    StalledError,
    TLSError,
    connect_error,
    system_reason,
    tls_reason,
)
from dxflow_async.net.proxy import Proxy

__all__ = ["FOREIGN", "net_error"]

FOREIGN = (aiohttp.ClientError, OSError, ValueError)
"""What aiohttp raises for a request that fails. `TimeoutError` and `ssl.SSLError` are OSErrors."""


def net_error(error: BaseException, stall_timeout: float, proxy: Proxy | None = None) -> NetError:
    """Returns the error of ours for one of aiohttp's.

    Args:
        error: one of `FOREIGN`.
        stall_timeout: seconds, for the message.
        proxy: the proxy of the request, for the message.
    """
    if isinstance(error, aiohttp.ServerTimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return StalledError(f"no byte moved for {stall_timeout} s")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        # A proxy that cannot reach the host (502 to 504) may reach it later; one that refuses will go on refusing.
        return ProxyError(f"the proxy {proxy} refused a tunnel ({error.status})", retryable=error.status >= 500)
    found = next(convert(error) for foreign, convert in _ROWS if isinstance(error, foreign))
    if isinstance(error, aiohttp.ClientProxyConnectionError) and isinstance(found, ConnectError):
        return ProxyError(f"the proxy {proxy} was not reached ({system_reason(error.os_error)})")
    return found


def _disconnected(error: aiohttp.ServerDisconnectedError) -> NetError:
    return ConnectionBrokenError("the connection was closed", unanswered=isinstance(error.message, str))


def _not_http(error: aiohttp.ClientResponseError) -> NetError:
    reason = error.message.partition("\n")[0].rstrip(": ")  # the lines after it draw where the parser stopped
    return ConnectionBrokenError(f"the answer is not HTTP ({reason})")


# The first row that fits; together they are `FOREIGN`.
_ROWS: tuple[tuple[type[BaseException], Callable[[Any], NetError]], ...] = (
    (NetError, lambda error: error),
    (aiohttp.ConnectionTimeoutError, lambda _: ConnectTimeoutError("no connection within the connect timeout")),
    (aiohttp.ClientConnectorCertificateError, lambda error: CertificateError(tls_reason(error.certificate_error))),
    (aiohttp.ClientConnectorSSLError, lambda error: TLSError(tls_reason(error.os_error))),
    (aiohttp.ClientConnectorError, lambda error: connect_error(error.os_error, error.host, error.port)),
    (aiohttp.ClientResponseError, _not_http),
    (aiohttp.ServerDisconnectedError, _disconnected),
    (aiohttp.ClientPayloadError, lambda _: ConnectionBrokenError("the connection was closed before the body ended")),
    (aiohttp.InvalidURL, lambda _: InvalidRequestError("its URL is not valid")),
    (aiohttp.ClientOSError, lambda error: ConnectionBrokenError(_closed(error), unanswered=True)),
    (aiohttp.ClientError, lambda error: ConnectionBrokenError(f"the connection was closed ({type(error).__name__})")),
    (ssl.SSLError, lambda error: TLSError(tls_reason(error))),
    (OSError, lambda error: ConnectionBrokenError(_closed(error))),
    (ValueError, lambda error: InvalidRequestError(f"aiohttp refuses it ({type(error).__name__})")),
)


def _closed(error: OSError) -> str:
    return f"the connection was closed ({error.strerror or type(error).__name__})"
