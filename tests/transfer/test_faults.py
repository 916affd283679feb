from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from dxflow_async import AsyncSession
from dxflow_async.exceptions import TransferError
from dxflow_async.storage.manager import AsyncStorageManager
from tests.faults.proxy import FaultProxy, Request
from tests.servers import SeaweedFS
from tests.sessions import MiB, retry_soon, settings_for, unfinished_uploads


@asynccontextmanager
async def storage_through(
    proxy: FaultProxy, weed: SeaweedFS, home: Path, stall_timeout: float = 10.0
) -> AsyncIterator[AsyncStorageManager]:
    options = settings_for(
        weed, home, endpoint=proxy.endpoint, part_size=5 * MiB, stall_timeout=stall_timeout, max_attempts=8
    )
    async with AsyncSession(settings=options) as session:
        retry_soon(session)
        yield session.get_storage_manager()


async def test_attempts_are_those_that_were_made(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """A file that was refused three times took four attempts."""
    (tmp_path / "file").write_bytes(b"content")
    proxy = FaultProxy(weed.endpoint, ("too_many",), rate=1.0, limit=3)
    async with proxy.running(), storage_through(proxy, weed, tmp_path / "home") as storage:
        report = await storage.upload(tmp_path / "file", f"/{bucket}/attempts")
    assert [result.attempts for result in report] == [4]
    assert report.retries == 3


async def test_flipped_bit_of_a_large_download_is_done_again(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """A wrong bit in one part shows in the whole: that part is fetched anew, and that counts as an attempt."""
    data = Random(2).randbytes(20 * MiB)
    weed.client.put_object(Bucket=bucket, Key="flipped", Body=data, ChecksumAlgorithm="CRC32C")
    proxy = FaultProxy(weed.endpoint, ("flip",), rate=1.0, limit=1)
    async with proxy.running(), storage_through(proxy, weed, tmp_path / "home") as storage:
        (result,) = await storage.download(f"/{bucket}/flipped", tmp_path)
    assert (tmp_path / "flipped").read_bytes() == data
    assert result.attempts == 2
    assert result.verified


async def test_failed_upload_leaves_no_parts(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """An upload in parts that cannot be done is removed from the server."""
    (tmp_path / "large").write_bytes(bytes(20 * MiB))

    def is_third_part(request: Request) -> bool:
        return "partNumber=3" in request.target

    proxy = FaultProxy(weed.endpoint, ("too_many",), rate=1.0, applies=is_third_part)
    async with proxy.running(), storage_through(proxy, weed, tmp_path / "home") as storage:
        with pytest.raises(TransferError):
            await storage.upload(tmp_path / "large", f"/{bucket}/refused")
        assert not await storage.exists(f"/{bucket}/refused")
    assert proxy.faults["too_many"] == 8
    assert not [upload for upload in unfinished_uploads(weed, bucket) if "refused" in upload]


async def test_finish_whose_answer_was_lost_is_found_out(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """When the upload was put together but the answer lost, the retry sees that it is there."""
    (tmp_path / "large").write_bytes(Random(3).randbytes(12 * MiB))

    def is_finish(request: Request) -> bool:
        return request.method == "POST" and "uploadId=" in request.target

    proxy = FaultProxy(weed.endpoint, ("lost_answer",), rate=1.0, limit=1, applies=is_finish)
    async with proxy.running(), storage_through(proxy, weed, tmp_path / "home") as storage:
        (result,) = await storage.upload(tmp_path / "large", f"/{bucket}/finished")
    assert result.attempts == 2
    assert weed.client.head_object(Bucket=bucket, Key="finished")["ContentLength"] == 12 * MiB


async def test_listing_survives_faults(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """Pages of a listing are asked for again."""
    proxy = FaultProxy(
        weed.endpoint, ("slow_down", "reset", "lost_answer"), rate=0.5, seed=3, applies=lambda request: True
    )
    weed.client.put_object(Bucket=bucket, Key="listed/one", Body=b"1")
    async with proxy.running(), storage_through(proxy, weed, tmp_path / "home") as storage:
        for _ in range(8):
            assert [item.name for item in await storage.list("AWS", f"/{bucket}/listed/")] == ["one"]
    assert proxy.faults.total() > 0
