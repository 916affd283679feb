"""Calls that are cancelled while workers write the parts of an object, or while the coordinator finishes it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from dxflow_async import AsyncSession, NotFoundError
from tests.faults.killed_processes import Program
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for, unfinished_uploads
from tests.transfer.executor.process_relay import ProcessRelay, Sent
from tests.transfer.executor.trees import content, make_files

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened_relay(weed: SeaweedFS) -> AsyncIterator[ProcessRelay]:
    """A relay before SeaweedFS."""
    async with ProcessRelay(weed.endpoint) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relayed(weed: SeaweedFS, opened_relay: ProcessRelay, home: Path) -> AsyncIterator[AsyncSession]:
    """A session that reaches SeaweedFS through the relay."""
    settings = settings_for(weed, home, endpoint=opened_relay.endpoint, part_size=5 * MiB)
    async with AsyncSession(settings=settings) as session:
        yield session


@pytest.fixture
def relay(opened_relay: ProcessRelay) -> ProcessRelay:
    """The relay, which holds nothing yet."""
    opened_relay.reset()
    return opened_relay


def finishes(sent: Sent) -> bool:
    """Whether a request finishes an upload."""
    return sent.method == "POST" and "uploadId=" in sent.path


def writes_part(sent: Sent) -> bool:
    """Whether a request of a worker writes a part."""
    return sent.method == "PUT" and "partNumber=2" in sent.path and sent.pid != os.getpid()


def hold(relay: ProcessRelay, moment: str) -> None:
    """Has the relay hold a request."""
    wanted: Callable[[Sent], bool] = writes_part if "part" in moment else finishes
    if moment.endswith("done"):
        relay.holds_after = wanted
    else:
        relay.holds_before = wanted


async def check(session: AsyncSession, relay: ProcessRelay, weed: SeaweedFS, place: str, files: Path) -> bool:
    """Checks that nothing is left over once the service has done everything; returns whether the object is there."""
    relay.released.set()
    await relay.idle()
    assert not unfinished_uploads(weed, place.split("/")[1])
    try:
        await session.copy(f"aws:{place}", f"{files.parent}/back/")
    except NotFoundError:
        return False
    assert content(files.parent / "back") == content(files)
    return True


_MOMENTS = ["part asked", "part done", "finish asked", "finish done"]


@pytest.mark.parametrize("moment", _MOMENTS)
async def test_a_cancelled_call(
    relayed: AsyncSession, weed: SeaweedFS, relay: ProcessRelay, place: str, tmp_path: Path, moment: str
) -> None:
    """Nothing is left of an object whose parts or end are under way; one that the service has finished is whole."""
    files = make_files(tmp_path / "files", 0, large=11 * MiB)
    hold(relay, moment)
    call = asyncio.ensure_future(relayed.copy(f"{files}/", f"aws:{place}", processes=1))
    await relay.held.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await check(relayed, relay, weed, place, files) == (moment == "finish done")


async def test_workers_end_before_an_upload_is_removed(
    relayed: AsyncSession, weed: SeaweedFS, relay: ProcessRelay, place: str, tmp_path: Path
) -> None:
    """A cancelled call removes an upload once no worker writes parts to it any more, which would come back to life."""
    files = make_files(tmp_path / "files", 0, large=11 * MiB)
    hold(relay, "part asked")
    writing: list[list[Sent]] = []

    def sees(sent: Sent) -> None:
        if sent.method == "DELETE" and "uploadId=" in sent.path:
            writing.append([each for each in relay.waited_for() if each.pid != os.getpid()])

    relay.sees = sees
    call = asyncio.ensure_future(relayed.copy(f"{files}/", f"aws:{place}", processes=1))
    await relay.held.wait()
    assert [each.method for each in relay.waited_for()].count("PUT") >= 1
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert writing == [[]]
    assert not await check(relayed, relay, weed, place, files)


@pytest.mark.parametrize("moment", ["finish asked", pytest.param("finish done", marks=pytest.mark.long)])
async def test_an_interrupted_command(
    session: AsyncSession, weed: SeaweedFS, relay: ProcessRelay, place: str, tmp_path: Path, moment: str
) -> None:
    """Ctrl-C while an object is finished leaves its upload to the service and to the job, which can be resumed."""
    files = make_files(tmp_path / "files", 0, large=11 * MiB)
    program = Program(tmp_path / "home", settings_for(weed, tmp_path, endpoint=relay.endpoint).aws, part_size=5 * MiB)
    hold(relay, moment)
    process = await program._start("cp", f"{files}/", f"aws:{place}", "--processes", "1")
    await relay.held.wait()
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()
    assert process.returncode == 130, errors.decode()
    (job,) = program.jobs
    assert await check(session, relay, weed, place, files)
    relay.reset()
    await program.run("jobs", "resume", job, "--processes", "1")
    assert await check(session, relay, weed, place, files)
