"""The settings of an `https` remote, and the ones that a URL stands for."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, fields
from urllib.parse import SplitResult, quote, unquote, urlsplit

from dxflow_async.providers import ConfigurationError, Secret, trim_texts

__all__ = ["HTTPSourceSettings", "URLSettings", "from_url", "is_loopback", "origin_of"]

_PATH_SAFE = "%/:@!$&'()*+,;=~-._"
_QUERY_SAFE = _PATH_SAFE + "?"
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")
_HIDDEN = "***"
_SECRETS = ("password", "token", "header")


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPSourceSettings:
    """Where files are read from with plain GET requests, and how to sign in there.

    Attributes:
        endpoint: the URL that paths are appended to, such as `"https://data.example.org/sets"`.
        username, password: HTTP Basic authentication.
        token: HTTP Bearer authentication.
        header: one more header for every request, such as `"X-Api-Key: abc"`.
        allow_http: allow an `http://` endpoint on another machine; it sends everything, credentials included, in clear.
        allow_html: accept an HTML page as the content of a file whose name does not end in `.html` or the like.
    """

    endpoint: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    header: str | None = field(default=None, repr=False)
    allow_http: bool = False
    allow_html: bool = False

    def __post_init__(self) -> None:
        trim_texts(self, "endpoint", "username", "token", "header", passwords=("password",))
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in _SECRETS and value is not None:
                if not isinstance(value, str):
                    raise ConfigurationError(f"{each.name} is not allowed; it must be a text")
                object.__setattr__(self, each.name, Secret(value))
        if self.endpoint is not None:
            _check_endpoint(self.endpoint, allow_http=self.allow_http)
        if self.token is not None and self.username is not None:
            raise ConfigurationError("username and token exclude each other; set one of them")
        if self.password is not None and self.username is None:
            raise ConfigurationError("password needs username; set both")
        if self.header is not None and not _HEADER.fullmatch(self.header):
            raise ConfigurationError('header is not allowed; write it as "Name: value", in ASCII')
        if self.token is not None and not re.fullmatch(r"[\x21-\x7e]+", self.token):
            raise ConfigurationError("token is not allowed; it must be ASCII, without spaces")


@dataclass(frozen=True, slots=True, kw_only=True)
class URLSettings(HTTPSourceSettings):
    """The settings that a URL stands for.

    Attributes:
        target: the path and the query of the URL, escaped as they are to be sent.
    """

    target: str = field(default="", repr=False)


def from_url(url: str, settings: HTTPSourceSettings | None) -> tuple[URLSettings, str]:
    """Returns the settings for a URL, and the path of the file that it names.

    The query and the user of the URL are secrets: they stay in the settings and are not part of the path.

    Args:
        url: `https://host/path?query`, as for a browser.
        settings: those of a configured remote; they are ignored when their endpoint is another server.

    Raises:
        ConfigurationError: the URL is invalid, names no file, or its secret was hidden by an earlier report.

    Example:
        >>> from_url("https://host/a%20b.csv?key=1", None)[1]
        '/a b.csv'
    """
    parts = _split(url)
    path = unquote(parts.path, errors="surrogateescape")
    shown = f"{parts.scheme}://{parts.hostname}{path}"
    if _HIDDEN in (parts.query, parts.username):
        raise ConfigurationError(
            f"location {shown}: the query or the user of this URL is a secret, which no job keeps; give the whole URL "
            "again to resume"
        )
    if not path.strip("/"):
        raise ConfigurationError(f"location {shown} names no file; add its path")
    if settings is None or settings.endpoint is None or origin_of(settings.endpoint) != origin_of(url):
        settings = HTTPSourceSettings()
    given = {each.name: getattr(settings, each.name) for each in fields(HTTPSourceSettings)}
    if parts.username is not None:
        given |= {"username": unquote(parts.username), "password": unquote(parts.password or ""), "token": None}
    target = quote(parts.path, safe=_PATH_SAFE) + (f"?{quote(parts.query, safe=_QUERY_SAFE)}" if parts.query else "")
    given["endpoint"] = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return URLSettings(**given, target=Secret(target)), path


def origin_of(url: str) -> tuple[str, str, int]:
    """Returns scheme, host and port of a URL.

    Raises:
        ConfigurationError: it is not a valid `http` or `https` URL.
    """
    parts = _split(url)
    return (
        parts.scheme,
        (parts.hostname or "").removesuffix("."),
        parts.port or (443 if parts.scheme == "https" else 80),
    )


def is_loopback(host: str) -> bool:
    """Returns whether a host name means this machine, whatever a name server says."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_endpoint(endpoint: str, *, allow_http: bool) -> None:
    parts = _split(endpoint)
    if parts.query or parts.fragment or parts.username is not None:
        raise ConfigurationError("endpoint is not allowed; it must be https://host/path, without a user or a query")
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            f"endpoint = {endpoint!r} is not allowed: plain http sends everything in clear; write https://, or add a "
            "remote of type https with this endpoint and allow_http = true"
        )


def _split(url: str) -> SplitResult:
    """Takes a URL apart; no error repeats it, because it may hold a secret."""
    try:
        parts = urlsplit(Secret(url))
        host, port = parts.hostname or "", parts.port
        valid = parts.scheme in ("http", "https") and port != 0 and url.isprintable() and host.isascii()
    except ValueError:
        host, valid = "", False
    if not host or not valid:
        raise ConfigurationError(
            "the URL of an https location is not valid; write https://host/path, the host in ASCII"
        )
    return parts
