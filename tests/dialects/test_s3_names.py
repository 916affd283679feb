"""Keys with empty, `.` and `..` segments at S3: kept where the server keeps them, refused elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async.exceptions import TransferError, UnsafePathError
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server

NAMES = ["a//b", "a/./b", "a/../b", "/lead", "../up", "./here", "a/b"]


async def _bytes(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


async def test_odd_names_are_kept(tmp_path: Path) -> None:
    """Every verb keeps such keys apart; one probe that stores nothing is enough."""
    async with S3Server() as server, open_session(server, tmp_path / "home") as session:
        storage = session.get_storage_manager()
        for name in NAMES:
            await storage.write(f"/bucket/p/{name}", _bytes(name))
        stored = {f"p/{name}": name.encode() for name in NAMES}
        assert server.objects() == stored
        assert server.operations()["CreateMultipartUpload"] == 1
        assert server.unfinished() == []
        for name in NAMES:
            assert b"".join([chunk async for chunk in storage.read(f"/bucket/p/{name}")]) == name.encode()
            assert (await storage.stat(f"/bucket/p/{name}")).size == len(name)
        await storage.copy("/bucket/p/", "/bucket/q/")
        assert server.objects() == stored | {f"q/{name}": name.encode() for name in NAMES}
        await storage.delete("/bucket/p/a//b")
        await session.sync("aws:/bucket/p", "aws:/bucket/q", delete=True)
        stored.pop("p/a//b")
        assert server.objects() == stored | {f"q{key[1:]}": data for key, data in stored.items()}
        await storage.move("/bucket/q/", "/bucket/r/")
        assert server.objects() == stored | {f"r{key[1:]}": data for key, data in stored.items()}
        await storage.download("/bucket/p/a/../b", tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"a/../b"
        with pytest.raises(TransferError) as failed:
            await storage.download("/bucket/p/", tmp_path / "tree")
        assert len(failed.value.report.failed) == len(stored) - 1
        assert (tmp_path / "tree" / "a" / "b").read_bytes() == b"a/b"
        await storage.delete("/bucket/r/")
        assert server.objects() == stored


async def test_odd_names_are_refused_before_any_damage(tmp_path: Path) -> None:
    """Where the server folds keys, nothing is written or deleted under another name."""
    async with S3Server(Quirks(folds_slashes=True)) as server, open_session(server, tmp_path / "home") as session:
        storage = session.get_storage_manager()
        await storage.write("/bucket/a/b", _bytes("kept"))
        (tmp_path / "file").write_text("other")
        with pytest.raises(UnsafePathError):
            await storage.write("/bucket/a//b", _bytes("other"))
        with pytest.raises(TransferError) as failed:
            await storage.upload(tmp_path / "file", "/bucket/a//b")
        assert isinstance(failed.value.report.failed[0].error, UnsafePathError)
        with pytest.raises(UnsafePathError):
            await storage.delete("/bucket/a//b")
        assert server.objects() == {"a/b": b"kept"}
        assert server.operations()["CreateMultipartUpload"] == 1
        assert server.unfinished() == []
