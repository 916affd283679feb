"""The hub over HTTP: its answers, its errors, and two processes on one database."""

import asyncio
import errno
import json
import logging
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.server.embedded import EmbeddedHub
from dxflow_async.server.hub.app import MAX_BODY_SIZE, create_app

ME = {"email": "me@example.org", "password": "correct horse", "namespace": "diphyx"}
WRONG = {**ME, "password": "battery staple"}
JSON = {"Content-Type": "application/json"}

Answer = tuple[int, Any, Any]


async def request(http: aiohttp.ClientSession, method: str, url: str, **options: Any) -> Answer:
    """Status, headers and JSON of an answer; an error must have the shape of errors."""
    async with http.request(method, url, **options) as response:
        assert response.content_type == "application/json"
        tree = await response.json()
        if response.status >= 400:
            assert tree.keys() == {"error"}
            assert tree["error"].keys() == {"code", "message"}
        return response.status, response.headers, tree


async def login(http: aiohttp.ClientSession, hub: str, body: object = ME) -> Answer:
    """The answer to a sign-in."""
    return await request(http, "POST", f"{hub}/auth/login/", json=body)


async def test_sign_in(http: aiohttp.ClientSession, hub: str) -> None:
    """Signing in answers with pointers and secrets, and whether the account is new; it is not to be cached."""
    status, headers, first = await login(http, hub)
    assert (status, first["created"], headers["Cache-Control"]) == (200, True, "no-store")
    assert first.keys() == {"user", "namespace", "created"}
    assert first["user"].keys() == first["namespace"].keys() == {"pointer", "secret"}
    _, _, second = await login(http, hub)
    assert second["created"] is False
    assert second["user"]["pointer"] == first["user"]["pointer"]


async def test_wrong_password(http: aiohttp.ClientSession, hub: str) -> None:
    """A wrong password is a 401."""
    await login(http, hub)
    status, _, tree = await login(http, hub, WRONG)
    assert (status, tree["error"]["code"]) == (401, "wrong_credentials")


async def test_show_user(http: aiohttp.ClientSession, hub: str) -> None:
    """Whoever holds a user secret sees that user; any other secret is a 401."""
    _, _, mine = await login(http, hub)
    url = f"{hub}/users/{mine['user']['pointer']}/"
    secret = mine["user"]["secret"]
    status, _, tree = await request(http, "GET", url, headers={"X-SECRET-KEY": secret})
    assert (status, tree) == (200, {"user": {"pointer": mine["user"]["pointer"], "email": ME["email"]}})
    for headers in ({}, {"X-SECRET-KEY": ""}, {"X-SECRET-KEY": secret + "x"}, {"X-SECRET-KEY": "\xff\u1234"}):
        status, _, tree = await request(http, "GET", url, headers=headers)
        assert (status, tree["error"]["code"]) == (401, "wrong_secret")


async def test_hostile_pointers(http: aiohttp.ClientSession, hub: str) -> None:
    """A pointer that is no text, or SQL, is just not known."""
    for pointer in ("%FF%FE", "%ED%A0%80", "%00", "'%20OR%201=1--", "a" * 4000):
        status, _, _ = await request(http, "GET", f"{hub}/users/{pointer}/", headers={"X-SECRET-KEY": "x"})
        assert status == 401


