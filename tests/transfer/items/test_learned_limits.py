"""What the engine does when a provider learns, in the middle of an object, that its service has stricter limits."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async import Progress, Settings, TransferError, TransferReport
from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.contract import (
    Body,
    Entry,
    Features,
    ObjectOptions,
    Part,
    PartLimitError,
    PartReceipt,
    Provider,
    RangeIgnoredError,
    Reader,
    Upload,
)
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.items.resumed_reader import ResumedReader
from dxflow_async.transfer.items.server_copy import ServerCopyItem
from dxflow_async.transfer.items.stream_writer import StreamWriter
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import Attempts, RetryPolicy

MiB = 1 << 20
PART_SIZE = 5 * MiB

Make = Callable[[str], LocalProvider]


class LimitedUpload(Upload):
    """An upload whose service counts parts, and compares their sizes, as it pleases."""

    def __init__(self, inner: Upload, store: LimitedStore) -> None:
        self.id = inner.id
        self._inner = inner
        self._store = store

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        self._store.check_number(part)
        return await self._inner.write_part(part, body)

    async def copy_part(self, part: Part, source: Entry) -> PartReceipt:
        self._store.check_number(part)
        async with await self._store.read(source.key, part.offset, part.offset + part.size) as reading:
            return await self._inner.write_part(part, await reading.buffer_or_reopen())

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        sizes = [receipt.part.size for receipt in receipts]
        self._store.finished.append(sizes)
        if self._store.uniform and len(set(sizes[:-1])) > 1:
            self._store.features = replace(self._store.features, uniform_parts=True)
            raise PartLimitError("all parts but the last must have one size")
        return await self._inner.finish(receipts, crc32c)

    async def abort(self) -> None:
        self._store.aborted += 1
        await self._inner.abort()


class LimitedStore(LocalProvider):
    """A directory that behaves as a service with limits that it does not announce."""

    features = replace(
        LocalProvider.features, checksum=True, checksum_first=True, cheap_reread=False, stages=False, copy=True
    )
    most_parts = 10_000
    largest_write = 1 << 40
    uniform = False
    aborted = 0

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.finished: list[list[int]] = []
        self.written: list[int] = []

    def check_number(self, part: Part) -> None:
        """Refuses a part beyond the limit, and learns from its number."""
        if part.number > self.most_parts:
            known = self.features.max_parts
            self.features = replace(self.features, max_parts=min(known, part.number - 1))
            raise PartLimitError("the part's number is too large")

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        if body.size > self.largest_write:
            self.features = replace(self.features, max_write_size=self.largest_write)
            raise PartLimitError("the object is too large for one request")
        self.written.append(body.size)
        return await super().write(key, body, options)

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        return LimitedUpload(await super().start_upload(key, size, options), self)


class WholeStore(LocalProvider):
    """A directory that behaves as a server that sends the whole object, whatever range is requested."""

    features = replace(LocalProvider.features, endpoint="whole.example", cheap_reread=False, checksum=True)

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.reads: list[tuple[int, int | None]] = []

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None, listed: Entry | None = None
    ) -> Reader:
        self.reads.append((start, end))
        if (start or end is not None) and self.features.ranges:
            self.features = replace(self.features, ranges=False)
            raise RangeIgnoredError("the whole object came")
        return await super().read(key, start, end, etag=etag, listed=listed)


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """The resources of a session with small parts, which waits for nothing."""
    resources = Resources(Settings(home=tmp_path / "home", part_size=PART_SIZE, max_memory_bytes=64 * MiB))
    resources.policy = RetryPolicy(first_wait=0.0)
    yield resources
    await resources.aclose()


@pytest.fixture
def store(resources: Resources, tmp_path: Path) -> LimitedStore:
    """A store with limits."""
    return LimitedStore(tmp_path / "store", resources.threads)


def source_of(resources: Resources, path: Path, data: bytes, kind: type[LocalProvider] = LocalProvider) -> Provider:
    """Returns a provider with the object `x`."""
    path.mkdir()
    (path / "x").write_bytes(data)
    return kind(path, resources.threads)


async def copy(
    resources: Resources, source: Provider, destination: Provider, states: list[Progress] | None = None
) -> TransferReport:
    """Copies the object `x`."""

    async def plan(context: TransferContext) -> AsyncIterator[TransferItem]:
        yield CopyItem(context, Place(source, "x", "from"), Place(destination, "x", "to"), ObjectOptions())

    call = resources.begin(JobSpec("copy", "from", "to"), None if states is None else states.append)
    return await call.run(plan(call.context))


async def test_fewer_parts_than_planned(resources: Resources, store: LimitedStore, tmp_path: Path) -> None:
    """The upload is removed, and the object is sent again in larger parts; the bytes count once."""
    data = os.urandom(8 * PART_SIZE + 5)
    store.most_parts = 3
    states: list[Progress] = []
    (result,) = await copy(resources, source_of(resources, tmp_path / "a", data), store, states)
    assert (tmp_path / "store/x").read_bytes() == data
    assert (result.bytes, states[-1].bytes_done, states[-1].bytes_total) == (len(data), len(data), len(data))
    assert result.verified
    assert store.finished == [[14 * MiB, 14 * MiB, len(data) - 28 * MiB]]
    assert store.aborted >= 1
    assert not [path for path in (tmp_path / "store").iterdir() if path.name != "x"]


async def test_later_objects_are_planned_within_the_limit(
    resources: Resources, store: LimitedStore, tmp_path: Path
) -> None:
    """What one object taught holds for the next one at once."""
    store.most_parts = 3
    source = source_of(resources, tmp_path / "a", os.urandom(8 * PART_SIZE))
    await copy(resources, source, store)
    aborted = store.aborted
    (result,) = await copy(resources, source, store)
    assert (result.attempts, store.aborted) == (1, aborted)


async def test_no_parts_at_all_fit(resources: Resources, store: LimitedStore, tmp_path: Path) -> None:
    """Where no part size fits, the error says so and names the size; nothing is left behind."""
    store.most_parts, store.features = 3, replace(store.features, max_part_size=12 * MiB)
    with pytest.raises(TransferError, match=r"takes a part_size of \d+.* in 3 parts of up to 12582912 bytes"):
        await copy(resources, source_of(resources, tmp_path / "a", bytes(8 * PART_SIZE)), store)
    assert not any((tmp_path / "store").iterdir())


async def test_one_request_takes_less_than_was_thought(
    resources: Resources, store: LimitedStore, tmp_path: Path
) -> None:
    """An object that is too large for one request goes in parts."""
    data = os.urandom(2 * PART_SIZE)
    store.largest_write = PART_SIZE
    (result,) = await copy(resources, source_of(resources, tmp_path / "a", data), store)
    assert (result.verified, store.finished) == (True, [[PART_SIZE, PART_SIZE]])
    assert (tmp_path / "store/x").read_bytes() == data


async def test_copies_within_a_service(resources: Resources, store: LimitedStore, tmp_path: Path) -> None:
    """A copy that the service makes in parts begins anew by the learned limit, too."""
    data = os.urandom(4 * MiB)
    (tmp_path / "store").mkdir()
    (tmp_path / "store/x").write_bytes(data)
    store.features = replace(store.features, max_copy_size=MiB, max_part_size=MiB)
    store.most_parts = 2
    with pytest.raises(TransferError, match="part_size"):
        await _copy_within(resources, store)
    store.features = replace(store.features, max_part_size=2 * MiB, max_parts=10_000)
    (result,) = await _copy_within(resources, store)
    assert result.error is None
    assert (tmp_path / "store/y").read_bytes() == data


async def _copy_within(resources: Resources, store: LimitedStore) -> TransferReport:
    async def plan(context: TransferContext) -> AsyncIterator[TransferItem]:
        entry = await store.stat("x")
        yield ServerCopyItem(context, Place(store, "x", "x"), Place(store, "y", "y"), entry, ObjectOptions())

    call = resources.begin(JobSpec("copy", "x", "y"), None)
    return await call.run(plan(call.context))


# Streams


async def _stream(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // MiB):
        yield bytes(MiB)


def writer(resources: Resources, store: Provider) -> StreamWriter:
    """Returns a writer of the object `x`."""
    return StreamWriter(resources.context(None), Place(store, "x", "x"), ObjectOptions())


async def test_a_stream_that_gets_too_long(resources: Resources, store: LimitedStore, tmp_path: Path) -> None:
    """A stream cannot begin anew: its error names the part size that holds twice as much, and nothing is left."""
    store.most_parts = 3
    with pytest.raises(UnsupportedError) as raised:
        await writer(resources, store).write(_stream(60 * MiB))
    assert not isinstance(raised.value, PartLimitError)
    wanted = int(re.findall(r"set part_size to (\d+) or more", str(raised.value))[0])
    assert wanted * 3 >= 60 * MiB
    assert not any((tmp_path / "store").iterdir())


async def test_a_stream_stops_at_a_limit_that_is_known(resources: Resources, store: LimitedStore) -> None:
    """No part beyond the known limit is sent."""
    store.features = replace(store.features, max_parts=3)
    with pytest.raises(UnsupportedError, match=r"more than 3 parts; set part_size to \d+"):
        await writer(resources, store).write(_stream(60 * MiB))


async def test_a_stream_to_parts_of_one_size(
    resources: Resources, store: LimitedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where sizes must not vary, they do not, and are larger from the beginning, as far as memory allows."""
    monkeypatch.setattr("dxflow_async.transfer.plan._PARTS_PER_SIZE", 2)
    store.uniform = True
    with pytest.raises(UnsupportedError, match="one size"):
        await writer(resources, store).write(_stream(70 * MiB))
    result = await writer(resources, store).write(_stream(70 * MiB))
    assert (result.bytes, (tmp_path / "store/x").stat().st_size) == (70 * MiB, 70 * MiB)
    assert store.finished[-1] == [16 * MiB] * 4 + [6 * MiB]


