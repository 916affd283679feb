"""Uploads in parts that could not be removed, or that nobody was told of: they are known until they are gone."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, StorageError, TransferError
from dxflow_async.transfer.journal.jobfile import JobFile, directory_of, job_ids
from dxflow_async.transfer.journal.queries import Row
from tests.faults.foreign.answers import ANSWERS
from tests.faults.foreign.proxy import ForeignProxy, Rule
from tests.faults.proxy import FaultProxy, Request
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for, unfinished_uploads
from tests.waiting import until

# Which loop asks makes no difference.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

PART = 5 * MiB


class Outages:
    """Which requests a proxy breaks off, instead of passing them on; all it was sent are counted by their kind."""

    def __init__(self) -> None:
        self.breaks: Callable[[Request], bool] = lambda _: False
        self.aborts = self.parts = 0

    async def __call__(self, request: Request) -> None:
        """The proxy's gate."""
        self.aborts += is_abort(request)
        self.parts += is_part(request)
        if self.breaks(request):
            raise ConnectionResetError


def is_creation(request: Request) -> bool:
    """Whether an upload is to be begun."""
    return request.method == "POST" and request.target.endswith("?uploads=")


def is_abort(request: Request) -> bool:
    """Whether an upload is to be removed."""
    return request.method == "DELETE" and "uploadId=" in request.target


def is_part(request: Request) -> bool:
    """Whether it is a part of an upload."""
    return request.method == "PUT" and "partNumber=" in request.target


@pytest.fixture
def outages() -> Outages:
    """Breaks nothing, until told to."""
    return Outages()


@pytest.fixture
async def session(weed: SeaweedFS, tmp_path: Path, outages: Outages) -> AsyncIterator[AsyncSession]:
    """A session that reaches SeaweedFS by way of the proxy."""
    async with FaultProxy(weed.endpoint, gate=outages).running() as proxy:
        settings = settings_for(
            weed, tmp_path / "home", endpoint=proxy.endpoint, part_size=PART, max_attempts=2, max_concurrency=2
        )
        async with AsyncSession(settings=settings) as found:
            yield found


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of eight parts."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(8 * PART))
    return path


async def break_down(session: AsyncSession, outages: Outages, large: Path, place: str) -> None:
    """Everything fails after some parts, until the call has given up."""
    outages.breaks = lambda _: outages.parts > 4
    with pytest.raises(TransferError):
        await session.copy(large, place)
    outages.breaks = lambda _: False


