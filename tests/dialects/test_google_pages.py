"""The sign-in page of a network in place of Google's answers, with status 200: never success at any verb."""

from __future__ import annotations

from pathlib import Path

import pytest

from dxflow_async import AsyncSession, GCPSettings, Settings
from dxflow_async.exceptions import StorageError
from tests.dialects.google_server import PAGE, GoogleServer
from tests.sessions import retry_soon

MiB = 1 << 20

REQUESTS = {
    "upload": ("POST", "/upload"),
    "bytes of a session": ("PUT", "/upload"),
    "read": ("GET", "/bucket/dir/"),
    "list": ("GET", "/o?"),
    "stat": ("GET", "/o/"),
    "delete": ("DELETE", "/o/"),
    "batch": ("POST", "/batch"),
    "copy": ("POST", "/rewriteTo"),
    "compose": ("POST", "/compose"),
}


async def succeeds(work: object) -> bool:
    """Whether a call does not fail."""
    try:
        await work  # type: ignore[misc]
    except StorageError:
        return False
    return True


@pytest.mark.parametrize("name", REQUESTS)
async def test_pages(tmp_path: Path, name: str) -> None:
    """Nothing claims to be written, read, listed, copied or deleted that is not."""
    sizes = {
        "small": 1,
        **({"resumable": 9 * MiB} if "PUT" in REQUESTS[name] else {}),
        **({"composed": 90 * MiB} if name == "compose" else {}),
    }
    for file, size in sizes.items():
        with (tmp_path / file).open("wb") as opened:
            opened.truncate(size)
    async with GoogleServer() as server:
        server.quirks.foreign = REQUESTS[name]
        for key in ("dir/x", "dir/y", "dir/z"):
            server.put(key, b"x" * len(PAGE))
        gcp = GCPSettings(endpoint=server.url, service_file=server.service_file(tmp_path))
        async with AsyncSession(settings=Settings(home=tmp_path / "home", gcp=gcp)) as session:
            retry_soon(session)
            storage = session.get_storage_manager()
            for file, size in sizes.items():
                if await succeeds(session.copy(str(tmp_path / file), f"gcp:/bucket/new/{file}")):
                    assert len(server.objects[f"new/{file}"].data) == size
            if await succeeds(session.copy("gcp:/bucket/dir/x", str(tmp_path / "read"))):
                assert (tmp_path / "read").read_bytes() == b"x" * len(PAGE)
            else:
                assert not (tmp_path / "read").exists()
            if await succeeds(session.copy("gcp:/bucket/dir/x", "gcp:/bucket/copy")):
                assert server.objects["copy"].data == server.objects["dir/x"].data
            if await succeeds(session.move("gcp:/bucket/dir/y", str(tmp_path / "moved"))):
                assert (tmp_path / "moved").read_bytes() == b"x" * len(PAGE)
            else:
                assert "dir/y" in server.objects
            assert await succeeds(storage.list("GCP", "/bucket/dir/")) is (name != "list")
            assert await succeeds(storage.stat("/bucket/dir/x", "GCP")) is (name != "stat")
            if await succeeds(storage.delete("/bucket/dir/x", "GCP")):
                assert "dir/x" not in server.objects
            if await succeeds(storage.delete("/bucket/dir/", "GCP")):
                assert not any(key.startswith("dir/") for key in server.objects)
