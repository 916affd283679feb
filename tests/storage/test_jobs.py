"""Jobs of a session: what is kept of a call, and how another one goes on with it."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import (
    AsyncSession,
    ConfigurationError,
    JobBusyError,
    JobNotFoundError,
    Settings,
    TransferError,
    TransferReport,
)
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files, settings_for, tasks, unfinished_uploads
from tests.waiting import until

PART = 5 * MiB


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home directory of the sessions."""
    return tmp_path / "home"


@pytest.fixture
async def session(weed: SeaweedFS, home: Path) -> AsyncIterator[AsyncSession]:
    """A session at SeaweedFS."""
    async with AsyncSession(settings=settings_for(weed, home, part_size=PART)) as found:
        yield found


def files(directory: Path, count: int, size: int = 10) -> Path:
    """A directory of small files, each with other bytes."""
    directory.mkdir()
    for number in range(count):
        (directory / f"{number:03}").write_bytes(f"{number:010}".encode() * (size // 10))
    return directory


def kept(home: Path) -> list[str]:
    """What is there of jobs."""
    directory = home / "jobs"
    return sorted(os.listdir(directory)) if directory.exists() else []


async def names(session: AsyncSession, place: str) -> list[str]:
    """The names stored below a directory."""
    return [item.name for item in await session.get_storage_manager().list("AWS", place, recursive=True)]


async def break_off(
    home: Path, call: Callable[[], Any], when: Callable[[sqlite3.Connection], bool]
) -> asyncio.CancelledError:
    """Cancels a call once its job's file says so."""
    task = asyncio.ensure_future(call())
    for _ in range(5000):
        await asyncio.sleep(0.004)
        found = list((home / "jobs").glob("*.sqlite3")) if (home / "jobs").exists() else []
        if found:
            database = sqlite3.connect(found[0], timeout=10)
            try:
                if when(database):
                    break
            except sqlite3.OperationalError:
                continue  # it has no tables yet
            finally:
                database.close()
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as broken:
        await task
    return broken.value


def count(database: sqlite3.Connection, table: str) -> int:
    """How many rows a table has."""
    return int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])


async def test_what_ends_well_leaves_nothing(session: AsyncSession, home: Path, prefix: str, tmp_path: Path) -> None:
    """After a call that worked, small or large, no job is there."""
    storage = session.get_storage_manager()
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "large").write_bytes(bytes(12 * MiB))
    for name in ("small", "large"):
        report = await storage.upload(tmp_path / name, f"/{prefix}{name}")
        assert report.job_id is None
    await storage.upload(files(tmp_path / "many", 20), f"/{prefix}")
    assert kept(home) == []
    assert await session.jobs() == []


async def test_one_small_part_writes_nothing(session: AsyncSession, home: Path, prefix: str, tmp_path: Path) -> None:
    """A call of one small item has no job, also when it fails."""
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(TransferError) as failed:
        await session.get_storage_manager().upload_many([(str(tmp_path / "missing"), f"/{prefix}a")])
    assert failed.value.report.job_id is None
    assert not (home / "jobs").exists()


async def test_failed_items_are_tried_again(session: AsyncSession, home: Path, prefix: str, tmp_path: Path) -> None:
    """`retry_failed` does what failed and nothing else; what fails again can be tried again."""
    storage, tree = session.get_storage_manager(), files(tmp_path / "tree", 5)
    pairs = [(str(tree / f"{number:03}"), f"/{prefix}{number}") for number in range(7)]
    with pytest.raises(TransferError) as failed:
        await storage.upload_many(pairs)
    report = failed.value.report
    (job,) = await session.jobs()
    assert (report.job_id, job.operation, job.done, job.failed, job.pid) == (job.id, "upload_many", 5, 2, None)
    assert await session.jobs(job.id) == [job]
    with pytest.raises(JobNotFoundError, match="does not exist"):
        await session.jobs(job.id, "0123abcd")
    assert set(job.failures) == {str(tree / "005"), str(tree / "006")}
    (tree / "005").write_bytes(b"late")
    with pytest.raises(TransferError) as again:
        await report.retry_failed()
    assert {result.source for result in again.value.report} == {str(tree / "005"), str(tree / "006")}
    assert len(again.value.report.failed) == 1
    (tree / "006").write_bytes(b"later")
    last = await again.value.report.retry_failed()
    assert [(result.source, result.bytes) for result in last] == [(str(tree / "006"), 5)]
    assert sorted(await names(session, f"/{prefix}")) == [str(number) for number in range(7)]
    assert kept(home) == []


async def test_a_sync_of_an_account_is_repeated(tmp_path: Path) -> None:
    """A sync that needs no job is repeated with the account that it was made with."""
    tree, settings = files(tmp_path / "tree", 2), Settings(home=tmp_path / "home")
    async with AsyncSession("you@example.com", "password", settings=settings) as session:
        report = await session.sync(tree, "aws:/bucket/tree/")
        (tree / "new").write_bytes(b"new")
        again = await report.retry_failed()
    assert [len(each) for each in (report, again)] == [2, 1]


