from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import traceback
from collections.abc import Callable

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import (
    AccessDeniedError,
    ChecksumMismatchError,
    NetworkError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    StorageError,
    ThrottledError,
    UnsupportedError,
)
from dxflow_async.providers.common.status_errors import STATUS_ERRORS, status_error
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.http import HTTP, Call
from dxflow_async.providers.http_source.answers import STATUSES
from dxflow_async.providers.http_source.provider import HTTPSourceProvider
from dxflow_async.providers.http_source.settings import from_url
from tests.providers.http_source.file_server import FileServer
from tests.providers.in_memory_bodies import body, read
from tests.scripted_server import ScriptedServer

DATA = bytes(range(251)) * 1000

Connect = Callable[..., HTTPSourceProvider]


async def test_a_file_is_read(server: FileServer, source: HTTPSourceProvider) -> None:
    """A file's bytes, size, version, type and time are those of the server; HEAD tells the same."""
    server.put("/dir/ü b.csv", DATA, headers={"Content-Type": "text/csv"})
    assert await read(source, "dir/ü b.csv") == DATA
    async with await source.read("dir/ü b.csv") as reading:
        assert (reading.entry.size, reading.entry.content_type) == (len(DATA), "text/csv")
        assert reading.entry.modified == 1700000000
    assert await source.stat("dir/ü b.csv") == reading.entry


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 1, b"0"), (3, 7, b"3456"), (7, None, b"789"), (0, 100, b"0123456789"), (9, 100, b"9")],
)
async def test_ranges(
    server: FileServer, source: HTTPSourceProvider, start: int, end: int | None, expected: bytes, *, ranges: bool
) -> None:
    """A range brings its bytes, also where the server sends the whole."""
    server.put("/digits", b"0123456789", ranges=ranges)
    assert await read(source, "digits", start, end) == expected
    async with await source.read("digits", start, end) as reading:
        assert (reading.entry.size, reading.size) == (10, len(expected))


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(("data", "start", "end"), [(b"0123", 4, None), (b"0123", 9, 12), (b"", 0, 5)])
async def test_range_without_a_byte(
    server: FileServer, source: HTTPSourceProvider, data: bytes, start: int, end: int | None, *, ranges: bool
) -> None:
    """A range in which the file has no byte is refused."""
    server.put("/short", data, ranges=ranges)
    with pytest.raises(PreconditionFailedError):
        await source.read("short", start, end)


async def test_ranges_are_believed_once_they_are_seen(server: FileServer, source: HTTPSourceProvider) -> None:
    """`Features.ranges` says what answers have shown."""
    assert not source.features.ranges
    server.put("/with", b"0123456789")
    await source.stat("with")
    assert source.features.ranges
    server.put("/without", b"0123456789", ranges=False)
    for ranges in (True, False):  # one answer may be a stray one
        assert await read(source, "without", 2, 4) == b"23"
        assert source.features.ranges is ranges


async def test_a_silent_server_is_asked_for_a_range(server: FileServer, source: HTTPSourceProvider) -> None:
    """Of a large file whose answer says nothing of ranges, one byte is asked for, once."""
    server.put("/large", bytes(9 << 20), headers={"Accept-Ranges": "unsure"})
    for _ in range(2):
        async with await source.read("large"):
            pass
    assert [seen.range for seen in server.seen] == ["", "bytes=0-0", ""]
    assert source.features.ranges


async def test_parts_share_one_answer_of_a_server_without_ranges(
    server: FileServer, source: HTTPSourceProvider
) -> None:
    """Parts that are read at the same time, as a transfer does, fetch the file once."""
    data = bytes(range(256)) * (4 << 10)
    server.put("/large", data, ranges=False)
    entry = await source.stat("large")
    for _ in range(2):  # then it is known to have none
        await read(source, "large", 0, 1)
    server.seen.clear()
    step = 100_000
    parts = [(start, min(start + step, len(data))) for start in range(0, len(data), step)]
    found = await asyncio.gather(*(read(source, "large", *part, etag=entry.etag) for part in parts))
    assert b"".join(found) == data
    assert len(server.seen) == 1
    assert await read(source, "large", 5, 10) == data[5:10]
    await source.aclose()


async def test_two_readers_of_one_file_do_not_wait_for_each_other(
    server: FileServer, source: HTTPSourceProvider
) -> None:
    """Whoever holds one range and opens another of the same file gets it after a moment without progress."""
    source._whole._patience = 0.05
    server.put("/large", DATA, ranges=False)
    async with await source.read("large", 0, 10) as one, await source.read("large", 20, 30) as other:
        assert bytes(await other.read()) == DATA[20:30]
        assert bytes(await one.read()) == DATA[:10]


