"""Jobs without `await`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dxflow_async import Session, Settings, TransferError


def test_failed_items_are_tried_again(tmp_path: Path) -> None:
    """What `retry_failed` and `resume` do is done when they return, and then no job is left."""
    (tmp_path / "one").write_bytes(b"1")
    pairs = [(str(tmp_path / name), f"/bucket/{name}") for name in ("one", "two", "three")]
    with Session("you@example.com", "password", settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(TransferError) as failed:
            session.get_storage_manager().upload_many(pairs)
        (job,) = session.jobs()
        assert (job.id, job.done, job.failed) == (failed.value.report.job_id, 1, 2)
        (tmp_path / "two").write_bytes(b"2")
        with pytest.raises(TransferError) as again:
            failed.value.report.retry_failed()
        assert len(again.value.report) == 2
        assert [each.kind for each in session.clean_jobs()] == ["job"]
        (tmp_path / "three").write_bytes(b"3")
        report = session.resume(job.id)
        assert [result.source for result in report] == [str(tmp_path / "three")]
        assert session.jobs() == []
