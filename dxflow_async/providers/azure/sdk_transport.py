"""The HTTP transport of azure-identity: its requests for tokens go over the session's data plane.

So sign-in follows the same rules for proxies and certificates as everything else; the SDK's own transport knows neither
`ca_bundle` nor networks in NO_PROXY.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from multidict import CIMultiDict

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.http import HTTP, Call, read_error_body

__all__ = ["SDKTransport"]

_MAX_SIZE = 1 << 20
"""The most bytes that are read of a response."""


class SDKTransport:
    """Has the methods of `azure.core.pipeline.transport.AsyncHttpTransport`; sends each request once.

    Args:
        http: the session's data plane.
        name: the remote's name, as messages show it.
    """

    def __init__(self, http: HTTP, name: str) -> None:
        self._http = http
        self._name = name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass  # the data plane is the session's

    async def open(self) -> None:
        """Does nothing: the data plane is the session's."""

    async def close(self) -> None:
        """Does nothing: the data plane is the session's."""

    async def sleep(self, duration: float) -> None:
        """Waits before another attempt."""
        await asyncio.sleep(duration)

    async def send(self, request: Any, *, connection_timeout: float | None = None, **_: Any) -> Any:
        """Sends a request of azure-core.

        Args:
            request: the request.
            connection_timeout: seconds in which a server must answer. Only the look for a metadata server sets them.

        Raises:
            ServiceRequestError: it was not answered; azure-identity knows only errors of its own.
        """
        from azure.core.exceptions import ServiceRequestError

        host = urlsplit(request.url).netloc
        headers = {"host": host, **{name.lower(): str(value) for name, value in request.headers.items()}}
        headers.pop("content-length", None)  # the data plane adds it
        data = _encoded(request.content if hasattr(request, "content") else request.body)
        try:
            async with asyncio.timeout(connection_timeout):
                call = Call(self._name, "sign in", host)
                response = await self._http.send(call, request.method, request.url, headers, data)
                body = await read_error_body(response, _MAX_SIZE)
        except TimeoutError as error:
            raise ServiceRequestError(f"{host} did not answer within {connection_timeout} s", error=error) from error
        except StorageError as error:
            raise ServiceRequestError(str(error), error=error) from error
        return _Response(request, response.status, CIMultiDict(response.headers.items()), body)


class _Response:
    """Has what azure-core reads of `AsyncHttpResponse`."""

    def __init__(self, request: Any, status: int, headers: CIMultiDict[str], body: bytes) -> None:
        self.request = request
        self.internal_response = self
        self.status_code = status
        self.headers = headers
        self.reason = ""
        self.content_type = headers.get("content-type")
        self.block_size = 4096
        self._body = body

    def body(self) -> bytes:
        return self._body

    def text(self, encoding: str | None = None) -> str:
        return self._body.decode(encoding or "utf-8-sig")


def _encoded(content: Any) -> bytes | None:
    if isinstance(content, Mapping):
        return urlencode(content).encode()
    if isinstance(content, str):
        return content.encode()
    return None if content is None else bytes(content)
