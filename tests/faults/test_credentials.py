"""Credentials that live three seconds, through some lives of them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time
from typing import Any, Self
from uuid import uuid4

import pytest
from aiohttp import web

from dxflow_async import AsyncSession, Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings, AzureSettings, GCPSettings
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.contract import ObjectOptions, Provider
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP
from tests.faults.proxied_providers import hashes, make_tree
from tests.providers.aws.token_gate import TokenGate
from tests.providers.azure.bearer_tokens import Token, jwt
from tests.providers.in_memory_bodies import body, read
from tests.servers import Azurite, SeaweedFS
from tests.servers.resumable import ResumableServer
from tests.sessions import MiB

_log = logging.getLogger("tests.faults")

LIFE, SECONDS = 2, 5.0


class ShortLived:
    """A credential whose tokens end after two seconds."""

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


class Container:
    """Where a container gets its credentials: a token is good for two seconds, and told until it has one left."""

    def __init__(self) -> None:
        self.given = self.asked = 0
        self._ends = 0.0

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/", self._tell)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def is_good(self, token: str) -> bool:
        """Whether a token is good now; only the last one may be."""
        return token == f"token-{self.given}" and time() < self._ends

    async def _tell(self, _: web.Request) -> web.Response:
        self.asked += 1
        if self._ends - time() < 1:
            self.given += 1
            self._ends = time() + LIFE
        told = {"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "secret", "Token": f"token-{self.given}"}
        expires = datetime.fromtimestamp(self._ends, UTC).isoformat()
        return web.json_response({**told, "Expiration": expires})


async def test_aws(weed: SeaweedFS, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's chain is asked for what is good now, in the midst of a transfer: no item fails, nothing is retried."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    make_tree(tmp_path / "tree", 40, 24 * MiB)
    place = f"/{bucket}/{uuid4().hex[:8]}/"
    async with Container() as container, TokenGate(weed, container.is_good) as gate:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url)
        aws = AWSSettings(endpoint=gate.url, region=weed.region)
        settings = Settings(
            home=tmp_path / "home", aws=aws, part_size=5 * MiB, max_bandwidth=8 * MiB, max_concurrency=2
        )
        async with AsyncSession(settings=settings) as session:
            storage = session.get_storage_manager()
            up = await storage.upload(f"{tmp_path}/tree/", place)
            lives = container.given
            down = await storage.download(place, f"{tmp_path}/back/")
    assert up.ok
    assert down.ok
    assert hashes(tmp_path / "back") == hashes(tmp_path / "tree")
    assert 2 <= lives < container.given
    assert up.retries + down.retries <= container.given
    assert gate.refused <= 16 * container.given
    _log.warning("asked %d times for %d tokens, %d refused", container.asked, container.given, gate.refused)


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
