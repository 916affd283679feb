"""Calls on processes of this machine: the same report, progress, errors and journal as in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, ConfigurationError, NotFoundError, Progress, Settings, TransferError
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files, settings_for, unfinished_uploads
from tests.transfer.executor.trees import content, make_files

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

_COUNT, _LARGE = 140, 11 * MiB + 7
_ALL = _COUNT + 1
_FEW = 11


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files and a large one."""
    return make_files(tmp_path_factory.mktemp("files") / "tree", _COUNT, large=_LARGE)


@pytest.fixture(scope="module")
def few_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, and fewer."""
    return make_files(tmp_path_factory.mktemp("files") / "tree", _FEW - 1, large=_LARGE)


async def test_up_down_and_between(
    session: AsyncSession, weed: SeaweedFS, bucket: str, files: Path, place: str, tmp_path: Path
) -> None:
    """Small and large files arrive whole and verified, up, within the cloud and down; nothing is left over."""
    seen: list[Progress] = []
    report = await session.copy(f"{files}/", f"aws:{place}", processes=2, on_progress=seen.append)
    assert (len(report), report.failed, report.verified) == (_ALL, [], _ALL)
    assert report.bytes == _COUNT * 1000 + _LARGE
    last = seen[-1]
    assert (last.files_done, last.files_total) == (_ALL, _ALL)
    assert (last.bytes_done, last.bytes_total) == (report.bytes, report.bytes)
    copied = await session.copy(f"aws:{place}", f"aws:{place[:-1]}-again/", processes=2)
    assert (len(copied), copied.failed) == (_ALL, [])
    back = await session.copy(f"aws:{place[:-1]}-again/", f"{tmp_path}/back/", processes=2)
    assert (len(back), back.failed, back.bytes) == (_ALL, [], report.bytes)
    assert content(tmp_path / "back") == content(files)
    assert not unfinished_uploads(weed, bucket)
    assert not part_files(tmp_path)
    assert not list((session.settings.home / "jobs").glob("*.sqlite3"))


async def test_the_report_is_that_of_one_process(session: AsyncSession, files: Path, place: str) -> None:
    """Each item is reported as in one process: its ends, bytes, checksum, and that it was verified."""
    told = []
    for number, where in enumerate(({}, {"processes": 2})):
        report = await session.copy(f"{files}/", f"aws:{place}{number}/", **where)  # type: ignore[arg-type]
        again = await session.copy(f"{files}/", f"aws:{place}{number}/", overwrite="skip", **where)  # type: ignore[arg-type]
        told.append(
            [
                (each.source, Path(each.destination).name, each.bytes, each.checksum, each.verified, each.skipped)
                for result in (report, again)
                for each in sorted(result, key=lambda item: item.source)
            ]
        )
    assert told[0] == told[1]


async def test_work_is_done_in_other_processes(session: AsyncSession, files: Path, place: str) -> None:
    """The session's own process sends no object and no part: it begins and finishes the upload of the large one."""
    requests = session._resources.limits.endpoints
    endpoint = session._resources.settings.aws.endpoint
    assert endpoint is not None
    moved: list[int] = []
    for limit in requests.values():
        limit.moved = moved.append  # type: ignore[assignment, method-assign]
    await session.copy(f"{files}/", f"aws:{place}", processes=2)
    assert not moved


async def test_pairs(session: AsyncSession, files: Path, place: str, tmp_path: Path) -> None:
    """`upload_many` and `download_many` know no sizes: what turns out to be large is cut into parts anyway."""
    storage = session.get_storage_manager().at("aws")
    names = ["00000", "00001", "large"]
    report = await storage.upload_many([(f"{files}/{name}", f"{place}{name}") for name in names], processes=2)
    assert (len(report), report.failed) == (3, [])
    pairs = [(f"{place}{name}", f"{tmp_path}/{name}") for name in names]
    back = await storage.download_many(pairs, processes=2)
    assert (len(back), back.failed) == (3, [])
    assert all((tmp_path / name).read_bytes() == (files / name).read_bytes() for name in names)