async def test_a_creation_is_written_before_it_is_requested(
    session: AsyncSession, outages: Outages, tmp_path: Path, prefix: str, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When an upload is requested, the job is on disk, so that whoever resumes it knows where to look."""
    write = JobFile.write

    def write_slowly(file: JobFile, rows: list[Row]) -> None:
        time.sleep(0.2)
        write(file, rows)

    monkeypatch.setattr(JobFile, "write", write_slowly)
    written: list[bool] = []

    def looks(request: Request) -> bool:
        if is_creation(request):
            (job,) = job_ids(tmp_path / "home")
            with closing(sqlite3.connect(directory_of(tmp_path / "home") / f"{job}.sqlite3")) as database:
                written.extend(bool(count) for (count,) in database.execute("SELECT count(*) FROM creations"))
        return False

    outages.breaks = looks
    report = await session.copy(large, f"aws:/{prefix}large")
    assert report.ok
    assert written == [True]


async def test_an_outage_that_outlives_the_call_is_resumed(
    session: AsyncSession, outages: Outages, weed: SeaweedFS, bucket: str, prefix: str, large: Path
) -> None:
    """An upload whose abort failed is gone on with: its finished parts are not sent again."""
    name = prefix.partition("/")[2] + "large"
    await break_down(session, outages, large, f"aws:/{prefix}large")
    assert outages.aborts > 1, "it is tried more than once"
    assert name in unfinished_uploads(weed, bucket)
    (job,) = await session.jobs()
    outages.parts = 0
    report = await session.resume(job.id)
    assert report.ok
    assert 0 < outages.parts < 8
    assert name not in unfinished_uploads(weed, bucket)
    assert weed.client.head_object(Bucket=bucket, Key=name)["ContentLength"] == 8 * PART
    assert report[0].verified
    assert await session.jobs() == []


async def test_an_outage_that_outlives_the_call_is_cleaned_up_after(
    session: AsyncSession, outages: Outages, weed: SeaweedFS, bucket: str, prefix: str, large: Path
) -> None:
    """An upload whose abort failed is found by `clean_jobs`; one that fails keeps the job, and can be repeated."""
    name = prefix.partition("/")[2] + "large"
    place = f"aws:/{prefix}large"
    await break_down(session, outages, large, place)
    assert [each.place for each in await session.clean_jobs() if each.kind == "upload"] == [place]
    outages.breaks = is_abort
    with pytest.raises(StorageError):
        await session.clean_jobs(dry_run=False)
    assert len(await session.jobs()) == 1
    outages.breaks = lambda _: False
    await session.clean_jobs(dry_run=False)
    assert name not in unfinished_uploads(weed, bucket)
    assert await session.jobs() == []


async def test_an_abort_that_fails_once_is_tried_again(
    session: AsyncSession, outages: Outages, weed: SeaweedFS, bucket: str, prefix: str, large: Path
) -> None:
    """Of a call that is cancelled, and of a stream that breaks, the upload is removed at the second try."""
    name = prefix.partition("/")[2]
    outages.breaks = lambda request: is_abort(request) and outages.aborts == 1
    running = asyncio.ensure_future(session.copy(large, f"aws:/{prefix}large"))
    await until(lambda: outages.parts >= 3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert outages.aborts == 2

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(60):
            yield bytes(MiB)
        raise LookupError("mine")

    outages.aborts = 0
    with pytest.raises(LookupError, match="mine"):
        await session.get_storage_manager().write(f"/{prefix}stream", stream())
    assert outages.aborts == 2
    assert not {name + "large", name + "stream"} & set(unfinished_uploads(weed, bucket))


@pytest.mark.parametrize("limit", [1, 2], ids=["the call works", "the call fails"])
async def test_a_creation_without_an_answer(
    weed: SeaweedFS, bucket: str, prefix: str, tmp_path: Path, large: Path, limit: int
) -> None:
    """What it made is removed once the item is done, or else found by `clean_jobs`; another's upload stays."""
    name = prefix.partition("/")[2] + "large"
    others = [name + "r", name + "/below"]
    for other in others:
        weed.client.create_multipart_upload(Bucket=bucket, Key=other)
    proxy = FaultProxy(weed.endpoint, {"lost_answer": 1.0}, applies=is_creation, limit=limit)
    async with proxy.running():
        settings = settings_for(
            weed, tmp_path / "home", endpoint=proxy.endpoint, part_size=PART, max_attempts=limit if limit > 1 else 2
        )
        async with AsyncSession(settings=settings) as session:
            if limit == 1:
                assert (await session.copy(large, f"aws:/{prefix}large")).ok
            else:
                with pytest.raises(TransferError):
                    await session.copy(large, f"aws:/{prefix}large")
            assert proxy.faults["lost_answer"] == limit
            await session.clean_jobs(dry_run=False)
            assert await session.jobs() == []
    left = unfinished_uploads(weed, bucket)
    assert name not in left
    assert set(others) <= set(left)


@pytest.mark.parametrize("once", [True, False], ids=["the call works", "the call fails"])
@pytest.mark.parametrize("answer", ["page, done", "error as XML, done", "nothing, done", "sign-in redirect, done"])
async def test_a_creation_with_a_foreign_answer(
    weed: SeaweedFS, bucket: str, prefix: str, tmp_path: Path, large: Path, answer: str, once: bool
) -> None:
    """What a creation made is found, too, where something else answered in the service's place."""
    async with ForeignProxy(weed.endpoint, "AWS").running() as proxy:
        settings = settings_for(weed, tmp_path / "home", endpoint=proxy.endpoint, part_size=PART, max_attempts=2)
        async with AsyncSession(settings=settings) as session:
            async with proxy.giving(Rule.of("create multipart", ANSWERS[answer], once=once)):
                with nullcontext() if once else pytest.raises(TransferError):
                    await session.copy(large, f"aws:/{prefix}large")
                assert proxy.given == (1 if once else 2)
            await session.clean_jobs(dry_run=False)
    assert prefix.partition("/")[2] + "large" not in unfinished_uploads(weed, bucket)


async def test_a_creation_without_an_answer_is_remembered_by_a_resumed_call(
    weed: SeaweedFS, bucket: str, prefix: str, tmp_path: Path, large: Path
) -> None:
    """What a call has made without being told is removed by the one that goes on with it."""
    name = prefix.partition("/")[2] + "large"
    outages, created = Outages(), False

    def breaks(request: Request) -> bool:
        nonlocal created
        broken, created = created, created or is_creation(request)
        return broken

    outages.breaks = breaks
    proxy = FaultProxy(weed.endpoint, {"lost_answer": 1.0}, applies=is_creation, limit=1, gate=outages)
    async with proxy.running():
        settings = settings_for(weed, tmp_path / "home", endpoint=proxy.endpoint, part_size=PART, max_attempts=2)
        async with AsyncSession(settings=settings) as session:
            with pytest.raises(TransferError):
                await session.copy(large, f"aws:/{prefix}large")
            outages.breaks = lambda _: False
            assert name in unfinished_uploads(weed, bucket)
            (job,) = await session.jobs()
            assert (await session.resume(job.id)).ok
            assert await session.jobs() == []
    assert name not in unfinished_uploads(weed, bucket)


async def test_what_another_job_is_sending_is_left_alone(
    session: AsyncSession, outages: Outages, weed: SeaweedFS, bucket: str, prefix: str, tmp_path: Path, large: Path
) -> None:
    """An upload of the same key that another job has begun is its own, and no creation without an answer."""
    name = prefix.partition("/")[2] + "large"
    await break_down(session, outages, large, f"aws:/{prefix}large")
    (job,) = await session.jobs()
    outages.breaks = lambda request: is_creation(request) or is_abort(request)
    (tmp_path / "small").write_bytes(b"small")
    with pytest.raises(TransferError):
        await session.get_storage_manager().upload_many(
            [(str(large), f"/{prefix}large"), (str(tmp_path / "small"), f"/{prefix}small")]
        )
    outages.breaks = lambda _: False
    (other,) = [each.id for each in await session.jobs() if each.id != job.id]
    assert [each.kind for each in await session.clean_jobs(other, dry_run=False)] == ["job"]
    assert name in unfinished_uploads(weed, bucket)
    await session.clean_jobs(dry_run=False)
    assert name not in unfinished_uploads(weed, bucket)
