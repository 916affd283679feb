"""Carries the requests of Google's credential SDK over the library's data plane."""

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
    """Stands in for the HTTP session of the SDK: its rare requests go over the data plane, one attempt each."""

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
    """A response in the form that the SDK expects."""

    data: bytes

    async def json(self) -> Any:
        return json.loads(self.data)

    async def text(self) -> str:
        return self.data.decode()


def sign_in_error(
    cls: type[StorageError], reason: str, *, status: int | None = None, code: str | None = None
) -> StorageError:
    """Returns an error about obtaining a token, which names what to check and shows no secret."""
    return cls(
        f"a GCP token could not be had: {reason}; check GCP.service_file, or run "
        "`gcloud auth application-default login` again",
        provider="GCP",
        operation="sign in",
        status=status,
        code=code,
    )
