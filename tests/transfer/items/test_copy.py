"""One object from provider to provider, where either side may break off or lie about checksums."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async import Progress, Settings, TransferError, TransferReport, TransferResult
from dxflow_async.checksum import crc32c, label
from dxflow_async.exceptions import ChecksumMismatchError, NetworkError
from dxflow_async.providers.contract import (
    Body,
    Buffer,
    Entry,
    ObjectOptions,
    Part,
    PartReceipt,
    Provider,
    Reader,
    Upload,
)
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.providers.local.readable_file import ReadableFile
from dxflow_async.transfer.adaptive_limit import AdaptiveLimit
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.items.stream_writer import StreamWriter
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import RetryPolicy
from tests.sessions import MiB

DATA = bytes(range(256)) * 8192

Make = Callable[[type[LocalProvider], str], LocalProvider]


class Remote(LocalProvider):
    """A directory that behaves as a network does: it keeps checksums, and bodies come from memory."""

    features = replace(LocalProvider.features, checksum=True, checksum_first=True, cheap_reread=False, stages=False)


class ForgetfulStore(Remote):
    """Says that it stored other bytes."""

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        entry = await super().write(key, body, options)
        assert entry.crc32c is not None
        return replace(entry, crc32c=entry.crc32c ^ 1)


class GarbledSource(Remote):
    """Says of its bytes what is not so, as if they had changed on the way."""

    async def read(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        etag: str | None = None,
        listed: Entry | None = None,
    ) -> Reader:
        reading = await super().read(key, start, end, etag=etag, listed=listed)
        reading.crc32c = 1
        return reading


class BreakingStore(Remote):
    """Takes half of the first body, and breaks off."""

    broken = False

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        if not self.broken:
            self.broken = True
            await anext(aiter(body))
            raise NetworkError("the connection broke")
        return await super().write(key, body, options)


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """What a session owns."""
    resources = Resources(Settings(home=tmp_path / "home"))
    yield resources
    await resources.aclose()


@pytest.fixture
def make(resources: Resources, tmp_path: Path) -> Make:
    """Makes a provider below a directory."""
    return lambda kind, name: kind(tmp_path / name, resources.threads)


async def move(
    resources: Resources,
    source: Provider,
    destination: Provider,
    states: list[Progress] | None = None,
    part_size: int | None = None,
) -> TransferReport:
    """Moves the object `x`."""

    async def plan(context: TransferContext) -> AsyncIterator[TransferItem]:
        context = context if part_size is None else replace(context, part_size=part_size)
        yield CopyItem(context, Place(source, "x", "from"), Place(destination, "x", "to"), ObjectOptions())

    call = resources.begin(JobSpec("copy", "from", "to"), None if states is None else states.append)
    return await call.run(plan(call.context))


async def test_checksum_kept_from_end_to_end(resources: Resources, make: Make, tmp_path: Path) -> None:
    """What both sides agree on is verified."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(DATA)
    (result,) = await move(resources, make(LocalProvider, "a"), make(Remote, "b"))
    assert result.verified
    assert (tmp_path / "b/x").read_bytes() == DATA


@pytest.mark.parametrize(
    ("source", "destination"), [(LocalProvider, ForgetfulStore), (GarbledSource, Remote)], ids=["stored", "read"]
)
async def test_disagreement_is_an_error(
    resources: Resources,
    make: Make,
    tmp_path: Path,
    source: type[LocalProvider],
    destination: type[LocalProvider],
) -> None:
    """A checksum that either side gives and the bytes do not have is never accepted, however often it is tried."""
    resources.policy = RetryPolicy(first_wait=0.0)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(DATA)
    with pytest.raises(TransferError) as raised:
        await move(resources, make(source, "a"), make(destination, "b"))
    (result,) = raised.value.report
    assert isinstance(result.error, ChecksumMismatchError)
    assert result.attempts > 1
    assert not result.verified


async def test_bytes_that_were_sent_twice_count_once(resources: Resources, make: Make, tmp_path: Path) -> None:
    """A body that broke off and was sent again is counted once, in the result and in the progress."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(DATA)
    states: list[Progress] = []
    (result,) = await move(resources, make(LocalProvider, "a"), make(BreakingStore, "b"), states)
    assert (result.bytes, result.attempts) == (len(DATA), 2)
    assert states[-1].bytes_done == len(DATA)


async def test_small_bytes_count(resources: Resources, make: Make, tmp_path: Path) -> None:
    """A body that is too small to be counted on its way is counted all the same."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(b"small")
    states: list[Progress] = []
    (result,) = await move(resources, make(LocalProvider, "a"), make(Remote, "b"), states)
    assert (result.bytes, states[-1].bytes_done) == (5, 5)


