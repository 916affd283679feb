"""A listing of several thousand objects in directories, at a server that keeps them as files."""

from __future__ import annotations

from pathlib import Path

from dxflow_async import AsyncSession
from tests.servers import SeaweedFS
from tests.sessions import settings_for


async def test_long_listing_of_directories(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """Everything below nested directories is listed once and in order, although it is listed in several places."""
    tree = tmp_path / "tree"
    for number in range(4200):
        path = tree / f"run-{number // 900}/{'abcdefgh'[number % 8]}{number % 7}/file {number}.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        storage, _ = await session.storage_at("aws:/")
        await storage.upload(f"{tree}/", f"/{bucket}/long/")
        found = [item.path.removeprefix(f"/{bucket}/long/") async for item in storage.scan(f"/{bucket}/long/")]
    expected = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*.dat"))
    assert found == expected
