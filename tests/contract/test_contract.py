"""What every provider does, whatever is behind it."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import (
    AlreadyExistsError,
    ChecksumMismatchError,
    NetworkError,
    NotFoundError,
    PreconditionFailedError,
    StorageError,
    UnsafePathError,
)
from dxflow_async.providers.contract import Entry, ObjectOptions, Part, PartReceipt, Upload
from tests.contract.conftest import Place
from tests.providers.in_memory_bodies import Broken, body, read

MiB = 1 << 20
OPTIONS = ObjectOptions()
NAMES = [
    "ünïcödé/日本語 🚀",
    "a b/  c  ",
    "plus+plus",
    "100%/%41%2F",
    "hash#tag",
    "what?x=1&y=2",
    "star*[a-z]{1}",
    "tilde~-_.",
    "quo'te\"s",
    "amp&<tag>;",
    ".hidden/.dot",
    "...",
    "colon:semi;comma,at@equals=dollar$bang!(paren)",
    "new\nline",
    "café",
    "cafe\u0301",
]


async def keys(place: Place, prefix: str = "", *, recursive: bool = True) -> list[str]:
    """The keys that a listing brings, without the test's prefix."""
    return [entry.key.removeprefix(place.prefix) for entry in await entries(place, prefix, recursive=recursive)]


async def entries(place: Place, prefix: str = "", *, recursive: bool = True) -> list[Entry]:
    """All pages of a listing."""
    page = await place.provider.list_page(place / prefix, recursive=recursive)
    found = list(page.entries)
    while page.cursor is not None:
        page = await place.provider.list_page(place / prefix, recursive=recursive, cursor=page.cursor)
        found += page.entries
    return found


async def write(place: Place, name: str, data: bytes = b"content") -> Entry:
    """Stores an object."""
    return await place.provider.write(place / name, body(data), OPTIONS)


async def write_parts(place: Place, upload: Upload, data: bytes, order: list[int]) -> list[PartReceipt]:
    """Writes data in parts of the smallest size, in an order of their numbers; receipts are ordered."""
    size = max(place.provider.features.min_part_size, 1024)
    receipts: dict[int, PartReceipt] = {}
    for number in order:
        offset = (number - 1) * size
        piece = data[offset : offset + size]
        receipts[number] = await upload.write_part(Part(number, offset, len(piece)), body(piece))
    return [receipts[number] for number in sorted(receipts)]


def sample(place: Place) -> bytes:
    """Bytes for two and a half parts."""
    size = max(place.provider.features.min_part_size, 1024)
    return bytes(range(251)) * (size * 5 // 2 // 251)


async def test_written_bytes_are_read_back(place: Place) -> None:
    """What was written is what is read; a second write replaces it."""
    await write(place, "dir/name", b"first")
    await place.provider.write(place / "dir/name", body(b"se", b"", b"cond"), OPTIONS)
    assert await read(place.provider, place / "dir/name") == b"second"


async def test_large_body(place: Place) -> None:
    """A body of many buffers arrives whole."""
    chunks = [bytes([number]) * 300_001 for number in range(20)]
    await place.provider.write(place / "large", body(*chunks), OPTIONS)
    assert await read(place.provider, place / "large") == b"".join(chunks)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 1, b"0"), (3, 7, b"3456"), (7, None, b"789"), (0, 100, b"0123456789"), (9, 100, b"9")],
)
async def test_range(place: Place, start: int, end: int | None, expected: bytes) -> None:
    """A range brings its bytes, as far as there are any, and tells the object's size."""
    await write(place, "digits", b"0123456789")
    assert await read(place.provider, place / "digits", start, end) == expected
    async with await place.provider.read(place / "digits", start, end) as reading:
        assert (reading.entry.size, reading.size) == (10, len(expected))


@pytest.mark.parametrize(("data", "start", "end"), [(b"0123", 4, None), (b"0123", 9, 12), (b"", 0, 5)])
async def test_range_without_a_byte(place: Place, data: bytes, start: int, end: int | None) -> None:
    """A range in which the object has no byte is refused."""
    await write(place, "short", data)
    with pytest.raises(PreconditionFailedError):
        await place.provider.read(place / "short", start, end)


async def test_missing(place: Place) -> None:
    """What is not there is NotFoundError, which is a FileNotFoundError, and names the path."""
    await write(place, "there")
    for name in ("missing", "there/below", "no/such/directory"):
        with pytest.raises(NotFoundError) as stat:
            await place.provider.stat(place / name)
        with pytest.raises(FileNotFoundError) as opened:
            await place.provider.read(place / name)
        assert name in str(stat.value)
        assert name in str(opened.value)
        assert not stat.value.retryable


