"""Connections to a hub: who is trusted, and the proxy in between."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from dxflow_async.net import Proxy, ProxyRules

__all__ = ["HubConnector", "proxy_of", "proxy_options"]

_HEADER = "Proxy-Authorization"


class HubConnector(aiohttp.TCPConnector):
    """A connector that knows which proxy leads to a hub.

    Args:
        tls: the session's TLS context.
        proxies: the session's proxy rules.
    """

    def __init__(self, tls: ssl.SSLContext, proxies: ProxyRules) -> None:
        super().__init__(ssl=tls)
        self.proxies = proxies


def proxy_of(http: aiohttp.ClientSession, url: URL) -> Proxy | None:
    """Returns the proxy that a request goes through; None for a session without a `HubConnector`.

    Raises:
        ConfigurationError: the proxy cannot be used.
    """
    connector = http.connector
    if not isinstance(connector, HubConnector):
        return None
    return connector.proxies.proxy_for(url.scheme, url.host or "", url.port or 0)


def proxy_options(proxy: Proxy, url: URL, headers: Mapping[str, str] | None) -> dict[str, Any]:
    """Returns the options of `aiohttp.ClientSession.request` that send a request through a proxy.

    The credentials go to the proxy only: with the request itself, or with the one for a tunnel.

    Args:
        proxy: the proxy.
        url: what is requested.
        headers: the request's own headers.
    """
    options: dict[str, Any] = {"proxy": proxy.url.replace("%", "%25"), "headers": headers}
    authorization = proxy.authorization
    if authorization is not None and url.scheme == "https":
        options["proxy_headers"] = {_HEADER: authorization}
    elif authorization is not None:
        options["headers"] = {**(headers or {}), _HEADER: authorization}
    return options
