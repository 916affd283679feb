"""Where servers listen, and the commands that start and administer them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import stat
import sys
from pathlib import Path

import aiohttp
import pytest

from dxflow_async.cli import main
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.server.common.logs import JSONFormatter
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.common.unit_secrets import UnitSecrets
from dxflow_async.server.unit.app import create_unit_app
from tests.server.running_hub import SECRETS, RunningUnit
from tests.servers.certificate import make_certificate
from tests.servers.process import Process, free_port


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", ""])
def test_secrets_never_pass_in_clear_unasked(host: str, tmp_path: Path) -> None:
    """An address that others reach needs TLS, or to be told that it shall be insecure."""
    with pytest.raises(ConfigurationError, match=r"host = .* without TLS .* --insecure-http"):
        Listening(host=host)
    Listening(host=host, insecure_http=True)
    certificate, key, _ = make_certificate(tmp_path)
    assert Listening(host=host, tls_cert=certificate, tls_key=key).tls() is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_tls(host: str) -> None:
    """This machine's own addresses are as they are."""
    assert Listening(host=host).tls() is None


def test_listening_is_checked(tmp_path: Path) -> None:
    """A certificate goes with its key, a file is a certificate, a port is a port."""
    with pytest.raises(ConfigurationError, match="go together"):
        Listening(tls_cert=tmp_path)
    text = Path("-----BEGIN PRIVATE KEY-----HUSH")
    with pytest.raises(ConfigurationError, match="tls_key is not allowed: it seems to hold the key itself") as raised:
        Listening(tls_cert=tmp_path, tls_key=text)
    assert "HUSH" not in str(raised.value)
    with pytest.raises(ConfigurationError, match="port = 70000"):
        Listening(port=70000)
    (tmp_path / "not").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"tls_cert = .* cannot be used"):
        Listening(tls_cert=tmp_path / "not", tls_key=tmp_path / "not").tls()


async def test_a_taken_port_is_told(unit: RunningUnit, tmp_path: Path) -> None:
    """A port that somebody else has is named."""
    port = int(unit.url.rpartition(":")[2])
    server = Server(create_unit_app(tmp_path, SECRETS), Listening(port=port))
    with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
        await server.start()


def test_a_root_that_cannot_be_served(tmp_path: Path) -> None:
    """A root that is missing, or no directory, is refused by name."""
    (tmp_path / "file").touch()
    for name in ("missing", "file"):
        with pytest.raises(ConfigurationError, match=f"root = .*{name}"):
            create_unit_app(tmp_path / name, SECRETS)


async def test_requests_that_are_too_large(unit: RunningUnit) -> None:
    """A header beyond the limit is 400, and does not reach a handler."""
    answer = await unit.request("GET", "/healthz", headers={"X-Filling": "x" * (200 << 10)})
    assert answer.status == 400


