"""Sizes and ranges that answers leave out, or that differ from those that were requested."""

from __future__ import annotations

from typing import Any

import pytest

from dxflow_async.exceptions import PreconditionFailedError, ServiceError
from dxflow_async.providers.common.capability import Capability
from dxflow_async.providers.contract import Entry, Provider, RangeIgnoredError, Reader
from tests.providers.connected_providers import Connect, ConnectAzure, ConnectGCP
from tests.providers.in_memory_bodies import read
from tests.scripted_server import ScriptedServer

DATA = b"0123456789"
SIGNS = {
    "AWS": b'ETag: "7"\r\nx-amz-request-id: 1\r\n',
    "AZURE": b'ETag: "7"\r\nx-ms-version: 2023-11-03\r\n',
    "GCP": b"x-goog-generation: 7\r\n",
}
LISTED = Entry("bucket/name", len(DATA), etag="7")
PIECES = b"Transfer-Encoding: chunked\r\n"


def response(name: str, status: str, *headers: bytes, body: bytes = b"") -> bytes:
    """Returns a response of a service, with the headers as they are given."""
    return b"HTTP/1.1 %s\r\n%s%s\r\n%s" % (status.encode(), SIGNS[name], b"".join(headers), body)


def chunks(data: bytes) -> bytes:
    """Returns a chunked body of two chunks."""
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (data[:2], data[2:]) if piece)
    return pieces + b"0\r\n\r\n"


def sized(data: bytes) -> bytes:
    """Returns the header with the length."""
    return b"Content-Length: %d\r\n" % len(data)


@pytest.fixture(params=SIGNS)
def connected(
    request: pytest.FixtureRequest, connect: Connect, connect_azure: ConnectAzure, connect_gcp: ConnectGCP
) -> tuple[str, Any]:
    """Each provider's name, and what makes it."""
    return request.param, {"AWS": connect, "AZURE": connect_azure, "GCP": connect_gcp}[request.param]


@pytest.mark.parametrize("total", [b"10", b"*"])
async def test_a_range_without_a_length(connected: tuple[str, Any], total: bytes) -> None:
    """`Content-Range` tells what arrives; a size of the whole that it leaves out is that of the listing."""
    name, connect = connected
    head = b"Content-Range: bytes 2-4/%s\r\n" % total
    async with ScriptedServer(response(name, "206 Partial Content", PIECES, head, body=chunks(b"234"))) as server:
        async with await connect(server.url).read("bucket/name", 2, 5, listed=LISTED) as reading:
            assert b"".join([bytes(chunk) async for chunk in reading]) == b"234"
            assert (reading.size, reading.entry.size) == (3, 10)
        assert len(server.requests) == 1


@pytest.mark.parametrize("data", [b"23", b"2345"])
async def test_a_range_that_is_not_as_long_as_it_says(connected: tuple[str, Any], data: bytes) -> None:
    """A body without a length is counted."""
    name, connect = connected
    head = b"Content-Range: bytes 2-4/10\r\n"
    async with ScriptedServer(response(name, "206 Partial Content", PIECES, head, body=chunks(data))) as server:
        with pytest.raises(ServiceError, match="bytes came of 3"):
            await read(connect(server.url), "bucket/name", 2, 5, etag="7")


async def test_a_body_that_is_longer_than_the_object(connected: tuple[str, Any]) -> None:
    """Bytes beyond the size of the object are an error before its last bytes are returned: no reader has to go on."""
    name, connect = connected
    async with (
        ScriptedServer(response(name, "200 OK", PIECES, body=chunks(DATA + b"+"))) as server,
        await connect(server.url).read("bucket/name", etag="7", listed=LISTED) as reading,
    ):
        with pytest.raises(ServiceError, match="11 bytes came of 10"):
            await fill(reading, memoryview(bytearray(len(DATA))))


async def fill(reading: Reader, buffer: memoryview) -> None:
    """Reads until a buffer is full, and no further."""
    size = 0
    while size < len(buffer):
        size += await reading.readinto(buffer[size:])