async def test_failed_items_are_reported(session: AsyncSession, files: Path, place: str, tmp_path: Path) -> None:
    """An item that fails in a worker is a failed item with its error; the others are stored; the job is kept."""
    pairs = [(f"{files}/{number:05}", f"{place}{number}") for number in range(20)]
    pairs[7] = (f"{tmp_path}/missing", f"{place}7")
    storage = session.get_storage_manager().at("aws")
    with pytest.raises(TransferError, match="1 of 20 items failed") as caught:
        await storage.upload_many(pairs, processes=2)
    report = caught.value.report
    (failed,) = report.failed
    assert failed.source.endswith("missing")
    assert isinstance(failed.error, NotFoundError)
    assert report.job_id is not None
    (tmp_path / "missing").write_bytes(b"here")
    again = await session.resume(report.job_id, processes=2)
    assert [each.source for each in again] == [failed.source]


async def test_a_reason_that_all_share_is_raised(session: AsyncSession, files: Path) -> None:
    """Where each item fails, a call on workers raises what the same call raises in one process."""
    with pytest.raises(TransferError) as alone:
        await session.copy(f"{files}/", "aws:/no-such-bucket-here/x/")
    with pytest.raises(TransferError) as shared:
        await session.copy(f"{files}/", "aws:/no-such-bucket-here/x/", processes=2)
    assert len(alone.value.report.failed) == len(shared.value.report.failed) == _ALL
    assert alone.value.code == shared.value.code


@pytest.fixture(scope="module")
def own_pool(weed: SeaweedFS) -> Iterator[ProcessPoolExecutor]:
    """A user's pool whose processes find the credentials in their environment."""
    settings = settings_for(weed, Path("/nowhere")).aws
    variables: dict[str, str] = {
        "DXFLOW_AWS_ENDPOINT": str(settings.endpoint),
        "DXFLOW_AWS_REGION": str(settings.region),
        "DXFLOW_AWS_ACCESS_KEY": str(settings.access_key),
        "DXFLOW_AWS_SECRET_KEY": str(settings.secret_key),
    }
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            assert pool.submit(len, "started").result() == 7  # in the environment of now
        yield pool


async def test_a_pool_of_the_user(
    session: AsyncSession, own_pool: ProcessPoolExecutor, files: Path, place: str, tmp_path: Path
) -> None:
    """Workers of a user's pool find the credentials as any session does; the pool stays open."""
    report = await session.copy(f"{files}/", f"aws:{place}", executor=own_pool)
    back = await session.copy(f"aws:{place}", f"{tmp_path}/back/", executor=own_pool)
    assert (len(report), len(back)) == (_ALL, _ALL)
    assert content(tmp_path / "back") == content(files)
    assert own_pool.submit(len, "open").result() == 4


async def test_other_areas_are_refused(own_pool: ProcessPoolExecutor, few_files: Path, tmp_path: Path) -> None:
    """Workers that find another service under the same name refuse the call, before anything is sent."""
    async with S3Server() as server:
        settings = Settings(home=tmp_path / "home", aws=aws_settings(server), part_size=5 * MiB)
        async with AsyncSession(settings=settings) as other:
            with pytest.raises(ConfigurationError, match="credentials='send'"):
                await other.copy(f"{few_files}/", "aws:/bucket/x/", executor=own_pool)
            assert not server.objects()
            report = await other.copy(f"{few_files}/", "aws:/bucket/x/", executor=own_pool, credentials="send")
        assert len(report) == len(server.objects()) == _FEW


async def test_the_embedded_hub(few_files: Path, tmp_path: Path, own_pool: ProcessPoolExecutor) -> None:
    """A session's own processes share its sign-in; a user's get it only with `credentials="send"`."""
    settings = Settings(home=tmp_path / "home", part_size=5 * MiB)
    async with AsyncSession("you@example.com", "password", settings=settings) as session:
        with pytest.raises(ConfigurationError, match="credentials='send'"):
            await session.copy(f"{few_files}/", "aws:/bucket/x/", executor=own_pool)
        await session.copy(f"{few_files}/", "unit:/Demo/x/", executor=own_pool, credentials="send")
        await session.copy("unit:/Demo/x/", "gcp:/bucket/x/", executor=own_pool, credentials="send")
        back = await session.copy("gcp:/bucket/x/", f"{tmp_path}/back/", executor=own_pool, credentials="send")
    assert len(back) == _FEW
    assert content(tmp_path / "back") == content(few_files)


