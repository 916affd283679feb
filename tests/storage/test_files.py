"""Objects as asynchronous files."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from dxflow_async import (
    AlreadyExistsError,
    AsyncAreaStorage,
    AsyncSession,
    ConfigurationError,
    Encryption,
    NotFoundError,
    ObjectOptions,
    PreconditionFailedError,
    Settings,
)
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import tasks, unfinished_uploads
from tests.storage.tested_accounts import Account
from tests.waiting import until

MiB = 1 << 20
DATA = os.urandom(MiB) * 3 + os.urandom(12345)


@pytest.fixture
async def server() -> AsyncIterator[S3Server]:
    """A server that counts requests."""
    async with S3Server(min_part_size=PART_SIZE) as server:
        yield server


@pytest.fixture
async def storage(server: S3Server, tmp_path: Path) -> AsyncIterator[AsyncAreaStorage]:
    """The storage there, with one object."""
    async with open_session(server, tmp_path / "home") as session:
        storage = session.get_storage_manager().at("aws")
        await put(storage, "/bucket/data", DATA)
        server.requests.clear()
        yield storage


async def put(storage: AsyncAreaStorage, path: str, data: bytes) -> None:
    async with storage.open(path, "wb") as file:
        await file.write(data)


@pytest.mark.parametrize("seed", range(3))
async def test_any_reads_are_those_of_a_local_file(account: Account, seed: int) -> None:
    """Seeks, reads, lines and buffers in any order give what `io` gives, at a cloud and on a disk."""
    data = DATA[: 2 * MiB]
    storage, path, chance = account.storage, account / "x", random.Random(seed)
    async with storage.open(path, "wb") as written:
        await written.write(data)
    model = io.BytesIO(data)
    async with storage.open(path) as file:
        assert file.size == len(data)
        for _ in range(60):
            match chance.randrange(5):
                case 0:
                    offset = chance.randrange(len(data) + 10)
                    assert await file.seek(offset) == model.seek(offset)
                case 1:
                    offset = -chance.randrange(len(data))
                    assert await file.seek(offset, 2) == model.seek(offset, 2)
                case 2:
                    size = chance.choice((0, 1, 100, 70_000, MiB))
                    assert await file.read(size) == model.read(size)
                case 3:
                    assert await file.readline() == model.readline()
                case _:
                    ours, theirs = bytearray(5000), bytearray(5000)
                    assert await file.readinto(ours) == model.readinto(theirs)
                    assert ours == theirs
            assert file.tell() == model.tell()
        await file.seek(len(data) - 300_000)
        model.seek(len(data) - 300_000)
        assert [line async for line in file] == list(model)


async def test_a_footer_costs_two_requests(storage: AsyncAreaStorage, server: S3Server) -> None:
    """Opening looks at the object; its last bytes, and then what they point to, are one read."""
    async with storage.open("/bucket/data") as file:
        await file.seek(-8, 2)
        assert await file.read(8) == DATA[-8:]
        await file.seek(-50_000, 2)
        assert await file.read() == DATA[-50_000:]
    assert [request.operation for request in server.requests] == ["HeadObject", "GetObject"]


async def test_sequential_reads_grow(storage: AsyncAreaStorage, server: S3Server) -> None:
    """Small reads in order need far fewer requests than there are blocks, and read each byte once."""
    async with storage.open("/bucket/data") as file:
        got = [await file.read(10_000) for _ in range(len(DATA) // 10_000 + 1)]
    assert b"".join(got) == DATA
    reads = [request.headers["range"] for request in server.requests if request.operation == "GetObject"]
    bounds = sorted(tuple(map(int, each.removeprefix("bytes=").split("-"))) for each in reads)
    assert len(reads) <= 5
    assert sum(stop - start + 1 for start, stop in bounds) == len(DATA)


async def test_large_reads_are_split(storage: AsyncAreaStorage, server: S3Server) -> None:
    """One read of many mebibytes is several requests at once."""
    data = os.urandom(MiB) * 20
    await put(storage, "/bucket/large", data)
    server.requests.clear()
    async with storage.open("/bucket/large") as file:
        assert await file.read() == data
    assert [request.operation for request in server.requests].count("GetObject") == 3


async def test_a_file_keeps_its_version(storage: AsyncAreaStorage) -> None:
    """Once the object is replaced, what was read stays, and nothing of the new one is mixed in."""
    async with storage.open("/bucket/data") as file:
        assert await file.read(10) == DATA[:10]
        await put(storage, "/bucket/data", bytes(len(DATA)))
        assert await file.read(10) == DATA[10:20]
        await file.seek(2 * MiB)
        with pytest.raises(PreconditionFailedError):
            await file.read(10)


async def test_what_cannot_be_opened(storage: AsyncAreaStorage) -> None:
    """Missing objects, directories, unknown modes and existing objects are errors before anything is done."""
    with pytest.raises(NotFoundError):
        await storage.open("/bucket/missing")
    with pytest.raises(AlreadyExistsError):
        await storage.open("/bucket/data", "xb")
    with pytest.raises(ConfigurationError, match="mode"):
        storage.open("/bucket/data", "a")  # type: ignore[call-overload]
    file = await storage.open("/bucket/data")
    await file.aclose()
    await file.aclose()
    with pytest.raises(ValueError, match="closed"):
        await file.read()


async def test_options_of_the_other_direction(storage: AsyncAreaStorage, server: S3Server) -> None:
    """Options of writing are refused for a file that is read, and the other way round, before anything is sent."""
    writing = {"options": ObjectOptions(), "if_match": "etag", "content_type": "text/csv", "metadata": {"a": "b"}}
    reading = {"version": "1", "encryption": Encryption.customer(bytes(32))}
    for modes, options in ((("rb", "r"), writing), (("wb", "xb", "w", "x"), reading)):
        for mode in modes:
            for name, value in options.items():
                with pytest.raises(ConfigurationError, match=name):
                    storage.open("/bucket/data", mode, **{name: value})  # type: ignore[call-overload]
    assert server.requests == []


async def test_a_closed_file_has_no_tasks(storage: AsyncAreaStorage) -> None:
    """A file that reads ahead ends that with `aclose`, and when it is dropped."""
    for closed in (True, False):
        file = await storage.open("/bucket/data")
        for _ in range(60):
            await file.read(10_000)
        if closed:
            await file.aclose()
        del file
        gc.collect()
        await until(lambda: not [task for task in tasks() if "_fetch" in repr(task)])


async def test_written_files_appear_when_they_are_closed(account: Account) -> None:
    """`flush` hands over what was written, and nobody sees the object before it is whole."""
    path = account / "new"
    async with account.storage.open(path, "xb", metadata={"k": "v"}) as file:
        for n in range(300):
            assert await file.write(bytes([n % 256]) * 50_000) == 50_000
            if n == 150:
                await file.flush()
        assert file.tell() == 15_000_000
        assert not await account.storage.exists(path)
    assert file.report is not None
    assert file.report.bytes == 15_000_000
    item = await account.storage.stat(path)
    assert item.size == 15_000_000
    if account.is_cloud:
        assert item.metadata == {"k": "v"}
    async with account.storage.open(path) as read:
        await read.seek(151 * 50_000)
        assert set(await read.read(50_000)) == {151}


@pytest.mark.parametrize("size", [10, 12 * MiB])
async def test_an_error_stores_nothing(cloud: Account, size: int, weed: object, bucket: str) -> None:
    """An exception, a cancellation and a file that is dropped leave neither an object nor an upload."""
    path = cloud / "x"

    async def fail(error: BaseException) -> None:
        async with cloud.storage.open(path, "wb") as file:
            await file.write(bytes(size))
            raise error

    async def fail_in_closing(error: BaseException) -> None:
        async with aclosing(await cloud.storage.open(path, "wb")) as file:
            await file.write(bytes(size))
            raise error

    async def fail_in_stack(error: BaseException) -> None:
        async with AsyncExitStack() as stack:
            file = await cloud.storage.open(path, "wb")
            stack.push_async_callback(file.aclose)
            await file.write(bytes(size))
            raise error

    for block in (fail, fail_in_closing, fail_in_stack):
        with pytest.raises(ZeroDivisionError):
            await block(ZeroDivisionError())
        with pytest.raises(asyncio.CancelledError):
            await block(asyncio.CancelledError())
    file = await cloud.storage.open(path, "wb")
    await file.write(bytes(size))
    with pytest.warns(ResourceWarning, match="nothing is stored"):  # noqa: PT031 - dropped, then collected
        del file
        gc.collect()
    async with asyncio.timeout(10):
        while [task for task in tasks() if "_run" in repr(task)]:  # noqa: ASYNC110 - another task's end
            await asyncio.sleep(0.01)
    assert not await cloud.storage.exists(path)
    assert not [key for key in unfinished_uploads(weed, bucket) if key == path.split("/", 2)[2]]  # type: ignore[arg-type]


async def test_a_failed_upload_is_told(tmp_path: Path) -> None:
    """What storage says reaches the writer while it writes; the file may be discarded then."""
    async with S3Server() as server, open_session(server, tmp_path / "home2") as session:
        storage = session.get_storage_manager()
        file = await storage.open("/no-such-bucket/x", "wb", "aws")

        async def fill() -> None:
            for _ in range(1000):
                await file.write(bytes(MiB))
                await file.flush()

        with pytest.raises(NotFoundError):
            await fill()
        await file.discard()


@pytest.mark.parametrize("newline", [None, "", "\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
async def test_text(account: Account, encoding: str, newline: str | None) -> None:
    """Text files read lines and characters as `open` does, with each kind of line end, across chunk borders."""
    path = account / "text"
    text = "".join(f"line {n} äöü\r\nold\rnew\n" for n in range(6000)) + "the end"
    raw = text.encode(encoding)
    async with account.storage.open(path, "wb") as binary:
        await binary.write(raw)

    def model() -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(raw), encoding, newline=newline)

    async with account.storage.open(path, "r", encoding=encoding, newline=newline) as file:
        assert [line async for line in file] == list(model())
    async with account.storage.open(path, "r", encoding=encoding, newline=newline) as file:
        expected = model()
        for size in (1, 0, 70_000, 3):
            assert await file.read(size) == expected.read(size)
        assert await file.readline() == expected.readline()
        assert await file.read() == expected.read()


async def test_written_text(stand_in: Account) -> None:
    """The encoding's mark comes once, and line feeds become what was asked for."""
    path = stand_in / "text"
    async with stand_in.storage.open(path, "w", encoding="utf-16", newline="\r\n") as file:
        assert await file.write("a\n") == 2
        await file.write("b\n")
    async with stand_in.storage.open(path) as read:
        assert (await read.read()).decode("utf-16") == "a\r\nb\r\n"


async def test_files_of_a_closed_session(tmp_path: Path) -> None:
    """A file ends with its session, and says so."""
    from dxflow_async import SessionClosedError

    async with AsyncSession("you@example.com", "password", settings=Settings(home=tmp_path)) as session:
        storage = session.get_storage_manager()
        async with storage.open("/bucket/x", "wb") as file:
            await file.write(DATA)
        read = await storage.open("/bucket/x")
    with pytest.raises(SessionClosedError):
        await read.read(10)
