"""The hub's client through a real proxy, plain and over TLS."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.control.account import sign_in, verify
from dxflow_async.control.connector import HubConnector
from dxflow_async.exceptions import ConfigurationError, NetworkError
from dxflow_async.net.proxy import ProxyRules
from dxflow_async.net.tls import TLSOptions, make_context
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import create_app
from tests.servers import ProxyServer
from tests.servers.certificate import make_certificate

pytestmark = pytest.mark.server

ME = ("me@example.org", "correct horse", "diphyx")
USER = "do%20main%5Cme:p%40ss"


@pytest.fixture(scope="module")
def proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProxyServer]]:
    """A proxy that is reached in plain HTTP and one that is reached over TLS; both want a password."""
    directories = [tmp_path_factory.mktemp(name) for name in ("plain-proxy", "tls-proxy")]
    with (
        ProxyServer.start(directories[0], credentials="do main\\me:p@ss") as plain,
        ProxyServer.start(directories[1], credentials="do main\\me:p@ss", tls=True) as tls,
    ):
        yield {"http": plain, "https": tls}


@dataclass
class World:
    """A hub, a proxy before it, and the bundle of both authorities."""

    hub: str
    proxy: ProxyServer
    bundle: Path
    hub_only: Path

    def connect(self, environ: dict[str, str], bundle: Path | None = None) -> aiohttp.ClientSession:
        """A client with the rules of these variables."""
        context = make_context(TLSOptions(ca_bundle=bundle or self.bundle), {})
        return aiohttp.ClientSession(connector=HubConnector(context, ProxyRules.from_environment(environ)))

    @property
    def authority(self) -> str:
        """The hub's host and port."""
        return self.hub.partition("//")[2]

    async def proxied(self, method: str) -> bool:
        """Whether the proxy saw a request for the hub."""
        return await asyncio.to_thread(self.proxy.saw, method, self.authority)


@pytest.fixture(params=["http", "https"])
async def hub_scheme(request: pytest.FixtureRequest) -> str:
    """How the hub is reached."""
    return str(request.param)


@pytest.fixture(params=["http", "https"])
async def world(
    request: pytest.FixtureRequest, hub_scheme: str, proxies: dict[str, ProxyServer], tmp_path: Path
) -> AsyncIterator[World]:
    """A running hub and one of the proxies."""
    proxy, bundle = proxies[request.param], tmp_path / "bundle"
    certificate, key, authority = await asyncio.to_thread(make_certificate, tmp_path)
    bundle.mkdir()
    shutil.copy(authority, bundle / "hub.pem")
    if proxy.authority is not None:
        shutil.copy(proxy.authority, bundle / "proxy.pem")
    listening = Listening(tls_cert=certificate, tls_key=key) if hub_scheme == "https" else Listening()
    server = Server(create_app(tmp_path / "home"), listening)
    yield World(await server.start(), proxy, bundle, authority)
    await server.aclose(1.0)


@pytest.mark.every_loop
@pytest.mark.parametrize("variable", ["ALL_PROXY", "own"])
async def test_a_hub_is_reached_through_a_proxy(world: World, hub_scheme: str, variable: str) -> None:
    """Sign-in and verification go through the proxy of the hub's scheme, with its credentials."""
    name = f"{hub_scheme}_proxy" if variable == "own" else variable
    async with world.connect({name: world.proxy.url_with(USER)}) as http:
        secrets, _ = await sign_in(http, world.hub, *ME)
        await verify(http, world.hub, secrets)
    assert await world.proxied("CONNECT" if hub_scheme == "https" else "POST")


async def test_no_proxy_leads_around_it(world: World, hub_scheme: str) -> None:
    """A network in NO_PROXY is reached directly, and a proxy of the other scheme is not used."""
    dead = "http://127.0.0.1:1"
    other = "HTTP_PROXY" if hub_scheme == "https" else "HTTPS_PROXY"
    for environ in ({"ALL_PROXY": dead, "NO_PROXY": "127.0.0.0/8"}, {other: dead}, {}):
        async with world.connect(environ) as http:
            await sign_in(http, world.hub, *ME)


