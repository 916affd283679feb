"""Whose credentials are sent for a URL: those of the remote that is at its server, and of no other one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dxflow_async import AsyncSession, DxflowError, Settings
from dxflow_async.providers import registry
from dxflow_async.providers.http_source.settings import HTTPSourceSettings
from dxflow_async.providers.sftp.settings import SFTPSettings
from dxflow_async.storage.url_origins import is_at_remote
from tests.storage.naive_package import installed


@dataclass
class Listener:
    """A socket that keeps what it receives, and answers that there is nothing."""

    port: int = 0
    received: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reads one request."""
        self.received.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    @property
    def authorized(self) -> bool:
        """Whether credentials came."""
        assert self.received, "nothing was asked for"
        return any(b"authorization" in each.lower() for each in self.received)


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """A listener at a port of its own, over IPv4 and IPv6 where that is there."""
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package whose `from_url` changes the host of any settings."""
    with installed(tmp_path / "site", monkeypatch):
        yield


@pytest.mark.parametrize(
    ("endpoint", "url", "sent"),
    [
        ("http://127.0.0.1:{mine}/", "mydav://127.0.0.1:{mine}/x", True),
        ("http://localhost:{mine}", "mydav://LocalHost:{mine}/x", True),
        ("http://127.0.0.1:{mine}/", "mydav://me@127.0.0.1:{mine}/x", True),
        ("http://127.0.0.1:{mine}/", "mydav://127.0.0.1:{other}/x", False),
        ("http://127.0.0.1:{mine}/", "mydav://localhost:{other}/x", False),
        ("http://127.0.0.1:{mine}/", "mydav://localhost:{mine}/x", False),
        ("http://127.0.0.1:{mine}/", "mydav://you@127.0.0.1:{mine}/x", False),
        # The settings that come back are of another server: plain HTTP, for a remote with TLS.
        ("https://127.0.0.1:{mine}/", "mydav://127.0.0.1:{mine}/x", False),
        ("http://127.0.0.1:{mine}@127.0.0.1:{other}/", "mydav://127.0.0.1:{mine}/x", False),
    ],
)
@pytest.mark.usefixtures("package")
async def test_credentials_go_to_their_server_only(tmp_path: Path, endpoint: str, url: str, sent: bool) -> None:
    """Whatever a kind makes of the settings that it is given, it is given none of another server."""
    async with AsyncExitStack() as stack:
        mine, other = [await stack.enter_async_context(listening()) for _ in range(2)]
        ports = {"mine": mine.port, "other": other.port}
        cls = registry.provider_kinds()["mydav"].settings
        remote = cls(endpoint=endpoint.format(**ports), username="me", password="SECRET")
        settings = Settings(home=tmp_path / "home", max_attempts=1, remotes={"mine": remote})
        async with AsyncSession(settings=settings) as session:
            with suppress(DxflowError):
                await session.copy(url.format(**ports), tmp_path / "out")
        asked = other if "{other}" in url else mine
        assert asked.authorized is sent
        assert not other.received or not other.authorized


HTTPS = HTTPSourceSettings(endpoint="https://Data.example.org./sets", username="me", password="SECRET")
WEB = ("https", "http")


@pytest.mark.parametrize(
    ("settings", "schemes", "url", "at"),
    [
        (HTTPS, WEB, "https://data.example.org/x", True),
        (HTTPS, WEB, "https://DATA.EXAMPLE.ORG:443/x?sig=1", True),
        (HTTPS, WEB, "https://me:pw@data.example.org./x", True),
        (HTTPS, WEB, "https://you:pw@data.example.org/x", False),
        (HTTPS, WEB, "https://@data.example.org/x", False),
        (HTTPS, WEB, "http://data.example.org/x", False),
        (HTTPS, WEB, "http://data.example.org:443/x", False),
        (HTTPS, WEB, "https://data.example.org:8443/x", False),
        (HTTPS, WEB, "https://example.org/x", False),
        (HTTPS, WEB, "https://data.example.org.evil.example/x", False),
        (HTTPS, WEB, "https://data.example.org@evil.example/x", False),
        (HTTPS, WEB, "https://data.example.org\\@evil.example/x", False),
        (HTTPS, WEB, "https://data.example.org:port/x", False),
        (HTTPSourceSettings(token="SECRET"), WEB, "https://data.example.org/x", False),
        (HTTPSourceSettings(endpoint="https://host", token="SECRET"), WEB, "https://me@host/x", False),
        (HTTPSourceSettings(endpoint="https://host"), WEB, "https://me@host/x", True),
        (HTTPSourceSettings(endpoint="https://[::1]:8443"), WEB, "https://[0:0:0:0:0:0:0:1]:8443/x", True),
        (HTTPSourceSettings(endpoint="https://[::1]:8443"), WEB, "https://[::2]:8443/x", False),
        (HTTPS, ("dav", "davs"), "davs://data.example.org/x", True),
        (HTTPS, ("dav", "davs"), "dav://data.example.org/x", False),
        (HTTPS, ("dav", "davs"), "davs://data.example.org:80/x", False),
        (SFTPSettings(host="Lab"), ("sftp",), "sftp://lab:22/x", True),
        (SFTPSettings(host="lab", port=2222), ("sftp",), "sftp://lab/x", False),
        (SFTPSettings(host="lab", port=2222), ("sftp",), "sftp://lab:2222/x", True),
        (SFTPSettings(host="lab"), ("sftp",), "sftp://lab.example.org/x", False),
        (SFTPSettings(host="::1", username="me@site"), ("sftp",), "sftp://me%40site@[::1]/x", True),
        (SFTPSettings(host="::1", username="me"), ("sftp",), "sftp://Me@[::1]/x", False),
        (SFTPSettings(host="lab", password="SECRET"), ("sftp",), "sftp://me@lab/x", False),
        (SFTPSettings(), ("sftp",), "sftp://lab/x", False),
    ],
)
def test_server_of_a_url(settings: object, schemes: tuple[str, ...], url: str, at: bool) -> None:
    """Scheme, host, port and user are compared in one form; anything that differs is another server."""
    assert is_at_remote(urlsplit(url), schemes, settings) is at


@pytest.mark.parametrize("endpoint", ["https://Kube", "https://k\N{KELVIN SIGN}ube", "host:1:2", "https://", 7, ""])
def test_address_that_cannot_be_read(endpoint: object) -> None:
    """A setting that is no address is at no URL."""

    @dataclass(frozen=True)
    class Odd:
        endpoint: object
        password: str = field(default="SECRET", repr=False)

    for url in ("https://kkube/x", "https://host:1/x", "https:///x", "https://7/x"):
        assert not is_at_remote(urlsplit(url), WEB, Odd(endpoint))


def test_settings_that_name_two_servers() -> None:
    """A URL has to be at each server that the settings name."""

    @dataclass(frozen=True)
    class Both:
        endpoint: str = "https://one.example.org"
        host: str = "two.example.org"

    for host in ("one", "two"):
        assert not is_at_remote(urlsplit(f"https://{host}.example.org/x"), WEB, Both())
