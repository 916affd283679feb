"""A unit's provider at our own server: what it asks for, names of all kinds, and going on after a break."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import (
    AccessDeniedError,
    ChecksumMismatchError,
    ConfigurationError,
    NetworkError,
    NotFoundError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.providers.contract import ObjectOptions, Part, PartReceipt
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.unit.protocol import Announced
from dxflow_async.providers.unit.provider import UnitProvider
from tests.faults.proxy import FaultProxy, Request
from tests.providers.connected_providers import connect_unit
from tests.providers.in_memory_bodies import body, read
from tests.providers.unit.started_units import BreakingOff, Counter, again, again_with_failures, own_unit
from tests.server.running_hub import SECRETS

MiB = 1 << 20
OPTIONS = ObjectOptions()
DATA = os.urandom(4 * MiB)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The unit's volume."""
    return tmp_path / "volume"


@pytest.fixture
async def url(root: Path) -> AsyncIterator[str]:
    """Where the unit is."""
    async with own_unit(root) as url:
        yield url


@pytest.fixture
async def unit(url: str, http: HTTP, threads: Threads) -> UnitProvider:
    """Its provider."""
    http.stall_timeout = 30.0
    return await connect_unit("Demo", url, SECRETS.rw, http, threads)


def kept(root: Path, kind: str = "data") -> list[Path]:
    """What the server keeps of uploads."""
    return sorted(root.glob(f".dx-uploads/*.{kind}"))


async def test_an_aborted_upload_takes_the_parts_of_others_along(unit: UnitProvider, root: Path) -> None:
    """Whoever aborts an upload in parts removes every part of it, also those of which no receipt tells."""
    upload = await unit.start_upload("large", 3 * MiB, OPTIONS)
    for number in (1, 2):
        await upload.write_part(Part(number, (number - 1) * MiB, MiB), body(DATA[:MiB]))
    assert len(kept(root, "info")) == 2
    other, _ = await unit.resume_upload("large", upload.id, [], OPTIONS)
    for _ in range(2):  # what is gone already is no error
        await other.abort()
    assert kept(root) == kept(root, "info") == []


async def test_features_are_what_was_announced(unit: UnitProvider, url: str, http: HTTP, threads: Threads) -> None:
    """A server of ours can all; one that was not asked can the core only, and says so."""
    features = unit.features
    assert features.endpoint == url
    assert all((features.checksum, features.rename, features.mtime, features.ordered, features.ranges))
    assert features.streams_parts
    plain = UnitProvider("Demo", url, SECRETS.rw, http, threads).features
    assert not any((plain.checksum, plain.rename, plain.mtime, plain.ordered, plain.ranges, plain.checksum_first))
    assert not plain.streams_parts
    assert plain.max_parts == 1
    assert plain.directories
    assert plain.copy


@pytest.mark.parametrize("url", ["ftp://host", "http://", "host:80", "http://u:p@host", "http://h/?a=1", "http://a b/"])
def test_addresses_that_are_none(url: str) -> None:
    """What is no address of a unit is a wrong setting, told without what may be a password in it."""
    threads = Threads(1)
    with pytest.raises(ConfigurationError, match="url") as raised:
        UnitProvider("Demo", url, "secret", HTTP(threads), threads)
    assert "u:p" not in str(raised.value)
    threads.close()


async def test_wrong_and_reading_secrets(unit: UnitProvider, url: str, http: HTTP, threads: Threads) -> None:
    """A wrong secret is refused; the secret RO reads and does not write; neither is in what is said."""
    await unit.write("a", body(b"1"), OPTIONS)
    reader = await connect_unit("Demo", url, SECRETS.ro, http, threads)
    assert await read(reader, "a") == b"1"
    wrong = await connect_unit("Demo", url, "wrong-secret-wrong-secret", http, threads)
    for provider in (reader, wrong):
        with pytest.raises(AccessDeniedError, match="/Demo/b") as raised:
            await provider.write("b", body(b"1"), OPTIONS)
        assert SECRETS.ro not in str(raised.value)
        assert "wrong-secret" not in str(raised.value)
        assert SECRETS.ro not in repr(provider.__dict__.keys())
    with pytest.raises(AccessDeniedError):
        await read(wrong, "a")


