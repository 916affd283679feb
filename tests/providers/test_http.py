"""How connections are made: TLS, proxies."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ConfigurationError, NetworkError, SessionClosedError, StallTimeoutError
from dxflow_async.providers.http import HTTP, _proxy_of
from tests.faults.proxy import ForwardProxy
from tests.providers.http_requests import ask
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer

pytestmark = pytest.mark.every_loop

MiB = 1 << 20

# TLS


async def test_tls(threads: Threads, certified: tuple[ssl.SSLContext, Path]) -> None:
    """A server of a trusted authority is talked to, both ways, on one connection."""
    context, authority = certified
    http = HTTP(threads, ca_bundle=authority)
    async with ScriptedServer(answer(body=b"y" * 3 * MiB), tls=context) as server:
        for _ in range(2):
            assert (await ask(http, server.url, "PUT", body(b"x" * 2 * MiB)))[1] == b"y" * 3 * MiB
        assert server.requests[1].body == b"x" * 2 * MiB
        assert server.connections == 1
        await http.aclose()


async def test_closed_plane_refuses_work(threads: Threads) -> None:
    """After `aclose` no connection is made any more."""
    http = HTTP(threads)
    async with ScriptedServer(answer()) as server:
        await http.aclose()
        with pytest.raises(SessionClosedError):
            await ask(http, server.url)
        assert server.connections == 0


async def test_untrusted_certificate(http: HTTP, certified: tuple[ssl.SSLContext, Path]) -> None:
    """A certificate of nobody we know is refused for good, naming the setting that would trust it."""
    async with ScriptedServer(answer(), tls=certified[0]) as server:
        with pytest.raises(NetworkError, match="ca_bundle") as raised:
            await ask(http, server.url)
    assert not raised.value.retryable
    assert server.requests == []


async def test_ca_bundle_that_is_none(threads: Threads, tmp_path: Path) -> None:
    """A bundle that holds no certificate is a setting that is wrong."""
    (tmp_path / "bundle.pem").write_text("no certificate")
    http = HTTP(threads, ca_bundle=tmp_path / "bundle.pem")
    with pytest.raises(ConfigurationError, match="ca_bundle"):
        await ask(http, "https://127.0.0.1:1")
    await http.aclose()


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing more until the other side has gone."""
    await reader.readexactly(1)


async def test_no_answer_to_a_handshake(threads: Threads) -> None:
    """Connecting, the handshake included, takes no longer than the connect timeout."""
    http = HTTP(threads, connect_timeout=0.2)
    async with ScriptedServer(hang) as server:
        with pytest.raises(StallTimeoutError, match=r"no connection within 0.2 s"):
            await ask(http, f"https://127.0.0.1:{server.port}")
        await server.closed()
    await http.aclose()


# Proxies


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxies."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


async def test_plain_proxy(no_proxies: pytest.MonkeyPatch, threads: Threads) -> None:
    """HTTP_PROXY is asked with the whole URL, and told the password in it."""
    async with ForwardProxy("me", "p@ss").running() as proxy, ScriptedServer(answer(body=b"ok")) as server:
        no_proxies.setenv("HTTP_PROXY", f"http://me:p%40ss@{proxy.address}")
        http = HTTP(threads)
        for _ in range(2):
            assert (await ask(http, server.url, "PUT", body(b"data")))[1] == b"ok"
        await http.aclose()
    assert proxy.targets == [f"PUT {server.url}/path?query=1"]
    assert server.requests[0].target == "/path?query=1"
    assert len(server.requests) == 2


async def test_tunnel(no_proxies: pytest.MonkeyPatch, threads: Threads, certified: tuple[ssl.SSLContext, Path]) -> None:
    """HTTPS_PROXY opens a tunnel, which outlives the stall timeout while it is used or idle."""
    context, authority = certified
    async with (
        ForwardProxy("me", "secret").running() as proxy,
        ScriptedServer(answer(body=b"ok"), tls=context) as server,
    ):
        no_proxies.setenv("HTTPS_PROXY", f"me:secret@{proxy.address}")
        http = HTTP(threads, stall_timeout=1.0, ca_bundle=authority)
        for _ in range(2):
            assert (await ask(http, server.url, "PUT", body(b"x" * MiB)))[1] == b"ok"
            await asyncio.sleep(1.1)
        await http.aclose()
        assert proxy.targets == [f"CONNECT 127.0.0.1:{server.port}"]
        assert server.connections == 1


