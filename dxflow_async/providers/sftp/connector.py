"""Signing in to an SSH server. asyncssh is loaded here, when the first connection is made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dxflow_async.providers import Call, ConfigurationError, NetworkError, StorageError, Threads
from dxflow_async.providers.sftp.errors import error_of
from dxflow_async.providers.sftp.host_keys import KnownHosts
from dxflow_async.providers.sftp.settings import SFTPSettings

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Connector"]

_KEEPALIVES = 3


class Connector:
    """Makes connections to one server.

    Args:
        settings: the server, and who signs in.
        threads: for what blocks: loading asyncssh, keys and `~/.ssh/config`.
        connect_timeout: seconds to connect and sign in.
        stall_timeout: seconds after which a server that does not answer is given up.

    Raises:
        ConfigurationError: no server is named, or the extra is not installed.
    """

    def __init__(
        self, settings: SFTPSettings, threads: Threads, *, connect_timeout: float, stall_timeout: float
    ) -> None:
        from importlib.util import find_spec

        if find_spec("asyncssh") is None:
            raise ConfigurationError("SFTP needs asyncssh, which is not installed: pip install 'dxflow-async[sftp]'")
        if settings.host is None:
            raise ConfigurationError("host is missing; set it, or write sftp://host/path as location")
        self.host = settings.host
        self._settings = settings
        self._threads = threads
        self._connect_timeout = connect_timeout
        self._stall_timeout = stall_timeout
        self._known_hosts: KnownHosts | None = None
        self._jump: asyncssh.SSHClientConnection | None = None

    async def connect(self, call: Call) -> tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]:
        """Connects, signs in and opens an SFTP channel.

        Raises:
            ConfigurationError: a key, or a file of SSH's configuration, cannot be used.
            StorageError: the server cannot be reached, is not trusted, or does not let us in.
        """
        try:
            async with asyncio.timeout(self._connect_timeout):
                connection = await self._connect(call)
                try:
                    return connection, await connection.start_sftp_client(path_encoding=None)
                except BaseException:
                    connection.abort()
                    raise
        except (StorageError, ConfigurationError):
            raise
        except Exception as error:
            raise self._explained(call, error) from error

    async def aclose(self) -> None:
        """Closes the connection to the jump host."""
        jump, self._jump = self._jump, None
        if jump is not None:
            jump.abort()
            await jump.wait_closed()

    async def _connect(self, call: Call) -> asyncssh.SSHClientConnection:
        settings, tunnel = self._settings, None
        if settings.jump_host is not None:
            if self._jump is None or self._jump.is_closed():
                user, _, place = settings.jump_host.rpartition("@")
                host, _, port = place.partition(":")
                self._jump = await self._sign_in(call, host, int(port) if port else None, user or None, None)
            tunnel = self._jump
        return await self._sign_in(call, self.host, settings.port, settings.username, tunnel)

    async def _sign_in(
        self,
        call: Call,
        host: str,
        port: int | None,
        username: str | None,
        tunnel: asyncssh.SSHClientConnection | None,
    ) -> asyncssh.SSHClientConnection:
        options, known_hosts = await self._threads.run(self._options, host, port, username)
        import asyncssh

        client = known_hosts.client()
        try:
            return await asyncssh.connect(
                host, options=options, client_factory=lambda: client, **({"tunnel": tunnel} if tunnel else {})
            )
        except asyncssh.HostKeyNotVerifiable as error:
            text = client.refusal or f"the server's host key is not verified ({error.reason})"
            raise call.error(NetworkError, text, code="HostKeyNotVerifiable", retryable=False) from error

    def _options(
        self, host: str, port: int | None, username: str | None
    ) -> tuple[asyncssh.SSHClientConnectionOptions, KnownHosts]:
        """Reads keys, configuration and known hosts; blocks."""
        import asyncssh

        settings = self._settings
        given: dict[str, Any] = {"host": host, "port": port, "username": username, "password": settings.password}
        given |= {"passphrase": settings.passphrase, "client_keys": settings.key_paths}
        wanted = {name: value for name, value in given.items() if value}
        if not settings.agent:
            wanted["agent_path"] = None
        if not settings.ssh_config:
            wanted["config"] = None
        wanted["keepalive_interval"] = self._stall_timeout / (_KEEPALIVES + 1)
        wanted["keepalive_count_max"] = _KEEPALIVES
        try:
            options = asyncssh.SSHClientConnectionOptions(**wanted)
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, FileNotFoundError, PermissionError) as error:
            # Without its frames, which have the keys and the passphrase.
            raise ConfigurationError(f"key_files: a private key cannot be used: {error}") from error.with_traceback(
                None
            )
        except (asyncssh.Error, asyncssh.ConfigParseError, ValueError, OSError) as error:
            raise ConfigurationError(f"~/.ssh/config cannot be used: {error}") from error.with_traceback(None)
        files: Any = [settings.known_hosts] if settings.known_hosts is not None else options.known_hosts
        known_hosts = KnownHosts(files if isinstance(files, list) else None)
        # Never None, which would trust any server: `UserKnownHostsFile none` of a configuration file means that.
        options.update(known_hosts=known_hosts.keys)
        return options, known_hosts

    def _explained(self, call: Call, error: Exception) -> StorageError:
        return error_of(call, error)
