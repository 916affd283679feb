"""Workers that are killed or hang: the end state is exact, or the error says what to do."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, ExecutorError, Progress, TransferReport
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files, settings_for, unfinished_uploads
from tests.transfer.executor.trees import content, make_files

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

Call = Callable[[], Awaitable[TransferReport]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough for several shards."""
    return make_files(tmp_path_factory.mktemp("files") / "tree", 1200, 10_000, large=48 * MiB + 1)


def worker_pids() -> list[int]:
    """The worker processes that run now."""
    return [child.pid for child in active_children() if child.pid is not None and child.is_alive()]


async def kill_during(call: Call, kills: int, chance: random.Random) -> TransferReport:
    """Runs a call, and kills a worker of its at random moments."""
    running = asyncio.ensure_future(call())
    for _ in range(kills):
        await asyncio.wait([running], timeout=chance.uniform(0.2, 1.5))
        if running.done() or not (pids := worker_pids()):
            continue
        os.kill(chance.choice(pids), signal.SIGKILL)
    return await running


async def rounds(
    session: AsyncSession, weed: SeaweedFS, bucket: str, files: Path, top: Path, count: int, place: str
) -> int:
    """Kills workers in uploads and downloads; returns how many calls ended with everything at its place."""
    exact, chance = 0, random.Random(7)
    for number in range(count):
        target, back = f"aws:{place}{number}/", top / f"back-{number}"
        report = await kill_during(lambda t=target: session.copy(f"{files}/", t, processes=2), 1, chance)  # type: ignore[misc]
        assert not report.failed
        report = await kill_during(lambda t=target, b=back: session.copy(t, f"{b}/", processes=2), 1, chance)  # type: ignore[misc]
        assert not report.failed
        assert content(back) == content(files)
        assert not unfinished_uploads(weed, bucket)
        assert not part_files(top)
        exact += 1
    return exact


@pytest.mark.long
async def test_killed_workers(
    session: AsyncSession, weed: SeaweedFS, bucket: str, place: str, files: Path, tmp_path: Path
) -> None:
    """A killed worker costs the shards it held: they are done again, and nothing is lost or left over."""
    assert await rounds(session, weed, bucket, files, tmp_path, 1, place) == 1


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_workers_killed_in_many_rounds(
    session: AsyncSession, weed: SeaweedFS, bucket: str, place: str, files: Path, tmp_path: Path
) -> None:
    """The same twenty times."""
    assert await rounds(session, weed, bucket, files, tmp_path, 20, place) == 20


@pytest.mark.long
async def test_moves_survive_a_loss(session: AsyncSession, place: str, tmp_path: Path) -> None:
    """An item that a lost worker had moved is done, though its source is gone."""
    source = make_files(tmp_path / "source", 1000)
    expected = content(source)
    call = lambda: session.move(f"{source}/", f"aws:{place}", processes=2)  # noqa: E731
    report = await kill_during(call, 2, random.Random(3))
    assert (len(report), report.failed) == (1000, [])
    assert not content(source)
    await session.copy(f"aws:{place}", f"{tmp_path}/back/", processes=2)
    assert content(tmp_path / "back") == expected


@pytest.mark.long
async def test_a_hanging_worker_is_replaced(weed: SeaweedFS, place: str, files: Path, tmp_path: Path) -> None:
    """A worker of the session's own that is not heard of is ended, and its shards are done by another one."""
    settings = replace(settings_for(weed, tmp_path / "home", part_size=5 * MiB), stall_timeout=1.0)
    async with AsyncSession(settings=settings) as session:
        stopped: list[int] = []

        def stop(now: Progress) -> None:
            if now.files_done and not stopped:
                (pool,) = session._resources.pools.values()
                stopped.extend(pool.executor()._processes)
                os.kill(stopped[0], signal.SIGSTOP)

        report = await session.copy(f"{files}/", f"aws:{place}", processes=1, on_progress=stop)
    assert stopped
    assert not report.failed


async def test_a_broken_pool_of_the_user(session: AsyncSession, place: str, tmp_path: Path) -> None:
    """A user's pool that lost a worker takes no more work: the error says so, and the job can be resumed."""
    files = make_files(tmp_path / "files", 400, large=11 * MiB)
    pool = ProcessPoolExecutor(1, get_context("spawn"))

    def kill(now: Progress) -> None:
        if now.files_done:
            for pid in pool._processes or ():
                os.kill(pid, signal.SIGKILL)

    call = session.copy(f"{files}/", f"aws:{place}", executor=pool, credentials="send", on_progress=kill)
    with pytest.raises(ExecutorError, match="then resume job") as caught:
        await call
    pool.shutdown()
    assert caught.value.job_id is not None
    report = await session.resume(caught.value.job_id)
    assert not report.failed
    assert 0 < len(report) < 401