def test_unit_secrets_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file is made once, for its owner only, with 256 random bits each; a wider or damaged one is told."""
    path = tmp_path / "new/secrets.json"
    made = UnitSecrets.load_or_create(path)
    assert UnitSecrets.load_or_create(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(made.rw) == len(made.ro) == 43
    assert made.rw not in repr(made)
    path.chmod(0o644)
    UnitSecrets.load_or_create(path)
    assert "chmod 600" in caplog.text
    for content in ("{", "[]", "{}", '{"RW": "short", "RO": "x"}', json.dumps({"RW": "x" * 16, "RO": "x" * 16})):
        path.write_text(content)
        with pytest.raises(ConfigurationError, match=r"secrets\.json"):
            UnitSecrets.load_or_create(path)


def test_the_log_is_json() -> None:
    """A record is one line of JSON with its fields and its traceback."""
    record = logging.LogRecord("name", logging.ERROR, __file__, 1, "it %s", ("failed\n",), None)
    record.fields = {"status": 500}
    try:
        raise ValueError("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = JSONFormatter().format(record)
    assert "\n" not in line
    tree = json.loads(line)
    assert (tree["level"], tree["message"], tree["status"]) == ("ERROR", "it failed\n", 500)
    assert "ValueError: why" in tree["traceback"]
    assert tree["time"].endswith("Z")


def command(*arguments: str, home: Path, stdin: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The status of a command."""
    for name in [each for each in os.environ if each.startswith("DXFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DXFLOW_HOME", str(home))
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    return main(arguments)


def test_user_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Accounts are made, listed, disabled, enabled and given passwords; what cannot be is status 2."""

    def user(*arguments: str, stdin: str = "") -> int:
        return command("hub", "user", *arguments, home=tmp_path, stdin=stdin, monkeypatch=monkeypatch)

    assert user("add", "me@example.org", stdin="hidden-password\n") == 0
    assert user("add", "me@example.org", stdin="hidden-password\n") == 2
    assert user("add", "nobody", stdin="hidden-password\n") == 2
    assert user("add", "you@example.org") == 2  # no password
    assert user("disable", "me@example.org") == 0
    assert user("disable", "you@example.org") == 2
    capsys.readouterr()
    assert user("list") == 0
    assert capsys.readouterr().out == "disabled me@example.org\n"
    assert user("enable", "me@example.org") == 0
    assert user("password", "me@example.org", stdin="another-hidden\n") == 0
    assert user("list", "--data", str(tmp_path / "elsewhere")) == 0
    output = capsys.readouterr()
    assert "hidden" not in output.out + output.err


def test_serve_commands_refuse_what_is_not_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Addresses that others reach, and secrets that would be served, are status 2 before anything listens."""
    (tmp_path / "root").mkdir()
    inside = str(tmp_path / "root/secrets.json")
    for arguments, said in (
        (("hub", "serve", "--host", "0.0.0.0"), "--insecure-http"),
        (("unit", "serve", "--root", str(tmp_path / "root"), "--host", "0.0.0.0"), "--insecure-http"),
        (("unit", "serve", "--root", str(tmp_path / "root"), "--secrets", inside), "inside the root"),
        (("unit", "serve", "--root", str(tmp_path / "missing")), "root = "),
        (("hub", "serve", "--trusted-proxy", "10.0.0.1", "--trusted-proxy", "proxy.example"), "proxy.example"),
        (("hub", "serve", "--allow-host", "http://a"), "allow host"),
        (("hub", "serve", "--sign-in-idle-days", "0"), "sign-in idle"),
    ):
        assert command(*arguments, home=tmp_path / "home", stdin="", monkeypatch=monkeypatch) == 2
        assert said in capsys.readouterr().err


async def test_hub_serve(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """`hub serve` lets in whom `hub user add` made and nobody else, logs JSON, and holds no secret in the log."""
    data, port = tmp_path / "data", free_port()
    base = [sys.executable, "-m", "dxflow_async.cli", "hub"]
    environment = {"DXFLOW_HOME": str(tmp_path / "home"), **os.environ}
    adding = await asyncio.create_subprocess_exec(
        *(*base, "user", "add", "me@example.org", "--data", str(data)), stdin=asyncio.subprocess.PIPE, env=environment
    )
    await adding.communicate(b"hidden-password\n")
    assert adding.returncode == 0
    process = Process([*base, "serve", "--data", str(data), "--port", str(port)], tmp_path / "log", environment)
    try:
        await asyncio.to_thread(process.wait_until, lambda: "hub at" in (tmp_path / "log").read_text())
        body = {"email": "me@example.org", "password": "hidden-password", "namespace": "diphyx"}
        async with http.post(f"http://127.0.0.1:{port}/auth/login/", json=body) as response:
            assert response.status == 200
            user = (await response.json())["user"]
        async with http.post(f"http://127.0.0.1:{port}/auth/login/", json={**body, "email": "x@y.z"}) as response:
            assert response.status == 401
        url = f"http://127.0.0.1:{port}/users/{user['pointer']}/compute/units/"
        async with http.get(url, headers={"X-SECRET-KEY": user["secret"]}) as response:
            assert await response.json() == {"total": 0, "list": []}
    finally:
        process.kill()
    log = (tmp_path / "log").read_text()
    assert '"path": "/auth/login/", "status": 200' in log
    assert "hidden-password" not in log
    assert user["secret"] not in log
