"""Requests to a hub: one attempt each, its answer, and the errors of refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import aiohttp
from yarl import URL

from dxflow_async.control.connector import proxy_of, proxy_options
from dxflow_async.exceptions import (
    AuthenticationError,
    ConfigurationError,
    NetworkError,
    ServiceError,
    StallTimeoutError,
)
from dxflow_async.net import Proxy, system_reason, tls_reason
from dxflow_async.security.redaction import redacted

__all__ = ["Answer", "fail", "invalid", "request"]

TIMEOUT = 30.0
"""Seconds for the whole of one request."""

MAX_ANSWER_SIZE = 64 << 10
"""The most bytes that are read of a hub's answer by default."""


_PROXY_STATUSES = (407, 502, 504)
"""A proxy's own answers. Those of a hub have a JSON object in them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A hub's answer.

    Attributes:
        hub: the hub's URL without credentials, fit to be shown.
        status: the HTTP status.
        headers: the headers.
        tree: the JSON object in the body; empty where there is none.
    """

    hub: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    tree: dict[str, Any] = field(repr=False)

    @property
    def request_id(self) -> str | None:
        """The id of the request in the hub's log."""
        return self.headers.get("X-Request-ID")

    @property
    def request(self) -> str:
        """The same as the end of a message."""
        return f" (request {self.request_id:.100})" if self.request_id else ""

    @property
    def message(self) -> str:
        """The hub's reason for a refusal."""
        error = self.tree.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        return message[:300] if isinstance(message, str) and message.isprintable() else "no reason given"


async def request(
    http: aiohttp.ClientSession,
    method: str,
    hub_url: str,
    path: str,
    *,
    max_size: int = MAX_ANSWER_SIZE,
    **options: Any,
) -> Answer:
    """Sends one request to a hub, once, and reads its answer.

    Args:
        http: the connections; those of a `HubConnector` go through a proxy where its rules say so.
        method: in capitals.
        hub_url: the hub's base URL.
        path: the path below it, escaped.
        max_size: the most bytes that are read of the answer.
        options: as `aiohttp.ClientSession.request` takes them.

    Raises:
        ConfigurationError: the hub's URL or the proxy is not valid.
        NetworkError: the hub or the proxy was not reached, refused the connection, or did not answer within 30 s.
        StallTimeoutError: the hub began to answer, and did not end within 30 s.
        ServiceError: the answer is not HTTP.
    """
    hub = re.sub("//[^/]*@", "//***@", hub_url)
    try:
        url = URL(f"{hub_url.rstrip('/')}/{path}", encoded=True)
        if not (url.scheme in ("http", "https") and url.host and url.port):
            raise ValueError("no web address")
    except ValueError as error:
        raise ConfigurationError(f"hub = {hub!r} is not allowed; it must be http(s)://host[:port][/path]") from error
    proxy = proxy_of(http, url)
    if proxy is not None:
        options |= proxy_options(proxy, url, options.get("headers"))
    # A redirect could send the password or the secret to another host.
    options |= {"allow_redirects": False, "timeout": aiohttp.ClientTimeout(total=TIMEOUT)}
    try:
        async with http.request(method, url, **options) as response:
            try:
                tree = await _read_object(response, max_size)
            except TimeoutError as error:
                text = f"hub {hub} did not end its answer within {TIMEOUT:.0f} s; check hub and the network"
                raise StallTimeoutError(text) from error.with_traceback(None)
            answer = Answer(hub, response.status, response.headers, tree)
    except StallTimeoutError:
        raise
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        # Without its frames, which have what was read of the answer.
        raise _translate(error, hub, proxy) from error.with_traceback(None)
    if proxy is not None and answer.status in _PROXY_STATUSES and not answer.tree:
        raise _refused_by_proxy(hub, proxy, str(answer.status))
    return answer


