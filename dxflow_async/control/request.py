"""Asking a hub: one request to the control plane, its answer, and what a refusal means."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import aiohttp
from yarl import URL

from dxflow_async.exceptions import AuthenticationError, ConfigurationError, NetworkError, ServiceError
from dxflow_async.security.redaction import redacted

__all__ = ["Answer", "fail", "invalid", "request"]

TIMEOUT = 30.0
"""Seconds for the whole of one request."""

MAX_ANSWER_SIZE = 64 << 10
"""Of a hub's answer, no more is read, unless more is asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a hub said; `tree` is empty when that was no JSON object, `hub` is fit to be shown."""

    hub: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    tree: dict[str, Any] = field(repr=False)

    @property
    def request_id(self) -> str | None:
        """What the hub calls the request, in its log."""
        return self.headers.get("X-Request-ID")

    @property
    def request(self) -> str:
        """The same, to be put behind a message."""
        return f" (request {self.request_id:.100})" if self.request_id else ""

    @property
    def message(self) -> str:
        """Why it refused, in its own words."""
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
    """One request, tried once.

    Args:
        http: what connects.
        method: in capitals.
        hub_url: the hub's base URL.
        path: below it, escaped.
        max_size: of the answer, in bytes.
        options: as `aiohttp.ClientSession.request` takes them.

    Raises:
        ConfigurationError: the hub's URL is not valid.
        NetworkError: the hub was not reached, or did not answer within 30 s.
        ServiceError: it does not speak HTTP.
    """
    hub = re.sub("//[^/]*@", "//***@", hub_url)
    try:
        url = URL(f"{hub_url.rstrip('/')}/{path}", encoded=True)
        if not (url.scheme in ("http", "https") and url.host and url.port):
            raise ValueError("no web address")
    except ValueError as error:
        raise ConfigurationError(f"hub = {hub!r} is not allowed; it must be http(s)://host[:port][/path]") from error
    # Redirects are not followed: they would carry the password or the secret to somewhere else.
    options |= {"allow_redirects": False, "timeout": aiohttp.ClientTimeout(total=TIMEOUT)}
    try:
        async with http.request(method, url, **options) as response:
            return Answer(hub, response.status, response.headers, await _read_object(response, max_size))
    except aiohttp.ClientResponseError as error:
        text = f"{hub} did not answer as a hub: {error.message}; check hub"
        raise ServiceError(text, retryable=False) from error.with_traceback(None)
    except TimeoutError as error:
        text = f"hub {hub} did not answer within {TIMEOUT:.0f} s; check hub and the network"
        raise NetworkError(text) from error.with_traceback(None)
    except (aiohttp.ClientError, OSError) as error:
        # Without its frames, which have what came of the answer.
        text = f"hub {hub} cannot be reached: {error}; check hub and the network"
        raise NetworkError(text) from error.with_traceback(None)


class _Unshown(dict[str, Any]):
    """An object of a hub's answer: it may have secrets, and no dump of local variables shows it."""

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
    """The error of an answer that says no; `denied` is the message where who asks is not let in.

    Raises:
        AuthenticationError: it does not let in whoever asks, or refuses what was asked.
        ServiceError: anything else.
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
    """The error of an answer that makes no sense."""
    message = f"{answer.hub} answered what no hub answers; check that hub names a hub"
    return ServiceError(message, status=answer.status, retryable=False)
