"""What the SDK of Google's credentials talks through: our data plane."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dxflow_async.exceptions import AccessDeniedError, ServiceError, StorageError, ThrottledError
from dxflow_async.providers.gcp.errors import parse_error
from dxflow_async.providers.http import HTTP, Call, read_error_body

__all__ = ["TokenTransport", "sign_in_error"]


class TokenTransport:
    """What the SDK takes for its HTTP session: its rare requests go over our data plane, one attempt each."""

    def __init__(self, http: HTTP) -> None:
        self._http = http

    async def get(self, url: str, headers: Mapping[str, str], **_: Any) -> Answer:
        return await self._send("GET", url, headers, None)

    async def post(self, url: str, data: str | bytes, headers: Mapping[str, str], **_: Any) -> Answer:
        return await self._send("POST", url, headers, data.encode() if isinstance(data, str) else data)

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        host = urlsplit(url).netloc
        sent = {"host": host, **{name.lower(): value for name, value in headers.items()}}
        response = await self._http.send(Call("GCP", "sign in", host), method, url, sent, body)
        data = await read_error_body(response)
        if response.status < 300:
            return Answer(data)
        reason, message = parse_error(data)
        said = " ".join(filter(None, (reason, message))) or "no reason given"
        cls: type[StorageError] = AccessDeniedError
        if response.status >= 500:
            cls = ServiceError
        elif response.status == 429:
            cls = ThrottledError
        raise sign_in_error(
            cls, f"{host} says: {said} ({response.status})", status=response.status, code=reason or None
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, the way the SDK asks for it."""

    data: bytes

    async def json(self) -> Any:
        return json.loads(self.data)

    async def text(self) -> str:
        return self.data.decode()


def sign_in_error(
    cls: type[StorageError], reason: str, *, status: int | None = None, code: str | None = None
) -> StorageError:
    """An error about getting a token: it says what to look at, and shows nothing of it."""
    return cls(
        f"a GCP token could not be had: {reason}; check GCP.service_file, or run "
        "`gcloud auth application-default login` again",
        provider="GCP",
        operation="sign in",
        status=status,
        code=code,
    )
