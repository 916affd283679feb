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

_Place = tuple[str, int | None, str | None]
_KEEPALIVES = 3

_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""Preferred where `~/.ssh/config` says nothing: they take half the time of the usual first choice here."""


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
        self._jump: asyncssh.SSHClientConnection | None = None
        # What has worked is not examined again: decrypting a key takes a while.
        self._proven: dict[_Place, tuple[dict[str, Any], KnownHosts]] = {}

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
            raise error_of(call, error, self._tried_host()) from error

    async def aclose(self) -> None:
        """Closes the connection to the jump host."""
        jump, self._jump = self._jump, None
        if jump is not None:
            jump.abort()
            await jump.wait_closed()

    def _tried_host(self) -> str:
        """Returns the host, with its port if one is set, that a failed connection was made to."""
        if self._settings.jump_host is not None and self._jump is None:
            return self._settings.jump_host.rpartition("@")[2]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self._settings.port is None else f"{host}:{self._settings.port}"

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
        place = host, port, username
        known = self._proven.get(place)
        options, known_hosts = known if known is not None else await self._threads.run(self._options, *place)
        import asyncssh

        client = known_hosts.client()
        try:
            connection = await asyncssh.connect(
                **options, client_factory=lambda: client, **({"tunnel": tunnel} if tunnel else {})
            )
        except asyncssh.HostKeyNotVerifiable as error:
            text = client.refusal or f"the server's host key is not verified ({error.reason})"
            raise call.error(NetworkError, text, code="HostKeyNotVerifiable", retryable=False) from error
        self._proven[place] = options, known_hosts
        return connection

    def _options(self, host: str, port: int | None, username: str | None) -> tuple[dict[str, Any], KnownHosts]:
        """Returns the arguments of `asyncssh.connect`; reads keys, configuration and known hosts, which blocks.

        Raises:
            ConfigurationError: one of these files cannot be used.
        """
        import asyncssh

        settings = self._settings
        given: dict[str, Any] = {"host": host, "port": port, "username": username}
        wanted = {name: value for name, value in given.items() if value}
        wanted["config"] = () if settings.ssh_config else None  # asyncssh reads the usual file where it is `()`
        try:
            configured = asyncssh.SSHClientConnectionOptions(**wanted, client_keys=None, agent_path=None)
        except (asyncssh.Error, asyncssh.ConfigParseError, ValueError, OSError) as error:
            raise ConfigurationError(f"~/.ssh/config cannot be used: {error}") from error
        files: Any = [settings.known_hosts] if settings.known_hosts is not None else configured.known_hosts
        known_hosts = KnownHosts(files if isinstance(files, list) else None)
        # Never None, which would trust any server: `UserKnownHostsFile none` of a configuration file means that.
        wanted["known_hosts"] = known_hosts.keys
        if not configured.config.get("Ciphers"):
            wanted["encryption_algs"] = _CIPHERS
        wanted["keepalive_interval"] = self._stall_timeout / (_KEEPALIVES + 1)
        wanted["keepalive_count_max"] = _KEEPALIVES
        secrets = {"password": settings.password, "passphrase": settings.passphrase, "client_keys": settings.key_paths}
        wanted |= {name: value for name, value in secrets.items() if value}
        if not settings.agent:
            wanted["agent_path"] = None
        wanted["agent_forwarding"] = False
        try:
            asyncssh.SSHClientConnectionOptions(**wanted)
        except (asyncssh.Error, ValueError, OSError) as error:
            # Without its frames, which have the keys and the passphrase.
            text = f"key_files: a private key cannot be used: {error}"
            raise ConfigurationError(text) from error.with_traceback(None)
        return wanted, known_hosts