async def test_sixth_try(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """The try after five failures is a 429 with Retry-After, also with the right password."""
    async with TestServer(create_app(tmp_path, clock=lambda: 1e9)) as server:
        hub = str(server.make_url("")).rstrip("/")
        await login(http, hub)
        assert [(await login(http, hub, WRONG))[0] for _ in range(5)] == [401] * 5
        status, headers, tree = await login(http, hub)
    assert (status, headers["Retry-After"], tree["error"]["code"]) == (429, "60", "too_many_tries")


async def test_health(http: aiohttp.ClientSession, hub: str) -> None:
    """The hub says that it answers."""
    assert (await request(http, "GET", f"{hub}/healthz"))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/nothing", {}, 404, "not_found"),
        ("POST", "/auth/login", {}, 404, "not_found"),
        ("GET", "/auth/login/", {}, 405, "method_not_allowed"),
        ("DELETE", "/healthz", {}, 405, "method_not_allowed"),
        ("POST", "/auth/login/", {"data": b"{", "headers": JSON}, 400, "malformed_json"),
        ("POST", "/auth/login/", {"data": b"", "headers": JSON}, 400, "malformed_json"),
        ("POST", "/auth/login/", {"data": b"[" * 60_000, "headers": JSON}, 400, "malformed_json"),
        ("POST", "/auth/login/", {"data": b"1" * 60_000, "headers": JSON}, 400, "malformed_json"),
        ("POST", "/auth/login/", {"data": b'"\xff"', "headers": JSON}, 400, "malformed_json"),
        ("POST", "/auth/login/", {"json": []}, 400, "malformed_json"),
        ("POST", "/auth/login/", {"json": {}}, 400, "invalid_field"),
        ("POST", "/auth/login/", {"json": {**ME, "email": "nobody"}}, 400, "invalid_field"),
        ("POST", "/auth/login/", {"json": {**ME, "password": "x" * 1025}}, 400, "invalid_field"),
        ("POST", "/auth/login/", {"data": json.dumps(ME)}, 415, "not_json"),
        ("POST", "/auth/login/", {"data": b" " * (MAX_BODY_SIZE + 1), "headers": JSON}, 413, "body_too_large"),
        (
            "POST",
            "/auth/login/",
            {"data": b"no gzip", "headers": {**JSON, "Content-Encoding": "gzip"}},
            400,
            "malformed_body",
        ),
    ],
)
async def test_errors(
    http: aiohttp.ClientSession, hub: str, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    """Every failure is JSON with a code, whatever went wrong."""
    answered, headers, tree = await request(http, method, hub + path, **options)
    assert (answered, tree["error"]["code"]) == (status, code)
    assert ("Allow" in headers) == (status == 405)


FIELDS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["me@example.org", "pw", "x" * 1025, "\ud800", "a@b\0"]),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats(), st.lists, max_leaves=3),
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
    st.fixed_dictionaries({}, optional=dict.fromkeys(ME, FIELDS)).map(lambda tree: json.dumps(tree).encode()),
    FIELDS.map(lambda tree: json.dumps(tree).encode()),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
async def test_any_body(http: aiohttp.ClientSession, hub: str, body: bytes) -> None:
    """No body of a sign-in, however malformed, makes the hub fail."""
    status, _, _ = await request(http, "POST", f"{hub}/auth/login/", data=body, headers=JSON)
    assert status in (200, 400, 401, 429)


