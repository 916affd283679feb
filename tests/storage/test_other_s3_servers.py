"""Sessions at S3 servers that nobody has tuned to.

JuiceFS's gateway keeps neither ETags nor metadata unless it is told to. OpenStack Swift ignores CRC32C.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dxflow_async import AsyncSession
from tests.servers import JuiceFSGateway, S3Server
from tests.servers.process import program
from tests.servers.swift import SwiftServer
from tests.sessions import MiB, settings_for, unfinished_uploads

pytestmark = pytest.mark.server

TREE = {"a b+c.txt": b"a", "empty": b"", "dir/ü%41": b"b" * 1000, "dir/large": bytes(range(256)) * (70 * MiB // 1024)}


@pytest.fixture(
    scope="module",
    params=["JuiceFS as it is", "JuiceFS with metadata", pytest.param("Swift", marks=pytest.mark.long)],
)
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server with a bucket."""
    directory = tmp_path_factory.mktemp("server")
    with _started(request.param, directory) as server:
        server.create_bucket("bucket")
        yield server


def _started(name: str, directory: Path) -> AbstractContextManager[S3Server]:
    if name != "Swift":
        return JuiceFSGateway.start(directory, keeps_metadata="metadata" in name)
    try:
        program("swift-proxy-server")
    except FileNotFoundError:
        pytest.skip("needs OpenStack Swift: uv pip install swift")
    return SwiftServer.start(directory)


def read(directory: Path) -> dict[str, bytes]:
    """The files below a directory, by their relative names."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_session(gateway: S3Server, tmp_path: Path) -> None:
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
