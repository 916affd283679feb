"""Jobs of pairs between this machine's disks, as the adapters make them, are resumed like those at a remote."""

from __future__ import annotations

from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings, TransferError


async def test_a_job_that_failed(tmp_path: Path) -> None:
    """Uploads and copies of pairs to a local directory fail for what is missing, and are resumed once it is there."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        storage, top = await session.storage_at(str(tmp_path / "there"))
        for name, call in (("up", storage.upload_many), ("copy", storage._copy_many)):
            there, missing = tmp_path / f"{name}-a", tmp_path / f"{name}-b"
            there.write_bytes(b"a")
            pairs = [(str(source), f"{top}/{source.name}") for source in (there, missing)]
            with pytest.raises(TransferError) as raised:
                await call(pairs)
            report = raised.value.report
            assert [type(each.error).__name__ for each in report.failed] == ["NotFoundError"]
            assert report.job_id is not None
            missing.write_bytes(b"b")
            assert (await session.resume(report.job_id)).ok
            assert (tmp_path / "there" / f"{name}-b").read_bytes() == b"b"
