"""Running calls as handles: started, watched, paused, resumed, cancelled and limited in time, in both sessions."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import os
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, ConfigurationError, NotFoundError, TransferError, TransferTimeoutError
from dxflow_async.blocking.session import Session
from dxflow_async.models import Progress
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files, settings_for, tasks, unfinished_uploads

_SIZE = 24 * MiB

SLOW: dict[str, Any] = {"max_bandwidth": 12 * MiB, "part_size": 5 * MiB, "max_concurrency": 2}
"""A large file takes more than a second, so that there is time to stop it between two parts."""


@pytest.fixture
async def slow(weed: SeaweedFS, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with little bandwidth."""
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home", **SLOW)) as session:
        yield session


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of several parts."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(_SIZE))
    return path


def content(path: Path) -> bytes:
    """The bytes of a file."""
    return path.read_bytes()


async def part_stored(session: AsyncSession) -> str:
    """Waits until the journal of the only job knows a part, and returns the job's id."""
    async with asyncio.timeout(20):
        while not (found := [each for each in await session.jobs() if each.uploads]):  # noqa: ASYNC110 - a journal is polled
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.2)
        return found[0].id


async def test_a_job_yields_its_progress_and_returns_the_report(slow: AsyncSession, large: Path, bucket: str) -> None:
    """Phases, a fraction that rises to 1, and a rate; `await` returns what the call returns."""
    job = slow.start.copy(large, f"aws:/{bucket}/a")
    seen = [progress async for progress in job]
    report = await job
    assert report.bytes == _SIZE
    assert (job.state, job.done(), job.operation) == ("done", True, "copy")
    assert seen[-1].fraction == 1.0
    assert (seen[-1].items, seen[-1].bytes) == (1, _SIZE)
    assert {each.phase for each in seen} <= {"listing", "moving"}
    assert any(each.rate.bytes > 0 for each in seen)
    assert [each async for each in job] == [seen[-1]]
    assert "100%" in job._repr_html_() or "done" in job._repr_html_()


async def test_a_paused_job_goes_on_with_its_parts(
    slow: AsyncSession, large: Path, weed: SeaweedFS, bucket: str
) -> None:
    """Parts that were stored are not sent again, and the report counts the whole call."""
    job = slow.start.upload(large, f"/{bucket}/paused", "AWS")
    await part_stored(slow)
    await job.pause()
    assert (job.state, job.done()) == ("paused", False)
    assert unfinished_uploads(weed, bucket) == ["paused"]
    assert job.job_id is not None
    job.resume()
    report = await job
    assert report.ok
    assert 0 < report.bytes < _SIZE  # the parts of the first run are not in it
    assert await slow.read_bytes(f"aws:/{bucket}/paused") == content(large)
    assert unfinished_uploads(weed, bucket) == []
    assert not await slow.jobs()


async def test_a_paused_tree_reports_all_of_its_items(slow: AsyncSession, tmp_path: Path, bucket: str) -> None:
    """The items that ended before the pause and those after it are in one report, each once."""
    top = tmp_path / "tree"
    top.mkdir()
    for number in range(30):
        (top / f"{number:02}").write_bytes(os.urandom(MiB))
    job = slow.start.copy(f"{top}/", f"aws:/{bucket}/tree/")
    async for progress in job:
        if progress.items >= 3:
            break
    await job.pause()
    job.resume()
    report = await job
    assert sorted(Path(each.source).name for each in report) == [f"{number:02}" for number in range(30)]
    assert job.progress is not None
    assert job.progress.fraction == 1.0


async def test_pairs_of_an_iterator_are_all_transferred_after_a_pause(
    slow: AsyncSession, tmp_path: Path, bucket: str
) -> None:
    """Also those that had not been read when the job was paused."""
    names = [f"{number:02}" for number in range(12)]
    for name in names:
        (tmp_path / name).write_bytes(os.urandom(MiB))

    async def pairs() -> AsyncIterator[tuple[str, str]]:
        for name in names:
            await asyncio.sleep(0.02)
            yield str(tmp_path / name), f"/{bucket}/many/{name}"

    job = slow.start.upload_many(pairs())
    async for progress in job:
        if progress.items:
            break
    await job.pause()
    job.resume()
    await job
    assert [each.name for each in await slow.list(f"aws:/{bucket}/many/")] == names


