"""Sessions at JuiceFS's gateway, which keeps neither ETags nor metadata unless it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession
from tests.servers import JuiceFSGateway
from tests.sessions import MiB, settings_for, unfinished_uploads

TREE = {"a b+c.txt": b"a", "empty": b"", "dir/ü%41": b"b" * 1000, "dir/large": bytes(range(256)) * (70 * MiB // 1024)}


@pytest.fixture(scope="module", params=[False, True], ids=["as it is", "with metadata"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JuiceFSGateway]:
    """A gateway with a bucket."""
    with JuiceFSGateway.start(tmp_path_factory.mktemp("juicefs"), keeps_metadata=request.param) as server:
        server.create_bucket("bucket")
        yield server


def read(directory: Path) -> dict[str, bytes]:
    """The files below a directory, by their relative names."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_session(gateway: JuiceFSGateway, tmp_path: Path) -> None:
    """Uploads, downloads, copies and deletes are right to the byte; a second sync finds nothing to do."""
    for name, data in TREE.items():
        (tmp_path / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / name).write_bytes(data)
    async with AsyncSession(settings=settings_for(gateway, tmp_path / "home")) as session:
        await session.sync(f"{tmp_path}/up/", "aws:/bucket/up/")
        assert len(await session.sync(f"{tmp_path}/up/", "aws:/bucket/up/", delete=True)) == 0
        await session.copy("aws:/bucket/up/", "aws:/bucket/copy/")
        assert len(await session.sync("aws:/bucket/up/", "aws:/bucket/copy/", delete=True)) == 0
        await session.copy("aws:/bucket/copy/", f"{tmp_path}/down/")
        assert read(tmp_path / "down") == TREE
        storage = session.get_storage_manager()
        await session.move("aws:/bucket/copy/", "aws:/bucket/moved/")
        await storage.delete(["/bucket/up/", "/bucket/moved/"])
        # Directories that the gateway made for objects stay when these are gone.
        assert [item async for item in storage.scan(path="/bucket/") if not item.directory] == []
    assert unfinished_uploads(gateway, "bucket") == []