@pytest.mark.parametrize("measured", [True, False])
async def test_a_range_that_is_ignored(connected: tuple[str, Any], measured: bool) -> None:
    """It is tried again once. Later reads ask for the whole object, and pass over the bytes before the range."""
    name, connect = connected
    whole = response(name, "200 OK", sized(DATA), body=DATA)
    if not measured:
        whole = response(name, "200 OK", PIECES, body=chunks(DATA))
    async with ScriptedServer(whole) as server:
        provider: Provider = connect(server.url)
        await ignore_ranges(provider)
        sent_before = len(server.requests)
        for start, end in ((2, 5), (5, None), (0, 3), (8, 20)):
            async with await provider.read("bucket/name", start, end, etag="7", listed=LISTED) as reading:
                assert b"".join([bytes(chunk) async for chunk in reading]) == DATA[start:end]
        with pytest.raises(PreconditionFailedError):
            await provider.read("bucket/name", 10, 20, etag="7", listed=LISTED)
        sent = [request.headers for request in server.requests[sent_before:]]
        assert not [headers for headers in sent if "range" in headers or "x-ms-range" in headers]
        await provider.aclose()


async def ignore_ranges(provider: Provider) -> None:
    """Reads ranges from a server without ranges, until the provider knows that."""
    with pytest.raises(ServiceError, match="whole object") as raised:
        await provider.read("bucket/name", 2, 5, etag="7", listed=LISTED)
    assert raised.value.retryable
    assert provider.features.ranges
    with pytest.raises(RangeIgnoredError) as raised:
        await provider.read("bucket/name", 2, 5, etag="7", listed=LISTED)
    assert not raised.value.retryable
    assert not provider.features.ranges


async def test_a_stray_whole_object_teaches_nothing(connected: tuple[str, Any]) -> None:
    """Answers that ignore a range count only if none came meanwhile that obeyed one."""
    name, connect = connected
    whole = response(name, "200 OK", sized(DATA), body=DATA)
    head = b"Content-Range: bytes 2-4/10\r\n"
    part = response(name, "206 Partial Content", sized(b"234"), head, body=b"234")
    async with ScriptedServer(whole, part, whole, part) as server:
        provider = connect(server.url)
        for _ in range(2):
            with pytest.raises(ServiceError, match="whole object") as raised:
                await provider.read("bucket/name", 2, 5, etag="7", listed=LISTED)
            assert raised.value.retryable
            assert await read(provider, "bucket/name", 2, 5, etag="7") == b"234"
            assert provider.features.ranges


async def test_ranges_are_requested_again_after_an_hour(connected: tuple[str, Any]) -> None:
    """A server that has ranges by then is read in ranges; of one that has none, no object is begun anew."""
    name, connect = connected
    now = 0.0
    whole = response(name, "200 OK", sized(DATA), body=DATA)
    head = b"Content-Range: bytes 2-4/10\r\n"
    part = response(name, "206 Partial Content", sized(b"234"), head, body=b"234")
    async with ScriptedServer(whole, whole, whole, whole, part) as server:
        provider = connect(server.url)
        provider.range_support = Capability(lambda: now)
        await ignore_ranges(provider)
        now += 3600
        with pytest.raises(ServiceError, match="whole object") as raised:
            await provider.read("bucket/name", 2, 5, etag="7", listed=LISTED)
        assert raised.value.retryable
        assert not provider.features.ranges
        assert await read(provider, "bucket/name", 2, 5, etag="7") == b"234"
        now += 3600
        assert await read(provider, "bucket/name", 2, 5, etag="7") == b"234"
        assert provider.features.ranges
        assert ["range" in each.headers or "x-ms-range" in each.headers for each in server.requests] == [
            *(True, True, True, False, True)
        ]
        await provider.aclose()


async def test_a_whole_object_for_a_range_that_covers_it(connected: tuple[str, Any]) -> None:
    """A server may send everything for a range that is everything."""
    name, connect = connected
    async with ScriptedServer(response(name, "200 OK", sized(DATA), body=DATA)) as server:
        provider = connect(server.url)
        assert await read(provider, "bucket/name", 0, 10, etag="7") == DATA
        assert provider.features.ranges


