"""A hub and a unit that are reached over TLS, with a certificate of an authority of one's own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import NetworkError
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import create_app
from dxflow_async.server.unit.app import CONNECTION_OPTIONS, create_unit_app
from tests.compute.registered_units import ACCOUNT, register
from tests.server.running_hub import SECRETS
from tests.servers.certificate import make_certificate


async def test_hub_and_unit_over_tls(settings: Settings, tmp_path: Path) -> None:
    """With `ca_bundle` both are trusted; without it neither is, and the message says so."""
    certificate, key, authority = await asyncio.to_thread(make_certificate, tmp_path)
    listening = Listening(tls_cert=certificate, tls_key=key)
    (tmp_path / "served").mkdir()
    servers = [
        Server(create_app(tmp_path / "hub"), listening),
        Server(create_unit_app(tmp_path / "served", SECRETS), listening, CONNECTION_OPTIONS),
    ]
    hub, unit = [await server.start() for server in servers]
    try:
        async with AsyncSession(*ACCOUNT, hub=hub, settings=replace(settings, ca_bundle=authority)) as session:
            mine = await register(session.get_compute_manager(), "mine", unit)
            assert mine.detail.url == unit
            (tmp_path / "file").write_bytes(b"bytes")
            await session.copy(tmp_path / "file", "unit:/mine/file")
            assert (tmp_path / "served" / "file").read_bytes() == b"bytes"
        with pytest.raises(NetworkError, match="certificate"):
            async with AsyncSession(*ACCOUNT, hub=hub, settings=settings):
                pass
    finally:
        for server in servers:
            await server.aclose(1.0)