@pytest.mark.parametrize("key", ["volume", "volume/volume/a", "volume.txt", "a/volume"])
async def test_names_that_begin_as_the_volume_does(unit: UnitProvider, root: Path, key: str) -> None:
    """A directory `volume` in the volume is one like any other."""
    await unit.write(key, body(b"x"), OPTIONS)
    assert (root / key).read_bytes() == b"x"
    assert await read(unit, key) == b"x"
    assert (await unit.stat(key)).key == key
    assert [entry.key for entry in (await unit.list_page("", recursive=True)).entries] == [key]
    await unit.delete([key])
    assert not (root / key).exists()


async def test_names_that_are_no_utf8(unit: UnitProvider, root: Path) -> None:
    """A name of any bytes is listed, read, looked up, copied, moved and deleted, byte for byte."""
    name = b"caf\xe9-\xff"
    directory = os.fsencode(root) + b"/d\xf6"
    os.mkdir(directory)
    (root / os.fsdecode(b"d\xf6/" + name)).write_bytes(b"content")
    key = os.fsdecode(b"d\xf6/" + name)
    for recursive, prefix in ((True, ""), (False, os.fsdecode(b"d\xf6/"))):
        (entry,) = (await unit.list_page(prefix, recursive=recursive)).entries
        assert entry.key == key
    assert await read(unit, key) == b"content"
    seen = await unit.stat(key)
    await unit.copy(seen, os.fsdecode(b"copy-\xfe"), OPTIONS)
    await unit.write(os.fsdecode(b"new-\xfd"), body(b"new"), OPTIONS)
    await unit.rename(key, os.fsdecode(b"moved-\xfc"))
    assert sorted(os.listdir(os.fsencode(root))) == sorted(
        [b".dx-uploads", b"copy-\xfe", b"d\xf6", b"moved-\xfc", b"new-\xfd"]
    )
    await unit.delete([os.fsdecode(b"moved-\xfc")])
    assert b"moved-\xfc" not in os.listdir(os.fsencode(root))


@pytest.mark.parametrize("key", ["a//b", "../a", "a/../b", "./a", "\udc00\ud800", "a/.", "d/", ""])
async def test_names_that_are_refused(unit: UnitProvider, root: Path, key: str) -> None:
    """A name that would be another one at the unit, or none, is refused before anything is sent."""
    with pytest.raises(UnsafePathError):
        await unit.write(key, body(b"x"), OPTIONS)
    with pytest.raises(UnsafePathError):
        await unit.start_upload(key, 1, OPTIONS)
    assert os.listdir(root) == []


async def test_a_write_is_one_request(unit: UnitProvider, http: HTTP, root: Path) -> None:
    """A whole file goes in one request, with its checksum, and nothing is sent twice."""
    http.throttle = counter = Counter()
    entry = await unit.write("a", body(DATA), OPTIONS)
    assert (root / "a").read_bytes() == DATA
    assert counter.bytes == len(DATA)
    seen = await unit.stat("a")
    assert (entry.crc32c, entry.etag) == (crc32c(DATA), seen.etag)


async def test_a_part_goes_on_where_the_server_got_to(unit: UnitProvider, http: HTTP, root: Path) -> None:
    """A part that broke off goes on at the server's offset: what the server has is not sent again."""
    upload = await unit.start_upload("deep/a", len(DATA), OPTIONS)
    part = Part(1, 0, len(DATA))
    with pytest.raises(NetworkError):
        await upload.write_part(part, BreakingOff(DATA, 3 * MiB))
    http.throttle = counter = Counter()
    receipt = await again(upload, part, DATA)
    assert counter.bytes <= 3 * MiB
    entry = await upload.finish([receipt], crc32c(DATA))
    assert (entry.size, entry.crc32c) == (len(DATA), crc32c(DATA))
    assert (root / "deep/a").read_bytes() == DATA
    assert kept(root) == []


async def test_a_part_that_arrived_otherwise_is_sent_again(unit: UnitProvider, root: Path) -> None:
    """A part of which the server got other bytes is found out at once, and all of it is sent again."""
    upload = await unit.start_upload("a", len(DATA), OPTIONS)
    part = Part(1, 0, len(DATA))
    with pytest.raises(NetworkError):
        await upload.write_part(part, BreakingOff(b"x" + DATA[1:], 3 * MiB))
    failures, receipt = await again_with_failures(upload, part, DATA)
    assert [type(each) for each in failures].count(ChecksumMismatchError) == 1
    assert receipt.verified
    await upload.finish([receipt], None)
    assert (root / "a").read_bytes() == DATA