async def test_a_proxy_that_fails_is_named(world: World, hub_scheme: str) -> None:
    """A refused connection, a wrong password, a hub that is down: each error names the proxy and its variable."""
    async with world.connect({"ALL_PROXY": "http://me:hush-hush@127.0.0.1:1"}) as http:
        with pytest.raises(
            NetworkError, match=r"the proxy http://127\.0\.0\.1:1 \(ALL_PROXY\) cannot be reac"
        ) as raised:
            await sign_in(http, world.hub, *ME)
    assert raised.value.retryable
    async with world.connect({"ALL_PROXY": world.proxy.url_with("me:hush-hush")}) as http:
        with pytest.raises(NetworkError, match=r"407.*; check user and password in ALL_PROXY") as raised:
            await sign_in(http, world.hub, *ME)
    assert not raised.value.retryable
    assert "hush" not in str(raised.value)
    async with world.connect({"all_proxy": world.proxy.url_with(USER)}) as http:
        with pytest.raises(NetworkError, match=r"(the|through the) proxy https?://127\.0\.0\.1:\d+ \(all_proxy\)"):
            await sign_in(http, f"{hub_scheme}://127.0.0.1:1", *ME)


async def test_who_is_not_trusted_is_named(world: World, hub_scheme: str) -> None:
    """An untrusted certificate is put down to the proxy or to the hub, whichever showed it."""
    environ = {"ALL_PROXY": world.proxy.url_with(USER)}
    nobody = world.bundle.parent / "nobody"
    nobody.mkdir()
    other = (await asyncio.to_thread(make_certificate, nobody, "Nobody"))[2]
    secure_proxy = world.proxy.authority is not None
    if not secure_proxy and hub_scheme == "http":  # nobody shows a certificate
        async with world.connect(environ, other) as http:
            await sign_in(http, world.hub, *ME)
        return
    message = r"through the proxy .* its certificate is not trusted .*; set ca_bundle \(DXFLOW_CA_BUNDLE\)"
    if secure_proxy:
        message = r"the proxy https://.* \(ALL_PROXY\) cannot be reached .*certificate.*; set ca_bundle"
    async with world.connect(environ, other) as http:
        with pytest.raises(NetworkError, match=message):
            await sign_in(http, world.hub, *ME)


async def test_a_session_uses_the_environment(
    world: World, hub_scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session's sign-in, units and sign-out go through the proxy that the environment names."""
    monkeypatch.setenv(f"{hub_scheme}_proxy", world.proxy.url_with(USER))
    settings = Settings(home=tmp_path / "session", ca_bundle=world.bundle)
    async with AsyncSession(*ME[:2], hub=world.hub, settings=settings) as session:
        assert await session.get_compute_manager().list() == []
    assert await world.proxied("CONNECT" if hub_scheme == "https" else "DELETE")
    monkeypatch.setenv(f"{hub_scheme}_proxy", "http://127.0.0.1:1")
    with pytest.raises(NetworkError, match=rf"the proxy http://127\.0\.0\.1:1 \({hub_scheme}_proxy\)"):
        async with AsyncSession(*ME[:2], hub=world.hub, settings=settings):
            pass


async def test_the_embedded_hub_is_reached_directly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy comes between a session and the hub inside its own process, nor its Demo unit."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    (tmp_path / "file").write_bytes(b"bytes")
    async with AsyncSession(*ME[:2], settings=Settings(home=tmp_path / "home")) as session:
        assert [unit.name for unit in await session.get_compute_manager().list()] == ["Demo"]


async def test_a_proxy_that_cannot_be_used_is_refused(world: World) -> None:
    """SOCKS and invalid URLs are configuration errors, before anything is sent."""
    for value in ("socks5://127.0.0.1:1080", "http://127.0.0.1:abc"):
        async with world.connect({"ALL_PROXY": value}) as http:
            with pytest.raises(ConfigurationError, match=r"^ALL_PROXY"):
                await sign_in(http, world.hub, *ME)