async def test_one_failed_item_is_tried_again(session: AsyncSession, prefix: str, tmp_path: Path) -> None:
    """A call without a job can be tried again too."""
    place = str(tmp_path / "late")
    with pytest.raises(TransferError) as failed:
        await session.get_storage_manager().download_many([(f"/{prefix}late", place)])
    (tmp_path / "source").write_bytes(b"now")
    await session.get_storage_manager().upload(tmp_path / "source", f"/{prefix}late")
    report = await failed.value.report.retry_failed()
    assert len(report) == 1
    assert (tmp_path / "late").read_bytes() == b"now"


async def test_without_a_journal(weed: SeaweedFS, home: Path, prefix: str, tmp_path: Path) -> None:
    """With `journal` off nothing is written, and a report says that it cannot be tried again."""
    tree = files(tmp_path / "tree", 3)
    async with AsyncSession(settings=settings_for(weed, home, journal=False)) as session:
        pairs = [(str(tree / name), f"/{prefix}{name}") for name in ("000", "001", "missing")]
        with pytest.raises(TransferError) as failed:
            await session.get_storage_manager().upload_many(pairs)
        with pytest.raises(ConfigurationError, match="kept no journal"):
            failed.value.report.retry_failed()
    assert not (home / "jobs").exists()


async def test_an_interrupted_call_goes_on(
    weed: SeaweedFS, home: Path, bucket: str, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cancelled call removes what is unfinished, keeps the job, and another session does the rest of it."""
    tree = files(tmp_path / "tree", 120, 40_000)
    slow = settings_for(weed, home, part_size=PART, max_bandwidth=4 * MiB)
    async with AsyncSession(settings=slow) as session:
        storage = session.get_storage_manager()
        await break_off(
            home, lambda: storage.upload(tree, f"/{prefix}"), lambda database: count(database, "items") >= 20
        )
        assert tasks() == set()
    assert unfinished_uploads(weed, bucket) == []
    (tree / "000").write_bytes(b"other bytes than before")
    caplog.clear()
    async with AsyncSession(settings=settings_for(weed, home, part_size=PART)) as session:
        (job,) = await session.jobs()
        assert (job.source, job.pid) == (str(tree), None)
        report = await session.resume(job.id)
        assert len(report) == 120 - job.done + (f"{tree}/000" in caplog.text)
        assert f"{tree}/000 was changed since job {job.id} began" in caplog.text
        await session.get_storage_manager().download(f"/{prefix}tree/000", tmp_path / "000")
        assert await session.jobs() == []
        assert len(await names(session, f"/{prefix}")) == 120
    assert (tmp_path / "000").read_bytes() == b"other bytes than before"
    assert kept(home) == []


async def test_an_interrupted_large_upload_is_removed(
    weed: SeaweedFS, home: Path, bucket: str, prefix: str, tmp_path: Path
) -> None:
    """What Ctrl-C ends leaves no upload in parts; its job begins that item anew."""
    (tmp_path / "large").write_bytes(os.urandom(30 * MiB))
    async with AsyncSession(settings=settings_for(weed, home, part_size=PART, max_bandwidth=12 * MiB)) as session:
        storage = session.get_storage_manager()
        await break_off(
            home,
            lambda: storage.upload(tmp_path / "large", f"/{prefix}large"),
            lambda database: count(database, "parts") >= 1,
        )
        assert unfinished_uploads(weed, bucket) == []
        (job,) = await session.jobs()
        assert job.uploads == []
    async with AsyncSession(settings=settings_for(weed, home, part_size=PART)) as session:
        report = await session.resume(job.id)
        assert report.bytes == 30 * MiB


async def test_pairs_are_kept(weed: SeaweedFS, home: Path, prefix: str, tmp_path: Path) -> None:
    """The pairs of `download_many` need not be given again; relative paths mean what they meant."""
    tree = files(tmp_path / "tree", 60, 40_000)
    async with AsyncSession(settings=settings_for(weed, home)) as session:
        await session.get_storage_manager().upload(f"{tree}/", f"/{prefix}")
    async with AsyncSession(settings=settings_for(weed, home, max_bandwidth=3 * MiB)) as session:
        storage = session.get_storage_manager()
        here = os.path.relpath(tmp_path)  # noqa: ASYNC240 - no disk is asked
        pairs = [(f"/{prefix}{number:03}", f"{here}/back/{number:03}") for number in range(60)]
        await break_off(home, lambda: storage.download_many(pairs), lambda database: count(database, "items") >= 60)
    async with AsyncSession(settings=settings_for(weed, home)) as session:
        (job,) = await session.jobs()
        assert job.source is None
        await session.resume(job.id)
    for path in tree.iterdir():
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()
    assert part_files(tmp_path) == []


async def test_a_move_goes_on(weed: SeaweedFS, home: Path, prefix: str, tmp_path: Path) -> None:
    """Of a move that was broken off the rest is moved; nothing is left at the source."""
    tree = files(tmp_path / "tree", 60, 40_000)
    async with AsyncSession(settings=settings_for(weed, home, max_bandwidth=3 * MiB)) as session:
        await break_off(
            home,
            lambda: session.move(tree, f"aws:/{prefix}"),
            lambda database: count(database, "items") >= 10,
        )
    async with AsyncSession(settings=settings_for(weed, home)) as session:
        (job,) = await session.jobs()
        await session.resume(job.id)
        assert len(await names(session, f"/{prefix}")) == 60
    assert not tree.exists()


async def test_a_sync_goes_on(weed: SeaweedFS, home: Path, prefix: str, tmp_path: Path) -> None:
    """A sync that was broken off is compared anew, with its rules."""
    tree = files(tmp_path / "tree", 60, 40_000)
    (tree / "left.out").write_bytes(b"x")
    async with AsyncSession(settings=settings_for(weed, home, max_bandwidth=MiB)) as session:
        await break_off(
            home,
            lambda: session.sync(tree, f"aws:/{prefix}", exclude="*.out"),
            lambda database: count(database, "items") >= 10,
        )
    async with AsyncSession(settings=settings_for(weed, home)) as session:
        (job,) = await session.jobs()
        report = await session.resume(job.id)
        assert 0 < len(report) < 60
        assert "left.out" not in await names(session, f"/{prefix}")
        assert (await session.sync(tree, f"aws:/{prefix}", exclude="*.out", dry_run=True)).copies == 0


async def test_it_goes_on_where_it_was_begun_only(weed: SeaweedFS, home: Path, prefix: str, tmp_path: Path) -> None:
    """A job of one service is not gone on with at another, nor with another account; the error names both."""
    tree = files(tmp_path / "tree", 3)
    async with AsyncSession(settings=settings_for(weed, home)) as session:
        pairs = [(str(tree / name), f"/{prefix}{name}") for name in ("000", "missing")]
        with pytest.raises(TransferError) as failed:
            await session.get_storage_manager().upload_many(pairs)
    job_id = failed.value.report.job_id
    assert job_id is not None
    async with AsyncSession(settings=settings_for(weed, home, endpoint="http://127.0.0.1:9")) as other:
        with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:9"):
            await other.resume(job_id)
    async with AsyncSession("you@example.com", "password", settings=settings_for(weed, home)) as account:
        with pytest.raises(ConfigurationError, match="no account"):
            await account.resume(job_id)
    assert f"{job_id}.sqlite3" in kept(home)


async def test_two_at_a_time_are_refused(weed: SeaweedFS, home: Path, prefix: str, tmp_path: Path) -> None:
    """While a session works on a job, another one's `resume` says who does; `clean_jobs` leaves it alone."""
    tree = files(tmp_path / "tree", 60, 200_000)
    async with (
        AsyncSession(settings=settings_for(weed, home, max_bandwidth=4 * MiB)) as first,
        AsyncSession(settings=settings_for(weed, home)) as second,
    ):
        task = asyncio.ensure_future(first.copy(tree, f"aws:/{prefix}"))
        await until(lambda: bool(list((home / "jobs").glob("*.sqlite3"))))
        await asyncio.sleep(0.1)
        (job,) = await second.jobs()
        assert job.pid == os.getpid()
        with pytest.raises(JobBusyError, match=str(os.getpid())):
            await second.resume(job.id)
        assert await second.clean_jobs(dry_run=False) == []
        assert isinstance(await task, TransferReport)


async def test_secrets_are_not_written(
    weed: SeaweedFS, home: Path, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No credential is in a job's files."""
    caplog.set_level(logging.DEBUG)
    (tmp_path / "large").write_bytes(bytes(30 * MiB))
    settings = settings_for(weed, home, part_size=PART, max_bandwidth=12 * MiB)
    async with AsyncSession(settings=settings) as session:
        storage = session.get_storage_manager()
        await break_off(
            home,
            lambda: storage.upload(tmp_path / "large", f"/{prefix}large"),
            lambda database: count(database, "parts") >= 1,
        )
    written = b"".join(path.read_bytes() for path in (home / "jobs").iterdir())
    assert b"large" in written
    assert weed.secret_key.encode() not in written
    assert weed.access_key.encode() not in written
    assert b"Signature" not in written


async def test_a_journal_that_cannot_be_written(
    weed: SeaweedFS, tmp_path: Path, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A transfer does not fail for it: it says so, once, and goes on."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "jobs").write_text("in the way")
    (tmp_path / "large").write_bytes(bytes(30 * MiB))
    async with AsyncSession(settings=settings_for(weed, home, part_size=PART)) as session:
        report = await session.get_storage_manager().upload(tmp_path / "large", f"/{prefix}large")
    assert report.ok
    assert caplog.text.count("without a journal") == 1


def test_settings_have_it() -> None:
    """The journal is kept unless it is turned off."""
    assert Settings().journal