@pytest.mark.parametrize(
    ("span", "status", "headers", "reason"),
    [
        ((0, None), "206 Partial Content", b"Content-Range: bytes 0-9/10\r\n", "whole object"),
        ((2, 5), "206 Partial Content", b"Content-Range: bytes 2-5/10\r\n", "another range"),
        ((2, 5), "206 Partial Content", b"Content-Type: multipart/byteranges; boundary=a\r\n", "several ranges"),
        ((2, 5), "206 Partial Content", b"", "not tell which"),
        ((2, 5), "203 Odd", b"", "203"),
    ],
)
async def test_another_answer_than_was_requested(
    connected: tuple[str, Any], span: tuple[int, int | None], status: str, headers: bytes, reason: str
) -> None:
    """Its bytes are never taken for those that were requested; the error says what came."""
    name, connect = connected
    async with ScriptedServer(response(name, status, sized(DATA), headers, body=DATA)) as server:
        with pytest.raises(ServiceError, match=reason):
            await connect(server.url).read("bucket/name", *span, listed=LISTED)


@pytest.fixture(params=["AWS", "AZURE"])
def with_head(request: pytest.FixtureRequest, connect: Connect, connect_azure: ConnectAzure) -> tuple[str, Any]:
    """The providers that look objects up by HEAD."""
    return request.param, {"AWS": connect, "AZURE": connect_azure}[request.param]


@pytest.mark.parametrize("head", [b"", PIECES, b"Content-Encoding: gzip\r\n"])
@pytest.mark.parametrize("told_by", ["range", "length", "count"])
async def test_a_look_without_a_length(with_head: tuple[str, Any], told_by: str, head: bytes) -> None:
    """The size is that of the answer to a request for the first byte, or is counted; it is never 0 by default."""
    name, connect = with_head
    first = {
        "range": response(name, "206 Partial", sized(b"0"), b"Content-Range: bytes 0-0/10\r\n", body=b"0"),
        "length": response(name, "200 OK", sized(DATA), body=DATA),
        "count": response(name, "200 OK", PIECES, body=chunks(DATA)),
    }[told_by]
    async with ScriptedServer(response(name, "200 OK", head), first) as server:
        assert (await connect(server.url).stat("bucket/name")).size == 10
        assert [request.method for request in server.requests] == ["HEAD", "GET"]


async def test_a_look_at_an_empty_object_without_a_length(with_head: tuple[str, Any]) -> None:
    """An object that has no first byte is looked at as a whole."""
    name, connect = with_head
    refused = response(name, "416 Range Not Satisfiable", sized(b""))
    async with ScriptedServer(
        response(name, "200 OK"), refused, response(name, "200 OK", PIECES, body=chunks(b""))
    ) as server:
        assert (await connect(server.url).stat("bucket/name")).size == 0


async def test_a_look_at_two_versions(with_head: tuple[str, Any]) -> None:
    """The size of another version is not taken."""
    name, connect = with_head
    other = response(name, "200 OK", sized(DATA), body=DATA).replace(b'"7"', b'"8"')
    async with ScriptedServer(response(name, "200 OK"), other) as server:
        with pytest.raises(ServiceError, match="another version"):
            await connect(server.url).stat("bucket/name")


async def test_a_body_that_ends_with_the_connection(connected: tuple[str, Any]) -> None:
    """Its size must be known; then it is counted."""
    name, connect = connected

    async def until_closed(_: Any, writer: Any) -> None:
        writer.write(response(name, "200 OK", b"Connection: close\r\n", body=DATA))
        writer.close()

    async with ScriptedServer(until_closed) as server:
        provider = connect(server.url)
        async with await provider.read("bucket/name", listed=LISTED) as reading:
            assert b"".join([bytes(chunk) async for chunk in reading]) == DATA
        async with await provider.read("bucket/name", listed=Entry("bucket/name", 11, etag="7")) as reading:
            with pytest.raises(ServiceError, match="10 bytes came of 11"):
                assert [chunk async for chunk in reading]
