"""Where the requester pays, each request of each verb says so, through every door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.dialects.google_server import GoogleServer
from tests.dialects.paying import opened
from tests.dialects.s3_server import S3Server
from tests.sessions import MiB

SIZES = {"aws": 3 * MiB, "gcp": 11 * MiB}
"""Of objects that are sent in parts."""


ASKED = {
    "aws": {
        *("CopyObject", "DeleteObject", "DeleteObjects", "GetObject", "HeadObject", "ListObjects", "PutObject"),
        *("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "GetObjectTagging"),
    },
    "gcp": {"batch", "compose", "rewriteTo", "testPermissions", "upload"},
}
"""What the verbs together ask for, at least."""


def asked(server: S3Server | GoogleServer) -> set[str]:
    """What was asked for: the operations of S3, and the words of Google's paths."""
    if isinstance(server, S3Server):
        return {request.operation for request in server.requests}
    return {word for _, path in server.seen for word in path.split("/")}


async def stream(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), MiB):
        yield data[start : start + MiB]


@pytest.mark.parametrize("remote", ["aws", "gcp"])
async def test_each_verb(tmp_path: Path, remote: str) -> None:
    """Small objects and ones in parts are written, read, copied, moved, listed, compared and deleted."""
    data = bytes(range(256)) * (SIZES[remote] // 256)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/large").write_bytes(data)
    (tmp_path / "tree/small").write_bytes(b"small")
    async with opened(remote, tmp_path / "home") as (session, server):
        storage, top = session.get_storage_manager().at(remote), "/bucket/top"
        await storage.upload(f"{tmp_path}/tree/", f"{top}/up/")
        await storage.upload_many([(str(tmp_path / "tree/small"), f"{top}/many")], overwrite=False)
        await storage.write(f"{top}/written", stream(data))
        await storage.write(f"{top}/written small", b"small", overwrite="skip")
        async with storage.open(f"{top}/opened", "wb") as file:
            await file.write(data)
        async with storage.open(f"{top}/opened") as file:
            await file.seek(1000)
            assert await file.read(1000) == data[1000:2000]
        assert b"".join([chunk async for chunk in storage.read(f"{top}/written")]) == data
        assert b"".join([chunk async for chunk in storage.read(f"{top}/written", 5, 99)]) == data[5:99]
        assert (await storage.stat(f"{top}/written")).size == len(data)
        assert not await storage.exists(f"{top}/missing")
        assert len(await storage.list(f"{top}/")) == 5
        assert len([item async for item in storage.scan(f"{top}/", recursive=True)]) == 6
        await storage.download(f"{top}/up/", f"{tmp_path}/down/")
        await storage.download_many([(f"{top}/many", str(tmp_path / "down/many"))])
        assert (tmp_path / "down/large").read_bytes() == data
        await storage.copy(f"{top}/up/", f"{top}/copied/")
        await session.copy(f"{remote}:{top}/written", f"{remote}:{top}/copied by a session")
        await storage.move(f"{top}/copied/large", f"{top}/moved")
        assert (await storage.stat(f"{top}/moved")).size == len(data)
        assert len(await session.sync(f"{tmp_path}/tree/", f"{remote}:{top}/up/", delete=True)) == 0
        assert len(await session.sync(f"{remote}:{top}/up/", f"{remote}:{top}/synced/")) == 2
        await storage.delete(f"{top}/moved")
        left = len(await storage.list(f"{top}/", recursive=True))
        assert await storage.delete(f"{top}/") == left == 10
        assert asked(server) >= ASKED[remote]


@pytest.mark.parametrize("remote", ["aws", "gcp"])
async def test_paths(tmp_path: Path, remote: str) -> None:
    """Paths of a session."""
    async with opened(remote, tmp_path / "home") as (session, _):
        top = session.path(f"{remote}:/bucket/top")
        await (top / "a").write_bytes(b"data")
        assert await (top / "a").read_bytes() == b"data"
        await (top / "a").copy_to(top / "b")
        await (top / "b").rename(top / "dir/c")
        assert [path.name async for path in top.glob("**/c")] == ["c"]
        assert await (top / "dir").is_dir()
        await (top / "a").unlink()
        assert [path.name async for path in top.iterdir()] == ["dir"]


@pytest.mark.parametrize("remote", ["aws", "gcp"])
async def test_fsspec(tmp_path: Path, remote: str) -> None:
    """The file system of fsspec."""
    pytest.importorskip("fsspec", reason="the file system is fsspec's")
    from dxflow_async.doors.fsspec import DxflowFileSystem

    async with opened(remote, tmp_path / "home") as (session, _):
        files = DxflowFileSystem(session=session, asynchronous=True, skip_instance_cache=True)
        top = f"{remote}/bucket/top"
        await files._pipe({f"{top}/a": b"1234", f"{top}/b": b"567"})
        assert await files._cat_ranges([f"{top}/a"] * 2, [0, 2], [2, 4]) == [b"12", b"34"]
        assert (await files._info(f"{top}/a"))["size"] == 4
        await files._cp_file(f"{top}/a", f"{top}/c")
        assert sorted(await files._find(top)) == [f"{top}/a", f"{top}/b", f"{top}/c"]
        await files._get(f"{top}/a", str(tmp_path / "a"))
        assert (tmp_path / "a").read_bytes() == b"1234"
        await files._rm(top, recursive=True)
        assert not await files._exists(f"{top}/a")


@pytest.mark.parametrize("remote", ["aws", "gcp"])
async def test_zarr(tmp_path: Path, remote: str) -> None:
    """The store of zarr."""
    pytest.importorskip("zarr", reason="the store is zarr's")
    from zarr.core.buffer import default_buffer_prototype

    from dxflow_async.doors.zarr import DxflowStore

    prototype = default_buffer_prototype()
    async with opened(remote, tmp_path / "home") as (session, _):
        store = DxflowStore(f"{remote}:/bucket/array", session=session)
        await store.set("c/0", prototype.buffer.from_bytes(b"chunk"))
        await store.set_if_not_exists("c/0", prototype.buffer.from_bytes(b"other"))
        value = await store.get("c/0", prototype)
        assert value is not None
        assert value.to_bytes() == b"chunk"
        assert [key async for key in store.list_prefix("c/")] == ["c/0"]
        assert await store.getsize_prefix("c") == 5
        await store.delete_dir("c")
        assert not await store.exists("c/0")
