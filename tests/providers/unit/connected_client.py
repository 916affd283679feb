"""Runs an odd tus server, and connects the engine to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dxflow_async import Settings
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import RetryPolicy
from tests.providers.connected_providers import connect_unit
from tests.providers.unit.sending_client import Client
from tests.servers.odd_tus import OddTus, odd_tus

__all__ = ["connected"]


@asynccontextmanager
async def connected(server: OddTus, directory: Path, *, stall_timeout: float = 1.0) -> AsyncIterator[Client]:
    """A client that tries three times, in parts of 5 MiB."""
    resources = Resources(Settings(home=directory / "home", part_size=5 << 20, stall_timeout=stall_timeout))
    resources.policy = RetryPolicy(max_attempts=3, first_wait=0.01)
    try:
        async with odd_tus(server):
            unit = await connect_unit("Odd", server.url, "s" * 32, resources.http, resources.threads)
            yield Client(resources, unit, directory / "source")
    finally:
        await resources.aclose()
