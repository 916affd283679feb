"""Local names that are not UTF-8: local copies of them work, also with a journal; elsewhere they are failed items."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings, TransferError, UnsafePathError
from dxflow_async.transfer.journal.jobfile import JobFile
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for

# Which loop asks makes no difference.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

ODD = [os.fsdecode(name) for name in (b"caf\xe9", b"\xff\xfe", b"d\xff/inner\xfe")]
LARGE = os.fsdecode(b"large\xff")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of odd and plain names, one of them large enough for parts."""
    source = tmp_path / "source"
    for name in (*ODD, "plain"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(os.fsencode(name))
    (source / LARGE).write_bytes(bytes(24 * MiB))
    return source


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """Without an account, in a home of an odd name."""
    settings = Settings(home=tmp_path / os.fsdecode(b"home\xff"), part_size=5 * MiB)
    async with AsyncSession(settings=settings) as found:
        yield found


def names(directory: Path) -> set[str]:
    """The files below a directory."""
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("call", ["copy", "sync", "move"])
async def test_local_to_local(session: AsyncSession, tree: Path, tmp_path: Path, call: str) -> None:
    """They are copied, synced and moved as any others."""
    goal = tmp_path / os.fsdecode(b"goal\xff")
    report = await getattr(session, call)(f"{tree}/", f"{goal}/")
    assert report.ok
    assert names(goal) == {*ODD, LARGE, "plain"}
    if call == "sync":
        assert len(await session.sync(f"{tree}/", f"{goal}/")) == 0


async def test_a_job_of_such_names_goes_on(session: AsyncSession, tree: Path, tmp_path: Path) -> None:
    """A call of which items failed is listed, and does those again, and only those."""
    goal = tmp_path / "goal"
    for name in (ODD[0], "plain"):
        (goal / name / "in the way").mkdir(parents=True)
    with pytest.raises(TransferError) as failed:
        await session.copy(f"{tree}/", f"{goal}/")
    assert len(failed.value.report.failed) == 2
    (job,) = await session.jobs()
    assert (job.done, set(job.failures)) == (3, {f"{tree}/{ODD[0]}", f"{tree}/plain"})
    for name in (ODD[0], "plain"):
        (goal / name / "in the way").rmdir()
        (goal / name).rmdir()
    report = await session.resume(job.id)
    assert {each.source for each in report} == {f"{tree}/{ODD[0]}", f"{tree}/plain"}
    assert names(goal) == {*ODD, LARGE, "plain"}
    assert await session.jobs() == []


@pytest.mark.parametrize("error", [sqlite3.DatabaseError("malformed"), ZeroDivisionError("a bug")], ids=str)
async def test_a_job_that_cannot_be_read_any_more_is_done_again(
    session: AsyncSession, tree: Path, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What breaks in mid-resume ends no transfer: what the journal cannot tell of is moved again."""
    goal = tmp_path / "goal"
    (goal / "plain" / "in the way").mkdir(parents=True)
    with pytest.raises(TransferError):
        await session.copy(f"{tree}/", f"{goal}/")
    (goal / "plain" / "in the way").rmdir()
    (goal / "plain").rmdir()
    (job,) = await session.jobs()

    def broken(*_: object) -> None:
        raise error

    for method in ("state_of", "upload_of", "write"):
        monkeypatch.setattr(JobFile, method, broken)
    report = await session.resume(job.id)
    assert report.ok
    assert len(report) == 5
    assert names(goal) == {*ODD, LARGE, "plain"}
    assert await session.jobs() == []


async def test_to_a_cloud_they_are_failed_items(weed: SeaweedFS, prefix: str, tree: Path, tmp_path: Path) -> None:
    """They are refused one by one, by their names and with the reason, and the others are stored."""
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home", part_size=5 * MiB)) as session:
        with pytest.raises(TransferError) as failed:
            await session.copy(f"{tree}/", f"aws:/{prefix}")
        report = failed.value.report
        assert {each.source for each in report.failed} == {f"{tree}/{name}" for name in (*ODD, LARGE)}
        for each in report.failed:
            assert isinstance(each.error, UnsafePathError)
            assert "is not UTF-8" in str(each.error)
            assert "rename it" in str(each.error)
        assert "caf\\xe9" in " ".join(str(each.error) for each in report.failed)
        (job,) = await session.jobs()
        assert (job.done, job.failed) == (1, 4)
        storage, path = session.get_storage_manager(), f"/{prefix}{ODD[0]}"
        for call in (
            lambda: session.copy(f"aws:{path}", tmp_path / "goal"),
            lambda: anext(storage.read(path)),
            lambda: storage.presign(path),
            lambda: storage.list("AWS", path, recursive=True),
            lambda: storage.delete(path),
        ):
            with pytest.raises(UnsafePathError, match="not UTF-8"):
                await call()


async def test_no_error_of_the_journal_reaches_a_transfer(
    session: AsyncSession, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever its file raises, as it is written, closed or removed, the transfer is done, and the log says why."""
    close = JobFile.close

    def broken(*given: object) -> None:
        if isinstance(given[0], JobFile):
            close(given[0])
        raise ZeroDivisionError("a bug")

    for number, method in enumerate(("write", "create", "close", "remove")):
        with monkeypatch.context() as patched:
            patched.setattr(JobFile, method, broken)
            report = await session.copy(f"{tree}/", tmp_path / f"goal{number}")
        assert report.ok
        assert names(tmp_path / f"goal{number}") == {*ODD, LARGE, "plain"}
    assert "ZeroDivisionError: a bug" in caplog.text