async def test_stat(place: Place) -> None:
    """`stat` says what a listing says: size, time and version."""
    await write(place, "name", b"12345")
    entry = await place.provider.stat(place / "name")
    (listed,) = await entries(place)
    assert (entry.key, entry.size, entry.directory) == (place / "name", 5, False)
    assert (listed.key, listed.size, listed.etag) == (entry.key, entry.size, entry.etag)
    assert abs(listed.modified - entry.modified) <= 1


async def test_etag_pins_the_version(place: Place) -> None:
    """A read of another version than was asked for is refused, in whole and in part."""
    await write(place, "name", b"0123456789")
    old = (await place.provider.stat(place / "name")).etag
    assert old is not None
    assert await read(place.provider, place / "name", 2, 4, etag=old) == b"23"
    await write(place, "name", b"another, longer version")
    for start, end in ((0, None), (2, 4)):
        with pytest.raises(PreconditionFailedError):
            await place.provider.read(place / "name", start, end, etag=old)


async def test_listing_is_in_the_order_of_bytes(place: Place) -> None:
    """Keys come in the order of their bytes (where a name and a directory start alike: see `test_odd_names.py`)."""
    names = ["-", "B", "a/1", "a/10", "a/2", "a/é", "b", "é/x", "z", "\uffee", "日", "\U0001f680"]
    for name in reversed(names):
        await write(place, name)
    assert await keys(place) == sorted(names, key=str.encode)


async def test_listing_by_directories(place: Place) -> None:
    """What is not recursive names directories once, with a slash at the end."""
    for name in ("top", "dir/one", "dir/two/three", "dir.txt", "dir0/x"):
        await write(place, name)
    assert await keys(place, recursive=False) == ["dir.txt", "dir/", "dir0/", "top"]
    found = await entries(place, "dir/", recursive=False)
    assert [(entry.key, entry.directory) for entry in found] == [(place / "dir/one", False), (place / "dir/two/", True)]


async def test_listing_by_a_prefix_in_mid_name(place: Place) -> None:
    """A prefix need not end at a slash."""
    for name in ("data-1", "data-2/x", "date", "other"):
        await write(place, name)
    assert await keys(place, "dat", recursive=True) == ["data-1", "data-2/x", "date"]
    assert await keys(place, "data", recursive=False) == ["data-1", "data-2/"]


async def test_listing_of_many_pages(place: Place) -> None:
    """More entries than a page holds come once each, in order."""
    names = [f"{number:05}" for number in range(1100)]
    slots = asyncio.Semaphore(32)

    async def put(name: str) -> None:
        async with slots:
            await write(place, f"many/{name}", b"")

    await asyncio.gather(*(put(name) for name in names))
    first = await place.provider.list_page(place / "many/", recursive=True)
    assert len(first.entries) < len(names)
    assert first.cursor is not None
    assert await keys(place, "many/") == [f"many/{name}" for name in names]
    assert await keys(place, "many/", recursive=False) == [f"many/{name}" for name in names]


@pytest.mark.parametrize("name", NAMES)
async def test_name_comes_back(place: Place, name: str) -> None:
    """A name is stored, read, listed, looked up and deleted as it is; one that cannot be is refused."""
    if name in place.refused:
        with pytest.raises(UnsafePathError):
            await write(place, name)
        assert await keys(place) == []
        return
    await write(place, name, name.encode())
    assert await read(place.provider, place / name) == name.encode()
    assert (await place.provider.stat(place / name)).size == len(name.encode())
    assert await keys(place) == [name]
    await place.provider.delete([place / name])
    with pytest.raises(NotFoundError):
        await place.provider.stat(place / name)


async def test_longest_key(place: Place) -> None:
    """A key of 1,024 bytes, its parts of up to 255, comes back."""
    used = len((place / "").partition("/")[2].encode()) if place.provider.features.buckets else len(place / "")
    name = "/".join(["é" * 127, "x" * 255, "y" * 255, "z" * 200])
    name = f"{name}/{'w' * (1023 - used - len(name.encode()))}"
    await write(place, name, b"deep")
    assert await read(place.provider, place / name) == b"deep"
    assert await keys(place) == [name]


async def test_empty_object(place: Place) -> None:
    """An object without bytes is an object."""
    entry = await write(place, "empty", b"")
    assert entry.size == 0
    assert await read(place.provider, place / "empty") == b""
    (listed,) = await entries(place)
    assert (listed.key, listed.size, listed.directory) == (place / "empty", 0, False)


