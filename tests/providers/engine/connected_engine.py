"""Makes providers of engines on a test's own data plane."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dxflow_async.providers.engine.provider import EngineProvider
from dxflow_async.providers.engine.settings import EngineSettings
from dxflow_async.testing import ProviderUnderTest, session_resources
from tests.servers.engine import EngineServer
from tests.servers.engine_switches import Switches

__all__ = ["EngineUnderTest", "connected_engine", "temporary_files", "under_test"]


_TRUSTED = "SSL_CERT_FILE"


@asynccontextmanager
async def connected_engine(
    folder: Path, switches: Switches | None = None, **settings: Any
) -> AsyncIterator[tuple[EngineServer, EngineProvider]]:
    """Serves an engine and connects a provider to it."""
    async with (
        EngineServer(folder / "volume", switches).serve() as server,
        session_resources("LAB", ca_bundle=server.authority) as resources,
    ):
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


@dataclass(frozen=True, kw_only=True)
class EngineUnderTest(ProviderUnderTest):
    """An engine for the contract's tests.

    Attributes:
        volume: where its files lie.
    """

    volume: Path

    async def put_all(self, names: Sequence[str]) -> None:
        """Stores empty files; many of them without the engine, which is asked several times for each."""
        if len(names) < 100:
            await super().put_all(names)
            return
        for name in names:
            path = self.volume / (self / name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


@asynccontextmanager
async def under_test(folder: Path, switches: Switches | None = None) -> AsyncIterator[ProviderUnderTest]:
    """Yields a provider for the contract's tests."""
    hidden = {".hidden/.dot", "..."} if switches is not None and switches.list_hidden == "never" else set()
    async with connected_engine(folder, switches) as (server, provider):
        with trusted(server.authority):
            yield EngineUnderTest(
                provider=provider,
                prefix="area/",
                leftovers=lambda: temporary_files(server),
                refused=frozenset({"a//b", "a/./b", "a/../b", *hidden}),
                volume=server.root,
            )


@contextmanager
def trusted(authority: Path | None) -> Iterator[None]:
    """Has other clients than ours trust a server's certificate."""
    before = os.environ.get(_TRUSTED)
    if authority is not None:
        os.environ[_TRUSTED] = str(authority)
    try:
        yield
    finally:
        os.environ.pop(_TRUSTED, None)
        if before is not None:
            os.environ[_TRUSTED] = before
