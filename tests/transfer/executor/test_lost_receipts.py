"""Workers that end after the service has done what they asked, and before the coordinator knows."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from dxflow_async import AlreadyExistsError, AsyncSession, Progress, TransferError
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files, settings_for, unfinished_uploads
from tests.transfer.executor.process_relay import ProcessRelay, Sent
from tests.transfer.executor.trees import content, make_files

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened_relay(weed: SeaweedFS) -> AsyncIterator[ProcessRelay]:
    """A relay before SeaweedFS."""
    async with ProcessRelay(weed.endpoint) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relayed(
    weed: SeaweedFS, opened_relay: ProcessRelay, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AsyncSession]:
    """A session that reaches SeaweedFS through the relay."""
    home = tmp_path_factory.mktemp("home")
    settings = settings_for(weed, home, endpoint=opened_relay.endpoint, part_size=5 * MiB)
    async with AsyncSession(settings=settings) as session:
        yield session


@pytest.fixture
def relay(opened_relay: ProcessRelay) -> ProcessRelay:
    """The relay, which kills nobody yet."""
    opened_relay.reset()
    return opened_relay


def once(wanted: Callable[[Sent], bool]) -> Callable[[Sent], bool]:
    """Says yes to the first request that is wanted."""
    found: list[Sent] = []

    def first(sent: Sent) -> bool:
        if found or sent.pid == os.getpid() or not wanted(sent):
            return False
        found.append(sent)
        return True

    return first


async def test_all_bytes_move_in_workers(
    relayed: AsyncSession, relay: ProcessRelay, place: str, tmp_path: Path
) -> None:
    """Whatever the rules of a call, its objects are written by workers: up, within the cloud, again, and by a sync."""
    files, here = make_files(tmp_path / "files", 20), f"aws:{place}"
    seen: list[Progress] = []
    other = f"{here[:-1]}-other/"
    await relayed.copy(f"{files}/", here, processes=1, overwrite=False)
    await relayed.copy(here, other, processes=1)
    (files / "00003").write_bytes(b"new")
    await relayed.copy(f"{files}/", here, processes=1, overwrite="if-different")
    again = await relayed.copy(f"{files}/", here, processes=1, overwrite="skip", on_progress=seen.append)
    with pytest.raises(TransferError) as caught:
        await relayed.copy(f"{files}/", here, processes=1, overwrite=False)
    await relayed.sync(here, other, processes=1)
    await relayed.move(other, f"{here[:-1]}-moved/", processes=1)
    assert all(each.skipped for each in again)
    assert seen[-1].bytes_total == seen[-1].bytes_done == 0
    assert {type(each.error) for each in caught.value.report.failed} == {AlreadyExistsError}
    assert len(caught.value.report.failed) == 20
    bucket = place.split("/")[1]
    writers = [sent.pid for sent in relay.sent if sent.method == "PUT" and len(sent.path) > len(bucket) + 2]
    assert len(writers) >= 20 + 20 + 1 + 20
    assert os.getpid() not in writers


async def test_one_object_uses_all_workers(
    relayed: AsyncSession, relay: ProcessRelay, place: str, tmp_path: Path
) -> None:
    """The parts of one object go to several workers at the same time: the first is not answered until both ask."""
    files, writers = make_files(tmp_path / "files", 0, large=23 * MiB), set[int]()

    def alone(sent: Sent) -> bool:
        if sent.method != "PUT" or "partNumber=" not in sent.path:
            return False
        writers.add(sent.pid)
        if len(writers) == 2:
            relay.released.set()
        return not relay.released.is_set()

    relay.holds_before = alone
    report = await relayed.copy(f"{files}/", f"aws:{place}", processes=2)
    assert (len(report), report.failed, len(writers)) == (1, [], 2)
    assert os.getpid() not in writers


async def test_a_part_is_stored_but_not_reported(
    relayed: AsyncSession, weed: SeaweedFS, relay: ProcessRelay, bucket: str, place: str, tmp_path: Path
) -> None:
    """A part whose worker ended before its receipt is written again; the object is finished once, and is exact."""
    files = make_files(tmp_path / "files", 3, large=11 * MiB)
    relay.kills_after = once(lambda sent: sent.method == "PUT" and "partNumber=2" in sent.path)
    report = await relayed.copy(f"{files}/", f"aws:{place}", processes=1)
    assert (len(report), report.failed, relay.kills) == (4, [], 1)
    finished = [sent for sent in relay.sent if sent.method == "POST" and "uploadId=" in sent.path]
    assert [sent.pid for sent in finished] == [os.getpid()]
    relay.reset()
    relay.kills_after = once(lambda sent: sent.method == "GET" and sent.path.endswith("/large"))
    back = await relayed.copy(f"aws:{place}", f"{tmp_path}/back/", processes=1)
    assert (len(back), relay.kills) == (4, 1)
    assert content(tmp_path / "back") == content(files)
    assert not unfinished_uploads(weed, bucket)
    assert not part_files(tmp_path)


async def test_an_object_is_stored_but_not_reported(
    relayed: AsyncSession, relay: ProcessRelay, place: str, tmp_path: Path
) -> None:
    """An object that a lost worker stored under `overwrite=False` is the call's own, and not refused."""
    files = make_files(tmp_path / "files", 6)
    relay.kills_after = once(lambda sent: sent.method == "PUT" and sent.path.endswith("/00003"))
    report = await relayed.copy(f"{files}/", f"aws:{place}", processes=1, overwrite=False)
    assert (len(report), report.failed, relay.kills) == (6, [], 1)