async def test_cancelled_wait_for_a_turn_leaves_the_file_readable(
    server: FileServer, source: HTTPSourceProvider
) -> None:
    """A part that is cancelled while it waits, or in mid-read, blocks no other."""
    server.put("/large", DATA, ranges=False)
    await read(source, "large", 0, 1)
    async with await source.read("large", 0, 10):
        waiting = asyncio.create_task(read(source, "large", 20, 30))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await read(source, "large", 30, 40) == DATA[30:40]


@pytest.mark.parametrize("etag", ["strong", "weak", ""])
@pytest.mark.parametrize("checks", [True, False])
async def test_version_is_pinned(server: FileServer, source: HTTPSourceProvider, etag: str, *, checks: bool) -> None:
    """A file that was replaced is not read on, whatever of its version the server tells and checks."""
    server.put("/name", b"0123456789", etag=etag, checks=checks)
    version = (await source.stat("name")).etag
    assert version
    assert await read(source, "name", 2, 4, etag=version) == b"23"
    server.put(
        "/name",
        b"another, longer version",
        etag=etag,
        checks=checks,
        headers={"Last-Modified": "Wed, 15 Nov 2023 22:13:20 GMT"},
    )
    for start, end in ((0, None), (2, 4)):
        with pytest.raises(PreconditionFailedError):
            await source.read("name", start, end, etag=version)


async def test_weak_etag_is_not_sent_as_a_condition(server: FileServer, source: HTTPSourceProvider) -> None:
    """A weak ETag never matches `If-Match`: it is compared here."""
    server.put("/name", DATA, etag="weak")
    version = (await source.stat("name")).etag
    assert await read(source, "name", 0, 5, etag=version) == DATA[:5]
    assert all("If-Match" not in seen.headers for seen in server.seen)


@pytest.mark.parametrize("status", [403, 405, 501, 400, 404, 500, 0])
async def test_refused_head(server: FileServer, source: HTTPSourceProvider, status: int) -> None:
    """Where HEAD is refused, or tells no bytes, the first byte tells the size; an empty file has none."""
    server.put("/name", DATA, head=status)
    server.put("/empty", b"", head=status)
    assert (await source.stat("name")).size == len(DATA)
    assert (await source.stat("empty")).size == 0
    assert server.seen[1].range == "bytes=0-0"


async def test_size_that_is_not_told(server: FileServer, source: HTTPSourceProvider) -> None:
    """A file whose size no header tells is as long as what arrives up to a certain end; ranges tell it, too."""
    server.put("/chunks", DATA, length=False, ranges=False)
    assert (await source.stat("chunks")).size == len(DATA)
    async with await source.read("chunks") as reading:
        assert (reading.size, reading.entry.size) == (len(DATA), len(DATA))
        assert b"".join([bytes(chunk) async for chunk in reading]) == DATA
    assert await read(source, "chunks", 5, 9) == DATA[5:9]
    server.put("/ranged", DATA, length=False)
    assert (await source.stat("ranged")).size == len(DATA)


async def test_size_that_nothing_tells(connect_source: Callable[..., HTTPSourceProvider]) -> None:
    """A file whose end cannot be told from a broken connection is refused at once, with a reason."""
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbytes"

    async def until_closed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(endless)
        writer.close()

    async with ScriptedServer(until_closed) as server:
        source = connect_source(endpoint=server.url)
        for look in (source.stat("endless"), source.read("endless")):
            with pytest.raises(UnsupportedError, match="does not tell the size") as raised:
                await look
            assert not raised.value.retryable


async def test_packed_answer_is_neither_unpacked_nor_trusted(server: FileServer, source: HTTPSourceProvider) -> None:
    """Packed bodies are not asked for; one that comes all the same is kept as it is, and HEAD's length is not taken."""
    packed = gzip.compress(DATA)
    server.put("/name", packed, headers={"Content-Encoding": "gzip"})
    assert await read(source, "name") == packed
    assert (await source.stat("name")).size == len(packed)
    assert {seen.headers["Accept-Encoding"] for seen in server.seen} == {"identity"}
    assert [seen.method for seen in server.seen] == ["GET", "HEAD", "GET"]


async def test_broken_answer(server: FileServer, source: HTTPSourceProvider) -> None:
    """A connection that breaks in the midst is a NetworkError, worth another try."""
    server.put("/name", DATA, cut=100_000)
    with pytest.raises(NetworkError) as raised:
        await read(source, "name")
    assert raised.value.retryable


