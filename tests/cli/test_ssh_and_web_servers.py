"""The command with an SSH server and a web server as places."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.called_command import Command
from tests.servers.ssh import SSHServer


@pytest.fixture
def ssh(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SSHServer]:
    """An SSH server that is the remote `lab`, by variables."""
    assert home
    with SSHServer.start(tmp_path / "ssh", username="me", password="S3CRET") as server:
        variables = {
            "TYPE": "sftp",
            "HOST": "127.0.0.1",
            "PORT": server.port,
            "USERNAME": "me",
            "PASSWORD": "S3CRET",
            "KNOWN_HOSTS": server.known_hosts,
            "PATH": server.root,
            "SSH_CONFIG": "false",
        }
        for name, value in variables.items():
            monkeypatch.setenv(f"DXFLOW_REMOTE_LAB_{name}", str(value))
        yield server


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The URL of a web server without ranges, which serves the directory `site`."""
    (tmp_path / "site").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "site"))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_ssh_server(command: Command, ssh: SSHServer, tmp_path: Path) -> None:
    """A remote of variables is listed without its password, tested, copied to, listed and synced from."""
    (tmp_path / "tree/dir").mkdir(parents=True)
    (tmp_path / "tree/dir/file").write_bytes(b"content")
    listed = command("remotes", "list")
    assert "lab" in listed.stdout
    assert "S3CRET" not in listed.stdout + listed.stderr
    assert command("remotes", "test", "lab").status == 0
    copied = command("cp", "tree/", "lab:/up/")
    assert copied.status == 0, copied.stderr
    assert (ssh.root / "up/dir/file").read_bytes() == b"content"
    assert command("sync", "lab:/up/", "back/").status == 0
    assert (tmp_path / "back/dir/file").read_bytes() == b"content"


def test_web_server(command: Command, ssh: SSHServer, site: str, tmp_path: Path) -> None:
    """A URL is copied to a disk and to an SSH server; a directory of one is an error; no query is shown."""
    (tmp_path / "site/data.csv").write_bytes(b"1,2\n" * 1000)
    for destination in ("down.csv", "lab:/data.csv"):
        copied = command("cp", f"{site}/data.csv?sig=S3CRET", destination)
        assert copied.status == 0, copied.stderr
        assert "S3CRET" not in copied.stdout + copied.stderr
    assert (tmp_path / "down.csv").read_bytes() == (ssh.root / "data.csv").read_bytes() == b"1,2\n" * 1000
    failed = command("cp", f"{site}/dir/?sig=S3CRET", "out/")
    assert failed.status != 0
    assert "a web server lists no directories" in failed.stderr
    missing = command("cp", f"{site}/none.csv?sig=S3CRET", "out.csv")
    assert missing.status != 0
    assert "S3CRET" not in failed.stderr + missing.stderr