async def test_empty_directory(place: Place) -> None:
    """An empty directory is listed: a real one, or the object of no bytes that marks it."""
    if place.provider.features.directories:
        await place.provider.make_directory(place / "dir/empty/")
    else:
        await write(place, "dir/empty/", b"")
    (listed,) = await entries(place, "dir/")
    assert (listed.key, listed.directory) == (place / "dir/empty/", True)
    assert (await place.provider.stat(place / "dir/empty/")).key == place / "dir/empty/"
    await place.provider.delete([place / "dir/empty/"])
    with pytest.raises(NotFoundError):
        await place.provider.stat(place / "dir/empty/")


async def test_parts_in_any_order(place: Place) -> None:
    """Parts out of order, one of them written twice, are one object, seen only once it is finished."""
    data = sample(place)
    upload = await place.provider.start_upload(place / "parts", len(data), OPTIONS)
    receipts = await write_parts(place, upload, data, [3, 1, 2, 1])
    assert [receipt.crc32c for receipt in receipts] == [crc32c(piece) for piece in pieces(place, data)]
    assert place.leftovers()
    with pytest.raises(NotFoundError):
        await place.provider.stat(place / "parts")
    assert await keys(place) == []
    entry = await upload.finish(receipts, crc32c(data))
    assert (entry.key, entry.size) == (place / "parts", len(data))
    assert await read(place.provider, place / "parts") == data
    assert place.leftovers() == []


def pieces(place: Place, data: bytes) -> list[bytes]:
    """Data cut into parts."""
    size = max(place.provider.features.min_part_size, 1024)
    return [data[start : start + size] for start in range(0, len(data), size)]


async def test_aborted_upload_leaves_nothing(place: Place) -> None:
    """`abort` removes what was written and keeps what was there; again, it does nothing."""
    await write(place, "name", b"old")
    upload = await place.provider.start_upload(place / "name", None, OPTIONS)
    await write_parts(place, upload, sample(place), [1])
    await upload.abort()
    await upload.abort()
    assert place.keeps_aborted or place.leftovers() == []
    assert await read(place.provider, place / "name") == b"old"


async def test_wrong_checksum_is_refused(place: Place) -> None:
    """Bytes that are not those of the checksum do not replace what is there."""
    await write(place, "name", b"old")
    wrong = body(b"new bytes")
    wrong.crc32c = crc32c(b"other bytes")
    with pytest.raises(ChecksumMismatchError):
        await place.provider.write(place / "name", wrong, OPTIONS)
    assert await read(place.provider, place / "name") == b"old"
    assert place.leftovers() == []


async def test_wrong_checksum_of_the_whole_is_refused(place: Place) -> None:
    """Where the provider keeps checksums, an upload whose whole is not as announced is not finished."""
    if not place.provider.features.checksum:
        return
    await write(place, "name", b"old")
    data = sample(place)
    upload = await place.provider.start_upload(place / "name", len(data), OPTIONS)
    receipts = await write_parts(place, upload, data, [1, 2, 3])
    with pytest.raises(ChecksumMismatchError):
        await upload.finish(receipts, crc32c(b"something else"))
    assert await read(place.provider, place / "name") == b"old"
    await upload.abort()
    assert place.leftovers() == []


async def test_checksum_is_that_of_the_bytes(place: Place) -> None:
    """A write tells the CRC32C of what was stored, and so does a reading where the provider keeps it."""
    data = b"0123456789" * 1000
    assert (await write(place, "name", data)).crc32c == crc32c(data)
    async with await place.provider.read(place / "name") as reading:
        assert reading.crc32c == (crc32c(data) if place.provider.features.checksum else None)


async def test_copy(place: Place) -> None:
    """A copy has the bytes of the version that was seen, and no other."""
    if not place.provider.features.copy:
        return
    await write(place, "from +%?", b"bytes")
    source = await place.provider.stat(place / "from +%?")
    await place.provider.copy(source, place / "below/to", OPTIONS)
    assert await read(place.provider, place / "below/to") == b"bytes"
    await write(place, "from +%?", b"other bytes")
    with pytest.raises(PreconditionFailedError):
        await place.provider.copy(source, place / "below/to", OPTIONS)
    assert await read(place.provider, place / "below/to") == b"bytes"
    assert place.leftovers() == []


