"""The HTTP provider that docs/providers.md shows, at a server that does what the document says of it."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote_to_bytes
from uuid import uuid4

import pytest
from aiohttp import web

from dxflow_async.exceptions import ConfigurationError, ServiceError, StorageError
from dxflow_async.testing import ProviderContract, ProviderUnderTest, session_resources
from tests.docs.code_blocks import code_blocks

DOCUMENT = Path(__file__).parents[2] / "dxflow_async/docs/providers.md"


class ObjectServer:
    """Objects by path, with GET, HEAD, PUT and DELETE; a token is needed."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.status = 0  # answered instead
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request."""
        if request.headers.get("Authorization") != "Bearer right":
            return web.Response(status=401)
        if self.status:
            return web.Response(status=self.status, headers={"Retry-After": "9"}, body=b"a page")
        return await self._object(request, unquote_to_bytes(request.raw_path).decode())

    async def _object(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        if request.method == "PUT":
            self.objects[path] = b"".join([chunk async for chunk in request.content.iter_any()])
            return web.Response(status=201, headers={"ETag": etag_of(self.objects[path])})
        if path not in self.objects:
            return web.Response(status=404)
        if request.method == "DELETE":
            del self.objects[path]
            return web.Response(status=204)
        return self._bytes(request, self.objects[path])

    def _bytes(self, request: web.BaseRequest, data: bytes) -> web.StreamResponse:
        headers = {"ETag": etag_of(data)}
        if request.headers.get("If-Match", headers["ETag"]) != headers["ETag"]:
            return web.Response(status=412)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if wanted is None:
            return web.Response(body=data, headers=headers)
        first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        if first >= len(data):
            return web.Response(status=416)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return web.Response(status=206, body=data[first : last + 1], headers=headers)


def etag_of(data: bytes) -> str:
    """Names a version by its bytes."""
    return f'"{sha256(data).hexdigest()[:16]}"'


@pytest.fixture(scope="module")
def example() -> Any:
    """The document's module."""
    module = ModuleType("dxflow_store")
    sys.modules["dxflow_store"] = module  # dataclasses look their annotations up there
    exec(code_blocks(DOCUMENT, "python")[1], vars(module))
    return module


@pytest.fixture
async def server() -> AsyncIterator[ObjectServer]:
    """A server without objects."""
    found = ObjectServer()
    runner = web.ServerRunner(web.Server(found.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


class TestStore(ProviderContract):
    """All tests of the contract."""

    @pytest.fixture
    async def subject(self, example: Any, server: ObjectServer) -> AsyncIterator[ProviderUnderTest]:
        """A server of the test's own."""
        async with session_resources("STORE") as resources:

            def made(token: str) -> Any:
                return example.StoreProvider(example.StoreSettings(endpoint=server.url, token=token), resources)

            provider = made("right")
            yield ProviderUnderTest(provider, f"{uuid4().hex}/", with_secret=made)
            await provider.aclose()


async def test_answers_that_are_not_the_services(example: Any, server: ObjectServer) -> None:
    """A sign-in page is no object, a full account says what to do, and `Retry-After` reaches the error."""
    async with session_resources("STORE") as resources:
        provider = example.StoreProvider(example.StoreSettings(endpoint=server.url, token="right"), resources)
        for status, cls, text in (
            (200, ServiceError, "no ETag"),
            (302, ServiceError, "302"),
            (402, StorageError, "no space"),
        ):
            server.status = status
            with pytest.raises(cls, match=text) as raised:
                await provider.read("name")
            assert "STORE read of /name failed" in str(raised.value)
        server.status = 503
        with pytest.raises(StorageError) as raised:
            await provider.delete_one("name")
        assert (raised.value.retry_after, raised.value.retryable) == (9.0, True)


async def test_required_settings_are_checked(example: Any) -> None:
    """A setting that is missing is named by the factory, one that is wrong by the settings."""
    with pytest.raises(ConfigurationError, match=r"store\.endpoint = .* is not allowed"):
        example.StoreSettings(endpoint="ftp://host")
    async with session_resources("STORE") as resources:
        with pytest.raises(ConfigurationError, match=r"STORE\.endpoint is not set"):
            example.KIND.factory(example.StoreSettings(), resources)