MD5 = base64.b64encode(hashlib.md5(DATA).digest()).decode()
SHA256 = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
CRC32C = base64.b64encode(crc32c(DATA).to_bytes(4, "big")).decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-MD5", MD5),
        ("Digest", f"unixsum=30637, SHA-256={SHA256}"),
        ("Repr-Digest", f"sha-256=:{SHA256}:"),
        ("Content-Digest", f"md5=:AAAA:, sha-256=:{SHA256}:"),
        ("x-goog-hash", f"md5={MD5}"),
        ("x-amz-checksum-sha256", SHA256),
    ],
)
async def test_digests_are_verified(server: FileServer, source: HTTPSourceProvider, name: str, value: str) -> None:
    """A digest that the server tells is compared with the whole file; a part of it is read as it is."""
    server.put("/name", DATA, headers={name: value})
    server.put("/damaged", b"x" + DATA[1:], headers={name: value})
    async with await source.read("name") as reading:
        assert b"".join([bytes(chunk) async for chunk in reading]) == DATA
        assert reading.verified
    assert await read(source, "name", 5, 10) == DATA[5:10]
    with pytest.raises(ChecksumMismatchError):
        await read(source, "damaged")


@pytest.mark.parametrize(
    ("name", "value"), [("x-goog-hash", f"crc32c={CRC32C},md5={MD5}"), ("x-amz-checksum-crc32c", CRC32C)]
)
async def test_crc32c_is_told(server: FileServer, source: HTTPSourceProvider, name: str, value: str) -> None:
    """A CRC32C that the server tells is that of a reading of the whole, and of no part."""
    server.put("/name", DATA, headers={name: value})
    async with await source.read("name") as whole, await source.read("name", 0, 5) as part:
        assert (whole.crc32c, part.crc32c, part.entry.crc32c) == (crc32c(DATA), None, crc32c(DATA))


@pytest.mark.parametrize("value", ["sha-256=broken", "sha-256=:AAAA:", "=,;", "md5", "x" * 9999])
async def test_digests_that_are_none(server: FileServer, source: HTTPSourceProvider, value: str) -> None:
    """What is no digest is no reason to fail."""
    server.put("/name", DATA, headers=dict.fromkeys(("Digest", "Repr-Digest", "Content-MD5", "x-goog-hash"), value))
    assert await read(source, "name") == DATA


@pytest.mark.parametrize("kind", [{"x-amz-checksum-type": "COMPOSITE"}, {"ETag": '"0123456789abcdef-3"'}], ids=str)
async def test_composite_checksum_is_not_that_of_the_file(
    server: FileServer, source: HTTPSourceProvider, kind: dict[str, str]
) -> None:
    """S3's checksum of an object's parts says nothing of its bytes, whether it is called so or the ETag shows it."""
    server.put("/name", DATA, headers={"x-amz-checksum-crc32c": "AAAAAA==", **kind})
    async with await source.read("name") as reading:
        assert reading.crc32c is None


async def test_unpacked_by_google(server: FileServer, source: HTTPSourceProvider) -> None:
    """The hash of a file that is stored packed is not that of what is sent unpacked."""
    server.put("/name", DATA, headers={"x-goog-hash": "crc32c=AAAAAA==", "x-goog-stored-content-encoding": "gzip"})
    assert await read(source, "name") == DATA


@pytest.mark.parametrize("name", ["data.csv", "archive.tar.gz", "weights.safetensors"])
async def test_sign_in_page_is_not_the_file(server: FileServer, source: HTTPSourceProvider, name: str) -> None:
    """An HTML page under the name of another kind of file is refused, by stat and by read."""
    server.put(f"/{name}", b"<html>sign in", headers={"Content-Type": "text/html; charset=utf-8"})
    for look in (source.stat(name), source.read(name), source.read(name, 2, 5)):
        with pytest.raises(ServiceError, match="sign-in page"):
            await look


@pytest.mark.parametrize("name", ["index.html", "page.HTM", "view.php", "article", "v1.x/page.aspx"])
async def test_page_is_a_file(server: FileServer, source: HTTPSourceProvider, name: str) -> None:
    """A page under a page's name, or a name without a suffix, is what was asked for."""
    server.put(f"/{name}", b"<html>", headers={"Content-Type": "text/html"})
    assert await read(source, name) == b"<html>"


async def test_pages_may_be_allowed(server: FileServer, connect_source: Connect) -> None:
    """`allow_html` takes a page for whatever name."""
    server.put("/data.csv", b"<html>", headers={"Content-Type": "text/html"})
    assert await read(connect_source(endpoint=server.url, allow_html=True), "data.csv") == b"<html>"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects(server: FileServer, source: HTTPSourceProvider, status: int) -> None:
    """A redirect, also a relative one, leads to the file, in whole and in part."""
    server.put("/old", redirect="new/place%20here?sig=a%2Bb", redirect_status=status)
    server.put("/new/place here", DATA)
    assert await read(source, "old", 5, 10) == DATA[5:10]
    assert (await source.stat("old")).size == len(DATA)
    assert server.seen[1].target == "/new/place%20here?sig=a%2Bb"


