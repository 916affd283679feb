"""Makes providers of engines on a test's own data plane."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dxflow_async.providers.engine.provider import EngineProvider
from dxflow_async.providers.engine.settings import EngineSettings
from dxflow_async.testing import ProviderUnderTest, session_resources
from tests.servers.engine import EngineServer
from tests.servers.engine_switches import Switches

__all__ = ["connected_engine", "temporary_files", "under_test"]


@asynccontextmanager
async def connected_engine(
    folder: Path, switches: Switches | None = None, **settings: Any
) -> AsyncIterator[tuple[EngineServer, EngineProvider]]:
    """Serves an engine and connects a provider to it."""
    async with EngineServer(folder / "volume", switches).serve() as server, session_resources("LAB") as resources:
        key = server.write_key(folder / "key.pem")
        given = EngineSettings(address=server.url, key=key, **settings)
        provider = EngineProvider(given, resources.http, resources.threads, name="LAB")
        await provider.connect()
        try:
            yield server, provider
        finally:
            await provider.aclose()


def temporary_files(server: EngineServer) -> list[str]:
    """Returns the names of unfinished and replaced files in the volume."""
    return sorted(str(path) for path in server.root.rglob("*") if "dxflow-async-" in path.name)


@asynccontextmanager
async def under_test(folder: Path, switches: Switches | None = None) -> AsyncIterator[ProviderUnderTest]:
    """Yields a provider for the contract's tests."""
    async with connected_engine(folder, switches) as (server, provider):
        yield ProviderUnderTest(
            provider, "area/", leftovers=lambda: temporary_files(server), refused=frozenset({"a//b", "a/./b", "a/../b"})
        )
