"""A hub inside this process, for whoever has none: on a free loopback port, in the running loop, with one unit."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.hub.app import create_app
from dxflow_async.hub.server import Listening, Server
from dxflow_async.hub.serving import UNIT
from dxflow_async.hub.unit import CONNECTION_OPTIONS, create_unit_app
from dxflow_async.hub.unit_routes import SERVED, UNITS
from dxflow_async.hub.units import DEMO

__all__ = ["EmbeddedHub"]

_DRAIN_SECONDS = 2.0


class EmbeddedHub:
    """A hub on `127.0.0.1`, reached from this machine only; its accounts are kept in `home`.

    Every account sees its one unit, `Demo`, whose volume is `home/units/Demo`. Several processes may each run a hub on
    the same home: they share the accounts and the volume.

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

    async def start(self) -> str:
        """Listen, and return the base URL.

        Raises:
            ConfigurationError: the database or the unit's directory in `home` cannot be used.
        """
        try:
            app = create_app(self._home)
            url = await self._start(Server(app, Listening()))
            demo = await app[UNITS].ensure_demo()
            root = await asyncio.to_thread(_made, self._home / "units" / DEMO)
            unit_app = create_unit_app(root, demo.secrets, durable=self._durable)
            address = (await self._start(Server(unit_app, Listening(), CONNECTION_OPTIONS))).partition("//")[2]
            app[SERVED].add(demo.pointer, address, unit_app[UNIT])
        except BaseException:
            await self.aclose()
            raise
        return url

    async def aclose(self) -> None:
        """Stop listening, give running requests two seconds, and close the database. May be called twice."""
        servers, self._servers = self._servers, []
        for server in reversed(servers):
            await server.aclose(_DRAIN_SECONDS)

    async def _start(self, server: Server) -> str:
        url = await server.start()
        self._servers.append(server)
        return url


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the Demo unit's volume {directory} cannot be made: {error}") from error
    return directory
