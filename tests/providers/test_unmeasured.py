"""Objects whose length no answer tells, as through a proxy that packs bodies: they are counted."""

from __future__ import annotations

from typing import Any

import pytest

from dxflow_async.exceptions import ServiceError
from dxflow_async.providers.contract import Entry, Provider
from tests.providers.connected_providers import Connect, ConnectAzure, ConnectGCP
from tests.providers.in_memory_bodies import read
from tests.scripted_server import ScriptedServer

SIGNS = {
    "AWS": 'ETag: "7"\r\nx-amz-request-id: 1',
    "AZURE": 'ETag: "7"\r\nx-ms-version: 2023-11-03',
    "GCP": "x-goog-generation: 7",
}


def chunked(name: str, data: bytes) -> bytes:
    """An answer with a body that comes in one piece, to a sure end."""
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{SIGNS[name]}\r\n\r\n"
    return head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)


@pytest.fixture(params=SIGNS)
def connected(
    request: pytest.FixtureRequest, connect: Connect, connect_azure: ConnectAzure, connect_gcp: ConnectGCP
) -> tuple[str, Any]:
    """Each provider's name, and what makes it."""
    return request.param, {"AWS": connect, "AZURE": connect_azure, "GCP": connect_gcp}[request.param]


@pytest.mark.parametrize("into", ["read", "buffer"])
@pytest.mark.parametrize("data", [b"bytes", b"byte", b"bytes, and more"])
async def test_a_body_without_a_length(connected: tuple[str, Any], data: bytes, into: str) -> None:
    """It has to be as long as the listing said of this version; neither a shorter nor a longer one is taken."""
    name, connect = connected
    listed = Entry("bucket/name", 5, etag="7")
    async with ScriptedServer(chunked(name, data)) as server:
        provider: Provider = connect(server.url)

        async def look() -> bytes:
            async with await provider.read("bucket/name", listed=listed) as reading:
                if into == "read":
                    return b"".join([bytes(chunk) async for chunk in reading])
                buffer, size = memoryview(bytearray(100)), 0
                while count := await reading.readinto(buffer[size:]):
                    size += count
                return bytes(buffer[:size])

        if data == b"bytes":
            assert await look() == data
        else:
            with pytest.raises(ServiceError) as raised:
                await look()
            assert raised.value.retryable
        assert len(server.requests) == 1


async def test_a_version_that_is_looked_up(connect: Connect) -> None:
    """Where no listing told the size, or of another version, a look does; another version is a contradiction."""
    head = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "%s"\r\nx-amz-request-id: 1\r\n\r\n'
    async with ScriptedServer(chunked("AWS", b"bytes"), head % b"7") as server:
        assert await read(connect(server.url), "bkt/name") == b"bytes"
    async with ScriptedServer(chunked("AWS", b"bytes"), head % b"8") as server:
        with pytest.raises(ServiceError, match="another version"):
            await read(connect(server.url), "bkt/name")