async def test_copy_in_parts(place: Place) -> None:
    """Where objects are larger than a copy may be, parts are filled from another object."""
    features = place.provider.features
    if not features.copy or features.max_copy_size >= features.max_size:
        return
    data = sample(place)
    await write(place, "from", data)
    source = await place.provider.stat(place / "from")
    upload = await place.provider.start_upload(place / "to", len(data), OPTIONS)
    size = features.min_part_size
    parts = [Part(index + 1, index * size, len(piece)) for index, piece in enumerate(pieces(place, data))]
    await upload.finish([await upload.copy_part(part, source) for part in parts], None)
    assert await read(place.provider, place / "to") == data


async def test_rename(place: Place) -> None:
    """A rename moves a file over another one, and a directory with its content."""
    if not place.provider.features.rename:
        return
    await write(place, "from", b"new")
    await write(place, "to/name", b"old")
    await place.provider.rename(place / "from", place / "to/name")
    await place.provider.rename(place / "to/", place / "moved/deep/")
    assert await keys(place) == ["moved/deep/name"]
    assert await read(place.provider, place / "moved/deep/name") == b"new"


async def test_delete(place: Place) -> None:
    """Many are deleted at once; one that is not there is no error."""
    names = [f"dir/{number} ü&<>\"'" for number in range(20)]
    for name in (*names, "dir/kept"):
        await write(place, name)
    wanted = [place / name for name in (*names, "dir/missing", "nowhere/missing")]
    assert await place.provider.delete(wanted) == {}
    assert await place.provider.delete(wanted) == {}
    assert await keys(place) == ["dir/kept"]


async def test_presigned_url(place: Place) -> None:
    """Where there are presigned URLs, one works without credentials, as it is and no other way."""
    if not place.provider.features.presign:
        return
    await write(place, "a b+c%?ü", b"signed")
    url = await place.provider.presign(place / "a b+c%?ü", 60)
    assert await asyncio.to_thread(fetch, url) == (200, b"signed")
    assert (await asyncio.to_thread(fetch, url[:-1] + ("0" if url[-1] != "0" else "1")))[0] == 403
    assert (await asyncio.to_thread(fetch, url.replace("a%20b", "other")))[0] == 403
    target = await place.provider.presign(place / "put", 60, method="PUT")
    assert (await asyncio.to_thread(fetch, target, b"from outside"))[0] in (200, 201)
    assert await read(place.provider, place / "put") == b"from outside"


