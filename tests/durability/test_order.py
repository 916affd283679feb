"""The order in which bytes, names and directories go to disk, and what waits for that."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.durability import SyncedDirectories
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Buffered, ObjectOptions
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.unit.app import CONNECTION_OPTIONS, create_unit_app
from dxflow_async.transfer.context import Place
from dxflow_async.transfer.engine import Engine, TransferItem
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.journal.jobfile import JobFile
from dxflow_async.transfer.journal.journal import Journal
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.resources import Resources
from tests.durability.recorded_syncs import Recorder, recorded
from tests.server.running_hub import SECRETS, RunningUnit

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="descriptors are looked up in /proc"),
    pytest.mark.usefixtures("real_costs"),
]

LARGE = bytes(40 << 20)


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """What a session owns."""
    resources = Resources(Settings(home=tmp_path / "home"))
    yield resources
    await resources.aclose()


async def test_a_written_file(tmp_path: Path, resources: Resources) -> None:
    """Its bytes are synced, it gets its name, and then its directory and those that were made are synced."""
    local = LocalProvider(tmp_path / "root", resources.threads)
    with recorded(tmp_path) as recorder:
        await local.write("a/b/x", Buffered((b"x",), 1), ObjectOptions())
    above = ("sync root/a/b", "sync root/a", "sync root")
    assert recorder.order("sync root/a/b/*", "rename root/a/b/x"), recorder.events
    assert all(recorder.order("rename root/a/b/x", name) for name in above), recorder.events
    with recorded(tmp_path) as recorder:
        await local.write("a/b/y", Buffered((b"x",), 1), ObjectOptions())
    assert recorder.events == ["sync root/a/b/*", "rename root/a/b/y", "sync root/a/b"]


async def test_many_files_are_synced_together(tmp_path: Path, resources: Resources) -> None:
    """Files that are written at the same time take far fewer syncs than there are files."""
    local = LocalProvider(tmp_path / "root", resources.threads)
    with recorded(tmp_path) as recorder:
        writes = (local.write(f"{number}", Buffered((b"x",), 1), ObjectOptions()) for number in range(200))
        await asyncio.gather(*writes)
    assert len(list((tmp_path / "root").iterdir())) == 200
    assert sum(event.startswith("sync") for event in recorder.events) < 100


async def test_a_directory_that_was_removed_is_synced_anew(tmp_path: Path, resources: Resources) -> None:
    """What gets the name of a removed directory is not taken for what was synced."""
    local = LocalProvider(tmp_path / "root", resources.threads)
    await local.make_directory("a/b/")
    await local.remove_directory("a/b/")
    with recorded(tmp_path) as recorder:
        await local.make_directory("a/b/")
    assert "sync root/a" in recorder.events


async def test_a_rename(tmp_path: Path, resources: Resources) -> None:
    """Both directories are synced before it is done."""
    local = LocalProvider(tmp_path / "root", resources.threads)
    for name in ("a/x", "b/y"):
        await local.write(name, Buffered((b"x",), 1), ObjectOptions())
    with recorded(tmp_path) as recorder:
        await local.rename("a/x", "b/x")
    assert recorder.order("rename root/b/x", "sync root/a") or recorder.order("rename root/b/x", "sync root/b")
    assert {"sync root/a", "sync root/b"} <= set(recorder.events)


class NotedJournal(Journal):
    """Notes among the events when an item counts as done."""

    recorder: Recorder

    async def ended(self, result: TransferResult, version: str | None) -> None:
        self.recorder.events.append("done")
        await super().ended(result, version)


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["whole", "parts"])
async def test_a_move(tmp_path: Path, resources: Resources, content: bytes) -> None:
    """The copy and its directory are on disk before the source is deleted, and that before the journal says done."""
    source = LocalProvider(tmp_path / "a", resources.threads)
    target = LocalProvider(tmp_path / "b", resources.threads)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(content)
    journal = NotedJournal(tmp_path / "home", resources.threads, JobSpec("move", "from", "to"))
    route = resources.context(None, journal)

    async def plan() -> AsyncIterator[TransferItem]:
        yield CopyItem(route, Place(source, "x", "f"), Place(target, "x", "t"), ObjectOptions(), delete_source=True)

    with recorded(tmp_path) as recorder:
        journal.recorder = recorder
        report = await Engine(resources.limits.workers, route.meter, journal).run(plan())
    await journal.close(succeeded=True)
    assert report.ok
    assert recorder.order("sync b/*", "rename b/x", "sync b", "remove a/x", "done"), recorder.events


async def test_a_copy_within_a_directory(tmp_path: Path, resources: Resources) -> None:
    """A copy that the provider makes itself is on disk, too."""
    local = LocalProvider(tmp_path / "root", resources.threads)
    await local.write("x", Buffered((b"x",), 1), ObjectOptions())
    with recorded(tmp_path) as recorder:
        await local.copy(await local.stat("x"), "y", ObjectOptions())
    assert recorder.order("sync root/*", "rename root/y", "sync root")


async def test_not_durable(tmp_path: Path) -> None:
    """Where it is turned off nothing is synced, and all is stored all the same."""
    threads = Threads(1, durable=False)
    local = LocalProvider(tmp_path / "root", threads)
    with recorded(tmp_path) as recorder:
        await local.write("x", Buffered((b"x",), 1), ObjectOptions())
        await local.rename("x", "y")
        await local.make_directory("d/")
    threads.close()
    assert not [event for event in recorder.events if event.startswith("sync")]
    assert (tmp_path / "root/y").read_bytes() == b"x"


def test_the_journal(tmp_path: Path) -> None:
    """A job's file and its directories are on disk when it is made, and SQLite syncs each thing that is written."""
    home = tmp_path / "home"
    with recorded(tmp_path) as recorder:
        job = JobFile.create(home, JobSpec("copy", "a", "b"), "0123abcd", time.time())
    name = f"home/jobs/{job.id}.sqlite3"
    assert recorder.order("sync home/jobs/*", f"rename {name}", "sync home/jobs", "sync home")
    assert job._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert job._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    job.close()
    with closing(JobFile.open(home, job.id, "0123abcd", durable=False)) as again:
        assert again._database.execute("PRAGMA synchronous").fetchone() == (1,)


