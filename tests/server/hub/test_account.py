"""The client's side: signing in, verifying, and the stored login."""

import asyncio
import json
import logging
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from dxflow_async.control.account import sign_in, verify
from dxflow_async.control.stored_login import Secrets, StoredLogin
from dxflow_async.exceptions import AuthenticationError, ConfigurationError, NetworkError, ServiceError

SECRETS = Secrets("user", "user-secret", "namespace", "namespace-secret")
ME = ("me@example.org", "correct horse", "diphyx")

Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers that answer everything with one handler."""
    servers = []

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(app)
        servers.append(server)
        await server.start_server()
        return str(server.make_url("")).rstrip("/")

    yield start
    for server in servers:
        await server.close()


async def test_sign_in_and_verify(http: aiohttp.ClientSession, hub: str) -> None:
    """A sign-in gives secrets that verify, and tells whether the account is new."""
    first, created = await sign_in(http, hub, *ME)
    second, again = await sign_in(http, hub + "/", *ME)
    assert (created, again) == (True, False)
    assert first.user_pointer == second.user_pointer
    await verify(http, hub, first)
    await verify(http, hub, second)


async def test_wrong_password(http: aiohttp.ClientSession, hub: str) -> None:
    """A wrong password is an AuthenticationError that says what to do and names no password."""
    await sign_in(http, hub, *ME)
    with pytest.raises(AuthenticationError, match=r"me@example\.org .* wrong e-mail or password; check") as caught:
        await sign_in(http, hub, ME[0], "battery staple", ME[2])
    assert "battery" not in str(caught.value)


async def test_wrong_email(http: aiohttp.ClientSession, hub: str) -> None:
    """What the hub says about a bad field reaches the user."""
    with pytest.raises(AuthenticationError, match="email = 'nobody' is not allowed"):
        await sign_in(http, hub, "nobody", "pw", "diphyx")


async def test_too_many_tries(http: aiohttp.ClientSession, hub: str) -> None:
    """After too many failed tries the error names the seconds to wait."""
    await sign_in(http, hub, *ME)
    for _ in range(5):
        with pytest.raises(AuthenticationError, match="wrong e-mail"):
            await sign_in(http, hub, ME[0], "wrong", ME[2])
    with pytest.raises(AuthenticationError, match=r"wait \d+ s"):
        await sign_in(http, hub, *ME)


async def test_secret_not_valid(http: aiohttp.ClientSession, hub: str) -> None:
    """Secrets that the hub does not know are an AuthenticationError without the secret in it."""
    with pytest.raises(AuthenticationError, match="sign in with e-mail and password") as caught:
        await verify(http, hub, SECRETS)
    assert "user-secret" not in str(caught.value)


async def test_hub_not_reachable(http: aiohttp.ClientSession) -> None:
    """A hub that nobody listens on is a NetworkError naming the URL, without a password in it."""
    port = unused_port()
    with pytest.raises(NetworkError, match=rf"http://\*\*\*@127\.0\.0\.1:{port} cannot be reached") as caught:
        await sign_in(http, f"http://name:hidden@127.0.0.1:{port}", *ME)
    assert "hidden" not in str(caught.value)
    assert caught.value.retryable


async def test_hub_too_slow(http: aiohttp.ClientSession, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that does not answer in time is a NetworkError naming it."""
    gone = asyncio.Event()

    async def never(_request: web.Request) -> web.StreamResponse:
        await gone.wait()
        return web.Response()

    url = await serve(never)
    monkeypatch.setattr("dxflow_async.control.request.TIMEOUT", 0.1)
    try:
        with pytest.raises(NetworkError, match=f"{url} did not answer within"):
            await sign_in(http, url, *ME)
    finally:
        gone.set()


@pytest.mark.parametrize(
    "hub", ["nothing", "ftp://host", "http://", "http://host:port", "http://[", "http://u:hidden@h:99999999"]
)
async def test_hub_not_a_url(http: aiohttp.ClientSession, hub: str) -> None:
    """A hub that is no URL is a ConfigurationError saying what is allowed."""
    with pytest.raises(ConfigurationError, match="it must be http") as caught:
        await sign_in(http, hub, *ME)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(http: aiohttp.ClientSession, serve: Serve, status: int) -> None:
    """Neither password nor secret goes where a redirect points; the error names the target."""
    requests = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        requests.append(request.method)
        return web.json_response(SECRETS.to_dict())

    target = await serve(elsewhere)

    async def redirect(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": target})

    url = await serve(redirect)
    for call in (sign_in(http, url, *ME), verify(http, url, SECRETS)):
        with pytest.raises(ServiceError, match=f"redirects to '{target}'") as caught:
            await call
        assert not caught.value.retryable
    assert requests == []


VALID = SECRETS.to_dict()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 60_000,
        b'"\xff"',
        b"{}",
        json.dumps({"namespace": VALID["namespace"]}).encode(),
        json.dumps({**VALID, "user": []}).encode(),
        json.dumps({**VALID, "user": {"pointer": "p", "secret": 1}}).encode(),
        json.dumps({**VALID, "user": {"pointer": "p", "secret": "a\r\nX: y"}}).encode(),
        json.dumps({**VALID, "filling": "x" * (64 << 10)}).encode(),
    ],
)
async def test_answer_not_valid(http: aiohttp.ClientSession, serve: Serve, body: bytes) -> None:
    """An answer that is no sign-in is a ServiceError that is not worth a retry."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    url = await serve(answer)
    for call in (sign_in(http, url, *ME), verify(http, url, SECRETS)):
        with pytest.raises(ServiceError, match=f"{url} answered what no hub answers") as caught:
            await call
        assert not caught.value.retryable


async def test_verify_reads_the_pointer(http: aiohttp.ClientSession, serve: Serve) -> None:
    """An answer about another user does not verify."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"user": {"pointer": "another", "email": "a@b"}})

    url = await serve(answer)
    with pytest.raises(ServiceError):
        await verify(http, url, SECRETS)


