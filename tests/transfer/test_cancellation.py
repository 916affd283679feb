from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession
from dxflow_async.storage.manager import AsyncStorageManager
from tests.servers import SeaweedFS
from tests.sessions import MiB, open_files, part_files, tasks, unfinished_uploads

pytestmark = pytest.mark.every_loop

MOMENTS = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233]


async def cancelled_after(turns: int, work: Coroutine[Any, Any, object]) -> None:
    """Runs some turns of the loop, each long enough for something to arrive, then cancels."""
    running = asyncio.ensure_future(work)
    for turn in range(turns):
        await asyncio.sleep(0.001 if turn % 3 == 0 else 0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(running), 30)


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A directory with a large file and small ones."""
    top = tmp_path / "data"
    top.mkdir()
    (top / "large").write_bytes(os.urandom(24 * MiB))
    for number in range(40):
        (top / f"small-{number}").write_bytes(os.urandom(5000))
    return top


async def check(session: AsyncSession, weed: SeaweedFS, bucket: str, top: Path, before: set[asyncio.Task[Any]]) -> None:
    """Nothing is left, and the session goes on working."""
    assert tasks() == before
    assert part_files(top) == []
    assert open_files(top) == []
    assert unfinished_uploads(weed, bucket) == []
    limits = session._resources.limits
    assert limits.memory.used == 0
    assert all(limit.in_flight == 0 for limit in limits.endpoints.values())
    storage = session.get_storage_manager()
    (top / "after").write_bytes(b"after")
    await storage.upload(top / "after", f"/{bucket}/after")
    assert b"".join([chunk async for chunk in storage.read(f"/{bucket}/after")]) == b"after"


async def test_cancelled_upload_leaves_nothing(
    session: AsyncSession, storage: AsyncStorageManager, weed: SeaweedFS, bucket: str, data: Path, tmp_path: Path
) -> None:
    """At whichever moment an upload is cancelled."""
    before = tasks()
    for moment in MOMENTS:
        await cancelled_after(moment, storage.upload(f"{data}/", f"/{bucket}/cancelled/"))
        await check(session, weed, bucket, tmp_path, before)


async def test_cancelled_download_leaves_nothing(
    session: AsyncSession, storage: AsyncStorageManager, weed: SeaweedFS, bucket: str, data: Path, tmp_path: Path
) -> None:
    """At whichever moment a download is cancelled; files are whole or not there."""
    await storage.upload(f"{data}/", f"/{bucket}/source/")
    before = tasks()
    for moment in MOMENTS:
        back = tmp_path / f"back-{moment}"
        await cancelled_after(moment, storage.download(f"/{bucket}/source/", back))
        await check(session, weed, bucket, tmp_path, before)
        for path in back.glob("*") if back.exists() else ():
            assert path.read_bytes() == (data / path.name).read_bytes()


async def test_cancelled_stream_leaves_nothing(
    session: AsyncSession, storage: AsyncStorageManager, weed: SeaweedFS, bucket: str, tmp_path: Path
) -> None:
    """At whichever moment the writing of a stream is cancelled; the clean-up of a stream that had begun has run."""
    begun = ended = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal begun, ended
        begun += 1
        try:
            for _ in range(6):
                await asyncio.sleep(0)
                yield bytes(3 * MiB)
        finally:
            ended += 1

    before = tasks()
    for moment in MOMENTS:
        await cancelled_after(moment, storage.write(f"/{bucket}/stream", stream()))
        await check(session, weed, bucket, tmp_path, before)
        assert ended == begun
    assert begun > len(MOMENTS) // 2


async def test_many_calls_at_once_do_not_wait_for_each_other(
    storage: AsyncStorageManager, bucket: str, data: Path, tmp_path: Path
) -> None:
    """Downloads that look first, uploads and streams share memory and requests without a deadlock."""

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield bytes(5 * MiB)

    names = ["large", *(f"small-{number}" for number in range(40))]
    await storage.upload(f"{data}/", f"/{bucket}/shared/")
    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        for call in range(4):
            pairs = [(f"/{bucket}/shared/{name}", str(tmp_path / f"{call}-{name}")) for name in names]
            group.create_task(storage.download_many(pairs))
            group.create_task(storage.write(f"/{bucket}/stream-{call}", stream()))
    for name in names:
        assert (tmp_path / f"3-{name}").read_bytes() == (data / name).read_bytes()