def _translate(error: Exception, hub: str, proxy: Proxy | None) -> NetworkError | ServiceError:
    """The error of a request that got no answer. It names the proxy where that is what failed."""
    if proxy is not None and isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused_by_proxy(hub, proxy, f"{error.status} {error.message}".strip())
    if isinstance(error, aiohttp.ClientResponseError):
        return ServiceError(f"{hub} did not answer as a hub: {error.message}; check hub", retryable=False)
    if proxy is not None and _is_of_proxy(error, proxy):
        untrusted = isinstance(error, aiohttp.ClientConnectorCertificateError)
        text = f"hub {hub} cannot be reached: the proxy {proxy} cannot be reached ({_reason(error)}); "
        advice = "set ca_bundle (DXFLOW_CA_BUNDLE) to its authority" if untrusted else "check the proxy"
        return NetworkError(text + advice, retryable=not untrusted)
    through = "" if proxy is None else f" through the proxy {proxy}"
    if isinstance(error, TimeoutError):
        return NetworkError(f"hub {hub} did not answer within {TIMEOUT:.0f} s{through}; check hub and the network")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        text = f"hub {hub} cannot be reached{through}: its certificate is not trusted ({_reason(error)})"
        return NetworkError(f"{text}; set ca_bundle (DXFLOW_CA_BUNDLE) to its authority", retryable=False)
    reason = _reason(error) or type(error).__name__
    return NetworkError(f"hub {hub} cannot be reached{through}: {reason}; check hub and the network")


def _refused_by_proxy(hub: str, proxy: Proxy, answer: str) -> NetworkError:
    advice = "check that the proxy is allowed to connect to the hub, and that the hub is running"
    if answer.startswith("407"):
        advice = f"check user and password in {proxy.variable or 'its URL'}"
    text = f"hub {hub} cannot be reached: the proxy {proxy} answered {answer[:200]}; {advice}"
    return NetworkError(text, retryable=answer.startswith("5"))


def _is_of_proxy(error: Exception, proxy: Proxy) -> bool:
    """Whether the connection to the proxy failed, rather than the one to the hub behind it."""
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return True
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return (error.host, error.port) == (proxy.host, proxy.port)
    return False


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return tls_reason(error.certificate_error)
    return system_reason(error.os_error) if isinstance(error, aiohttp.ClientConnectorError) else str(error)


class _Unshown(dict[str, Any]):
    """An object of a hub's answer. It may have secrets in it: its repr shows only names."""

    def __repr__(self) -> str:
        return f"<object: {', '.join(self)}>"


async def _read_object(response: aiohttp.ClientResponse, max_size: int) -> dict[str, Any]:
    content = bytearray()
    async for chunk in response.content.iter_chunked(MAX_ANSWER_SIZE):
        content += chunk
        if len(content) > max_size:
            return {}
    try:
        tree = json.loads(content, object_hook=_Unshown)
    except (ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


def fail(answer: Answer, denied: str) -> NoReturn:
    """Raises the error of a refusal.

    Args:
        answer: the refusal.
        denied: the message for wrong credentials.

    Raises:
        AuthenticationError: the hub refused the credentials or the request.
        ServiceError: the hub failed, or redirects.
    """
    status, hub = answer.status, answer.hub
    if status in (401, 403):
        raise AuthenticationError(denied)
    if status == 429:
        given = answer.headers.get("Retry-After", "")
        wait = int(given) if re.fullmatch(r"\d{1,6}", given) else 60
        raise AuthenticationError(f"{hub} refuses after too many failed tries; wait {wait} s, then try again")
    if 300 <= status < 400:
        target = redacted(answer.headers.get("Location", "somewhere else")[:200])
        raise ServiceError(
            f"{hub} redirects to {target!r}; set hub to that",
            status=status,
            retryable=False,
            request_id=answer.request_id,
        )
    if status in (400, 413, 422):
        raise AuthenticationError(f"{hub} refused the request: {answer.message}{answer.request}")
    retryable = status >= 500
    advice = "try again later" if retryable else "check that hub names a hub"
    message = f"{hub} failed ({status}): {answer.message}; {advice}{answer.request}"
    raise ServiceError(message, status=status, retryable=retryable, request_id=answer.request_id)


def invalid(answer: Answer) -> ServiceError:
    """Returns the error of an answer that is not a hub's."""
    message = f"{answer.hub} answered what no hub answers; check that hub names a hub"
    return ServiceError(message, status=answer.status, retryable=False)
