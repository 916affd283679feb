"""Reads that nobody closes: the garbage collector closes them, and their connections are free again."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from dxflow_async import AsyncSession
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server


async def _first_chunk(session: AsyncSession) -> int:
    """Reads the beginning of an object, and drops the iterator without closing it."""
    async for chunk in session.get_storage_manager().read("/bucket/large"):
        return len(chunk)
    raise AssertionError


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_abandoned_reads_give_their_connections_back(tmp_path: Path) -> None:
    """After many abandoned reads no connection is busy, and no request waits for a place."""
    async with S3Server() as server, open_session(server, tmp_path) as session:
        server.store("large", bytes(8 << 20))
        for _ in range(40):
            assert await _first_chunk(session) > 0
        gc.collect()
        client = session._resources.http.client
        async with asyncio.timeout(20):
            while client.open_connections > client.idle_connections:  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)
        assert all(limit.in_flight == 0 for limit in session._resources.limits.endpoints.values())
        async with asyncio.timeout(20):
            assert (await session.get_storage_manager().stat("/bucket/large")).size == 8 << 20
