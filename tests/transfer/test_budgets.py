"""Budgets of a session in real calls: the memory of streams, and low limits on requests in flight."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for


async def test_streams_are_read_only_as_far_as_memory_allows(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """Slow streams reserve half of the memory at most; the others wait, other calls go on, and all end well."""
    settings = settings_for(weed, tmp_path / "home", part_size=5 * MiB, max_memory_bytes=32 * MiB)
    go_on, taken = asyncio.Event(), 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal taken
        for number in range(24):
            if number == 16:
                await go_on.wait()
            taken += MiB // 4
            yield bytes(MiB // 4)

    async with AsyncSession(settings=settings) as session:
        storage = session.get_storage_manager()
        writes = [asyncio.ensure_future(storage.write(f"/{bucket}/s{number}", stream())) for number in range(12)]
        await asyncio.sleep(0.5)
        assert taken <= 16 * MiB + 12 * MiB
        (tmp_path / "file").write_bytes(bytes(6 * MiB))
        assert (await storage.upload(str(tmp_path / "file"), f"/{bucket}/file")).ok
        go_on.set()
        assert sum(result.bytes for result in await asyncio.gather(*writes)) == 12 * 6 * MiB
        limits = session._resources.limits
        assert (limits.memory.used, limits.stream_memory.used) == (0, 0)


@pytest.mark.parametrize("most", [1, 2])
async def test_few_requests_in_flight_are_enough(weed: SeaweedFS, bucket: str, tmp_path: Path, most: int) -> None:
    """`max_concurrency` is respected, and calls within one service need no second place; it is kept between calls."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(8):
        (source / f"{number}").write_bytes(b"x" * 1000)
    (source / "large").write_bytes(bytes(11 * MiB))
    settings = settings_for(weed, tmp_path / "home", part_size=5 * MiB, max_concurrency=most)
    async with AsyncSession(settings=settings) as session:
        storage = session.get_storage_manager()
        assert (await storage.upload(f"{source}/", f"/{bucket}/up{most}/")).ok
        (found,) = session._resources.limits.endpoints.values()
        await session.copy(f"aws:/{bucket}/up{most}/", f"aws:/{bucket}/copied{most}/")
        assert len(await storage.download(f"/{bucket}/copied{most}/", str(tmp_path / "down"))) == 9
        assert [*session._resources.limits.endpoints.values()] == [found]
        assert session._resources.http.client.open_connections <= most


async def test_reads_ask_the_limits_that_transfers_ask(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """A read waits for a place of its endpoint, at its beginning and for its bytes, and holds none in between."""
    weed.client.put_object(Bucket=bucket, Key="object", Body=bytes(8 * MiB))
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home", max_concurrency=1)) as session:
        storage = session.get_storage_manager()
        assert await storage.exists(f"/{bucket}/object")
        (limit,) = session._resources.limits.endpoints.values()
        reading, size = storage.read(f"/{bucket}/object"), 0
        for _ in range(2):
            permit = await limit.acquire()
            waiting = asyncio.ensure_future(anext(reading))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            limit.release(permit)
            size += len(await waiting)
            assert limit.in_flight == 0
        async for chunk in reading:
            size += len(chunk)
        assert size == 8 * MiB


async def test_a_later_call_begins_at_the_number_that_was_found(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """What one call of a session has found about an endpoint holds for the next one, which says so from its start."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(40):
        (source / f"{number}").write_bytes(b"x" * 1000)
    seen: list[int] = []
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        storage = session.get_storage_manager()
        await storage.upload(f"{source}/", f"/{bucket}/first/")
        (limit,) = session._resources.limits.endpoints.values()
        began = limit.limit
        for _ in range(6):  # windows in which all places are taken, and requests take no longer
            permits = [await limit.acquire(kind="alike") for _ in range(limit.limit)]
            waiting = asyncio.ensure_future(limit.acquire(kind="alike"))
            await asyncio.sleep(0.06)
            for permit in permits:
                limit.release(permit)
            limit.release(await waiting)
        found = limit.limit
        assert found >= 2 * began
        await storage.upload(
            f"{source}/", f"/{bucket}/second/", on_progress=lambda progress: seen.append(progress.concurrency)
        )
    assert next(each for each in seen if each) >= found


async def test_streams_that_fail_hold_no_bytes(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """Whoever keeps the exceptions of many failed streams keeps their tracebacks, and not what was buffered."""

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(28):
            yield bytes(MiB // 4)
        raise ValueError("it ends here")

    settings = settings_for(weed, tmp_path / "home", part_size=5 * MiB, max_memory_bytes=32 * MiB)
    async with AsyncSession(settings=settings) as session:
        storage = session.get_storage_manager()
        await storage.exists(f"/{bucket}/nothing")
        tracemalloc.start()
        try:
            writes = [storage.write(f"/{bucket}/f{number}", stream()) for number in range(8)]
            errors = await asyncio.gather(*writes, return_exceptions=True)
            assert [str(error) for error in errors] == ["it ends here"] * 8
            kept, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert kept < 4 * MiB
    assert most < 32 * MiB
