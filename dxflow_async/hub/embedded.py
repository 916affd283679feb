"""A hub inside this process, for whoever has none: on a free loopback port, in the running loop."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from dxflow_async.hub.app import create_app

__all__ = ["EmbeddedHub"]


class EmbeddedHub:
    """A hub on `127.0.0.1`, reached from this machine only; its accounts are kept in `home`.

    Several processes may each run one on the same home: they share the accounts.

    Example:
        hub = EmbeddedHub(settings.home)
        url = await hub.start()
        ...
        await hub.aclose()
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen, and return the base URL.

        Raises:
            ConfigurationError: the database in `home` cannot be used.
        """
        self._runner = web.AppRunner(create_app(self._home), access_log=None, shutdown_timeout=2.0)
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        except BaseException:
            await self.aclose()
            raise
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def aclose(self) -> None:
        """Stop listening, give running requests two seconds, and close the database. May be called twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
