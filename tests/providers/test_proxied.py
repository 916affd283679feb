"""Transfers to S3 through a real proxy, plain and over TLS, on either side."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import AsyncSession, ConfigurationError, NetworkError, S3Settings, Settings
from tests.servers import ProxyServer, SeaweedFS

pytestmark = pytest.mark.server

MiB = 1 << 20
USER = "do%20main%5Cme:p%40ss"


@dataclass
class World:
    """S3, a proxy that wants a password, and settings that trust both."""

    s3: SeaweedFS
    proxy: ProxyServer
    settings: Settings

    @property
    def authority(self) -> str:
        """S3's host and port."""
        return self.s3.endpoint.partition("//")[2]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SeaweedFS | ProxyServer]]:
    """S3 and proxies, by how they are reached."""
    made = tmp_path_factory.mktemp
    secret = "do main\\me:p@ss"
    with (
        SeaweedFS.start(made("s3"), tls=True) as s3,
        ProxyServer.start(made("plain"), credentials=secret) as plain,
        ProxyServer.start(made("tls"), credentials=secret, tls=True) as tls,
    ):
        s3.create_bucket("bucket")
        yield {"s3": s3, "http": plain, "https": tls}


@pytest.fixture(params=["http", "https"])
def world(request: pytest.FixtureRequest, servers: dict[str, SeaweedFS | ProxyServer], tmp_path: Path) -> World:
    """S3 over TLS behind one of the proxies."""
    s3, proxy, bundle = servers["s3"], servers[request.param], tmp_path / "bundle"
    assert isinstance(s3, SeaweedFS)
    assert isinstance(proxy, ProxyServer)
    bundle.mkdir()
    assert s3.ca_bundle is not None
    shutil.copy(s3.ca_bundle, bundle / "s3.pem")
    if proxy.authority is not None:
        shutil.copy(proxy.authority, bundle / "proxy.pem")
    aws = S3Settings(endpoint=s3.endpoint, region=s3.region, access_key=s3.access_key, secret_key=s3.secret_key)
    return World(s3, proxy, Settings(home=tmp_path / "home", aws=aws, ca_bundle=bundle, max_attempts=1))


async def move_there_and_back(settings: Settings, tmp_path: Path) -> None:
    """Uploads and downloads a small file and one of several parts, and compares them."""
    there = f"aws:/bucket/{uuid4().hex}/"
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/small").write_bytes(b"bytes")
    (tmp_path / "tree/large").write_bytes(os.urandom(20 * MiB))
    async with AsyncSession(settings=settings) as session:
        assert (await session.copy(f"{tmp_path}/tree/", there)).ok
        assert (await session.copy(there, f"{tmp_path}/back/")).ok
    for name in ("small", "large"):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "tree" / name).read_bytes()


async def test_s3_over_tls_through_a_proxy(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY with credentials tunnels uploads and downloads in parts; TLS to the proxy works as well."""
    monkeypatch.setenv("HTTPS_PROXY", world.proxy.url_with(USER))
    await move_there_and_back(world.settings, tmp_path)
    assert await asyncio.to_thread(world.proxy.saw, "CONNECT", world.authority)


async def test_plain_s3_through_a_proxy(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ALL_PROXY serves plain HTTP, too: signatures survive the proxy, and so do the credentials for it."""
    monkeypatch.setenv("all_proxy", world.proxy.url_with(USER))
    aws = S3Settings(
        endpoint=world.s3.http_endpoint,
        region=world.s3.region,
        access_key=world.s3.access_key,
        secret_key=world.s3.secret_key,
    )
    settings = Settings(home=tmp_path / "home", aws=aws, ca_bundle=world.settings.ca_bundle)
    await move_there_and_back(settings, tmp_path)
    assert await asyncio.to_thread(world.proxy.saw, "PUT", world.s3.http_endpoint.partition("//")[2])


@pytest.mark.parametrize("network", ["127.0.0.0/8", "127.0.0.1", "*", "localhost, 127.0.0.1:*"])
async def test_no_proxy_leads_around_it(world: World, network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host in NO_PROXY is reached directly, also where the proxy could not be used at all."""
    port = world.authority.partition(":")[2]
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", network.replace(":*", f":{port}"))
    async with AsyncSession(settings=world.settings) as session:
        await session.get_storage_manager().list(path="/bucket/")


@pytest.mark.parametrize(
    ("variable", "value", "error", "message"),
    [
        ("HTTPS_PROXY", "http://127.0.0.1:1", NetworkError, r"the proxy http://127\.0\.0\.1:1 \(HTTPS_PROXY\)"),
        ("https_proxy", "https://127.0.0.1:1", NetworkError, r"the proxy https://127\.0\.0\.1:1 \(https_proxy\)"),
        ("ALL_PROXY", "wrong password", NetworkError, r"the proxy https?://127\.0\.0\.1:\d+ \(ALL_PROXY\).*407"),
        ("HTTPS_PROXY", "socks5h://127.0.0.1:1", ConfigurationError, r"^HTTPS_PROXY = 'socks5h://.*SOCKS"),
        ("ALL_PROXY", "http://127.0.0.1:abc", ConfigurationError, r"^ALL_PROXY is not allowed"),
    ],
)
async def test_a_proxy_that_fails_is_named(
    world: World, variable: str, value: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong at the proxy is put down to the proxy and its variable, not to the endpoint."""
    monkeypatch.setenv(variable, world.proxy.url_with("me:hush-hush") if value == "wrong password" else value)
    async with AsyncSession(settings=world.settings) as session:
        with pytest.raises(error, match=message) as raised:
            await session.get_storage_manager().list(path="/bucket/")
    assert "hush" not in str(raised.value)