async def test_tunnel_refused(
    no_proxies: pytest.MonkeyPatch, threads: Threads, certified: tuple[ssl.SSLContext, Path]
) -> None:
    """A proxy that opens no tunnel is named with its status; an untrusted server behind one is no less untrusted."""
    context, authority = certified
    async with (
        ForwardProxy("me", "secret").running() as proxy,
        ScriptedServer(answer(body=b"ok"), tls=context) as server,
    ):
        no_proxies.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        http = HTTP(threads, ca_bundle=authority)
        with pytest.raises(NetworkError, match=r"proxy 127.0.0.1 refused a tunnel \(407\)"):
            await ask(http, server.url)
        await http.aclose()
        no_proxies.setenv("HTTPS_PROXY", f"http://me:secret@{proxy.address}")
        http = HTTP(threads)
        with pytest.raises(NetworkError, match="ca_bundle"):
            await ask(http, server.url)
        await http.aclose()
    assert server.requests == []


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "socks5", "socks5h", "ftp"])
@pytest.mark.parametrize("target", ["http", "https"])
async def test_a_proxy_of_another_kind_gets_nothing(
    no_proxies: pytest.MonkeyPatch, threads: Threads, scheme: str, target: str
) -> None:
    """A proxy that is not to be spoken to in plain HTTP is refused before anything is sent, its password unseen."""
    async with ScriptedServer(answer(body=b"ok")) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            no_proxies.setenv(name, f"{scheme}://me:hunter2@127.0.0.1:{proxy.port}")
        http = HTTP(threads)
        with pytest.raises(ConfigurationError, match=rf"^{target.upper()}_PROXY .* http://host:port") as raised:
            await ask(http, f"{target}://storage.example/x")
        assert "hunter2" not in str(raised.value)
        no_proxies.setenv("NO_PROXY", "storage.example")
        assert http._origin("http", "storage.example").proxy == ""
        await http.aclose()
        assert proxy.connections == 0


@pytest.mark.parametrize("proxy", ["http://", "http://me:hunter2@", "http://me:hunter2@host:99999", "http://[::1"])
async def test_a_proxy_that_is_none(no_proxies: pytest.MonkeyPatch, threads: Threads, proxy: str) -> None:
    """A proxy's URL that is none is a wrong setting, and is not shown."""
    no_proxies.setenv("HTTPS_PROXY", proxy)
    http = HTTP(threads)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY is not allowed") as raised:
        await ask(http, "https://storage.example/x")
    assert "hunter2" not in str(raised.value)
    await http.aclose()


def test_the_port_of_a_proxy(no_proxies: pytest.MonkeyPatch, threads: Threads) -> None:
    """A proxy without a port is at HTTP's own."""
    no_proxies.setenv("HTTP_PROXY", "http://proxy.example")
    no_proxies.setenv("HTTPS_PROXY", "proxy.example:3128")
    http = HTTP(threads)
    assert _proxy_of(http._origin("http", "x.example"))[:2] == ("proxy.example", 80)
    assert _proxy_of(http._origin("https", "x.example"))[:2] == ("proxy.example", 3128)


async def test_no_proxy(no_proxies: pytest.MonkeyPatch, threads: Threads) -> None:
    """NO_PROXY names hosts that are reached directly."""
    async with ForwardProxy().running() as proxy, ScriptedServer(answer(body=b"ok")) as server:
        no_proxies.setenv("HTTP_PROXY", f"http://{proxy.address}")
        no_proxies.setenv("NO_PROXY", "example.com,127.0.0.1")
        http = HTTP(threads)
        assert (await ask(http, server.url))[1] == b"ok"
        await http.aclose()
    assert proxy.targets == []
