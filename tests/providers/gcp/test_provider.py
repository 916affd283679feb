from __future__ import annotations

import asyncio
import gzip
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.checksum import crc32c, encode
from dxflow_async.config.settings import GCPSettings
from dxflow_async.exceptions import (
    NotFoundError,
    PreconditionFailedError,
    TransferError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.providers.contract import Entry, ObjectOptions, Part
from dxflow_async.providers.gcp.provider import GCPProvider
from tests.faults.proxy import FaultProxy, Request
from tests.providers.connected_providers import ConnectGCP
from tests.providers.gcp.example_objects import json_answer, json_error, stored, xml_error
from tests.providers.in_memory_bodies import body, read
from tests.scripted_server import ScriptedServer, answer
from tests.servers import GCSServer
from tests.servers.resumable import ResumableServer
from tests.sessions import part_files

MiB = 1 << 20
OPTIONS = ObjectOptions()


# Buckets


async def test_missing_bucket(gcp: GCPProvider) -> None:
    """A bucket that does not exist is named where nothing else can be missing, with what to do."""
    for attempt in (
        lambda: gcp.write("no-such-bucket/name", body(b"x"), OPTIONS),
        lambda: gcp.write("no-such-bucket/name", body(bytes(9 * MiB)), OPTIONS),
        lambda: gcp.list_page("no-such-bucket/", recursive=True),
        lambda: gcp.stat("no-such-bucket/"),
    ):
        with pytest.raises(NotFoundError, match=r'bucket "no-such-bucket" does not exist .*404.*create it'):
            await attempt()
    with pytest.raises(NotFoundError):
        await gcp.read("no-such-bucket/name")
    with pytest.raises(NotFoundError):
        await gcp.stat("no-such-bucket/name")


async def test_bucket_that_google_misses(connect_gcp: ConnectGCP) -> None:
    """Where the service itself says that it is the bucket, so do we."""
    for refusal in (
        json_error("404 Not Found", "notFound", "The specified bucket does not exist."),
        xml_error("404 Not Found", "NoSuchBucket"),
    ):
        async with ScriptedServer(refusal) as server:
            with pytest.raises(NotFoundError, match=r'bucket "no-such-bucket" does not exist .*create it'):
                await connect_gcp(server.url).read("no-such-bucket/name")


async def test_buckets(gcp: GCPProvider, gcs_bucket: str) -> None:
    """Buckets are listed by prefix and looked up; each is a directory."""
    page = await gcp.list_page(gcs_bucket[:-1], recursive=False)
    assert Entry(f"{gcs_bucket}/", directory=True) in page.entries
    assert (await gcp.stat(f"{gcs_bucket}/")).directory
    assert (await gcp.list_page("zzz", recursive=False)).entries == []


@pytest.mark.parametrize(
    "name",
    [
        *(
            "ab",
            "a" * 64,
            "Upper",
            "-dash",
            "dash-",
            ".dot",
            "dot.",
            "do..t",
            "a.-b",
            "a-.b",
            "b@cket",
            "1.2.3.4",
            "ü-ü",
        ),
        *("..", "a?x", "a b", "%2e%2e", f"{'a' * 64}.com", ".".join(["a" * 63] * 4)),
    ],
)
async def test_name_no_bucket_can_have(connect_gcp: ConnectGCP, name: str) -> None:
    """A name that breaks Google's rules for buckets is refused by every call, before anything is sent."""
    async with ScriptedServer(answer("500 Asked")) as server:
        gcp = connect_gcp(server.url)
        for attempt in (
            lambda: gcp.write(f"{name}/x", body(b"x"), OPTIONS),
            lambda: gcp.read(f"{name}/x"),
            lambda: gcp.stat(f"{name}/x"),
            lambda: gcp.list_page(f"{name}/", recursive=True),
            lambda: gcp.delete_one(f"{name}/x"),
            lambda: gcp.start_upload(f"{name}/x", None, OPTIONS),
            lambda: gcp.copy(Entry(f"{name}/x"), "bucket/x", OPTIONS),
            lambda: gcp.copy(Entry("bucket/x"), f"{name}/x", OPTIONS),
        ):
            with pytest.raises(UnsafePathError, match="3 to 63"):
                await attempt()
        assert server.requests == []


@pytest.mark.parametrize("name", ["abc", "a" * 63, "my_bucket", "1-2", "data.example.com", "google-research-data"])
async def test_name_a_bucket_can_have(connect_gcp: ConnectGCP, name: str) -> None:
    """What Google's rules allow is asked for, and what it gave to others too."""
    async with ScriptedServer(json_answer(stored(name="x"))) as server:
        await connect_gcp(server.url).stat(f"{name}/x")
        assert server.requests[0].target.startswith(f"/storage/v1/b/{name}/o/x?")


# What is stored


@pytest.mark.parametrize("size", [0, 1, 8 * MiB, 8 * MiB + 1])
async def test_sizes_around_the_limit(gcp: GCPProvider, gcs: GCSServer, gcs_bucket: str, size: int) -> None:
    """Objects of no bytes and of many arrive with their checksum and what belongs to them, whichever way they go."""
    data = bytes(range(251)) * (size // 251) + bytes(size % 251)
    options = ObjectOptions("text/csv; charset=utf-8", {"origin": "lab 7"}, modified=1700000000.123456)
    entry = await gcp.write(f"{gcs_bucket}/name", body(data), options)
    assert (entry.size, entry.crc32c) == (size, crc32c(data))
    assert await read(gcp, f"{gcs_bucket}/name") == data
    found = await gcp.stat(f"{gcs_bucket}/name")
    assert (found.etag, found.content_type) == (entry.etag, options.content_type)
    assert gcs.resource(gcs_bucket, "name")["metadata"] == {"origin": "lab 7", "mtime": "1700000000.123456"}


@pytest.mark.parametrize("content_type", ["text/plain\r\nX-Other: 1", "täxt/plain"])
async def test_content_type_that_is_none(gcp: GCPProvider, gcs_bucket: str, content_type: str) -> None:
    """What could not stand in a header is refused before anything is sent, and is that object's failure alone."""
    with pytest.raises(UnsupportedError, match=r"content type .* cannot stand in a header"):
        await gcp.write(f"{gcs_bucket}/name", body(b"x"), ObjectOptions(content_type))


async def test_source_s_time(gcp: GCPProvider, gcs_bucket: str) -> None:
    """The source's time is told by stat, by a reading and by listings, apart from the metadata; also by a copy."""
    options = ObjectOptions(metadata={"a": "b"}, modified=1700000000.5)
    await gcp.write(f"{gcs_bucket}/one", body(b"x"), options)
    upload = await gcp.start_upload(f"{gcs_bucket}/two", 1, options)
    await upload.finish([await upload.write_part(Part(1, 0, 1), body(b"x"))], None)
    await gcp.copy(await gcp.stat(f"{gcs_bucket}/one"), f"{gcs_bucket}/three", OPTIONS)
    await gcp.write(f"{gcs_bucket}/without", body(b"x"), OPTIONS)
    listed = {
        entry.key.partition("/")[2]: entry for entry in (await gcp.list_page(f"{gcs_bucket}/", recursive=True)).entries
    }
    for name in ("one", "two", "three"):
        entry = await gcp.stat(f"{gcs_bucket}/{name}")
        assert (entry.mtime, entry.metadata) == (1700000000.5, {"a": "b"})
        assert (listed[name].mtime, listed[name].metadata) == (1700000000.5, {"a": "b"})
        async with await gcp.read(f"{gcs_bucket}/{name}") as reading:
            assert reading.entry.mtime == 1700000000.5
    assert listed["without"].mtime is None
    assert (await gcp.stat(f"{gcs_bucket}/without")).mtime is None


@pytest.mark.parametrize(
    ("text", "expected"), [("1700000000", 1.7e9), ("2023-11-14T22:13:20.5Z", 1700000000.5), ("yesterday", None)]
)
async def test_time_that_another_program_kept(connect_gcp: ConnectGCP, text: str, expected: float | None) -> None:
    """The time is understood as rclone keeps it with Google, too; what is no time is none."""
    async with ScriptedServer(json_answer(stored(metadata={"mtime": text}))) as server:
        assert (await connect_gcp(server.url).stat("bucket/name")).mtime == expected


async def test_compressed_object(gcp: GCPProvider, gcs: GCSServer, gcs_bucket: str) -> None:
    """An object that is stored compressed comes as it is stored, with its own size and checksum."""
    data = gzip.compress(b"text " * 1000)
    url = f"{gcs.endpoint}/upload/storage/v1/b/{gcs_bucket}/o?uploadType=media&name=packed&contentEncoding=gzip"
    with await asyncio.to_thread(urllib.request.urlopen, urllib.request.Request(url, data, method="POST")):
        pass
    assert gcs.resource(gcs_bucket, "packed")["contentEncoding"] == "gzip"
    assert await read(gcp, f"{gcs_bucket}/packed") == data
    assert await read(gcp, f"{gcs_bucket}/packed", 5, 50) == data[5:50]
    async with await gcp.read(f"{gcs_bucket}/packed") as reading:
        assert (reading.size, reading.crc32c) == (len(data), crc32c(data))


# Listings


async def test_listing_of_ten_thousand(connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """A listing of 10,000 objects comes in pages of a thousand, but for the first, each object once, in order."""
    async with ResumableServer() as server:
        for number in range(10_000):
            server.put(f"dir-{number % 7}/{number:05}", b"x")
        gcp = connect_gcp(server.url, service_file=server.service_file(tmp_path))
        pages = await all_pages(gcp, "bucket/", recursive=True)
        assert [len(page) for page in pages] == [200] + [1000] * 9 + [800]
        found = [entry.key for page in pages for entry in page]
        assert found == sorted(f"bucket/dir-{number % 7}/{number:05}" for number in range(10_000))


async def test_directories_over_many_pages(connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """Objects and directories that follow each other come in one order, over the ends of pages too."""
    async with ResumableServer() as server:
        names = [f"{number:04}{'/x' if number % 3 else ''}" for number in range(2500)]
        for name in names:
            server.put(name, b"x")
            server.put(f"{name}y", b"x")
        gcp = connect_gcp(server.url, service_file=server.service_file(tmp_path))
        pages = await all_pages(gcp, "bucket/", recursive=False)
        found = [entry.key for page in pages for entry in page]
        expected = {f"bucket/{name.partition('/')[0]}/" for name in names if "/" in name}
        expected |= {f"bucket/{name}{end}" for name in names if "/" not in name for end in ("", "y")}
        assert found == sorted(expected)
        assert len(pages) == 4


async def all_pages(gcp: GCPProvider, prefix: str, *, recursive: bool) -> list[Sequence[Entry]]:
    """The pages of a listing."""
    page = await gcp.list_page(prefix, recursive=recursive)
    pages = [page.entries]
    while page.cursor is not None:
        page = await gcp.list_page(prefix, recursive=recursive, cursor=page.cursor)
        pages.append(page.entries)
    return pages


async def test_what_a_listing_asks_for(connect_gcp: ConnectGCP) -> None:
    """A listing asks for what it takes only, a thousand at a time, and for the page after the last one's token."""
    kind = {"kind": "storage#objects"}
    item = stored(name="a b/c")
    pages = json_answer({**kind, "nextPageToken": "to/ken", "items": [item]}), json_answer(kind)
    async with ScriptedServer(*pages) as server:
        gcp = connect_gcp(server.url)
        page = await gcp.list_page("bucket/a b/", recursive=False)
        assert page.cursor == "to/ken"
        assert (await gcp.list_page("bucket/a b/", recursive=False, cursor=page.cursor)).cursor is None
    first, second = [request.target for request in server.requests]
    assert "prefix=a%20b%2F" in first
    assert "maxResults=1000" in first
    assert "delimiter=%2F" in first
    assert "fields=kind%2CnextPageToken" in first
    assert "pageToken=to%2Fken" in second


# Public objects


async def test_public_object(gcp: GCPProvider, gcs: GCSServer, gcs_bucket: str) -> None:
    """An object is made readable for everybody however it is written, and only when that is asked for."""
    public = ObjectOptions(public=True)
    await gcp.write(f"{gcs_bucket}/one", body(b"x"), public)
    await gcp.write(f"{gcs_bucket}/large", body(bytes(9 * MiB)), public)
    await gcp.write(f"{gcs_bucket}/private", body(b"x"), OPTIONS)
    readers = {
        name: [rule["entity"] for rule in gcs.resource(gcs_bucket, name).get("acl", ())]
        for name in ("one", "large", "private")
    }
    assert "allUsers" in readers["one"]
    assert "allUsers" in readers["large"]
    assert "allUsers" not in readers["private"]


async def test_public_composition(connect_gcp: ConnectGCP) -> None:
    """Of an upload in parts the whole is made public, its parts are not."""
    told = {"size": "1", "crc32c": encode(crc32c(b"x"))}
    async with ScriptedServer(answer()) as server:
        upload = await connect_gcp(server.url).start_upload("bucket/name", None, ObjectOptions(public=True))
        server.requests.clear()  # the bucket's rules were looked up
        part = json_answer(stored(name=f".dxflow-parts/{upload.id}/00001", **told))
        server.reply(part, json_answer(stored(**told)), answer("204 No Content", X_GUploader_UploadID="1"))
        await upload.finish([await upload.write_part(Part(1, 0, 1), body(b"x"))], None)
    write, compose, _ = [request.target for request in server.requests]
    assert "Acl" not in write
    assert "destinationPredefinedAcl=publicRead" in compose


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (
            json_error(
                "400 Bad Request",
                "invalid",
                "Cannot insert legacy ACL for an object when uniform bucket-level access is enabled. Read more at ...",
            ),
            "uniform bucket-level access.*cannot be made public one by one",
        ),
        (
            json_error(
                "412 Precondition Failed",
                "conditionNotMet",
                "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention "
                "is enforced.",
            ),
            "allows no public objects",
        ),
    ],
)
async def test_bucket_that_allows_no_public_object(connect_gcp: ConnectGCP, refusal: bytes, said: str) -> None:
    """Where the bucket's settings stand against it, the error says that they do, and what to do."""
    async with ScriptedServer(refusal) as server:
        with pytest.raises(UnsupportedError, match=said):
            await connect_gcp(server.url).write("bucket/name", body(b"x"), ObjectOptions(public=True))


# Versions


async def test_version_that_is_gone(gcp: GCPProvider, gcs_bucket: str) -> None:
    """A version that was replaced is told from an object that is not there at all."""
    key = f"{gcs_bucket}/name"
    old = (await gcp.write(key, body(b"old"), OPTIONS)).etag
    await gcp.write(key, body(b"new"), OPTIONS)
    with pytest.raises(PreconditionFailedError):
        await gcp.read(key, etag=old)
    await gcp.delete([key])
    with pytest.raises(NotFoundError):
        await gcp.read(key, etag=old)


async def test_bytes_from_the_xml_api(connect_gcp: ConnectGCP, tmp_path: Path) -> None:
    """Google's own service is read by the XML API: in whole, in part, in a version, with the time of its source."""
    async with ResumableServer() as server:
        gcp = connect_gcp(server.url, service_file=server.service_file(tmp_path))
        key, data = "bucket/a b/ü+%?#", bytes(range(256)) * 10
        old = await gcp.write(key, body(data), ObjectOptions(metadata={"run": "7"}, modified=1700000000.5))
        assert await read(gcp, key) == data
        assert await read(gcp, key, 100, 300, etag=old.etag) == data[100:300]
        async with await gcp.read(key) as reading:
            entry = reading.entry
            assert (entry.etag, entry.crc32c, entry.mtime) == (old.etag, crc32c(data), 1700000000.5)
            assert reading.crc32c == crc32c(data)
        async with await gcp.read(key, 5) as reading:
            assert (reading.crc32c, reading.entry.size, reading.size) == (None, len(data), len(data) - 5)
        with pytest.raises(PreconditionFailedError):
            await gcp.read(key, len(data))
        await gcp.write(key, body(b"new"), OPTIONS)
        with pytest.raises(PreconditionFailedError, match="replaced"):
            await gcp.read(key, etag=old.etag)
        with pytest.raises(NotFoundError, match="NoSuchKey"):
            await gcp.read("bucket/missing", etag=old.etag)


async def test_object_replaced_during_a_parallel_download(gcs: GCSServer, gcs_bucket: str, tmp_path: Path) -> None:
    """An object that is replaced while its parts are fetched fails the download; what was there before stays."""
    new = f"{gcs.endpoint}/upload/storage/v1/b/{gcs_bucket}/o?uploadType=media&name=large"
    seen: list[str] = []

    def replace(request: Request) -> bool:
        if request.method == "GET" and "generation=" in request.target:
            seen.append(request.target)
            if len(seen) == 3:
                with urllib.request.urlopen(urllib.request.Request(new, bytes(40 * MiB), method="POST")):
                    pass
        return False

    (tmp_path / "source").write_bytes(b"old" * (40 * MiB // 3))
    target = tmp_path / "to/large"
    target.parent.mkdir()
    target.write_bytes(b"what was there")
    proxy = FaultProxy(gcs.endpoint, ("reset",), rate=1.0, applies=replace)
    async with proxy.running():
        settings = Settings(
            home=tmp_path / "home", part_size=5 * MiB, max_concurrency=2, gcp=GCPSettings(endpoint=proxy.endpoint)
        )
        async with AsyncSession(settings=settings) as session:
            storage = session.get_storage_manager()
            await storage.upload(tmp_path / "source", f"/{gcs_bucket}/large", provider="GCP")
            with pytest.raises((PreconditionFailedError, TransferError)) as raised:
                await storage.download(f"/{gcs_bucket}/large", target.parent, provider="GCP")
    error = next(iter(raised.value.report)).error if isinstance(raised.value, TransferError) else raised.value
    assert isinstance(error, PreconditionFailedError)
    assert len(seen) >= 3
    assert target.read_bytes() == b"what was there"
    assert part_files(tmp_path) == []