async def test_large_bytes_to_a_disk(resources: Resources, make: Make, tmp_path: Path) -> None:
    """Bytes that are written as they come are all there, in their places, and have the checksum that is told."""
    data = os.urandom(2 * resources.settings.part_size + 5)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(data)
    (result,) = await move(resources, make(Remote, "a"), make(LocalProvider, "b"))
    assert (tmp_path / "b/x").read_bytes() == data
    assert result.checksum == label(crc32c(data))


class StreamingStore(Remote):
    """Takes parts whose checksum is not known before."""

    features = replace(Remote.features, streams_parts=True)


@pytest.mark.parametrize(
    ("source", "to", "parts"),
    [
        (LocalProvider, StreamingStore, 32),
        (Remote, LocalProvider, 64),
        (Remote, StreamingStore, 128),
        (LocalProvider, Remote, 128),
    ],
)
async def test_streamed_parts_are_larger(
    resources: Resources, make: Make, tmp_path: Path, source: type[LocalProvider], to: type[LocalProvider], parts: int
) -> None:
    """Parts that take no memory grow with the file; others are as large as is set."""
    (tmp_path / "a").mkdir()
    with (tmp_path / "a/x").open("wb") as file:
        file.truncate(128 * resources.settings.part_size)
    context = resources.context(None)
    item = CopyItem(context, Place(make(source, "a"), "x", "x"), Place(make(to, "b"), "x", "x"), ObjectOptions())
    assert len(list(await item.open())) == parts
    await item.abort()


@pytest.mark.parametrize(
    ("to", "size", "others", "parts"),
    [
        (LocalProvider, 8, 100, 1),
        (LocalProvider, 8, 99, 8),
        (LocalProvider, 9, 100, 9),
        (Remote, 8, 100, 8),
    ],
)
async def test_among_many_files_few_are_cut(
    resources: Resources, make: Make, tmp_path: Path, to: type[LocalProvider], size: int, others: int, parts: int
) -> None:
    """On its way to a disk an object of middle size is cut only where too few others are left to go beside it."""
    (tmp_path / "a").mkdir()
    with (tmp_path / "a/x").open("wb") as file:
        file.truncate(size * resources.settings.part_size)
    context = resources.context(None)
    for _ in range(others + 50):
        context.meter.planned(1)
    for _ in range(50):
        context.meter.done(TransferResult("a", "b"))
    item = CopyItem(context, Place(make(Remote, "a"), "x", "x"), Place(make(to, "b"), "x", "x"), ObjectOptions())
    assert len(list(await item.open())) == parts
    await item.abort()


