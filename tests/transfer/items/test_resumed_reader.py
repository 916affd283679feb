from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from dxflow_async import AsyncSession
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import NetworkError, PreconditionFailedError, TransferError
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.transfer.adaptive_limit import AdaptiveLimit
from dxflow_async.transfer.items.resumed_reader import ResumedReader
from dxflow_async.transfer.retry import Attempts, RetryPolicy
from tests.faults.proxy import FaultProxy
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files, settings_for


async def test_read_goes_on_where_it_broke(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """A body that is cut off again and again is read to its end: attempts count from the last progress."""
    data = Random(1).randbytes(8 * MiB)
    weed.client.put_object(Bucket=bucket, Key="cut", Body=data)
    proxy = FaultProxy(weed.endpoint, ("reset",), rate=1.0, limit=6)
    async with proxy.running() as running:
        settings = settings_for(weed, tmp_path, endpoint=running.endpoint, max_attempts=3)
        async with AsyncSession(settings=settings) as session:
            chunks = [chunk async for chunk in session.get_storage_manager().read(f"/{bucket}/cut")]
    assert b"".join(chunks) == data
    assert proxy.faults["reset"] == 6


async def test_download_goes_on_where_it_broke(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """What was written before a body was cut off is not written again."""
    data = Random(1).randbytes(8 * MiB)
    weed.client.put_object(Bucket=bucket, Key="cut", Body=data)
    proxy = FaultProxy(weed.endpoint, ("reset",), rate=1.0, limit=6)
    async with proxy.running() as running:
        settings = settings_for(weed, tmp_path / "home", endpoint=running.endpoint, max_attempts=3)
        async with AsyncSession(settings=settings) as session:
            (result,) = await session.get_storage_manager().download(f"/{bucket}/cut", tmp_path)
    assert (tmp_path / "cut").read_bytes() == data
    assert (result.bytes, result.attempts) == (len(data), 7)


async def test_a_read_gives_its_place_back_with_its_last_byte(threads: Threads, tmp_path: Path) -> None:
    """While the bytes are written, another request takes the place; until then the read counts as landing."""
    (tmp_path / "file").write_bytes(b"x" * 1000)
    limit = AdaptiveLimit(4)
    provider = LocalProvider(tmp_path, threads)
    reading = ResumedReader(provider, "file", 0, None, None, limit, RetryPolicy(), Attempts())
    await reading.open()
    assert (limit.in_flight, limit.landing.count) == (1, 0)
    buffer = memoryview(bytearray(600))
    assert await reading.readinto(buffer) == 600
    assert (limit.in_flight, limit.landing.count) == (1, 0)
    assert await reading.readinto(buffer) == 400
    assert (limit.in_flight, limit.landing.count) == (0, 1)
    await reading.aclose()
    assert (limit.in_flight, limit.landing.count) == (0, 0)


async def test_read_gives_up_without_progress(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """An object whose first byte never comes is an error after the allowed attempts."""
    weed.client.put_object(Bucket=bucket, Key="never", Body=b"x")
    proxy = FaultProxy(weed.endpoint, ("reset",), rate=1.0)
    async with proxy.running():
        settings = settings_for(weed, tmp_path, endpoint=proxy.endpoint, max_attempts=3)
        async with AsyncSession(settings=settings) as session:
            with pytest.raises(NetworkError):
                await anext(session.get_storage_manager().read(f"/{bucket}/never"))
    assert proxy.faults["reset"] == 3


async def test_object_replaced_while_it_is_read_is_an_error(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """After a break the old version is asked for; when it is gone the bytes of two versions are never mixed."""
    weed.client.put_object(Bucket=bucket, Key="replaced", Body=b"1" * 8 * MiB)
    proxy = FaultProxy(weed.endpoint, ("reset",), rate=1.0, limit=1)
    async with proxy.running():
        settings = settings_for(weed, tmp_path, endpoint=proxy.endpoint)
        async with AsyncSession(settings=settings) as session:
            reading = session.get_storage_manager().read(f"/{bucket}/replaced")
            assert set(await anext(reading)) == {ord("1")}
            weed.client.put_object(Bucket=bucket, Key="replaced", Body=b"2" * 8 * MiB)
            with pytest.raises(PreconditionFailedError):
                await _expect(reading, b"1")


async def test_download_of_a_replaced_object_leaves_the_destination(
    weed: SeaweedFS, bucket: str, tmp_path: Path
) -> None:
    """An object replaced between two of its parts is that item's error; the old file stays as it was."""
    weed.client.put_object(Bucket=bucket, Key="versions", Body=b"1" * 40 * MiB)
    (tmp_path / "versions").write_bytes(b"old")
    settings = settings_for(weed, tmp_path / "home", part_size=5 * MiB, max_concurrency=1, max_bandwidth=20 * MiB)
    async with AsyncSession(settings=settings) as session:
        storage = session.get_storage_manager()
        moved = asyncio.Event()
        downloading = asyncio.ensure_future(
            storage.download(f"/{bucket}/versions", tmp_path, on_progress=lambda _: moved.set())
        )
        await asyncio.wait({asyncio.ensure_future(moved.wait()), downloading}, return_when=asyncio.FIRST_COMPLETED)
        weed.client.put_object(Bucket=bucket, Key="versions", Body=b"2" * 40 * MiB)
        with pytest.raises(TransferError) as raised:
            await downloading
    assert isinstance(raised.value.report[0].error, PreconditionFailedError)
    assert (tmp_path / "versions").read_bytes() == b"old"
    assert part_files(tmp_path) == []


async def _expect(reading: AsyncIterator[bytes], content: bytes) -> None:
    async for chunk in reading:
        assert set(chunk) == set(content)