async def test_a_short_stream_that_one_request_does_not_take(
    resources: Resources, store: LimitedStore, tmp_path: Path
) -> None:
    """A stream that fits into memory goes in parts after a refusal; its bytes count once."""
    store.largest_write = MiB
    result = await writer(resources, store).write(_stream(3 * MiB))
    assert (result.bytes, result.verified, store.written) == (3 * MiB, True, [])
    assert (tmp_path / "store/x").stat().st_size == 3 * MiB
    result = await writer(resources, store).write(_stream(MiB))
    assert (result.bytes, store.written) == (MiB, [MiB])


# Ranges


@pytest.mark.parametrize("kind", [LocalProvider, LimitedStore])
async def test_a_server_without_ranges(resources: Resources, tmp_path: Path, kind: type[LocalProvider]) -> None:
    """An object whose ranges are ignored is read anew, and later ones are not asked for a range any more."""
    data = os.urandom(40 * MiB + 3)
    source = source_of(resources, tmp_path / "a", data, WholeStore)
    assert isinstance(source, WholeStore)
    (result,) = await copy(resources, source, kind(tmp_path / "b", resources.threads))
    assert (result.bytes, result.attempts) == (len(data), 2)
    assert (tmp_path / "b/x").read_bytes() == data
    source.reads.clear()
    (result,) = await copy(resources, source, kind(tmp_path / "c", resources.threads))
    assert result.attempts == 1
    if kind is LocalProvider:
        assert {read for read in source.reads if read != (0, None)} == {(0, len(data))}


async def test_a_read_without_ranges(resources: Resources, tmp_path: Path) -> None:
    """A read of a range, and one that goes on after a break, ask again once; a second refusal is an error."""
    source = source_of(resources, tmp_path / "a", b"0123456789", WholeStore)
    reader = ResumedReader(source, "x", 3, 7, None, None, resources.policy, Attempts())
    await reader.open()
    async with reader:
        assert bytes(await reader.read()) == b"3456"
    source.features = replace(source.features, ranges=True)
    part = ResumedReader(source, "x", 3, 7, None, None, resources.policy, Attempts(), is_part=True)
    with pytest.raises(RangeIgnoredError):
        await part.open()


def test_features_are_conservative() -> None:
    """A provider that knows nothing of the newer limits has the old ones."""
    assert (Features().max_write_size, Features().uniform_parts, Features().any_names) == (None, False, False)