@pytest.mark.parametrize("paused", [False, True])
async def test_a_cancelled_job_leaves_nothing(
    slow: AsyncSession, large: Path, weed: SeaweedFS, bucket: str, paused: bool
) -> None:
    """As a cancelled call does, also when it was paused before."""
    before = tasks()
    job = slow.start.copy(large, f"aws:/{bucket}/cancelled")
    await part_stored(slow)
    if paused:
        await job.pause()
    await job.cancel()
    assert job.state == "cancelled"
    with pytest.raises(asyncio.CancelledError):
        await job
    assert unfinished_uploads(weed, bucket) == []
    await asyncio.sleep(0)
    assert tasks() == before


async def test_a_call_that_keeps_is_resumed_by_its_job(
    slow: AsyncSession, large: Path, weed: SeaweedFS, bucket: str
) -> None:
    """`on_cancel="keep"` leaves the parts of a cancelled call; `resume` continues, and `clean_jobs` removes them."""
    for ending in ("resume", "clean"):
        call = asyncio.ensure_future(slow.copy(large, f"aws:/{bucket}/{ending}", on_cancel="keep"))
        job_id = await part_stored(slow)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert unfinished_uploads(weed, bucket) == [ending]
        if ending == "resume":
            report = await slow.resume(job_id)
            assert report.bytes < _SIZE
            assert await slow.read_bytes(f"aws:/{bucket}/resume") == content(large)
        else:
            await slow.clean_jobs(job_id, dry_run=False)
        assert unfinished_uploads(weed, bucket) == []


async def test_a_kept_download_goes_on_with_its_file(slow: AsyncSession, tmp_path: Path, bucket: str) -> None:
    """The same in the other direction: the temporary file keeps what arrived."""
    await slow.write(f"aws:/{bucket}/source", bytes(_SIZE))
    call = asyncio.ensure_future(slow.copy(f"aws:/{bucket}/source", tmp_path / "back", on_cancel="keep"))
    job_id = await part_stored(slow)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    report = await slow.resume(job_id)
    assert report.bytes < _SIZE
    assert content(tmp_path / "back") == bytes(_SIZE)
    assert part_files(tmp_path) == []


@pytest.mark.parametrize("on_cancel", ["discard", "keep"])
async def test_a_timeout_has_the_partial_report(
    slow: AsyncSession, large: Path, tmp_path: Path, weed: SeaweedFS, bucket: str, on_cancel: str
) -> None:
    """What had ended is in it; `on_cancel` decides about the rest."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "a").write_bytes(b"small")
    os.rename(large, top / "large")
    with pytest.raises(TransferTimeoutError, match=r"took longer than 1 s, and 1 item ended") as raised:
        await slow.copy(f"{top}/", f"aws:/{bucket}/{on_cancel}/", timeout=1, on_cancel=on_cancel)  # type: ignore[arg-type]
    assert isinstance(raised.value, TimeoutError)
    assert [each.bytes for each in raised.value.report] == [5]
    assert raised.value.report.job_id is not None
    assert unfinished_uploads(weed, bucket) == ([f"{on_cancel}/large"] if on_cancel == "keep" else [])
    await slow.clean_jobs(dry_run=False)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": -1}, {"on_cancel": "forget"}])
async def test_wrong_options_are_refused(slow: AsyncSession, options: dict[str, object]) -> None:
    """Before anything is done."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        await slow.copy("a", "b", **options)  # type: ignore[arg-type]


