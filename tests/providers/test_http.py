"""Errors of the data plane as errors of a storage call, and proxies of the environment."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from pathlib import Path

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    NetworkError,
    SessionClosedError,
    StallTimeoutError,
    StorageError,
)
from dxflow_async.net import NetError, errors
from dxflow_async.providers.http import ERROR_BODY_SIZE, HTTP, _translated, read_error_body
from tests.faults.proxy import ForwardProxy
from tests.providers.http_requests import CALL, ask
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer

MiB = 1 << 20


FAILURES = [
    each
    for each in vars(errors).values()
    if inspect.isclass(each) and each.__module__ == errors.__name__ and each is not NetError
]


@pytest.mark.parametrize("cls", FAILURES)
async def test_every_error_has_a_row(http: HTTP, cls: type[NetError]) -> None:
    """Every error of the data plane becomes one of ours, which names the call and says whether it may be retried."""
    foreign = cls("the reason")
    error = _translated(CALL, foreign, http)
    refused = isinstance(foreign, errors.AddressRefusedError)
    assert isinstance(error, AccessDeniedError if refused else (NetworkError, StallTimeoutError))
    assert (error.provider, error.operation, error.path) == ("AWS", "read", "/bucket/key")
    assert isinstance(error, StallTimeoutError) == isinstance(foreign, TimeoutError)
    assert error.retryable == foreign.retryable


async def test_an_error_names_the_call(http: HTTP) -> None:
    """Every error says provider, operation and path, and what to do."""
    with pytest.raises(StorageError, match=r"AWS read of /bucket/key failed: \S+:\d+ refused the connection") as raised:
        await ask(http, "http://127.0.0.1:9")
    assert raised.value.retryable
    with pytest.raises(NetworkError, match=r"could not find the host no-such-host\.invalid .*; check the endpoint"):
        await ask(http, "http://no-such-host.invalid")
    with pytest.raises(NetworkError, match="the request is not valid"):
        await ask(http, "http://127.0.0.1:9/é")


async def test_a_body_that_breaks_off(http: HTTP) -> None:
    """A body that breaks off is an error of the call, and may be retried."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=b"x" * 10)[:-1])
        writer.close()

    async with ScriptedServer(send) as server:
        with pytest.raises(NetworkError, match="AWS read of /bucket/key failed: the connection was closed") as raised:
            await ask(http, server.url)
    assert raised.value.retryable


async def test_error_body_is_bounded(http: HTTP) -> None:
    """Of an error's body no more than 64 KiB are read; a short one is whole, and its connection kept."""
    async with ScriptedServer(answer("500 Error", b"short"), answer("500 Error", b"x" * 50 * MiB)) as server:
        for expected in (5, ERROR_BODY_SIZE):
            response = await http.send(CALL, "GET", server.url + "/", {"host": "h"})
            assert len(await read_error_body(response)) == expected
        await server.closed()
    assert server.connections == 1


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


async def test_timeouts(threads: Threads) -> None:
    """A connection that is not made in time, and a stall, say how long was waited."""

    async def stall(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)

    http = HTTP(threads, connect_timeout=0.2, stall_timeout=0.3)
    async with ScriptedServer(stall) as server:
        with pytest.raises(StallTimeoutError, match=r"no connection with \S+ within 0.2 s"):
            await ask(http, f"https://127.0.0.1:{server.port}")
        with pytest.raises(StallTimeoutError, match=r"no byte moved for 0.3 s"):
            await ask(http, server.url)
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
        with pytest.raises(NetworkError, match=r"proxy http://127.0.0.1:\d+ \(HTTPS_PROXY\) refused a tunnel \(407\)"):
            await ask(http, server.url)
        await http.aclose()
        no_proxies.setenv("HTTPS_PROXY", f"http://me:secret@{proxy.address}")
        http = HTTP(threads)
        with pytest.raises(NetworkError, match="ca_bundle"):
            await ask(http, server.url)
        await http.aclose()
    assert server.requests == []


async def test_no_proxy(no_proxies: pytest.MonkeyPatch, threads: Threads) -> None:
    """NO_PROXY names hosts that are reached directly."""
    async with ForwardProxy().running() as proxy, ScriptedServer(answer(body=b"ok")) as server:
        no_proxies.setenv("HTTP_PROXY", f"http://{proxy.address}")
        no_proxies.setenv("NO_PROXY", "example.com,127.0.0.1")
        http = HTTP(threads)
        assert (await ask(http, server.url))[1] == b"ok"
        await http.aclose()
    assert proxy.targets == []