@pytest.mark.parametrize(("status", "retryable"), [(500, True), (503, True), (404, False), (418, False)])
async def test_hub_fails(http: aiohttp.ClientSession, serve: Serve, status: int, retryable: bool) -> None:
    """Another status is a ServiceError with the status, the hub's message, and whether to try again."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"code": "x", "message": "out of order"}}, status=status)

    url = await serve(answer)
    with pytest.raises(ServiceError, match=rf"failed \({status}\): out of order") as caught:
        await sign_in(http, url, *ME)
    assert (caught.value.status, caught.value.retryable) == (status, retryable)


async def test_not_http_at_all(http: aiohttp.ClientSession) -> None:
    """Something that does not speak HTTP is a ServiceError, something that hangs up a NetworkError."""

    def server_that(says: bytes) -> Awaitable[asyncio.Server]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(says)
            await writer.drain()
            writer.close()

        return asyncio.start_server(handle, "127.0.0.1", 0)

    for says, error in ((b"220 mail.example.org ESMTP\r\n\r\n", ServiceError), (b"", NetworkError)):
        async with await server_that(says) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(error, match=f"127.0.0.1:{port}"):
                await sign_in(http, f"http://127.0.0.1:{port}", *ME)


def test_secrets_as_dict() -> None:
    """Secrets become the documented object and come back from it; what else is in it is ignored."""
    tree = {"user": {"pointer": "u", "secret": "s"}, "namespace": {"pointer": "n", "secret": "t"}}
    assert Secrets.from_dict(tree).to_dict() == tree
    assert Secrets.from_dict({**tree, "created": True}) == Secrets("u", "s", "n", "t")


def test_secrets_not_in_repr() -> None:
    """The repr shows the pointers and no secret, also within a stored login."""
    for shown in (repr(SECRETS), repr(StoredLogin("https://hub", SECRETS)), str(SECRETS)):
        assert "secret='" not in shown
        assert "-secret" not in shown
        assert "user_pointer='user'" in shown


@pytest.mark.parametrize(
    ("tree", "named"),
    [
        ("text", "secrets must be an object"),
        ({}, r'secrets\["user"\] must be an object'),
        ({"user": VALID["user"]}, r'secrets\["namespace"\] must be an object'),
        ({**VALID, "user": {"pointer": "u"}}, r'secrets\["user"\]\["secret"\]'),
        ({**VALID, "namespace": {"pointer": "", "secret": "hidden"}}, r'secrets\["namespace"\]\["pointer"\]'),
        ({**VALID, "user": {"pointer": "u", "secret": "hid\nden"}}, r'secrets\["user"\]\["secret"\]'),
        ({**VALID, "user": {"pointer": 1, "secret": "hidden"}}, r'secrets\["user"\]\["pointer"\]'),
    ],
)
def test_secrets_not_valid(tree: Any, named: str) -> None:
    """Secrets of another shape are a ConfigurationError naming the field, never the secret."""
    with pytest.raises(ConfigurationError, match=named) as caught:
        Secrets.from_dict(tree)
    assert "hid" not in str(caught.value)


def test_stored_login(tmp_path: Path) -> None:
    """A login is saved, loaded, replaced and forgotten; nothing else is left in the home."""
    home = tmp_path / "new" / "home"
    assert StoredLogin.load(home) is None
    for hub in ("https://one.example.org/api", "http://127.0.0.1:8000"):
        StoredLogin(hub, SECRETS).save(home)
        assert StoredLogin.load(home) == StoredLogin(hub, SECRETS)
    assert [path.name for path in home.iterdir()] == ["login.json"]
    StoredLogin.forget(home)
    StoredLogin.forget(home)
    assert StoredLogin.load(home) is None


def test_stored_login_mode(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The login file is for its owner only, whatever the umask and the file before; a wider one is warned of."""
    home = tmp_path / "home"
    path = home / "login.json"
    before = os.umask(0)
    try:
        StoredLogin("https://hub", SECRETS).save(home)
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    StoredLogin.load(home)
    assert caplog.records == []
    path.chmod(0o644)
    StoredLogin.load(home)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"chmod 600 {path}" in caplog.text
    StoredLogin("https://hub", SECRETS).save(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_stored_login_cannot_be_written(tmp_path: Path) -> None:
    """A login that cannot be put in its place is a ConfigurationError and leaves no file behind."""
    (tmp_path / "login.json").mkdir()
    with pytest.raises(ConfigurationError, match=r"login\.json cannot be written"):
        StoredLogin("https://hub", SECRETS).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["login.json"]
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"login\.json cannot be written"):
        StoredLogin("https://hub", SECRETS).save(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"{", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"[]", "hub must be http"),
        (b'{"hub": "hub"}', "hub must be http"),
        (b'{"hub": "https://hub"}', r'secrets\["user"\]'),
        (b'{"hub": "https://hub", "secrets": null}', "secrets must be an object"),
    ],
)
def test_stored_login_damaged(tmp_path: Path, content: bytes, named: str) -> None:
    """A damaged login is a ConfigurationError naming the file, what is wrong, and what to do."""
    (tmp_path / "login.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"login\.json .*{named}.*; delete it and sign in again"):
        StoredLogin.load(tmp_path)
