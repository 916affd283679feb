"""Proxies, as the environment names them.

`HTTP_PROXY` and `HTTPS_PROXY` name the proxy for `http://` and `https://` requests, `ALL_PROXY` the one for both where
they are unset, and `NO_PROXY` the hosts that are reached directly. Each variable may be written in lower case, which
wins. The rules are those of curl and of Python's own `urllib.request`:

- A proxy is written `http://[user:password@]host[:port]`, or `https://...` for a proxy that is reached over TLS.
  Without a scheme it is an HTTP proxy. The port is 80 or 443 by default, as for any URL of that scheme
  (https://www.rfc-editor.org/rfc/rfc9110#section-4.2); only curl assumes 1080 instead.
- `HTTP_PROXY` in capitals is ignored where `REQUEST_METHOD` is set: a web server sets it from a request's header
  `Proxy` for CGI programs (https://httpoxy.org).
- `NO_PROXY` lists, separated by commas or blanks: host names, which stand for their subdomains too; the same with a
  leading dot; addresses; networks such as `10.0.0.0/8`; patterns with `*`, of which `*` alone stands for every host.
  A name or an address may end in `:port`.
- The metadata services of machines and containers are always reached directly (`net.metadata_hosts`).

Source: https://curl.se/docs/manpage.html#ENVIRONMENT
"""

from __future__ import annotations

import base64
import ipaddress
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, unquote_to_bytes

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.net.metadata_hosts import is_metadata_host, metadata_hosts_of
from dxflow_async.security.redaction import Secret

__all__ = ["Proxy", "ProxyRules"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(.*)", re.DOTALL)
_HOST = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]*))?")
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        scheme: how the proxy itself is reached: `"http"`, or `"https"` for TLS.
        host: a name or an address, without brackets.
        port: its port.
        username, password: decoded; None where the URL has none. No repr shows them.
        variable: the environment variable that names the proxy, for messages.
    """

    scheme: str
    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    variable: str = ""

    @property
    def url(self) -> str:
        """The proxy's URL without credentials, fit to be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authorization(self) -> str | None:
        """The value of `Proxy-Authorization`, or None where the URL has no credentials (RFC 7617)."""
        if self.username is None:
            return None
        pair = f"{self.username}:{self.password or ''}".encode("utf-8", "surrogateescape")
        return Secret(f"Basic {base64.b64encode(pair).decode('ascii')}")

    def __str__(self) -> str:
        return f"{self.url} ({self.variable})" if self.variable else self.url


