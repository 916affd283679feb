"""What every request to the page goes through: who sends it, from where, and the headers of its answer.

A request that changes something needs the cookie, the token that `page/session` gives to scripts of the page, and an
origin that is the page's own. Other sites' pages can send the first of the three, and none of the others.
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from dxflow_async.exceptions import DxflowError
from dxflow_async.hub_page.answers import error_answer
from dxflow_async.hub_page.visitors import Visitors
from dxflow_async.hub_page.workspace import Visitor
from dxflow_async.server.common.addresses import ADDRESSES
from dxflow_async.server.common.middleware import has_begun, refusal

__all__ = ["PAGE_POLICY", "Guard", "VisitorHandler", "add_headers", "check_origin", "is_https"]

VisitorHandler = Callable[[web.Request, Visitor], Awaitable[web.StreamResponse]]
"""A handler of a request of somebody who is signed in."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_SAFE = ("GET", "HEAD")
_CSRF_HEADER: Final = "X-CSRF-Token"
_OF_PAGE = web.RequestKey("of_page", bool)


class Guard:
    """Wraps the handlers of the page.

    Args:
        visitors: the visitors that are signed in.
        cookie: the name of the cookie.
        advice: what somebody who is not signed in can do, as the end of a sentence.
    """

    def __init__(self, visitors: Visitors, cookie: Callable[[web.Request], str], advice: str) -> None:
        self._visitors = visitors
        self._cookie = cookie
        self._advice = advice

    def open(self, handler: Handler) -> Handler:
        """Wraps a handler that anybody may call."""

        @functools.wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            request[_OF_PAGE] = True
            return await _translated(request, handler(request))

        return guarded

    def signed_in(self, handler: VisitorHandler) -> Handler:
        """Wraps a handler that somebody who is signed in may call."""

        @functools.wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            request[_OF_PAGE] = True
            return await _translated(request, self._handle(request, handler))

        return guarded

    async def _handle(self, request: web.Request, handler: VisitorHandler) -> web.StreamResponse:
        visitor = await self._visitors.find(request.cookies.get(self._cookie(request), ""))
        if visitor is None:
            raise refusal(web.HTTPUnauthorized, "signed_out", f"nobody is signed in; {self._advice}")
        check_origin(request)
        if request.method not in _SAFE:
            given = request.headers.get(_CSRF_HEADER, "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, visitor.csrf.encode()):
                text = f"the request has no valid {_CSRF_HEADER}; reload the page"
                raise refusal(web.HTTPForbidden, "csrf", text)
        visitor.requests += 1
        try:
            return await handler(request, visitor)
        finally:
            visitor.requests -= 1


async def _translated(request: web.Request, answer: Awaitable[web.StreamResponse]) -> web.StreamResponse:
    try:
        return await answer
    except DxflowError as error:
        if has_begun(request):
            raise
        return error_answer(error)


def check_origin(request: web.Request) -> None:
    """Refuses requests that another site's page makes.

    Browsers say where a request is from in `Sec-Fetch-Site` and `Origin`, which no script can change.

    Raises:
        HTTPForbidden: the request is from elsewhere.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    allowed = ("same-origin", "none") if request.method in _SAFE else ("same-origin",)
    origin = request.headers.get("Origin")
    if site not in allowed or (origin is not None and not _is_own(request, origin)):
        text = "the request is from another site; behind a proxy, pass the Host header on (see docs/hub.md)"
        raise refusal(web.HTTPForbidden, "foreign_origin", text)


def _is_own(request: web.Request, origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    host = (parts.netloc.rpartition("@")[2]).lower()
    default = {"http": 80, "https": 443}[parts.scheme]
    names = {host, host.removesuffix(f":{port}")} if port == default else {host}
    names |= {f"{host}:{default}"} if port is None else set()
    return bool(names & request.app[ADDRESSES].own_hosts(request))


def is_https(request: web.Request) -> bool:
    """Returns whether the browser speaks https, to this server or to a trusted proxy in front of it."""
    return request.app[ADDRESSES].is_https(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Adds the headers that all answers of the page have. Receives aiohttp's signal."""
    if _OF_PAGE not in request:
        return
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("X-Frame-Options", "DENY")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    response.headers.setdefault("Cache-Control", "no-store")
