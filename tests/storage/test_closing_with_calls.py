"""Sessions that are closed while a call is running."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, SessionClosedError, Settings, TransferError
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.sessions import open_files, part_files

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


async def test_the_job_is_let_go(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The running call fails, no file of its job stays open, and another session goes on with the job at once."""
    async with S3Server() as s3:
        for number in range(30):
            s3.store(f"a/{number}", bytes(200_000))
        settings = Settings(home=tmp_path / "home", aws=aws_settings(s3), max_bandwidth=3_000_000)
        session = AsyncSession(settings=settings)
        running = asyncio.ensure_future(session.copy("aws:/bucket/a/", f"{tmp_path}/here/"))
        jobs = tmp_path / "home/jobs"
        while not (jobs.exists() and list(jobs.glob("*.sqlite3"))):
            assert not running.done()
            await asyncio.sleep(0.01)
        await session.aclose()
        with pytest.raises(SessionClosedError):
            await running
        assert open_files(tmp_path) == []
        assert part_files(tmp_path) == []
        assert "without a journal" not in caplog.text
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
        async with AsyncSession(settings=Settings(home=tmp_path / "home", aws=aws_settings(s3))) as other:
            (job,) = await other.jobs()
            assert 0 < len(await other.resume(job.id)) < 30
    assert len(list((tmp_path / "here").iterdir())) == 30


@pytest.mark.parametrize("turns", range(1, 8))
async def test_cancelled_resumes(tmp_path: Path, turns: int) -> None:
    """A resume that is cancelled at any moment lets the job go."""
    async with S3Server() as s3:
        s3.store("one", b"1")
        settings = Settings(home=tmp_path / "home", aws=aws_settings(s3))
        async with AsyncSession(settings=settings) as session:
            pairs = [(f"/bucket/{name}", str(tmp_path / name)) for name in ("one", "missing")]
            with pytest.raises(TransferError):
                await session.get_storage_manager().download_many(pairs, provider="AWS")
            (job,) = await session.jobs()
            running = asyncio.ensure_future(session.resume(job.id))
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert open_files(tmp_path / "home") == []
