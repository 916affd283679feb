"""A file server, and the provider at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from dxflow_async.providers.http import HTTP
from dxflow_async.providers.http_source.provider import HTTPSourceProvider
from dxflow_async.providers.http_source.settings import HTTPSourceSettings
from tests.providers.http_source.file_server import FileServer


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    """A web server with no files yet."""
    async with FileServer() as server:
        yield server


@pytest.fixture
async def source(server: FileServer, connect_source: Callable[..., HTTPSourceProvider]) -> HTTPSourceProvider:
    """The provider at it."""
    return connect_source(endpoint=server.url)


@pytest.fixture
async def connect_source(http: HTTP) -> AsyncIterator[Callable[..., HTTPSourceProvider]]:
    """Makes providers of settings."""
    http.stall_timeout = 5.0
    made: list[HTTPSourceProvider] = []

    def connect(**settings: object) -> HTTPSourceProvider:
        provider = HTTPSourceProvider(HTTPSourceSettings(**settings), http)  # type: ignore[arg-type]
        made.append(provider)
        return provider

    yield connect
    for provider in made:
        await provider.aclose()
