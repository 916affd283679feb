"""Carries the requests of Google's credential SDK over the library's data plane."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from dxflow_async.exceptions import AccessDeniedError, ServiceError, StallTimeoutError, StorageError, ThrottledError
from dxflow_async.net import METADATA_SECONDS, is_metadata_host, metadata_hosts_of
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.gcp.errors import parse_error
from dxflow_async.providers.http import HTTP, Call, read_error_body

__all__ = ["TOKEN_SECONDS", "Answer", "TokenTransport", "is_time_refused", "sign_in_error", "with_lifetime"]

TOKEN_SECONDS = 10.0
"""Seconds in which a token server must answer."""


class TokenTransport:
    """Stands in for the HTTP session of the SDK: its rare requests go over the data plane, one attempt each."""

    def __init__(self, http: HTTP) -> None:
        self._http = http

    async def get(self, url: str, headers: Mapping[str, str], **_: Any) -> Answer:
        return self._accepted(await self.exchange("GET", url, headers, None, TOKEN_SECONDS))

    async def post(self, url: str, data: str | bytes, headers: Mapping[str, str], **_: Any) -> Answer:
        body = data.encode() if isinstance(data, str) else data
        return self._accepted(await self.exchange("POST", url, headers, body, TOKEN_SECONDS))

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str | bytes], body: bytes | None, seconds: float
    ) -> Answer:
        """Sends a request and returns any response.

        Args:
            method, url, headers, body: the request.
            seconds: how long it may take; a metadata service has less.

        Raises:
            StorageError: it was not answered.
        """
        host = urlsplit(url).netloc
        sent = {"host": host, **{name.lower(): _text(value) for name, value in headers.items()}}
        sent.pop("content-length", None)  # the data plane adds it
        if _is_metadata_service(url):
            seconds = min(seconds, METADATA_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                response = await self._http.send(Call("GCP", "sign in", host), method, url, sent, body)
                data = await read_error_body(response)
        except TimeoutError as error:
            raise sign_in_error(StallTimeoutError, f"no answer from {host} within {seconds:g} s") from error
        return Answer(data, response.status, response.headers, host)

    def _accepted(self, answer: Answer) -> Answer:
        if answer.status < 300:
            return answer
        raise answer.error()


@dataclass(frozen=True, slots=True)
class Answer:
    """A response in the form that the SDK expects."""

    data: bytes = field(repr=False)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    host: str = ""

    async def json(self) -> Any:
        return json.loads(with_lifetime(self.data))

    async def text(self) -> str:
        return self.data.decode()

    def refusal(self) -> tuple[str, str]:
        """The reason of a response with an error, and a text about it."""
        reason, message = parse_error(self.data)
        said = " ".join(filter(None, (reason, message))) or "no reason given"
        return reason, f"{self.host} says: {said} ({self.status})"

    def error(self, text: str = "") -> StorageError:
        """Returns the error for a response with an error.

        Args:
            text: what it says, if that is not the whole response's text.
        """
        reason, said = self.refusal()
        cls: type[StorageError] = AccessDeniedError
        if self.status >= 500:
            cls = ServiceError
        elif self.status == 429:
            cls = ThrottledError
        return sign_in_error(cls, text or said, status=self.status, code=reason or None)


_WRONG_TIME = re.compile(
    r"\biat\b|timeframe|token used too early|expired|too skewed|not yet (valid|current)", re.IGNORECASE
)
"""How token servers, and services whose signatures they verify, say that a time is the reason."""


def is_time_refused(clock: ServerClock, answer: Answer, used: float) -> bool:
    """Returns whether a refusal may be one of the time of a signature, and another signature has another time.

    Args:
        clock: the server's time, which is corrected.
        answer: the refusal.
        used: the offset of `clock` that was signed with.
    """
    if answer.status not in (400, 401, 403):
        return False
    named = _WRONG_TIME.search(answer.refusal()[1]) is not None
    return clock.corrected(used, answer.headers, named=named)


def _is_metadata_service(url: str) -> bool:
    parts = urlsplit(url)
    name, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    return is_metadata_host(name) or (name.rstrip("."), port) in metadata_hosts_of(os.environ)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def with_lifetime(data: bytes) -> bytes:
    """Returns a token response in which `expires_in` is 3600 if it is absent, which OAuth permits.

    Source: https://www.rfc-editor.org/rfc/rfc6749#section-5.1
    """
    if b"access_token" not in data or b"expires_in" in data:
        return data
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if isinstance(document, dict) and "access_token" in document:
        return json.dumps({**document, "expires_in": 3600}).encode()
    return data


def sign_in_error(
    cls: type[StorageError], reason: str, *, status: int | None = None, code: str | None = None
) -> StorageError:
    """Returns an error about obtaining a token, which names what to check and shows no secret."""
    return cls(
        f"no GCP token could be obtained: {reason}; check GCP.service_file, or run "
        "`gcloud auth application-default login` again",
        provider="GCP",
        operation="sign in",
        status=status,
        code=code,
    )