async def test_deletions(session: AsyncSession, files: Path, place: str) -> None:
    """Workers delete what a directory holds; the number is that of one process."""
    await session.copy(f"{files}/", f"aws:{place}", processes=2)
    storage = session.get_storage_manager().at("aws")
    assert await storage.delete(place, processes=2) == _ALL
    assert not await storage.list(place, recursive=True)


async def test_syncs(session: AsyncSession, place: str, tmp_path: Path) -> None:
    """A sync on workers copies what is new, deletes what is gone, and finds nothing to do after that."""
    source = make_files(tmp_path / "source", 40)
    await session.sync(source, f"aws:{place}", processes=2)
    (source / "00007").unlink()
    (source / "new").write_bytes(b"new")
    report = await session.sync(source, f"aws:{place}", delete=True, processes=2)
    assert sorted(
        (Path(each.source or each.destination).name, each.deleted) for each in report if not each.deleted
    ) == [("new", False)]
    assert len(report.deleted) == 1
    assert not len(await session.sync(source, f"aws:{place}", delete=True, processes=2))


async def test_the_bandwidth_is_that_of_the_call(weed: SeaweedFS, place: str, tmp_path: Path) -> None:
    """Two processes together keep to `max_bandwidth`."""
    large, rate = tmp_path / "large", 20 * MiB
    large.write_bytes(bytes(20 * MiB))
    settings = settings_for(weed, tmp_path / "home", max_bandwidth=rate, part_size=5 * MiB)
    async with AsyncSession(settings=settings) as slow:
        await slow.copy(large, f"aws:{place}first", processes=2)  # both have started then
        report = await slow.copy(large, f"aws:{place}second", processes=2)
    assert report.bytes / report.seconds < 1.4 * rate


async def test_invalid_options(session: AsyncSession, files: Path, place: str) -> None:
    """Options that contradict each other or are not valid are refused before anything is done."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"processes": 0}, "processes = 0"),
        ({"processes": 2, "executor": ThreadPoolExecutor(1)}, "exclude each other"),
        ({"executor": object()}, "executor = object"),
        ({"executor": ThreadPoolExecutor}, "executor = ThreadPoolExecutor is a class"),
        ({"processes": True}, "processes = True"),
        ({"processes": "auto"}, "processes = 'auto'"),
        ({"processes": 2, "shared": None}, "shared = None"),
        ({"processes": 2, "shared": [b"/data"]}, r"shared = \[b'/data'\]"),
        ({"processes": 2, "credentials": "guess"}, "credentials = 'guess'"),
        ({"processes": 2, "shared": "/data"}, "shared = '/data'"),
    ]
    for options, text in wrong:
        with pytest.raises(ConfigurationError, match=text):
            await session.copy(f"{files}/", f"aws:{place}", **options)


async def test_an_error_of_a_callback_ends_the_call(
    session: AsyncSession, weed: SeaweedFS, bucket: str, files: Path, place: str
) -> None:
    """An exception that a progress callback raises ends the call with it, and leaves no upload."""

    def fail(now: Progress) -> None:
        if now.files_done:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await session.copy(f"{files}/", f"aws:{place}", processes=2, on_progress=fail)
    assert not unfinished_uploads(weed, bucket)


async def test_a_cancelled_call_leaves_nothing(
    session: AsyncSession, weed: SeaweedFS, bucket: str, place: str, tmp_path: Path
) -> None:
    """A call that is cancelled while workers move parts and items leaves no upload and no temporary file."""
    source = make_files(tmp_path / "source", 400, 20_000, large=30 * MiB)
    for src, dst in ((f"{source}/", f"aws:{place}"), (f"aws:{place}", f"{tmp_path}/back/")):
        moving = asyncio.Event()

        def see(now: Progress, moving: asyncio.Event = moving) -> None:
            if now.bytes_done:
                moving.set()

        call = asyncio.ensure_future(session.copy(src, dst, processes=2, on_progress=see))
        await moving.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not unfinished_uploads(weed, bucket)
        assert not part_files(tmp_path)
        if dst.startswith("aws"):
            await session.copy(src, dst, processes=2)
