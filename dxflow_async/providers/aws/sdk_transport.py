"""The HTTP transport of the AWS SDK: the requests of its credential chain go over the session's data plane.

So sign-in at STS, SSO and the like follows the same rules for proxies and certificates as everything else.
aiobotocore's own transport knows neither ALL_PROXY nor networks in NO_PROXY, and behind a proxy it verifies no
certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.http import HTTP, Call, read_error_body

__all__ = ["SDKTransport", "reach_metadata_directly", "use_transport"]

_MAX_SIZE = 1 << 20
"""The most bytes that are read of a response."""


class SDKTransport:
    """Stands for aiobotocore's HTTP session: sends each request once.

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

    async def close(self) -> None:
        """Does nothing: the data plane is the session's."""

    async def send(self, request: Any) -> Any:
        """Sends a request of botocore.

        Raises:
            StorageError: it was not answered.
        """
        from aiobotocore.awsrequest import AioAWSResponse

        host = urlsplit(request.url).netloc
        call = Call(self._name, "sign in", host)
        body = request.body
        if body is not None and not isinstance(body, str | bytes | bytearray):
            raise call.error(UnsupportedError, f"the SDK's request has a body of the type {type(body).__name__}")
        data = body.encode() if isinstance(body, str) else bytes(body or b"")
        headers = {"host": host, **_plain(request.headers)}
        headers.pop("content-length", None)  # the data plane adds it
        response = await self._http.send(call, request.method, request.url, headers, data or None)
        content = _Content(await read_error_body(response, _MAX_SIZE))
        return AioAWSResponse(request.url, response.status, dict(response.headers), content)


class _Content:
    """A response's body, as the SDK reads it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self) -> bytes:
        return self._data


def use_transport(sdk: Any, transport: SDKTransport) -> None:
    """Makes all clients of an `aioboto3.Session` send through a transport, also those that the SDK makes itself."""
    from aiobotocore.config import AioConfig

    class Config(AioConfig):  # type: ignore[misc]
        """Keeps the transport where a client has a configuration of its own, which aiobotocore's does not."""

        def merge(self, other_config: Any) -> Any:
            merged = super().merge(other_config)
            merged.http_session_cls = self.http_session_cls
            return merged

    sdk._session.set_default_client_config(Config(http_session_cls=lambda **_: transport))


def reach_metadata_directly(sdk: Any) -> None:
    """Makes an `aioboto3.Session` ask the metadata service of EC2 without a proxy.

    aiobotocore takes the proxy of the environment for it, which cannot reach this machine's service and may answer with
    credentials of its own. Containers' services are asked directly in any case.

    Raises:
        BotoCoreError: the SDK's configuration is not valid.
    """
    resolver = sdk._session.get_component("credential_provider")
    for provider in resolver.providers:
        fetcher = getattr(provider, "_role_fetcher", None)
        if fetcher is not None:
            fetcher._session = type(fetcher._session)(timeout=fetcher._timeout)


def _plain(headers: Mapping[str, str | bytes]) -> dict[str, str]:
    return {
        name.lower(): value.decode("latin-1") if isinstance(value, bytes) else value for name, value in headers.items()
    }
