"""The addresses of a request: the host it was sent to, and the peer that sent it.

A web page can make a browser send requests to a loopback address under a name of the page's own (DNS rebinding); the
`Host` header shows it. Behind a proxy, every request comes from the proxy's address. `X-Forwarded-For` holds the peer's
address, and is believed only from trusted proxies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import web

from dxflow_async.exceptions import ConfigurationError

__all__ = ["ADDRESSES", "Addresses", "address_group", "is_loopback", "parse_host", "parse_network"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^\[\]:/@\s]{1,253})(:[0-9]{0,5})?")
_MAX_HOPS = 32
_PEERS_OF_ONE = 64
"""Bits of an IPv6 address that its owner can choose freely."""


class Addresses:
    """The hosts that a server answers for, and the proxies that it trusts.

    Args:
        hosts: names that it answers for besides those of a loopback address; None for any name.
        proxies: networks whose `X-Forwarded-For`, `-Proto` and `-Host` are believed.
    """

    def __init__(self, hosts: Iterable[str] | None, proxies: Iterable[Network] = ()) -> None:
        self._hosts = None if hosts is None else {"localhost", *hosts}
        self._proxies = tuple(proxies)

    def foreign_host(self, request: web.BaseRequest) -> str | None:
        """Returns the host that a request names, if the server does not answer for it."""
        if self._hosts is None:
            return None
        for given in request.headers.getall("Host", []):
            host = parse_host(given)
            if host is None or not (host in self._hosts or is_loopback(host)):
                return given
        return None

    def peer(self, request: web.BaseRequest) -> str:
        """Returns the address that a request comes from: the nearest one that is not a trusted proxy."""
        peer = request.remote or ""
        lines = request.headers.getall("X-Forwarded-For", []) if self._trusts(peer) else []
        hops = [hop for line in lines for hop in line.split(",")]
        for hop in reversed(hops[-_MAX_HOPS:]):
            address = _address(hop)
            if address is None:
                break
            peer = str(address)
            if not self._trusts(peer):
                break
        return peer

    def is_https(self, request: web.BaseRequest) -> bool:
        """Returns whether a request came by https, to this server or to a trusted proxy in front of it."""
        if request.secure:
            return True
        return self._forwarded(request, "X-Forwarded-Proto").lower() == "https"

    def own_hosts(self, request: web.BaseRequest) -> set[str]:
        """Returns the hosts, with their ports, by which a request may have reached this server, in lower case."""
        hosts = {request.headers.get("Host", ""), self._forwarded(request, "X-Forwarded-Host")}
        return {host.lower() for host in hosts if host}

    def _forwarded(self, request: web.BaseRequest, name: str) -> str:
        """Returns the last value of a header that a trusted proxy has set; an empty text without one."""
        lines = request.headers.getall(name, []) if self._trusts(request.remote or "") else []
        return lines[-1].rpartition(",")[2].strip() if lines else ""

    def _trusts(self, peer: str) -> bool:
        address = _address(peer) if self._proxies else None
        return address is not None and any(address in network for network in self._proxies)


ADDRESSES = web.AppKey("addresses", Addresses)


def parse_host(text: str) -> str | None:
    """Returns the host of `host` or `host:port` in lower case, without brackets and final dot; None if invalid."""
    match = _HOST.fullmatch(text)
    return match[1].strip("[]").lower().removesuffix(".") if match else None


def parse_network(text: str) -> Network:
    """Parses an address or a network such as `10.0.0.0/8`.

    Raises:
        ConfigurationError: the text is neither.
    """
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ConfigurationError(
            f"trusted proxy = {text!r} is not allowed; it must be an address or a network such as 10.0.0.0/8"
        ) from None


def is_loopback(host: str) -> bool:
    """Returns whether a host can be reached from this machine only."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def address_group(peer: str) -> str:
    """Returns the addresses that one peer can choose among, to count its requests: for IPv6 a network of 64 bits."""
    address = _address(peer)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> _PEERS_OF_ONE << _PEERS_OF_ONE, 128 - _PEERS_OF_ONE)))
    return peer if address is None else str(address)


def _address(text: str) -> Address | None:
    """Parses an address as proxies write it, with or without a port."""
    text = text.strip()
    match = re.fullmatch(r"\[([^\]]*)\](:\d+)?|(\d+\.\d+\.\d+\.\d+)(:\d+)?", text)
    try:
        address = ip_address((match[1] or match[3]) if match else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
