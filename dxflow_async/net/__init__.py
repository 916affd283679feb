"""The data plane: HTTP requests and responses over pooled connections.

`Client` is the door. Behind it are two lanes that behave the same: `fast`, our own HTTP/1.1 over sockets, and
`aiohttp_lane`, which also serves proxies and client certificates. Nothing outside this package knows which one is at
work: import from here only.
"""

from dxflow_async.net.address_rule import AddressRule
from dxflow_async.net.client import TRANSPORTS, Client
from dxflow_async.net.errors import (
    AddressRefusedError,
    CertificateError,
    ConnectError,
    ConnectionBrokenError,
    ConnectionRefusedByHostError,
    ConnectTimeoutError,
    HostNotFoundError,
    InvalidRequestError,
    NetError,
    ProxyError,
    StalledError,
    TLSError,
    TooSlowError,
    system_reason,
    tls_reason,
)
from dxflow_async.net.metadata_hosts import METADATA_SECONDS, is_metadata_host, metadata_hosts_of
from dxflow_async.net.proxy import Proxy, ProxyRules
from dxflow_async.net.request import SEND_SIZE, Throttle, Timeouts, without_zone
from dxflow_async.net.response import Headers, Response
from dxflow_async.net.tls import TLSOptions, make_context

__all__ = [
    "METADATA_SECONDS",
    "SEND_SIZE",
    "TRANSPORTS",
    "AddressRefusedError",
    "AddressRule",
    "CertificateError",
    "Client",
    "ConnectError",
    "ConnectTimeoutError",
    "ConnectionBrokenError",
    "ConnectionRefusedByHostError",
    "Headers",
    "HostNotFoundError",
    "InvalidRequestError",
    "NetError",
    "Proxy",
    "ProxyError",
    "ProxyRules",
    "Response",
    "StalledError",
    "TLSError",
    "TLSOptions",
    "Throttle",
    "Timeouts",
    "TooSlowError",
    "is_metadata_host",
    "make_context",
    "metadata_hosts_of",
    "system_reason",
    "tls_reason",
    "without_zone",
]
