"""Jobs of one large item whose upload cannot be resumed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Progress, Settings
from dxflow_async.providers import registry
from tests.sessions import MiB
from tests.storage.naive_package import installed


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package whose kind `folder` resumes no uploads."""
    with installed(tmp_path / "site", monkeypatch):
        yield


async def test_one_large_item_is_a_job(tmp_path: Path) -> None:
    """Its job is on disk before the item is sent, stays when the call is interrupted, and sends it anew."""
    data = os.urandom(24 * MiB)
    (tmp_path / "large").write_bytes(data)
    remote = registry.provider_kinds()["folder"].settings(root=str(tmp_path / "root"))
    settings = Settings(home=tmp_path / "home", part_size=5 * MiB, remotes={"box": remote})
    async with AsyncSession(settings=replace(settings, max_bandwidth=2 * MiB)) as session:
        sent = asyncio.Event()

        def note(now: Progress) -> None:
            if now.bytes_done:
                sent.set()

        call = asyncio.create_task(session.copy(tmp_path / "large", "box:/large", on_progress=note))
        async with asyncio.timeout(20):
            await sent.wait()
        assert await session.jobs()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    async with AsyncSession(settings=settings) as session:
        (job,) = await session.jobs()
        report = await session.resume(job.id)
        assert (report.bytes, await session.jobs()) == (len(data), [])
    assert (tmp_path / "root/large").read_bytes() == data
