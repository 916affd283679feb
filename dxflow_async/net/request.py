"""A request on its way to a lane: where it goes, and its head.

Source: https://www.rfc-editor.org/rfc/rfc9112#section-2.1
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from dxflow_async.net.errors import ConnectionBrokenError, InvalidRequestError
from dxflow_async.net.proxy import Proxy
from dxflow_async.net.response import Response
from dxflow_async.streams import Body

__all__ = [
    "SEND_SIZE",
    "Lane",
    "Origin",
    "Request",
    "Throttle",
    "Timeouts",
    "build_head",
    "check_body_size",
    "without_zone",
]

SEND_SIZE = 256 << 10
"""Bytes of a body that are handed to a socket at a time: few enough that a stall shows."""

_SENDABLE = re.compile(r"[!-~]*")
_ZONE = re.compile(r"((?:\w+://)?\[[0-9a-fA-F:.]+)%[^]]*\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Throttle(Protocol):
    """A cap on bytes a second."""

    async def take(self, size: int) -> None:
        """Waits until so many bytes may pass.

        Args:
            size: the bytes that were just received, or are about to be sent.
        """


@dataclass(slots=True)
class Timeouts:
    """Seconds that a client waits; shared with its lanes.

    Attributes:
        connect: until there is a connection, TLS included.
        stall: without a byte moving, either way.
        idle: after which an idle connection is not used again. Servers close theirs after about that long.
        min_speed: bytes a second that have to move, over the stall timeout; 0: any number will do.
    """

    connect: float = 10.0
    stall: float = 60.0
    idle: float = 15.0
    min_speed: float = 0.0


class Origin(NamedTuple):
    """Where a connection leads, and the proxy that it goes through."""

    scheme: str
    host: str
    port: int
    proxy: Proxy | None = None

    @classmethod
    def of(cls, scheme: str, authority: str) -> Origin:
        """Returns the origin that a URL names.

        Args:
            scheme: `"http"` or `"https"`.
            authority: the host, and the port if it is not the scheme's default.

        Raises:
            InvalidRequestError: the URL has another scheme, no host, or an invalid host or port.
        """
        scheme = scheme.lower()
        try:
            parts = urlsplit(f"{scheme}://{authority}")
            host, port = parts.hostname, parts.port
            (host or "").encode("idna")  # as the resolver will
        except ValueError:
            host, port = None, None
        if not host or scheme not in _DEFAULT_PORTS:
            raise InvalidRequestError(f"{scheme}://{authority.rpartition('@')[2]} is not the URL of an HTTP server")
        if ":" in host:
            host = host.replace("%25", "%")  # the zone of an IPv6 address, as the resolver reads it (RFC 6874)
        return cls(scheme, host, _DEFAULT_PORTS[scheme] if port is None else port)


def without_zone(url: str) -> str:
    """Returns a URL, or a host and port, without the zone of an IPv6 address.

    A zone says something to this machine only, so neither proxies nor servers are sent one (RFC 6874, section 4).

    Example:
        >>> without_zone("http://[fe80::1%25eth0]:8080/x")
        'http://[fe80::1]:8080/x'
    """
    found = _ZONE.match(url)
    return url if found is None else f"{found[1]}]{url[found.end() :]}"


def check_url(url: str) -> None:
    """Refuses a URL that cannot stand in a request, and names the part that has to be escaped.

    Args:
        url: escaped, as it is to be sent.

    Raises:
        InvalidRequestError: it has white space, a control character, or a character beyond ASCII. The message shows
            that character only, because the URL may be signed.
    """
    if _SENDABLE.fullmatch(url):
        return
    where = next(index for index, character in enumerate(url) if not "!" <= character <= "~")
    before = url[:where]
    part = "host" if before.count("/") < 3 else "query" if "?" in before else "path"
    raise InvalidRequestError(
        f"the {part} of the URL has {url[where]!a} in it, which is not escaped; use urllib.parse.quote"
    )


class Request(NamedTuple):
    """A request, checked; the repr shows no secrets, since `url` and the secret headers are `Secret`.

    Attributes:
        method: in capitals.
        url: whole, escaped as it is sent.
        target: the path and query of the URL.
        headers: as given, the host among them.
        head: all of it in bytes, `content-length` included.
        body: what is sent.
        size: of the body in bytes; None: there is none.
        throttle: a cap on the bytes a second that are sent.
    """

    origin: Origin
    method: str
    url: str
    headers: Mapping[str, str]
    head: bytes
    body: Body | bytes | None
    size: int | None
    throttle: Throttle | None


class Lane(Protocol):
    """A way to send requests. Both lanes behave the same: `tests/net` holds one suite for them."""

    async def send(self, request: Request, *, fresh: bool = False) -> Response:
        """Sends a request and returns once the response's head has arrived.

        Args:
            request: what is sent.
            fresh: use a new connection.

        Raises:
            NetError: see `net.errors`.
        """

    async def drop_connections(self) -> None:
        """Ends every connection, also those in use."""

    def abandon(self) -> None:
        """Closes every socket once the event loop does not run any more."""

    @property
    def open_connections(self) -> int:
        """How many connections are open."""

    @property
    def idle_connections(self) -> int:
        """How many of them wait for a request."""


class RequestHead(bytes):
    """A request's head; its repr shows nothing of it."""

    def __repr__(self) -> str:
        return "<head>"


def build_head(method: str, target: str, headers: Mapping[str, str], size: int | None = None) -> bytes:
    """Returns a request's head in bytes.

    Args:
        method: in capitals.
        target: the path and query, escaped.
        headers: as they are sent, the host among them.
        size: of the body in bytes; None: there is none.

    Raises:
        ValueError: a header has a line break or a character beyond ASCII, which would make it another head.
    """
    lines = "\r\n".join(map(": ".join, headers.items()))
    length = "" if size is None else f"content-length: {size}\r\n"
    head = f"{method} {target} HTTP/1.1\r\n{lines}\r\n{length}\r\n"
    breaks = len(headers) + (3 if length else 2)
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head:
        raise ValueError("a header has a line break or a NUL in it")
    return RequestHead(head.encode("ascii"))


def check_body_size(body: Body, size: int, *, ended: bool) -> None:
    """Checks that a body keeps to the size that it announced.

    Args:
        body: what is sent.
        size: bytes that it has given so far.
        ended: whether these are all.

    Raises:
        ConnectionBrokenError: it has more, or fewer.
    """
    if size > body.size or (ended and size != body.size):
        raise ConnectionBrokenError(f"the body has {size} bytes or more, but {body.size} were announced")