async def test_streamed_parts_are_read_once(
    resources: Resources, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that is streamed is opened as it is sent, and not before."""
    opened = []
    open_file = ReadableFile.open

    def note(file: ReadableFile) -> Buffer:
        opened.append(file)
        return open_file(file)

    monkeypatch.setattr(ReadableFile, "open", note)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(os.urandom(3 * resources.settings.part_size))
    (result,) = await move(resources, make(LocalProvider, "a"), make(StreamingStore, "b"))
    assert (result.error, len(opened)) == (None, 3)
    assert (tmp_path / "b/x").read_bytes() == (tmp_path / "a/x").read_bytes()


class CostlyStore(StreamingStore):
    """Its parts cost."""

    features = replace(StreamingStore.features, parts_are_objects=True)


@pytest.mark.parametrize(
    ("source", "to", "size", "parts"),
    [
        (LocalProvider, CostlyStore, 8, 1),
        (LocalProvider, CostlyStore, 9, 3),
        (LocalProvider, StreamingStore, 9, 9),
        (Remote, CostlyStore, 9, 9),
    ],
)
async def test_parts_that_cost_are_few(
    resources: Resources,
    make: Make,
    tmp_path: Path,
    source: type[LocalProvider],
    to: type[LocalProvider],
    size: int,
    parts: int,
) -> None:
    """Where parts cost, an object is cut into large ones, and a smaller one not at all, if that takes no memory."""
    (tmp_path / "a").mkdir()
    with (tmp_path / "a/x").open("wb") as file:
        file.truncate(size * resources.settings.part_size)
    context = resources.context(None)
    item = CopyItem(context, Place(make(source, "a"), "x", "x"), Place(make(to, "b"), "x", "x"), ObjectOptions())
    assert len(list(await item.open())) == parts
    await item.abort()


async def _chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield DATA


async def test_stream_stored_otherwise_is_an_error(resources: Resources, make: Make) -> None:
    """Of a stream, too, the checksum that the store tells is compared with that of what was sent."""
    context = resources.context(None)
    good, bad = make(Remote, "good"), make(ForgetfulStore, "bad")
    result = await StreamWriter(context, Place(good, "x", "x"), ObjectOptions()).write(_chunks(1))
    assert result.verified
    with pytest.raises(ChecksumMismatchError, match="other bytes were stored"):
        await StreamWriter(context, Place(bad, "x", "x"), ObjectOptions()).write(_chunks(1))


async def test_stream_takes_its_memory_from_the_budget(resources: Resources, make: Make) -> None:
    """Each part that is on its way is counted while the next one is read, and given back."""
    used = []

    async def watched() -> AsyncIterator[bytes]:
        async for chunk in _chunks(20):
            used.append(resources.limits.memory.used)
            yield chunk

    context = resources.context(None)
    await StreamWriter(context, Place(make(Remote, "to"), "x", "x"), ObjectOptions()).write(watched())
    assert max(used) >= context.part_size
    assert resources.limits.memory.used == 0


class QuickService(Remote):
    """A service that counts its reads."""

    features = replace(Remote.features, endpoint="https://quick.example", stages=False)
    reads = 0

    async def read(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        etag: str | None = None,
        listed: Entry | None = None,
    ) -> Reader:
        self.reads += 1
        return await super().read(key, start, end, etag=etag, listed=listed)


class SlowService(Remote):
    """A service that stores nothing before it may."""

    features = replace(Remote.features, endpoint="https://slow.example", stages=False)
    may: asyncio.Event

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        return SlowUpload(await super().start_upload(key, size, options), self.may)


class SlowUpload(Upload):
    """Its parts wait."""

    def __init__(self, inner: Upload, may: asyncio.Event) -> None:
        self.id = inner.id
        self._inner = inner
        self._may = may

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        await self._may.wait()
        return await self._inner.write_part(part, body)

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        return await self._inner.finish(receipts, crc32c)

    async def abort(self) -> None:
        await self._inner.abort()


@pytest.mark.parametrize(
    ("places", "memory", "most"), [(6, 256, 6 + 9), (32, 16, 10)], ids=["no more than needed", "no more than allowed"]
)
async def test_a_quick_source_does_not_fill_the_memory(
    make: Make, resources: Resources, tmp_path: Path, places: int, memory: int, most: int
) -> None:
    """Between two services, what the destination does not need yet is not read; copies take five eighths at most."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(os.urandom(MiB) + bytes(39 * MiB))
    source, destination = make(QuickService, "a"), make(SlowService, "b")
    assert isinstance(source, QuickService)
    assert isinstance(destination, SlowService)
    destination.may = asyncio.Event()
    limits = resources.limits = Limits(512, memory * MiB)
    reads, writes = AdaptiveLimit(places, large_initial=places), AdaptiveLimit(64, large_initial=places)
    limits.endpoints |= {"https://quick.example": reads, "https://slow.example": writes}
    limits.count_workers()
    copying = asyncio.ensure_future(move(resources, source, destination, part_size=MiB))
    quiet, seen = 0, 0
    while quiet < 10 or not seen:
        await asyncio.sleep(0.01)
        quiet = quiet + 1 if source.reads == seen and not reads.in_flight else 0
        seen = source.reads
    assert source.reads <= most
    assert source.reads * MiB <= limits.memory.used <= memory * MiB * 5 // 8
    destination.may.set()
    (result,) = await copying
    assert result.bytes == 40 * MiB
    assert (tmp_path / "b/x").read_bytes() == (tmp_path / "a/x").read_bytes()
    assert (limits.memory.used, limits.copy_memory.used) == (0, 0)