@pytest.fixture(params=[True, False], ids=["durable", "not"])
async def unit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[RunningUnit, bool]]:
    """A unit, and whether it is durable."""
    root = tmp_path / "volume"
    root.mkdir()
    app = create_unit_app(root, SECRETS, durable=request.param)
    server = Server(app, Listening(), CONNECTION_OPTIONS)
    async with aiohttp.ClientSession() as http:
        yield RunningUnit(await server.start(), root, http, app), request.param
        await server.aclose(1.0)


async def test_a_unit(tmp_path: Path, unit: tuple[RunningUnit, bool]) -> None:
    """Uploads, copies and renames are answered when bytes, names and directories are on disk."""
    running, durable = unit
    with recorded(tmp_path) as recorder:
        assert (await running.put("d/whole", b"x")).status == 201
    assert recorder.order("sync volume/.dx-uploads/*", "rename volume/d/whole", "sync volume/d") is durable
    url = (await running.create("d/parts", 4)).headers["Location"]
    with recorded(tmp_path) as recorder:
        assert (await running.patch(url, 0, b"xx")).status == 204
    assert ("sync volume/.dx-uploads/*" in recorder.events) is durable
    with recorded(tmp_path) as recorder:
        assert (await running.patch(url, 2, b"xx")).status == 204
    assert recorder.order("sync volume/.dx-uploads/*", "rename volume/d/parts", "sync volume/d") is durable
    with recorded(tmp_path) as recorder:
        assert (await running.request("PUT", "/storage/transfer/?path=/d&destination=/e/f")).status == 200
    assert recorder.order("sync volume/.dx-uploads/*", "rename volume/e/f/parts", "sync volume/e/f") is durable
    with recorded(tmp_path) as recorder:
        assert (await running.request("PUT", "/storage/rename/?path=/d/whole&destination=/g/h")).status == 200
    assert ({"sync volume/d", "sync volume/g", "sync volume"} <= set(recorder.events)) is durable


async def test_bytes_that_a_unit_lost(unit: tuple[RunningUnit, bool]) -> None:
    """After a loss of power an upload is at the last offset whose bytes are there, whatever its state says."""
    running, durable = unit
    if not durable:
        return
    url = (await running.create("x", 6)).headers["Location"]
    await running.patch(url, 0, b"abc")
    info, data = (next((running.root / ".dx-uploads").glob(f"*.{kind}")) for kind in ("info", "data"))
    progress, _, rest = info.read_bytes().partition(b"\n")
    offset, crc, *synced = progress.split()
    info.write_bytes(b" ".join((b"%020d" % 5, crc, *synced)) + b"\n" + rest)  # said, and not on disk
    data.write_bytes(b"abc\0\0")
    assert await running.offset(url) == int(offset) == 3
    assert (await running.patch(url, 3, b"def")).status == 204
    assert (running.root / "x").read_bytes() == b"abcdef"


async def test_renames_within_a_machine_are_synced_together(tmp_path: Path) -> None:
    """Many files that are moved into a directory wait for few syncs, and each of them before it counts as done."""
    source, target = tmp_path / "source", tmp_path / "target"
    for directory in (source, target):
        directory.mkdir()
    for number in range(200):
        (source / f"{number}").write_bytes(b"x")
    with recorded(tmp_path) as recorder:
        async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
            report = await session.move(f"{source}/", f"{target}/")
    assert len(report) == len(list(target.iterdir())) == 200
    assert 2 <= sum(event.startswith("sync") for event in recorder.events) < 300
    last = max(number for number, event in enumerate(recorder.events) if event.startswith("rename target/"))
    assert {"sync source", "sync target"} <= set(recorder.events[last:])


async def test_the_directories_of_a_copy_wait_for_no_sync_of_their_own(tmp_path: Path) -> None:
    """What is in them is synced together with them; one that nothing is in is synced itself."""
    for number in range(60):
        (tmp_path / f"source/{number:02}").mkdir(parents=True)
        (tmp_path / f"source/{number:02}/file").write_bytes(b"x")
    (tmp_path / "source/empty").mkdir()
    with recorded(tmp_path) as recorder:
        async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
            await session.copy(f"{tmp_path}/source/", f"{tmp_path}/target/")
    for number in range(60):
        named = recorder.events.index(f"rename target/{number:02}/file")
        assert f"sync target/{number:02}" not in recorder.events[:named]
    assert recorder.order("sync target/empty")
    assert (tmp_path / "target/59/file").read_bytes() == b"x"


def test_a_directory_that_is_removed_while_it_is_synced_is_not_known() -> None:
    """What gets its name afterwards is synced anew: nobody can tell which of the two was synced."""
    synced = SyncedDirectories()
    moment = synced.moment
    wanted = synced.to_sync("/a/b")
    synced.forget()
    synced.add(wanted, moment)
    assert synced.to_sync("/a/b") == wanted == ["/a/b", "/a", "/"]
    synced.add(wanted, synced.moment)
    assert synced.to_sync("/a/b") == ["/a/b"]