async def test_parts_with_other_bytes_are_not_gone_on_with(unit: UnitProvider, root: Path) -> None:
    """Of what another process sent, only parts that are at the server as they were sent are kept."""
    upload = await unit.start_upload("a", 20, OPTIONS)
    receipts = [await upload.write_part(Part(number, 10 * number - 10, 10), body(b"0123456789")) for number in (1, 2)]
    receipts[1] = PartReceipt(receipts[1].part, receipts[1].etag, crc32c(b"x" * 10))
    resumed, kept_receipts = await unit.resume_upload("a", upload.id, receipts, OPTIONS)
    assert list(kept_receipts) == receipts[:1]
    await resumed.abort()
    assert kept(root) == []
    await upload.abort()


async def test_an_abort_that_failed_is_done_again(url: str, http: HTTP, threads: Threads, root: Path) -> None:
    """Parts that could not be removed are known still: the next call removes them, and one more does nothing."""
    broken = True

    async def gate(request: Request) -> None:
        if broken and request.method == "DELETE":
            raise ConnectionResetError

    async with FaultProxy(url, gate=gate).running() as proxy:
        behind = await connect_unit("Demo", proxy.endpoint, SECRETS.rw, http, threads)
        upload = await behind.start_upload("a", 40, OPTIONS)
        for number in range(1, 5):
            await upload.write_part(Part(number, 10 * number - 10, 10), body(b"0123456789"))
        with pytest.raises(StorageError):
            await upload.abort()
        assert kept(root)
        broken = False
        await upload.abort()
        assert kept(root) == []
        await upload.abort()


async def test_parts_that_are_gone_begin_anew(unit: UnitProvider, root: Path) -> None:
    """A part of which the server has forgotten everything is sent from its beginning."""
    upload = await unit.start_upload("a", len(DATA), OPTIONS)
    part = Part(1, 0, len(DATA))
    with pytest.raises(NetworkError):
        await upload.write_part(part, BreakingOff(DATA, MiB))
    await asyncio.sleep(0.3)
    for path in kept(root, "info") + kept(root):
        path.unlink()
    receipt = await again(upload, part, DATA)
    await upload.finish([receipt], None)
    assert (root / "a").read_bytes() == DATA


async def test_a_part_with_other_bytes_replaces_the_first(unit: UnitProvider, root: Path) -> None:
    """A part that was written is written anew when it is written again."""
    upload = await unit.start_upload("a", 20, OPTIONS)
    await upload.write_part(Part(1, 0, 10), body(b"0123456789"))
    receipts = [
        await upload.write_part(Part(1, 0, 10), body(b"abcdefghij")),
        await upload.write_part(Part(2, 10, 10), body(b"0123456789")),
    ]
    await upload.finish(receipts, crc32c(b"abcdefghij0123456789"))
    assert (root / "a").read_bytes() == b"abcdefghij0123456789"


async def test_the_whole_is_compared(unit: UnitProvider, root: Path) -> None:
    """A part that is not at the server what it was here is found out before the file has its name."""
    upload = await unit.start_upload("a", 20, OPTIONS)
    receipts = [await upload.write_part(Part(number, 10 * number - 10, 10), body(b"0123456789")) for number in (1, 2)]
    (data,) = kept(root)
    data.write_bytes(b"0" * 20)  # which the server does not look at
    wrong = [PartReceipt(each.part, each.etag, crc32c(b"x" * 10)) for each in receipts]
    with pytest.raises(ChecksumMismatchError):
        await upload.finish(wrong, None)
    assert not (root / "a").exists()
    await upload.abort()
    assert kept(root) == []


async def test_more_parts_than_can_be_put_together(unit: UnitProvider) -> None:
    """A part beyond the last one that fits is refused before it is sent."""
    upload = await unit.start_upload("a", None, OPTIONS)
    with pytest.raises(UnsupportedError, match="larger ones"):
        await upload.write_part(Part(unit.features.max_parts + 1, 0, 1), body(b"1"))