async def test_a_source_is_deleted_but_not_reported(
    relayed: AsyncSession, relay: ProcessRelay, place: str, tmp_path: Path
) -> None:
    """An object whose source a lost worker has deleted is moved, also where it must not replace anything."""
    expected = content(make_files(tmp_path / "files", 6))
    await relayed.copy(f"{tmp_path}/files/", f"aws:{place}")
    for number, overwrite in enumerate((True, False)):
        relay.reset()
        relay.kills_after = once(lambda sent: sent.method == "DELETE" and sent.path.endswith("/00003"))
        source, target = f"aws:{place[:-1]}-{number}/", f"aws:{place[:-1]}-{number + 1}/"
        await relayed.copy(f"aws:{place}", source)
        report = await relayed.move(source, target, processes=1, overwrite=overwrite)
        assert (len(report), report.failed, relay.kills) == (6, [], 1)
        assert not await relayed.get_storage_manager().list("AWS", source[4:], recursive=True)
        await relayed.copy(target, f"{tmp_path}/back-{number}/")
        assert content(tmp_path / f"back-{number}") == expected


@pytest.mark.long
async def test_an_item_that_ends_its_workers(
    relayed: AsyncSession, relay: ProcessRelay, place: str, tmp_path: Path
) -> None:
    """An item that ends each worker that tries it is a failed item; the others are stored, and the job goes on."""
    files = make_files(tmp_path / "files", 4)
    relay.kills_before = lambda sent: sent.method == "PUT" and sent.path.endswith("/00002") and sent.pid != os.getpid()
    with pytest.raises(TransferError, match="workers ended while they worked on it") as caught:
        await relayed.copy(f"{files}/", f"aws:{place}", processes=1)
    report = caught.value.report
    assert [Path(each.source).name for each in report.failed] == ["00002"]
    assert len(report) == 4
    assert relay.kills >= 3
    relay.reset()
    assert report.job_id is not None
    assert len(await relayed.resume(report.job_id, processes=1)) == 1
    assert len(await relayed.get_storage_manager().list("AWS", place, recursive=True)) == 4


@pytest.mark.long
async def test_parts_that_end_their_workers(
    relayed: AsyncSession, weed: SeaweedFS, relay: ProcessRelay, bucket: str, place: str, tmp_path: Path
) -> None:
    """An object whose part ends each worker is a failed item, and leaves no upload."""
    files = make_files(tmp_path / "files", 2, large=11 * MiB)
    relay.kills_before = lambda sent: "partNumber=2" in sent.path
    with pytest.raises(TransferError, match="workers ended while they worked on it") as caught:
        await relayed.copy(f"{files}/", f"aws:{place}", processes=1)
    assert [Path(each.source).name for each in caught.value.report.failed] == ["large"]
    assert not unfinished_uploads(weed, bucket)
