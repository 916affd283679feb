"""Tells whether a URL is at the server of a configured remote, whose credentials may then be used for it.

The check is made here and not by the kinds of providers: a kind that gets the settings of another server, and only
changes the host in them, would send the credentials there. Whatever is not certainly the same server is another one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from dxflow_async.security.redaction import Secret

__all__ = ["is_at_remote", "is_same_server"]

_ADDRESSES = ("endpoint", "url", "host")
"""The settings that name a server: by a URL, by `host:port`, or by a host alone."""

_USERS = ("username", "user")

_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21, "ftps": 990, "sftp": 22, "ssh": 22, "scp": 22}


@dataclass(frozen=True, slots=True)
class _Server:
    """A server: the scheme is empty, and the port None, where nothing says them."""

    scheme: str
    host: str
    port: int | None


def is_at_remote(parts: SplitResult, schemes: Collection[str], settings: Any) -> bool:
    """Whether a URL is at the server of a configured remote, for the user of that remote.

    Scheme, host and port have to be equal; a port that is left out is the scheme's. The case of a host, a dot at its
    end and the form of an IPv6 address make no difference, and no names are looked up: `localhost` is not `127.0.0.1`,
    and an alias of `~/.ssh/config` is not the host that it stands for. Of a kind with the schemes `x` and `xs`, the
    second is the one with TLS.

    Args:
        parts: the URL.
        schemes: the URL schemes of the remote's kind.
        settings: the settings of the remote. A server is named by the fields `endpoint` or `url`, or by `host` and
            `port`; without any of them no URL is there.
    """
    servers = _servers(settings)
    asked = _server(parts)
    if not servers or asked is None or any(not _is_at(asked, each, schemes) for each in servers):
        return False
    if "@" not in parts.netloc:
        return True
    name = next((getattr(settings, each) for each in _USERS if hasattr(settings, each)), None)
    # Without secrets there is nothing that another user could be given.
    return unquote(parts.username or "") == name or (name is None and not _has_secrets(settings))


def is_same_server(one: Any, other: Any) -> bool:
    """Whether two settings name the same server, by equal fields of the same name."""
    first, second = _servers(one), _servers(other)
    return bool(first) and first == second


def _is_at(asked: _Server, server: _Server, schemes: Collection[str]) -> bool:
    if asked.host != server.host or not _is_same_scheme(asked.scheme, server.scheme, schemes):
        return False
    # A scheme of a package's own has no port that is known: it is the one of the remote's URL.
    default = _DEFAULT_PORTS.get(asked.scheme) or _DEFAULT_PORTS.get(server.scheme)
    return (asked.port or default) == (server.port or default)


def _is_same_scheme(asked: str, server: str, schemes: Collection[str]) -> bool:
    if not server or asked == server:
        return True
    if {asked, server} <= {"http", "https"}:
        return False
    if asked.endswith("s") and asked[:-1] in schemes:
        return server.endswith("s")
    return not (f"{asked}s" in schemes and server.endswith("s"))


def _servers(settings: Any) -> list[_Server]:
    """The servers that settings name; more than one if several settings do. Empty if one of them is not valid."""
    found = []
    for name in _ADDRESSES:
        value = getattr(settings, name, None)
        if value is None:
            continue
        server = _named(value, getattr(settings, "port", None)) if isinstance(value, str) else None
        if server is None:
            return []
        found.append(server)
    return found


def _named(address: str, port: Any) -> _Server | None:
    """The server of a setting; a port in the address comes before the one of the setting `port`."""
    bare = "://" not in address
    if bare and address.count(":") > 1 and not address.startswith("["):
        address = f"[{address}]"  # an IPv6 address
    try:
        server = _server(urlsplit(Secret(f"//{address}" if bare else address)))
    except ValueError:
        return None
    if server is None or server.port is not None or port is None:
        return server
    return _Server(server.scheme, server.host, port)


def _server(parts: SplitResult) -> _Server | None:
    """The server of a URL; None if its host or its port is not valid."""
    text = parts.netloc.rpartition("@")[2]
    match = re.fullmatch(r"(\[[^\[\]]+\]|[^:\[\]\\]+)(?::([0-9]*))?", text)
    if match is None:
        return None
    try:
        port = parts.port
    except ValueError:
        return None
    if port is None:
        port = _DEFAULT_PORTS.get(parts.scheme)
    return _Server(parts.scheme, _host(match[1]), port)


def _host(written: str) -> str:
    """A host in one form. One that is not ASCII stays as it is, since programs differ in what they make of it."""
    if not written.isascii():
        return written
    host = written.strip("[]").lower()
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.removesuffix(".")


def _has_secrets(settings: Any) -> bool:
    return any(not each.repr and getattr(settings, each.name) for each in fields(settings))
