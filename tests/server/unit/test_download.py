"""A unit's download: ranges, conditions, large files, and files that change meanwhile."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.unit import download
from dxflow_async.server.unit.app import CONNECTION_OPTIONS, create_unit_app
from tests.event_loops import LOOPS, LoopFactory
from tests.server.running_hub import SECRETS, RunningUnit
from tests.servers.certificate import make_certificate
from tests.waiting import until

CONTENT = bytes(range(100))


@pytest.mark.parametrize(
    ("asked", "status", "content", "told"),
    [
        ("bytes=0-9", 206, CONTENT[:10], "bytes 0-9/100"),
        ("bytes=90-", 206, CONTENT[90:], "bytes 90-99/100"),
        ("bytes=90-1000", 206, CONTENT[90:], "bytes 90-99/100"),
        ("bytes=-5", 206, CONTENT[-5:], "bytes 95-99/100"),
        ("bytes=-1000", 206, CONTENT, "bytes 0-99/100"),
        ("bytes=99-99", 206, CONTENT[99:], "bytes 99-99/100"),
        ("bytes=9-3", 200, CONTENT, None),
        ("bytes=0-1,4-5", 200, CONTENT, None),
        ("bytes=-", 200, CONTENT, None),
        ("lines=1-2", 200, CONTENT, None),
        ("bytes=x-y", 200, CONTENT, None),
    ],
)
async def test_ranges(unit: RunningUnit, asked: str, status: int, content: bytes, told: str | None) -> None:
    """A range is answered as RFC 9110 says; what is not understood, with the whole."""
    await unit.put("a", CONTENT)
    answer = await unit.get("a", Range=asked)
    assert (answer.status, answer.content, answer.headers.get("Content-Range")) == (status, content, told)
    assert answer.headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize(("size", "asked"), [(100, "bytes=100-"), (100, "bytes=-0"), (0, "bytes=0-"), (0, "bytes=-1")])
async def test_ranges_that_are_not_there(unit: RunningUnit, size: int, asked: str) -> None:
    """A range without a byte of the file is 416, with the size."""
    await unit.put("a", CONTENT[:size])
    answer = await unit.get("a", Range=asked)
    assert (answer.status, answer.code, answer.headers["Content-Range"]) == (416, "no_such_range", f"bytes */{size}")


async def test_headers(unit: RunningUnit) -> None:
    """A download has ETag, length, time and the whole's checksum, also with a range, and HEAD has the same."""
    created = await unit.put("a", b"123456789", mtime="1700000000.25")
    whole, part, head = (
        await unit.get("a"),
        await unit.get("a", Range="bytes=0-1"),
        await unit.request("HEAD", "/storage/download/?path=/a"),
    )
    for answer in (whole, part, head):
        assert answer.headers["ETag"] == created.headers["ETag"]
        assert answer.headers["Repr-Digest"] == "crc32c=:4waSgw==:"
        assert answer.headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
        assert answer.headers["Accept-Ranges"] == "bytes"
    assert (head.headers["Content-Length"], head.content) == ("9", b"")


async def test_conditions(unit: RunningUnit) -> None:
    """If-Match pins a version, If-None-Match saves the bytes, If-Range gives a range or the new whole."""
    old = (await unit.put("a", b"old")).headers["ETag"]
    new = (await unit.put("a", b"new")).headers["ETag"]
    assert old != new
    assert (await unit.get("a", **{"If-Match": old})).code == "precondition_failed"
    assert (await unit.get("a", **{"If-Match": f"{old}, {new}"})).content == b"new"
    assert (await unit.get("a", **{"If-Match": "*"})).status == 200
    assert (await unit.get("a", **{"If-None-Match": new})).status == 304
    assert (await unit.get("a", **{"If-None-Match": old})).status == 200
    assert (await unit.get("a", **{"If-Range": new, "Range": "bytes=0-0"})).content == b"n"
    assert (await unit.get("a", **{"If-Range": old, "Range": "bytes=0-0"})).content == b"new"


async def test_every_version_has_an_etag_of_its_own(unit: RunningUnit) -> None:
    """Files of one size and one time, in one inode even, are told apart."""
    etags = [(await unit.put("a", content, mtime="1700000000")).headers["ETag"] for content in (b"1", b"2", b"3") * 5]
    assert len(set(etags)) == len(etags)


@pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
def test_large_files_on_every_loop(tmp_path: Path, factory: LoopFactory) -> None:
    """Files and ranges beyond every buffer arrive whole, on each event loop, one after the other on one connection."""

    async def main() -> None:
        content = random.Random(1).randbytes((40 << 20) + 7)
        await asyncio.to_thread((tmp_path / "big").write_bytes, content)
        server = Server(create_unit_app(tmp_path, SECRETS), Listening(), CONNECTION_OPTIONS)
        async with aiohttp.ClientSession() as http:
            unit = RunningUnit(await server.start(), tmp_path, http, server._app)
            assert (await unit.get("big")).content == content
            assert (await unit.get("big", Range="bytes=1000-30000000")).content == content[1000:30000001]
            assert (await unit.get("big", Range="bytes=-3")).content == content[-3:]
            answers = await asyncio.gather(*(unit.get("big", Range=f"bytes={n}000000-") for n in range(8)))
            assert [answer.content for answer in answers] == [content[n * 1_000_000 :] for n in range(8)]
        await server.aclose(1.0)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


@pytest.fixture
async def tls_unit(tmp_path: Path) -> AsyncIterator[RunningUnit]:
    """A unit over TLS."""
    certificate, key, authority = make_certificate(tmp_path)
    listening = Listening(tls_cert=certificate, tls_key=key)
    (tmp_path / "volume").mkdir()
    app = create_unit_app(tmp_path / "volume", SECRETS)
    server = Server(app, listening, CONNECTION_OPTIONS)
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=authority))
    async with aiohttp.ClientSession(connector=connector) as http:
        yield RunningUnit(await server.start(), tmp_path / "volume", http, app)
    await server.aclose(1.0)


async def test_tls(tls_unit: RunningUnit) -> None:
    """Over TLS a file comes and goes whole too, and an upload's URL says https."""
    content = random.Random(2).randbytes(5 << 20)
    assert tls_unit.url.startswith("https://127.0.0.1:")
    assert (await tls_unit.put("a", content)).status == 201
    assert (await tls_unit.get("a")).content == content
    assert (await tls_unit.create("b", 5)).headers["Location"].startswith(tls_unit.url)


async def test_a_file_that_is_replaced_does_not_mix(unit: RunningUnit) -> None:
    """Who began to read the old file gets all of the old file."""
    old, new = bytes(30 << 20), b"\1" * (30 << 20)
    (unit.root / "a").write_bytes(old)
    async with unit.http.get(f"{unit.url}/storage/download/?path=/a", headers={"X-SECRET-KEY": SECRETS.ro}) as response:
        first = await response.content.readany()
        (unit.root / "b").write_bytes(new)
        assert (await unit.request("PUT", "/storage/rename/?path=/b&destination=/a")).status == 200
        assert first + await response.content.read() == old
    assert (await unit.get("a")).content == new


async def test_a_file_that_shrinks_breaks_off(unit: RunningUnit) -> None:
    """A file that becomes shorter while it is sent ends the connection: nobody takes it for whole."""
    (unit.root / "a").write_bytes(bytes(64 << 20))
    async with unit.http.get(f"{unit.url}/storage/download/?path=/a", headers={"X-SECRET-KEY": SECRETS.ro}) as response:
        os.truncate(unit.root / "a", 1 << 20)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()


async def test_who_does_not_read_is_given_up(unit: RunningUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes no byte for the stall time loses its connection, and its thread and descriptors are free."""
    monkeypatch.setattr(download, "STALL_SECONDS", 0.2)
    (unit.root / "a").write_bytes(bytes(64 << 20))
    before = len(os.listdir("/proc/self/fd"))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(unit.url.rpartition(":")[2]), limit=1 << 16)
    request = f"GET /storage/download/?path=/a HTTP/1.1\r\nHost: 127.0.0.1\r\nX-SECRET-KEY: {SECRETS.ro}\r\n\r\n"
    writer.write(request.encode())
    await asyncio.sleep(1.0)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(64 << 20)
    writer.close()
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_downloads_that_break_off_leave_nothing(unit: RunningUnit) -> None:
    """Clients that go away in mid-file leave no descriptor open."""
    (unit.root / "a").write_bytes(bytes(64 << 20))
    await unit.get("a", Range="bytes=0-1")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        url = f"{unit.url}/storage/download/?path=/a"
        async with aiohttp.ClientSession() as http, http.get(url, headers={"X-SECRET-KEY": SECRETS.ro}) as response:
            await response.content.readany()
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_a_directory_is_no_download(unit: RunningUnit) -> None:
    """A directory is 409, what is not there 404, an empty file 200."""
    (unit.root / "d").mkdir()
    (unit.root / "empty").touch()
    assert (await unit.get("d")).code == "is_directory"
    assert (await unit.get("missing")).code == "not_found"
    empty = await unit.get("empty")
    assert (empty.status, empty.content) == (200, b"")


def test_digest_is_as_rfc_9530_says() -> None:
    """The checksum stands between colons, in base64 of the four bytes, the highest first."""
    header = download.digest(0xE3069283)
    assert base64.b64decode(header.removeprefix("crc32c=:").removesuffix(":")) == bytes.fromhex("e3069283")