def fetch(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    """What anybody gets from a URL, or puts there."""
    # Azure wants to be told what kind of blob it gets; the others do not mind.
    headers = {} if data is None else {"x-ms-blob-type": "BlockBlob"}
    request = urllib.request.Request(url, data, headers, method="GET" if data is None else "PUT")
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


async def test_metadata(place: Place) -> None:
    """Where objects have a content type and metadata, they are kept, also by a copy and by an upload in parts."""
    if place.provider.features.directories:
        return
    options = ObjectOptions("text/csv; charset=utf-8", {"origin": "lab 7", "run": "1=2"})
    await place.provider.write(place / "one", body(b"x"), options)
    source = await place.provider.stat(place / "one")
    await place.provider.copy(source, place / "two", OPTIONS)
    upload = await place.provider.start_upload(place / "three", 1, options)
    await upload.finish([await upload.write_part(Part(1, 0, 1), body(b"x"))], None)
    for name in ("one", "two", "three"):
        entry = await place.provider.stat(place / name)
        assert (entry.content_type, entry.metadata) == (options.content_type, options.metadata)


@pytest.mark.parametrize("size", [100_000, 3 * MiB])
async def test_body_that_fails_leaves_the_old_object(place: Place, size: int) -> None:
    """An error of the body, in its midst, is the caller's; the object stays what it was."""
    await write(place, "name", b"old")
    error = NetworkError("the source broke off")
    with pytest.raises(NetworkError) as raised:
        await place.provider.write(place / "name", Broken([b"x" * (size // 2)], size, error), OPTIONS)
    assert raised.value is error
    assert await read(place.provider, place / "name") == b"old"
    assert place.leftovers() == []


@pytest.mark.parametrize("sent", [0, 99_999, 100_001, 3 * MiB - 1, 3 * MiB + 1])
async def test_body_of_another_size_leaves_the_old_object(place: Place, sent: int) -> None:
    """A body that is shorter or longer than it says is not stored."""
    await write(place, "name", b"old")
    size = 100_000 if sent < MiB else 3 * MiB
    with pytest.raises(StorageError):
        await place.provider.write(place / "name", Broken([b"x" * sent], size), OPTIONS)
    assert await read(place.provider, place / "name") == b"old"
    assert place.leftovers() == []


async def test_cancelled_write_leaves_the_old_object(place: Place) -> None:
    """A write that is cancelled in its midst leaves the object as it was, and the provider usable."""
    await write(place, "name", b"old")

    class Endless(Broken):
        async def __aiter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
            yield b"x" * MiB
            started.set()
            await asyncio.Event().wait()

    started = asyncio.Event()
    writing = asyncio.create_task(place.provider.write(place / "name", Endless([], 3 * MiB), OPTIONS))
    await started.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await read(place.provider, place / "name") == b"old"
    assert place.leftovers() == []


async def test_readings_closed_early(place: Place) -> None:
    """A reading that is left in its midst gives back what it held."""
    await place.provider.write(place / "large", body(b"x" * 4 * MiB), OPTIONS)
    for _ in range(5):
        async with await place.provider.read(place / "large") as reading:
            assert await reading.read()
    assert len(await read(place.provider, place / "large")) == 4 * MiB


@pytest.mark.parametrize("large", [False, True])
async def test_time_of_the_source_is_kept(place: Place, *, large: bool) -> None:
    """What an object is stored with is told again, also of one in parts; it is no metadata of the user's."""
    time = 1234567890.123456
    options = ObjectOptions(modified=time)
    if large:
        data = sample(place)
        upload = await place.provider.start_upload(place / "name", len(data), options)
        await upload.finish(await write_parts(place, upload, data, [1, 2, 3]), crc32c(data))
    else:
        await place.provider.write(place / "name", body(b"content"), options)
    async with await place.provider.read(place / "name") as reading:
        told = [await place.provider.stat(place / "name"), reading.entry]
    if place.provider.features.mtime_listed:
        told += await entries(place)
    step = place.provider.features.mtime_resolution
    kept = time // step * step if step else time
    assert [entry.mtime for entry in told] == pytest.approx([kept] * len(told), abs=1e-6)
    assert all("mtime" not in entry.metadata for entry in told)


async def test_a_directory_with_something_in_it_is_not_removed(place: Place) -> None:
    """Where directories are real, only an empty one goes; never the files in it."""
    if not place.provider.features.directories:
        with pytest.raises(TypeError, match="directories is not set"):
            await place.provider.remove_directory(place / "dir/")
        return
    await write(place, "dir/name")
    with pytest.raises(AlreadyExistsError, match="not empty"):
        await place.provider.remove_directory(place / "dir/")
    assert await read(place.provider, place / "dir/name") == b"content"
    await place.provider.delete([place / "dir/name"])
    await place.provider.remove_directory(place / "dir/")
    with pytest.raises(NotFoundError):
        await place.provider.stat(place / "dir/")


async def test_upload_of_another_process_goes_on(place: Place) -> None:
    """An upload is known by its id alone: the parts that are there are kept, the others written, and it is finished."""
    assert place.provider.features.resumable
    data = sample(place)
    begun = await place.provider.start_upload(place / "parts", len(data), OPTIONS)
    receipts = await write_parts(place, begun, data, [3, 1])
    never = PartReceipt(Part(2, len(data), 5), "no such part", 5)
    upload, kept = await place.provider.resume_upload(place / "parts", begun.id, [*receipts, never], OPTIONS)
    assert list(kept) == receipts
    (second,) = await write_parts(place, upload, data, [2])
    entry = await upload.finish([receipts[0], second, receipts[1]], crc32c(data))
    assert entry.size == len(data)
    assert await read(place.provider, place / "parts") == data
    assert place.leftovers() == []


async def test_upload_of_another_process_is_aborted(place: Place) -> None:
    """Whoever knows an upload's id can remove what it has left."""
    begun = await place.provider.start_upload(place / "parts", None, OPTIONS)
    receipts = await write_parts(place, begun, sample(place), [1, 2])
    upload, _ = await place.provider.resume_upload(place / "parts", begun.id, receipts, OPTIONS)
    await upload.abort()
    assert place.keeps_aborted or place.leftovers() == []


async def test_upload_that_is_gone_is_not_gone_on_with(place: Place) -> None:
    """Of an upload that was aborted no part is left: that is NotFoundError, or no receipt holds."""
    begun = await place.provider.start_upload(place / "parts", None, OPTIONS)
    receipts = await write_parts(place, begun, sample(place), [1])
    await begun.abort()
    if place.keeps_aborted:
        return
    try:
        _, kept = await place.provider.resume_upload(place / "parts", begun.id, receipts, OPTIONS)
    except NotFoundError:
        return
    assert list(kept) == []
