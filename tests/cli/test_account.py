"""`login`, `logout`, and whose account a command uses."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dxflow_async.blocking.portal import Portal
from dxflow_async.control.stored_login import StoredLogin
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import create_app
from tests.cli.called_command import Command
from tests.servers.weed import SeaweedFS


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """The URL of a hub that is not the command's own."""
    portal = Portal()
    server = Server(create_app(tmp_path / "hub"), Listening())
    yield portal.call(server.start)
    portal.call(server.aclose)
    portal.close()


def test_login_keeps_the_secrets_for_later_commands(
    command: Command, hub: str, home: Path, configured: SeaweedFS
) -> None:
    """The file is the owner's only and holds no password; logout removes it."""
    outcome = command("login", "your@email.com", "--hub", hub, stdin="your_password\n")
    assert outcome.status == 0
    assert "your_password" not in outcome.stdout + outcome.stderr
    assert StoredLogin.load(home) is not None
    (file,) = (path for path in home.iterdir() if "your_password" not in path.read_text("utf-8", "replace"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    bucket = configured.create_bucket("logged-in")
    assert command("ls", f"aws:/{bucket}/").status == 0
    assert command("logout").status == 0
    assert StoredLogin.load(home) is None


def test_a_stored_login_that_is_no_longer_good_is_status_4(
    command: Command, hub: str, home: Path, configured: SeaweedFS
) -> None:
    """The stored secrets are really used: wrong ones fail."""
    assert configured
    command("login", "your@email.com", "--hub", hub, stdin="your_password\n")
    login = StoredLogin.load(home)
    assert login is not None
    secrets = login.secrets.to_dict()
    secrets["user"]["secret"] = "wrong"
    StoredLogin(hub, type(login.secrets).from_dict(secrets)).save(home)
    outcome = command("ls", "aws:/bucket/")
    assert outcome.status == 4
    assert "sign in" in outcome.stderr


def test_the_hub_may_come_from_the_settings(command: Command, hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """DXFLOW_HUB names it; without any the command says how to."""
    outcome = command("login", "your@email.com", stdin="your_password\n")
    assert outcome.status == 2
    assert "--hub" in outcome.stderr
    monkeypatch.setenv("DXFLOW_HUB", hub)
    assert command("login", "your@email.com", stdin="your_password\n").status == 0


def test_a_wrong_password_is_status_4(command: Command, hub: str, home: Path) -> None:
    """Nothing is stored, at login and at a command of its own."""
    command("login", "your@email.com", "--hub", hub, stdin="your_password\n")
    command("logout")
    outcome = command("login", "your@email.com", "--hub", hub, stdin="another_password\n")
    assert outcome.status == 4
    assert "password" in outcome.stderr
    assert StoredLogin.load(home) is None
    assert command("ls", "aws:/", "--email", "your@email.com", "--hub", hub, stdin="another_password\n").status == 4


def test_no_password_is_status_2(command: Command, hub: str) -> None:
    """An empty standard input has none."""
    outcome = command("login", "your@email.com", "--hub", hub)
    assert outcome.status == 2
    assert "password" in outcome.stderr


def test_a_password_is_never_an_argument(command: Command) -> None:
    """Arguments are seen by everybody on the machine: there is no such option, anywhere."""
    for name in ("login", "cp", "mv", "ls", "cat", "rm", "presign"):
        outcome = command(name, "--help")
        assert outcome.status == 0
        assert "--password" not in outcome.stdout
