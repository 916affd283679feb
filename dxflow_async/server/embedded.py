"""A hub inside this process, for users without a hub: on a free loopback port, in the running loop, with one unit."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import KEY_HEADER, create_app
from dxflow_async.server.hub.unit_routes import SERVED, UNITS
from dxflow_async.server.unit.app import CONNECTION_OPTIONS, create_unit_app
from dxflow_async.server.unit.unit import UNIT

__all__ = ["EmbeddedHub"]

_DRAIN_SECONDS = 2.0


class EmbeddedHub:
    """A hub on `127.0.0.1` that answers this process only. Its accounts are kept in `home`.

    Other users of this machine can connect to it too, so it refuses every request without a key. The key is new for
    each hub and never leaves this process's memory. Each account has a unit of its own, `Demo`; the unit of the home's
    first account has the volume `home/units/Demo`. Several processes may each run a hub on the same home: they share
    the accounts and the volumes.

    Attributes:
        headers: the headers that requests to the hub must have.

    Example:
        hub = EmbeddedHub(settings.home)
        url = await hub.start()
        ...
        await hub.aclose()
    """

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self._home = home
        self._durable = durable
        self._servers: list[Server] = []
        self._key = Secret(secrets.token_urlsafe(32))
        self._app: web.Application | None = None
        self._demos: set[str] = set()
        self._addresses: list[tuple[str, int]] = []
        self.headers: Mapping[str, str] = {KEY_HEADER: self._key}

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses and ports on which it listens."""
        return list(self._addresses)

    async def start(self) -> str:
        """Starts to listen, and returns the base URL.

        Raises:
            ConfigurationError: the database in `home` cannot be used.
        """
        app = create_app(self._home, key=self._key)
        url = await self._start(Server(app, Listening()))
        self._app = app
        return url

    async def serve_demo(self, account: str) -> None:
        """Serves an account's unit, if it is not served yet.

        Args:
            account: the account's pointer.

        Raises:
            ConfigurationError: the unit's directory in `home` cannot be used.
        """
        if account in self._demos:
            return
        assert self._app is not None
        demo = await self._app[UNITS].ensure_demo(account)
        assert demo.directory is not None
        root = await asyncio.to_thread(_made, self._home / "units" / demo.directory)
        unit_app = create_unit_app(root, demo.secrets, durable=self._durable)
        address = (await self._start(Server(unit_app, Listening(), CONNECTION_OPTIONS))).partition("//")[2]
        self._app[SERVED].add(demo.pointer, address, unit_app[UNIT])
        self._demos.add(account)

    async def aclose(self) -> None:
        """Stops listening, gives requests in progress two seconds, and closes the database. May be called twice."""
        servers, self._servers = self._servers, []
        self._demos.clear()
        for server in reversed(servers):
            await server.aclose(_DRAIN_SECONDS)

    async def _start(self, server: Server) -> str:
        url = await server.start()
        self._servers.append(server)
        parts = urlsplit(url)
        self._addresses.append((parts.hostname or "", parts.port or 80))
        return url


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the Demo unit's volume {directory} cannot be created: {error}") from error
    return directory
