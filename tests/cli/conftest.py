"""The command, called in this process, with a home and a working directory of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dxflow_async.cli import main
from tests.cli.called_command import Command, check_json_lines, s3_variables
from tests.python_processes import Outcome
from tests.servers.weed import SeaweedFS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`DXFLOW_HOME`; no other setting of ours is in the environment, and `tmp_path` is the working directory."""
    for name in list(os.environ):
        if name.startswith("DXFLOW_"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("DXFLOW_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def command(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs the command with these arguments, and `stdin` as its standard input. Checks JSON lines by their schema."""
    assert home

    def run(*arguments: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capfd.readouterr()
        status = main(arguments)
        outcome = Outcome(status, *capfd.readouterr())
        if "--json" in arguments:
            check_json_lines(outcome.stdout)
        return outcome

    return run


@pytest.fixture
def signed_in(command: Command) -> Command:
    """The same, signed in to the embedded hub by e-mail and password."""

    def run(*arguments: str) -> Outcome:
        return command(*arguments, "--email", "your@email.com", stdin="your_password\n")

    return run


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A real S3 server."""
    with SeaweedFS.start(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture
def configured(home: Path, server: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> SeaweedFS:
    """The server, set as the S3 service by the environment."""
    assert home
    for name, value in s3_variables(server).items():
        monkeypatch.setenv(name, value)
    return server
