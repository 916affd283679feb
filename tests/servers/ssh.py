"""An SSH server in a process of its own, and the keys that it and its clients know each other by."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from dxflow_async.providers.sftp.settings import SFTPSettings
from tests.servers.process import Process

__all__ = ["SSHServer", "openssh_program"]

_SCRIPT = Path(__file__).with_name("ssh_program.py")
_PLACES = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server")


def openssh_program() -> str | None:
    """OpenSSH's `sftp-server`, of the Debian package openssh-sftp-server; None where there is none."""
    wanted = [os.environ.get("DXFLOW_TEST_SFTP_SERVER", ""), *_PLACES]
    return next((path for path in wanted if path and shutil.which(path)), None)


@dataclass
class SSHServer:
    """A running server.

    Attributes:
        directory: with the keys, the list of known hosts, and a root directory for files.
        port: on 127.0.0.1.
        process: the server's.
    """

    directory: Path
    port: int
    process: Process

    @property
    def root(self) -> Path:
        """A directory for files."""
        return self.directory / "root"

    @property
    def known_hosts(self) -> Path:
        """The file with this server's key."""
        return self.directory / "known_hosts"

    def settings(self, **changes: Any) -> SFTPSettings:
        """How to sign in there, with a key."""
        given: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "username": "me",
            "key_files": str(self.directory / "client"),
            "known_hosts": self.known_hosts,
            "path": str(self.root),
            "ssh_config": False,
            "agent": False,
        }
        return SFTPSettings(**{**given, **changes})

    @classmethod
    @contextmanager
    def start(cls, directory: Path, *, openssh: bool = False, **options: object) -> Iterator[SSHServer]:
        """Starts a server with keys of its own, and kills it afterwards."""
        directory.mkdir(exist_ok=True)
        (directory / "root").mkdir(exist_ok=True)
        host_key = asyncssh.generate_private_key("ssh-ed25519")
        client_key = asyncssh.generate_private_key("ssh-ed25519")
        host_key.write_private_key(directory / "host")
        client_key.write_private_key(directory / "client")
        client_key.write_public_key(directory / "authorized")
        command = [sys.executable, str(_SCRIPT), "--host-key", str(directory / "host")]
        command += ["--authorized-keys", str(directory / "authorized")]
        if openssh:
            command += ["--program", str(openssh_program())]
        for name, value in options.items():
            command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        log = directory / "log"
        process = Process(command, log)
        try:
            process.wait_until(lambda: log.read_text().strip().isdigit())
            server = cls(directory, int(log.read_text()), process)
            public = host_key.export_public_key().decode().strip()
            server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {public}\n")
            yield server
        finally:
            process.kill()
