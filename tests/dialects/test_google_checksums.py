"""Google servers that report no checksum of what they store."""

from __future__ import annotations

import os
from pathlib import Path

from dxflow_async import AsyncSession, BearerToken, GCPSettings, Settings
from tests.dialects.google_quirks import GoogleQuirks
from tests.dialects.google_server import TOKEN, GoogleServer
from tests.sessions import MiB

TREE = {"small": b"small", "large": os.urandom(41 * MiB)}


async def test_session(tmp_path: Path) -> None:
    """Uploads, copies and downloads are right and say that they were not verified; a second sync transfers nothing."""

    async def token() -> BearerToken:
        return BearerToken(TOKEN)

    for name, data in TREE.items():
        (tmp_path / "up").mkdir(exist_ok=True)
        (tmp_path / "up" / name).write_bytes(data)
    async with GoogleServer(GoogleQuirks(no_checksums=True)) as server:
        gcp = GCPSettings(endpoint=server.url, credentials=token)
        async with AsyncSession(settings=Settings(home=tmp_path / "home", gcp=gcp, part_size=5 * MiB)) as session:
            report = await session.copy(f"{tmp_path}/up/", "gcp:/bucket/up/")
            assert report.verified == 0
            assert {name: server.objects[f"up/{name}"].data for name in TREE} == TREE
            await session.copy("gcp:/bucket/up/", "gcp:/bucket/copy/")
            await session.copy("gcp:/bucket/copy/", f"{tmp_path}/down/")
            assert {path.name: path.read_bytes() for path in (tmp_path / "down").iterdir()} == TREE
            assert len(await session.sync(f"{tmp_path}/up/", "gcp:/bucket/up/")) == 0
            assert len(await session.sync(f"{tmp_path}/up/", "gcp:/bucket/up/", compare="checksum")) == 0
        assert server.parts == []
