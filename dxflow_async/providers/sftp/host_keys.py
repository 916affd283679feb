"""Which servers are trusted: those whose host key is in a `known_hosts` file. No key is trusted on first use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dxflow_async.providers import ConfigurationError

if TYPE_CHECKING:
    import asyncssh

__all__ = ["KnownHosts"]

_DEFAULT_FILES = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
_DEFAULT_PORT = 22


class KnownHosts:
    """The keys of known servers, from files in OpenSSH's format. Reading them blocks.

    Args:
        files: their paths; those that do not exist hold no keys. None for the default ones.

    Raises:
        ConfigurationError: a file cannot be read, or is in another format.
    """

    def __init__(self, files: Sequence[str | Path] | None) -> None:
        import asyncssh

        self.files = [os.path.expanduser(path) for path in files or _DEFAULT_FILES]
        self.keys = asyncssh.SSHKnownHosts()
        for path in self.files:
            try:
                self.keys.load(Path(path).read_text("utf-8-sig"))
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                raise ConfigurationError(f"known_hosts: {path} cannot be used: {error}") from error

    def client(self) -> Any:
        """Returns an asyncssh client whose `refusal` says why the host key of its connection was refused."""
        import asyncssh

        known_hosts = self

        class Client(asyncssh.SSHClient):
            refusal = ""

            def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
                self.refusal = known_hosts._refusal(host, addr, port, key)
                return False

        return Client()

    def _refusal(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> str:
        named = host if port == _DEFAULT_PORT else f"[{host}]:{port}"
        shown = f"{key.algorithm.decode()} {key.get_fingerprint()}"
        file = self.files[0]
        keys, _, revoked = self.keys.match(host, addr, None if port == _DEFAULT_PORT else port)[:3]
        if key in revoked:
            return f"the host key of {named} ({shown}) is marked as revoked in {file}; do not connect to this server"
        if keys:
            return (
                f"the host key of {named} is {shown}, which is not the one in {file}: the server was reinstalled, or "
                "somebody intercepts the connection; verify the new key with the server's administrator, then remove "
                f"the old one with: ssh-keygen -f {file} -R '{named}'"
            )
        return (
            f"the host key of {named} ({shown}) is not in {file}; verify it with the server's administrator, then add "
            f"it with: ssh-keyscan -p {port} {host} >> {file}"
        )