async def test_as_many_parts_as_can_be_put_together(unit: UnitProvider, root: Path) -> None:
    """The most parts there may be fit into one request."""
    count = unit.features.max_parts
    upload = await unit.start_upload("a", 1, OPTIONS)
    slots = asyncio.Semaphore(32)

    async def write(number: int) -> PartReceipt:
        async with slots:
            # All but the last are empty: what counts is how many addresses there are.
            data = b"x" if number == count else b""
            return await upload.write_part(Part(number, 0, len(data)), body(data))

    receipts = await asyncio.gather(*(write(number) for number in range(1, count + 1)))
    await upload.finish(receipts, None)
    assert (root / "a").read_bytes() == b"x"


async def test_a_listing_goes_on_after_a_break(unit: UnitProvider, http: HTTP, root: Path) -> None:
    """A page that could not be had is asked for again, and each entry comes once."""
    names = [f"{number:05}-{'x' * 200}" for number in range(3000)]
    for name in names:
        (root / name).touch()
    page = await unit.list_page("", recursive=True)
    found = [entry.key for entry in page.entries]
    while page.cursor is not None:
        await asyncio.sleep(0)
        await http.client.drop_connections()
        while True:
            try:
                page = await unit.list_page("", recursive=True, cursor=page.cursor)
                break
            except NetworkError:
                await asyncio.sleep(0)
        found += [entry.key for entry in page.entries]
    assert found == names


async def test_a_listing_that_is_dropped_gives_its_connection_back(unit: UnitProvider, http: HTTP, root: Path) -> None:
    """Whoever reads one page of many and goes leaves no connection open."""
    for number in range(8000):
        (root / f"{number:05}-{'x' * 100}").touch()
    page = await unit.list_page("", recursive=False)
    assert page.cursor is not None
    assert http.client.open_connections > http.client.idle_connections
    del page
    for _ in range(100):
        await asyncio.sleep(0.01)
        if http.client.open_connections == http.client.idle_connections:
            return
    raise AssertionError("a connection is still in use")


async def test_objects_are_not_trees(unit: UnitProvider, root: Path) -> None:
    """Deleting a name that has become a directory takes nothing that is in it."""
    await unit.write("a/b", body(b"x"), OPTIONS)
    with pytest.raises(FileExistsError):
        await unit.delete_one("a")
    assert (root / "a/b").exists()
    await unit.delete(["a/"])
    assert not (root / "a").exists()


async def test_directories_are_not_files(unit: UnitProvider) -> None:
    """A directory is told as one, has no bytes, and a file is not found under a directory's key."""
    await unit.make_directory("a/b/")
    assert (await unit.stat("a/b")).key == "a/b/"
    assert (await unit.stat("")).directory
    with pytest.raises(NotFoundError):
        await unit.read("a/b/")
    await unit.write("file", body(b"x"), OPTIONS)
    with pytest.raises(NotFoundError):
        await unit.stat("file/")
    with pytest.raises(NotFoundError):
        await unit.list_page("file/", recursive=False)


@pytest.mark.parametrize("announced", [Announced(), Announced(tus=frozenset({"concatenation", "termination"}))])
async def test_less_than_all_is_enough(
    url: str, http: HTTP, threads: Threads, root: Path, announced: Announced
) -> None:
    """With the core only, or with plain concatenation, everything is done by what there is."""
    http.stall_timeout = 30.0
    unit = UnitProvider("Demo", url, SECRETS.rw, http, threads, announced)
    await unit.write("d/a", body(b"12345"), OPTIONS)
    assert (await unit.stat("d/a")).size == 5
    size = min(unit.features.min_part_size, len(DATA)) if unit.features.max_parts == 1 else 3 * MiB
    upload = await unit.start_upload("d/large", len(DATA), OPTIONS)
    receipts = [
        await upload.write_part(Part(number, start, len(DATA[start : start + size])), body(DATA[start : start + size]))
        for number, start in enumerate(range(0, len(DATA), size), 1)
    ]
    entry = await upload.finish(receipts, crc32c(DATA))
    assert entry.size == len(DATA)
    assert (root / "d/large").read_bytes() == DATA
    await unit.make_directory("new/er/")
    assert (root / "new/er").is_dir()
    assert os.listdir(root / "new/er") == []
    with pytest.raises(FileExistsError, match="not empty"):
        await unit.remove_directory("new/")
    found = [entry.key for entry in (await unit.list_page("", recursive=True)).entries]
    assert found == ["d/a", "d/large", "new/er/"]