async def test_database_gone(
    http: aiohttp.ClientSession, hub: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that does not answer is a 503, and the log says why without any secret."""
    caplog.set_level(logging.DEBUG)
    _, _, mine = await login(http, hub)
    await login(http, hub, WRONG)
    database = sqlite3.connect(tmp_path / "home" / "hub.sqlite3")
    database.execute("DROP TABLE sign_ins")
    database.close()
    status, _, tree = await login(http, hub)
    assert (status, tree["error"]["code"]) == (503, "database_unavailable")
    url = f"{hub}/users/{mine['user']['pointer']}/"
    assert (await request(http, "GET", url, headers={"X-SECRET-KEY": mine["user"]["secret"]}))[0] == 503
    assert "no such table" in caplog.text
    for secret in (ME["password"], WRONG["password"], mine["user"]["secret"], mine["namespace"]["secret"]):
        assert secret not in caplog.text


async def test_damaged_database(
    http: aiohttp.ClientSession, hub: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure nobody foresaw is a 500 with the same shape, and no detail of it leaves the log."""
    await login(http, hub)
    database = sqlite3.connect(tmp_path / "home" / "hub.sqlite3")
    with database:
        database.execute("UPDATE accounts SET password = 'damaged'")
    database.close()
    status, _, tree = await login(http, hub)
    assert (status, tree["error"]["code"]) == (500, "internal")
    assert "damaged" not in json.dumps(tree)
    assert "InvalidHash" in caplog.text


SERVE = """
import asyncio, pathlib, sys
from dxflow_async.server.hub.app import create_app
from dxflow_async.server.common.server import Listening, Server

async def main():
    hub = Server(create_app(pathlib.Path(sys.argv[1])), Listening())
    print(await hub.start(), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await hub.aclose()

asyncio.run(main())
"""


@pytest.fixture
async def second_hub(tmp_path: Path) -> AsyncIterator[str]:
    """A hub on the same home, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", SERVE, str(tmp_path / "home")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield (await process.stdout.readline()).decode().strip()
    process.stdin.close()
    assert await process.wait() == 0


async def test_two_processes(http: aiohttp.ClientSession, hub: str, second_hub: str) -> None:
    """Two hubs on one home know the same accounts and secrets, also when both write at once."""
    assert hub != second_hub
    _, _, mine = await login(http, hub)
    url = f"{second_hub}/users/{mine['user']['pointer']}/"
    assert (await request(http, "GET", url, headers={"X-SECRET-KEY": mine["user"]["secret"]}))[0] == 200
    answers = await asyncio.gather(*(login(http, each) for each in (hub, second_hub) * 10))
    assert {status for status, _, _ in answers} == {200}
    assert {tree["user"]["pointer"] for _, _, tree in answers} == {mine["user"]["pointer"]}


async def test_limit_over_processes(http: aiohttp.ClientSession, hub: str, second_hub: str) -> None:
    """Failures count over both processes."""
    await login(http, hub)
    for each, times in ((hub, 3), (second_hub, 2)):
        assert [(await login(http, each, WRONG))[0] for _ in range(times)] == [401] * times
    for each in (hub, second_hub):
        status, headers, _ = await login(http, each)
        assert status == 429
        assert 1 <= int(headers["Retry-After"]) <= 60


async def test_embedded_is_local_only(hub: str) -> None:
    """The embedded hub listens on 127.0.0.1, on a port of its own, and on no other address of the machine."""
    assert hub.startswith("http://127.0.0.1:")
    port = int(hub.rpartition(":")[2])
    assert port > 0
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the platform
        await asyncio.open_connection("127.0.0.2", port)


async def test_embedded_closes(tmp_path: Path) -> None:
    """A closed hub does not answer, may be closed again, and may be started again."""
    embedded = EmbeddedHub(tmp_path)
    await embedded.aclose()
    url = await embedded.start()
    async with aiohttp.ClientSession(headers=embedded.headers) as http:
        assert (await login(http, url))[0] == 200
        await embedded.aclose()
        await embedded.aclose()
        with pytest.raises(aiohttp.ClientConnectionError):
            await login(http, url)
        assert (await login(http, await embedded.start()))[2]["created"] is False
    await embedded.aclose()


@pytest.mark.parametrize("key", [None, "", "x", "\xff", "x" * 43])
async def test_embedded_answers_its_own_process_only(tmp_path: Path, http: aiohttp.ClientSession, key: str) -> None:
    """Without the key of the process no route of the embedded hub answers, and no account is made."""
    embedded = EmbeddedHub(tmp_path)
    url = await embedded.start()
    headers = {} if key is None else {"X-Hub-Key": key}
    try:
        for method, path in (("POST", "/auth/login/"), ("GET", "/users/x/"), ("GET", "/openapi.json"), ("GET", "/no")):
            status, _, tree = await request(http, method, url + path, headers=headers, json=ME)
            assert (status, tree["error"]["code"]) == (401, "wrong_key")
        database = sqlite3.connect(tmp_path / "hub.sqlite3")
        assert database.execute("SELECT count(*) FROM accounts").fetchone() == (0,)
        database.close()
    finally:
        await embedded.aclose()
    assert EmbeddedHub(tmp_path).headers != embedded.headers
    assert embedded.headers["X-Hub-Key"] not in repr(embedded.__dict__)


async def test_embedded_start_fails(tmp_path: Path) -> None:
    """A hub that cannot start says why and leaves nothing open."""
    (tmp_path / "hub.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigurationError, match="file is not a database"):
        await EmbeddedHub(tmp_path).start()


def files_in(directory: Path) -> list[str]:
    """The names in a directory."""
    return [path.name for path in directory.iterdir()]


async def test_embedded_cannot_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that finds no port closes its database again."""

    async def no_port(_site: web.TCPSite) -> None:
        raise OSError(errno.EADDRINUSE, "no port")

    monkeypatch.setattr(web.TCPSite, "start", no_port)
    with pytest.raises(ConfigurationError, match="no port"):
        await EmbeddedHub(tmp_path).start()
    assert sorted(files_in(tmp_path)) == ["hub.key", "hub.sqlite3"]  # without a -wal file: nobody has it open
