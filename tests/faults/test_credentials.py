"""Credentials that live three seconds, through some lives of them; those of S3 are in `test_aws_identity.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic, time
from typing import Any

import pytest

from dxflow_async.config import AzureSettings, GCPSettings
from dxflow_async.providers.azure import AzureProvider
from dxflow_async.providers.base import ObjectOptions, Provider
from dxflow_async.providers.gcp import GCPProvider
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.threads import Threads
from tests.providers.bodies import body, read
from tests.providers.test_azure_identity import Token, jwt
from tests.servers import Azurite
from tests.servers.resumable import ResumableServer

LIFE, SECONDS = 3, 8.0


class ShortLived:
    """A credential whose tokens end after three seconds."""

    given = 0

    async def get_token(self, *_: str, **__: Any) -> Token:
        self.given += 1
        return Token(jwt(LIFE), time() + LIFE)


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    """Threads, ended afterwards."""
    threads = Threads(4)
    yield threads
    threads.close()


async def work(provider: Provider, top: str) -> int:
    """Writes and reads for some lives of a token, four at a time; how often."""
    ends, done = monotonic() + SECONDS, 0

    async def each(name: str) -> None:
        nonlocal done
        while monotonic() < ends:
            data = b"%d" % done
            await provider.write(f"{top}/{name}", body(data), ObjectOptions())
            assert await read(provider, f"{top}/{name}") == data
            done += 1
            await asyncio.sleep(0.02)

    await asyncio.gather(*map(each, "abcd"))
    return done


async def test_azure(tmp_path: Path, threads: Threads) -> None:
    """Bearer tokens are renewed while requests go on; none is refused for good."""
    with Azurite.start(tmp_path, tls=True) as server:
        server.create_container("container")
        http, credential = HTTP(threads, ca_bundle=server.ca_bundle), ShortLived()
        azure = AzureProvider(AzureSettings(endpoint=server.endpoint), http, threads, credential=credential)
        assert await work(azure, "container") > 20
        await http.aclose()
    assert SECONDS // LIFE <= credential.given <= 3 * SECONDS


async def end_tokens(google: ResumableServer) -> None:
    """Takes no token for longer than its life."""
    since: dict[str, float] = {}
    while True:
        for token in tuple(google.tokens):
            if monotonic() - since.setdefault(token, monotonic()) > LIFE:
                google.tokens.discard(token)
        await asyncio.sleep(0.05)


async def test_google(tmp_path: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service account's tokens are renewed while requests go on, before one is refused."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    async with ResumableServer() as google:
        google.token_seconds = LIFE
        ending = asyncio.ensure_future(end_tokens(google))
        http = HTTP(threads)
        settings = GCPSettings(endpoint=google.url, service_file=google.service_file(tmp_path))
        assert await work(GCPProvider(settings, http, threads), "bucket") > 20
        await http.aclose()
        ending.cancel()
    assert SECONDS // LIFE <= google.requests["token"] <= 3 * SECONDS
    assert google.requests["refused"] == 0