async def test_the_other_verbs_are_started_as_well(slow: AsyncSession, tmp_path: Path, bucket: str) -> None:
    """Sync, its plan, move, delete and the pairs of a manager; a failure is raised by `await`."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "a").write_bytes(b"a")
    place = f"aws:/{bucket}/verbs/"
    assert (await slow.start.sync(top, place, dry_run=True)).copies == 1
    assert len(await slow.start.sync(top, place)) == 1
    assert len(await slow.start.move(f"{place}a", f"{place}b")) == 1
    assert len(await slow.start.download_many([(f"/{bucket}/verbs/b", str(tmp_path / "b"))])) == 1
    job = slow.start.delete(place)
    assert [each.phase async for each in job][-1] == "deleting"
    assert await job == 1
    missing = slow.start.copy(f"{place}missing", tmp_path)
    with pytest.raises(NotFoundError):
        await missing
    assert missing.state == "failed"


async def test_a_session_that_closes_ends_its_jobs(weed: SeaweedFS, large: Path, tmp_path: Path, bucket: str) -> None:
    """Nothing runs on, and nothing is left."""
    before = tasks()
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home", **SLOW)) as session:
        job = session.start.copy(large, f"aws:/{bucket}/closed")
        await part_stored(session)
    assert job.state == "cancelled"
    assert unfinished_uploads(weed, bucket) == []
    assert tasks() == before


@pytest.fixture
def blocking(weed: SeaweedFS, tmp_path: Path) -> Iterator[Session]:
    """A blocking session with little bandwidth."""
    with Session(settings=settings_for(weed, tmp_path / "home", **SLOW), progress=False) as session:
        yield session


def test_the_blocking_job(blocking: Session, large: Path, bucket: str) -> None:
    """It is iterated, waited for with a timeout, paused, resumed and asked for its result."""
    job = blocking.start.copy(large, f"aws:/{bucket}/blocking")
    with pytest.raises(TimeoutError, match="it goes on"):
        job.result(timeout=0.05)
    job.pause()
    assert job.state == "paused"
    job.resume()
    seen = list(job)
    assert job.result().ok
    assert seen[-1].fraction == 1.0
    assert blocking.read_bytes(f"aws:/{bucket}/blocking") == content(large)


def test_a_cancelled_blocking_job(blocking: Session, large: Path, weed: SeaweedFS, bucket: str) -> None:
    """Its result raises `CancelledError` of `concurrent.futures`; the session goes on."""
    job = blocking.start.copy(large, f"aws:/{bucket}/cancelled-blocking")
    job.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        job.result()
    assert unfinished_uploads(weed, bucket) == []
    assert not blocking.exists(f"aws:/{bucket}/cancelled-blocking")


def test_what_a_callback_raises_is_raised_by_the_result(blocking: Session, large: Path, bucket: str) -> None:
    """Also what would end the event loop."""

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        blocking.start.copy(large, f"aws:/{bucket}/raised", on_progress=stop).result()
    assert not blocking.exists(f"aws:/{bucket}/raised")


def test_a_failed_blocking_job_retries(blocking: Session, tmp_path: Path, bucket: str) -> None:
    """The report of a failure blocks when it retries, as that of a call does."""
    (tmp_path / "fine").write_bytes(b"fine")
    pairs = [(str(tmp_path / name), f"/{bucket}/{name}") for name in ("fine", "late")]
    job = blocking.start.upload_many(iter(pairs))
    with pytest.raises(TransferError) as raised:
        job.result()
    (tmp_path / "late").write_bytes(b"late")
    assert raised.value.report.retry_failed().ok


@pytest.mark.parametrize(
    "verb", ["copy", "move", "sync", "delete", "resume", "upload", "download", "upload_many", "download_many"]
)
def test_started_calls_have_the_parameters_of_the_calls(blocking: Session, verb: str) -> None:
    """In both sessions, so that an editor completes them; only `resume` and `sync` name their options otherwise."""
    for session in (blocking, blocking._session):
        owner = session.get_storage_manager() if "load" in verb else session
        started, call = (inspect.signature(getattr(each, verb)) for each in (session.start, owner))
        named = [
            [(each.name, each.kind, each.default) for each in signature.parameters.values()]
            for signature in (started, call)
        ]
        if verb == "sync":
            assert named[0][:2] == named[1][:2]
        else:
            assert named[0] == named[1]


async def test_a_traceback_ends_in_a_summary(slow: AsyncSession, tmp_path: Path, bucket: str) -> None:
    """Equal failures are grouped with their number, below the message and with what to do."""
    pairs = [(str(tmp_path / f"missing-{number}"), f"/{bucket}/x{number}") for number in range(7)]
    (tmp_path / "there").write_bytes(b"x")  # something is done, so there is a job
    with pytest.raises(TransferError) as raised:
        await slow.get_storage_manager().upload_many([*pairs, (str(tmp_path / "there"), f"/{bucket}/there")])
    text = "".join(traceback.format_exception(raised.value)).splitlines()
    assert text[-2].startswith("7 x ")
    assert "such as" in text[-2]
    assert "retry_failed()" in text[-1]
    assert [len(items) for _, items in raised.value.report.failure_groups()] == [7]