class _Exception(NamedTuple):
    """An entry of `NO_PROXY`; exactly one of `network` and `pattern` is set."""

    network: _Network | None
    pattern: re.Pattern[str] | None
    port: int | None

    def fits(self, name: str, address: _Address | None, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            return address is not None and address in self.network
        assert self.pattern is not None
        return self.pattern.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """Which proxy a request goes through. A proxy's URL is checked when a request would use it.

    Example:
        >>> rules = ProxyRules.from_environment({"HTTPS_PROXY": "proxy.example:3128", "NO_PROXY": "10.0.0.0/8"})
        >>> rules.proxy_for("https", "bucket.example.com", 443).url
        'http://proxy.example:3128'
        >>> rules.proxy_for("https", "10.1.2.3", 443) is None
        True
    """

    _named: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    _exceptions: tuple[_Exception, ...] = ()
    _excludes_simple_names: bool = False
    _exempt: set[tuple[str, int]] = field(default_factory=set)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Returns the rules that environment variables set.

        Args:
            environ: the variables, such as `os.environ`.
        """
        named: dict[str, tuple[str, str]] = {}
        for scheme in ("all", "http", "https"):
            capitals = not (scheme == "http" and "REQUEST_METHOD" in environ)
            variable, value = _variable(environ, f"{scheme}_proxy", capitals=capitals)
            if value:
                named[scheme] = variable, Secret(value)
        exceptions = _parse_exceptions(_variable(environ, "no_proxy")[1])
        return cls(named, exceptions, _exempt=metadata_hosts_of(environ))

    @classmethod
    def from_system(cls, environ: Mapping[str, str]) -> Self:
        """Returns the rules of the environment; where it has none, on macOS, those of the system's settings.

        Args:
            environ: the variables, such as `os.environ`.
        """
        rules = cls.from_environment(environ)
        if sys.platform == "darwin" and not rules._named:
            return replace(cls._from_macos(), _exempt=rules._exempt)
        return rules

    @classmethod
    def _from_macos(cls) -> Self:
        import urllib.request as system

        found: Mapping[str, str] = system.getproxies_macosx_sysconf()  # type: ignore[attr-defined, unused-ignore]
        settings: Mapping[str, Any] = system._get_proxy_settings()  # type: ignore[attr-defined]
        named = {
            scheme: (f"the system's {scheme} proxy", Secret(found[scheme]))
            for scheme in ("http", "https")
            if scheme in found
        }
        exceptions = _parse_exceptions(" ".join(each for each in settings.get("exceptions", ()) if each))
        return cls(named, exceptions, bool(settings.get("exclude_simple")))

    def exempt(self, host: str, port: int) -> None:
        """Lets a server inside this process be reached directly, whatever the variables say.

        Args:
            host: its address.
            port: its port.
        """
        self._exempt.add((host.removeprefix("[").removesuffix("]").lower(), port))

    def proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Returns the proxy that a request to a host goes through, or None where it goes directly.

        Args:
            scheme: `"http"` or `"https"`.
            host: a name or an address; an IPv6 address with or without brackets.
            port: the host's port.

        Raises:
            ConfigurationError: the proxy's URL is not valid, or names a protocol that is not supported, such as SOCKS;
                the message names the variable.
        """
        variable, value = self._named.get(scheme) or self._named.get("all") or ("", "")
        if not value or self._is_direct(host, port):
            return None
        return _parse_proxy(variable, value)

    def _is_direct(self, host: str, port: int) -> bool:
        name = host.removeprefix("[").removesuffix("]").rstrip(".").lower()
        if (name, port) in self._exempt or is_metadata_host(name):
            return True
        if self._excludes_simple_names and "." not in name and ":" not in name:
            return True
        address = _parse_address(name)
        return any(each.fits(name, address, port) for each in self._exceptions)


def _variable(environ: Mapping[str, str], name: str, *, capitals: bool = True) -> tuple[str, str]:
    """A variable's name and value. In lower case it wins where it is set, even if it is empty."""
    for variable in (name, name.upper())[: 1 + capitals]:
        if variable in environ:
            return variable, environ[variable].strip()
    return name, ""


# Proxies


def _parse_proxy(variable: str, value: str) -> Proxy:
    match = _URL.fullmatch(value)
    assert match is not None
    scheme, rest = (match[1] or "http").lower(), match[2]
    user_info, at, authority = rest.removesuffix("/").rpartition("@")
    location = _parse_host(authority)
    if scheme not in _DEFAULT_PORTS:
        where = f"{scheme}://{authority}" if location else f"{scheme}://..."
        kind = "SOCKS proxies" if scheme.startswith("socks") else f"{scheme}:// proxies"
        raise ConfigurationError(
            f"{variable} = {where!r} is not allowed: {kind} are not supported; unset {variable}, or set it to an HTTP "
            "proxy (http://host:port)"
        )
    user_name, _, password = user_info.partition(":")
    if location is None or re.search(r"[/?#\s]", user_info) or "%3a" in user_name.lower():
        raise ConfigurationError(
            f"{variable} is not allowed: it must be a URL such as http://host:port or https://host:port; credentials "
            "stand before the host (user:password@host), with special characters written as %XX"
        )
    host, port = location
    if not at:
        return Proxy(scheme, host, port or _DEFAULT_PORTS[scheme], variable=variable)
    return Proxy(
        scheme, host, port or _DEFAULT_PORTS[scheme], _decoded(user_name), _decoded(password), variable=variable
    )


def _parse_host(authority: str) -> tuple[str, int | None] | None:
    """A host, without brackets, and a port; None where the text is not valid."""
    match = _HOST.fullmatch(authority)
    if match is None:
        return None
    host, port = match[1], int(match[2][:6]) if match[2] else None
    if port is not None and not 1 <= port <= 65535:
        return None
    if host.startswith("["):
        host = unquote(host[1:-1])
        return (host, port) if ":" in host and _parse_address(host) is not None else None
    try:
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return (host, port) if _NAME.fullmatch(host) else None


def _decoded(text: str) -> str:
    return Secret(unquote_to_bytes(text).decode("utf-8", "surrogateescape"))


# NO_PROXY


def _parse_exceptions(text: str) -> tuple[_Exception, ...]:
    return tuple(each for entry in re.split(r"[,\s]+", text.lower()) if entry and (each := _parse_exception(entry)))


def _parse_exception(entry: str) -> _Exception | None:
    entry = entry.rpartition("://")[2].removesuffix("/")  # such as http://host/, a common slip
    network = _parse_network(entry)
    if network is not None:
        return _Exception(network, None, None)
    match = re.fullmatch(r"(\[[^\[\]]*\]|[^\[\]:]+):([0-9]{1,5})", entry)
    name, port = (match[1], int(match[2])) if match else (entry, None)
    network = _parse_network(name)
    if network is not None:
        return _Exception(network, None, port)
    name = name.rstrip(".")
    if "*" in name:
        return _Exception(None, re.compile(re.escape(name).replace(r"\*", ".*"), re.DOTALL), port)
    name = name.lstrip(".")
    return _Exception(None, re.compile(rf"(.*\.)?{re.escape(name)}", re.DOTALL), port) if name else None


def _parse_network(text: str) -> _Network | None:
    """An address or a network; `10.1/16`, which macOS writes, is `10.1.0.0/16`."""
    address, slash, bits = text.partition("/")
    address = address.removeprefix("[").removesuffix("]")
    if slash and ":" not in address and re.fullmatch(r"[0-9]+(\.[0-9]+){0,2}", address):
        address += ".0" * (3 - address.count("."))
    try:
        return ipaddress.ip_network(f"{address}{slash}{bits}", strict=False)
    except ValueError:
        return None


def _parse_address(host: str) -> _Address | None:
    """An address, without its zone; one of IPv4 that is written as one of IPv6 is one of IPv4."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
