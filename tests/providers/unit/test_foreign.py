"""Units whose server is not ours: npm's `@tus/server` with `@tus/file-store`, and the published routes."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dxflow_async import Settings
from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import AccessDeniedError, NetworkError, NotFoundError, PreconditionFailedError
from dxflow_async.providers.contract import Buffered, ObjectOptions, Part, Provider
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.resources import Resources
from tests.providers.connected_providers import connect_unit
from tests.providers.in_memory_bodies import body, read
from tests.providers.unit.started_units import BreakingOff, Counter, again
from tests.servers.foreign_unit import ForeignUnit
from tests.waiting import until

MiB = 1 << 20
OPTIONS = ObjectOptions()
DATA = random.Random(3).randbytes(11 * MiB + 1)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForeignUnit]:
    """The unit, which does ranges."""
    with ForeignUnit(tmp_path_factory.mktemp("foreign")) as unit:
        yield unit


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForeignUnit]:
    """A unit that sends a file as a whole only, and does not say how much it sends."""
    with ForeignUnit(tmp_path_factory.mktemp("simple"), "range", "length") as unit:
        yield unit


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """What a session owns; parts are of 5 MiB."""
    resources = Resources(Settings(home=tmp_path / "home", part_size=5 * MiB))
    yield resources
    await resources.aclose()


@pytest.fixture
async def unit(foreign: ForeignUnit, resources: Resources) -> UnitProvider:
    """Its provider."""
    return await connect(foreign, resources)


async def connect(foreign: ForeignUnit, resources: Resources) -> UnitProvider:
    """A provider of a foreign unit."""
    return await connect_unit("Foreign", foreign.url, foreign.secret, resources.http, resources.threads)


async def copy(resources: Resources, source: Provider, destination: Provider, key: str) -> bool:
    """Copies one object by the engine; whether it was verified."""

    async def plan(route: TransferContext) -> AsyncIterator[TransferItem]:
        yield CopyItem(route, Place(source, key, key), Place(destination, key, key), OPTIONS)

    call = resources.begin(JobSpec("copy", key, key), None)
    (result,) = await call.run(plan(call.context))
    return result.verified


async def test_features_are_those_of_the_core(unit: UnitProvider) -> None:
    """What is not announced is not claimed: no checksums, times, moves, ranges, and one part only."""
    features = unit.features
    assert not any((features.checksum, features.mtime, features.rename, features.ordered, features.ranges))
    assert features.max_parts == 1
    assert features.directories
    assert features.copy


async def test_whole_files(unit: UnitProvider, foreign: ForeignUnit) -> None:
    """A file is written, listed, looked up, read in whole and in part, copied, and deleted."""
    entry = await unit.write("files/dir/a b+%", body(DATA), OPTIONS)
    assert entry.crc32c == crc32c(DATA)
    assert (foreign.root / "files/dir/a b+%").read_bytes() == DATA
    seen = await unit.stat("files/dir/a b+%")
    assert (seen.size, seen.directory, seen.etag, seen.crc32c) == (len(DATA), False, None, None)
    assert await read(unit, "files/dir/a b+%") == DATA
    assert await read(unit, "files/dir/a b+%", 10, 20) == DATA[10:20]
    await unit.copy(seen, "files/copy/b", OPTIONS)
    assert (foreign.root / "files/copy/b").read_bytes() == DATA
    page = await unit.list_page("files/", recursive=True)
    assert [entry.key for entry in page.entries] == ["files/copy/b", "files/dir/a b+%"]
    assert await unit.delete(["files/copy/b", "files/missing"]) == {}
    with pytest.raises(NotFoundError):
        await unit.stat("files/copy/b")
    with pytest.raises(NotFoundError):
        await unit.read("files/copy/b")


async def test_empty_files_and_directories(unit: UnitProvider, foreign: ForeignUnit) -> None:
    """An empty file is one; a directory is made by the file `.dx`, which goes again, and one that is there stays."""
    await unit.write("empty/file", Buffered((), 0, 0), OPTIONS)
    assert (foreign.root / "empty/file").read_bytes() == b""
    await unit.make_directory("empty/dir/deep/")
    assert os.listdir(foreign.root / "empty/dir/deep") == []
    (foreign.root / "empty/dir/.dx").write_bytes(b"the user's own")
    await unit.make_directory("empty/dir/")
    assert (foreign.root / "empty/dir/.dx").read_bytes() == b"the user's own"
    with pytest.raises(FileExistsError, match="not empty"):
        await unit.remove_directory("empty/dir/")
    await unit.remove_directory("empty/dir/deep/")
    assert not (foreign.root / "empty/dir/deep").exists()


async def test_a_stream_goes_on_where_the_server_got_to(
    unit: UnitProvider, foreign: ForeignUnit, resources: Resources
) -> None:
    """An upload that broke off goes on by HEAD, and what the server has is not sent again."""
    (foreign.root / "resumed").unlink(missing_ok=True)
    upload = await unit.start_upload("resumed", len(DATA), OPTIONS)
    part = Part(1, 0, len(DATA))
    with pytest.raises(NetworkError):
        await upload.write_part(part, BreakingOff(DATA, 10 * MiB))
    assert not (foreign.root / "resumed").exists()
    resources.http.throttle = counter = Counter()
    await again(upload, part, DATA)
    await upload.finish([], None)
    assert counter.bytes <= 7 * MiB
    assert (foreign.root / "resumed").read_bytes() == DATA


async def test_an_aborted_stream_leaves_nothing(unit: UnitProvider, foreign: ForeignUnit) -> None:
    """What was begun and is not wanted is removed at the server."""
    upload = await unit.start_upload("aborted", len(DATA), OPTIONS)
    with pytest.raises(NetworkError):
        await upload.write_part(Part(1, 0, len(DATA)), BreakingOff(DATA, MiB))
    name = upload.id.rpartition("/")[2]
    assert name in os.listdir(foreign.uploads)
    await upload.abort()
    await upload.abort()
    assert name not in os.listdir(foreign.uploads)


async def test_streams_of_unknown_length(unit: UnitProvider, foreign: ForeignUnit) -> None:
    """What the server must be told the length of is kept in a temporary file until its end is known."""
    upload = await unit.start_upload("unknown", None, OPTIONS)
    receipts = [
        await upload.write_part(Part(number, start, len(DATA[start : start + MiB])), body(DATA[start : start + MiB]))
        for number, start in enumerate(range(0, len(DATA), MiB), 1)
    ]
    entry = await upload.finish(receipts, crc32c(DATA))
    assert entry.size == len(DATA)
    assert (foreign.root / "unknown").read_bytes() == DATA


@pytest.mark.parametrize("which", ["foreign", "simple"])
async def test_the_engine_knows_no_difference(
    which: str, request: pytest.FixtureRequest, resources: Resources, tmp_path: Path
) -> None:
    """Large files go up and down in one stream each, once, and it is said that nobody compared them."""
    server: ForeignUnit = request.getfixturevalue(which)
    unit = await connect(server, resources)
    (tmp_path / "from").mkdir()
    (tmp_path / "from/large").write_bytes(DATA)
    resources.http.throttle = counter = Counter()
    assert not await copy(resources, LocalProvider(tmp_path / "from", resources.threads), unit, "large")
    assert (server.root / "large").read_bytes() == DATA
    assert counter.bytes == len(DATA)
    assert not await copy(resources, unit, LocalProvider(tmp_path / "to", resources.threads), "large")
    assert (tmp_path / "to/large").read_bytes() == DATA
    assert counter.bytes < 2.5 * len(DATA)


async def test_a_server_without_ranges(simple: ForeignUnit, resources: Resources) -> None:
    """Of a whole that comes where a range was asked for only the range is handed on, and none is refused."""
    unit = await connect(simple, resources)
    (simple.root / "digits").write_bytes(b"0123456789")
    for start, end, expected in ((0, 1, b"0"), (3, 7, b"3456"), (7, None, b"789"), (9, 100, b"9"), (0, 100, None)):
        assert await read(unit, "digits", start, end) == (expected or b"0123456789")
    with pytest.raises(PreconditionFailedError):
        await unit.read("digits", 10)
    (simple.root / "large").write_bytes(DATA)
    assert await read(unit, "large", MiB, 3 * MiB) == DATA[MiB : 3 * MiB]


async def test_a_range_that_came_is_remembered(unit: UnitProvider, foreign: ForeignUnit) -> None:
    """A server that once sent a range is known to do that: then large files are read in parts."""
    (foreign.root / "ranged").write_bytes(b"0123456789")
    assert not unit.features.ranges
    await read(unit, "ranged", 3, 5)
    assert unit.features.ranges


async def test_wrong_secret(foreign: ForeignUnit, resources: Resources) -> None:
    """A refusal without a code is understood by its status."""
    unit = await connect_unit("Foreign", foreign.url, "wrong", resources.http, resources.threads)
    for call in (unit.list_page("", recursive=False), unit.write("a", body(b"x"), OPTIONS), unit.read("a")):
        with pytest.raises(AccessDeniedError, match="/Foreign/") as raised:
            await asyncio.ensure_future(call)
        assert "Forbidden" in str(raised.value)


async def test_trees_of_any_order(unit: UnitProvider, foreign: ForeignUnit) -> None:
    """What a server lists in no order is put in that of the keys, directory by directory, in pages."""
    names = [f"tree/{first}/{number:04}" for first in ("b", "a-", "a") for number in range(500)]
    for name in names:
        (foreign.root / name).parent.mkdir(parents=True, exist_ok=True)
        (foreign.root / name).touch()
    (foreign.root / "tree/empty").mkdir(exist_ok=True)
    page = await unit.list_page("tree/", recursive=True)
    found = [entry.key for entry in page.entries]
    assert len(found) == 1000
    while page.cursor is not None:
        page = await unit.list_page("tree/", recursive=True, cursor=page.cursor)
        found += [entry.key for entry in page.entries]
    assert found == sorted([*names, "tree/empty/"], key=str.encode)
    page = await unit.list_page("tree/a", recursive=False)
    assert [entry.key for entry in page.entries] == ["tree/a-/", "tree/a/"]


async def test_another_process_goes_on_with_a_stream(unit: UnitProvider, foreign: ForeignUnit, tmp_path: Path) -> None:
    """Of a stream that was left lying its id is enough: another provider sends the rest, and nothing of it twice."""
    (foreign.root / "left lying").unlink(missing_ok=True)
    upload = await unit.start_upload("left lying", len(DATA), OPTIONS)
    part = Part(1, 0, len(DATA))
    with pytest.raises(NetworkError):
        await upload.write_part(part, BreakingOff(DATA, 8 * MiB))
    await until(lambda: kept_of(foreign, upload.id) >= 7 * MiB)
    acknowledged = kept_of(foreign, upload.id)
    others = Resources(Settings(home=tmp_path / "another home"))
    others.http.throttle = counter = Counter()
    try:
        other = await connect(foreign, others)
        resumed, kept = await other.resume_upload("left lying", upload.id, [], OPTIONS)
        assert list(kept) == []
        receipt = await again(resumed, part, DATA)
        entry = await resumed.finish([receipt], crc32c(DATA))
    finally:
        await others.aclose()
    assert (entry.size, receipt.crc32c) == (len(DATA), crc32c(DATA))
    assert counter.bytes <= len(DATA) - acknowledged + 64 * 1024
    assert (foreign.root / "left lying").read_bytes() == DATA


def kept_of(foreign: ForeignUnit, upload_id: str) -> int:
    """How much of an upload a unit has."""
    return (foreign.uploads / upload_id.rpartition("/")[2]).stat().st_size