async def test_redirects_end(server: FileServer, source: HTTPSourceProvider) -> None:
    """Five redirects are followed, not more; one to nowhere is an error that shows no query."""
    for number in range(6):
        server.put(f"/{number}", redirect=f"/{number + 1}")
    server.put("/6", DATA)
    assert await read(source, "1") == DATA
    with pytest.raises(ServiceError, match="more than 5 redirects"):
        await source.read("0")
    for bad in ("ftp://other/file?sig=SECRET", "http://[::1/?sig=SECRET", "http://a:99999/?sig=SECRET"):
        server.put("/bad", redirect=bad)
        with pytest.raises(ServiceError, match="no valid URL") as raised:
            await source.read("bad")
        assert "SECRET" not in "".join(traceback.format_exception(raised.value))


async def test_credentials_stay_with_their_server(server: FileServer, connect_source: Connect) -> None:
    """Credentials go to the endpoint's server only, not to where it redirects; back there, they are sent again."""
    source = connect_source(endpoint=server.url, username="me", password="pä:ss", header="X-Api-Key: abc")
    async with FileServer() as other:
        server.put("/here", redirect=other.url_of("/there"))
        other.put("/there", redirect=server.url_of("/back"))
        server.put("/back", DATA)
        assert await read(source, "here") == DATA
        (foreign,) = other.seen
    assert "Authorization" not in foreign.headers
    assert "X-Api-Key" not in foreign.headers
    wanted = "Basic " + base64.b64encode("me:pä:ss".encode()).decode()
    assert [(seen.headers["Authorization"], seen.headers["X-Api-Key"]) for seen in server.seen] == [(wanted, "abc")] * 2


async def test_no_redirect_to_plain_http_elsewhere(server: FileServer, source: HTTPSourceProvider) -> None:
    """Plain http is followed on this machine only."""
    server.put("/name", redirect="http://files.example.org/name")
    with pytest.raises(ServiceError, match=r"plain http at files\.example\.org"):
        await source.read("name")


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (401, AccessDeniedError),
        (403, AccessDeniedError),
        (404, NotFoundError),
        (410, NotFoundError),
        (429, ThrottledError),
        (500, ServiceError),
        (503, ThrottledError),
        (418, StorageError),
        (204, ServiceError),
    ],
)
async def test_statuses(server: FileServer, source: HTTPSourceProvider, status: int, cls: type[StorageError]) -> None:
    """A status is one of our errors, which names the file and says what to do; waiting helps where it does."""
    server.put("/name.csv", status=status, headers={"Retry-After": "7"})
    for look in (source.stat("name.csv"), source.read("name.csv"), source.read("name.csv", 5)):
        with pytest.raises(cls) as raised:
            await look
        assert "/name.csv" in str(raised.value)
        assert raised.value.status == status
        assert raised.value.retryable == (status in (429, 500, 503, 204))
    if status in (429, 503):
        assert raised.value.retry_after == 7


def test_every_error_status_has_a_row_or_its_class() -> None:
    """A status without a row is the server's fault from 500 on, else the request's."""
    for status in range(400, 600):
        error = status_error(Call("HTTPS", "read", "/x"), status, {}, errors=STATUSES)
        if status not in STATUSES and status not in STATUS_ERRORS:
            assert type(error) is (ServiceError if status >= 500 else StorageError)


async def test_read_only(server: FileServer, source: HTTPSourceProvider) -> None:
    """What a web server cannot do is an UnsupportedError at once, without a request."""
    calls = [
        source.list_page("dir/", recursive=True),
        source.write("name", body(b"x"), ObjectOptions()),
        source.start_upload("name", None, ObjectOptions()),
        source.delete_one("name"),
        source.read("dir/"),
        source.stat(""),
    ]
    for call in calls:
        with pytest.raises(UnsupportedError):
            await call
    assert server.seen == []


async def test_url_is_sent_as_it_was_written(server: FileServer, http: HTTP) -> None:
    """The escapes and the query of a URL reach the server unchanged; the key is the readable name."""
    server.put("/a/b/c d.csv", DATA)
    settings, path = from_url(f"{server.url}/a/b%2Fc%20d.csv?sig=a%2Fb&x=~", None)
    assert path == "/a/b/c d.csv"
    source = HTTPSourceProvider(settings, http)
    assert await read(source, path.lstrip("/")) == DATA
    assert server.seen[0].target == "/a/b%2Fc%20d.csv?sig=a%2Fb&x=~"
    with pytest.raises(NotFoundError) as raised:
        await source.read("other")
    assert server.seen[1].target == "/other"
    assert "sig" not in repr(settings) + repr(raised.value) + repr(raised.value.__dict__)


def test_names_that_are_not_utf8() -> None:
    """Bytes of any kind in a URL are kept in its path."""
    settings, path = from_url("https://host/%FFname", None)
    assert path == "/\udcffname"
    assert settings.target == "/%FFname"
