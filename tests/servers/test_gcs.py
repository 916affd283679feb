"""The two servers that stand in for Google Cloud Storage."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dxflow_async.checksum import encode
from tests.servers import GCSServer
from tests.servers.resumable import GRANULE, Fault, ResumableServer

UPLOADS = "/upload/storage/v1/b/bucket/o?uploadType=resumable"


def test_buckets_and_objects_come_back(tmp_path: Path) -> None:
    """A bucket is there once it was made, and what is not there is an error."""
    with GCSServer.start(tmp_path) as server:
        assert server.names(server.create_bucket("bucket-one")) == []
        with pytest.raises(OSError, match="404"):
            server.resource("bucket-one", "missing")


def test_nothing_listens_after_stop(tmp_path: Path) -> None:
    """After `stop()` the port is free."""
    with GCSServer.start(tmp_path) as server:
        url = urlsplit(server.endpoint)
    with socket.socket() as probe:
        assert probe.connect_ex((url.hostname, url.port)) != 0


# The one that resumes


class Client:
    """Another client than ours, which sends nothing twice."""

    def __init__(self, server: ResumableServer) -> None:
        self.server = server

    async def begin(self, resource: dict[str, Any], token: str = "token") -> tuple[int, str]:
        """The status of an answer, and where a new upload's session is."""
        status, headers = await self._ask("POST", UPLOADS, {"Authorization": f"Bearer {token}"}, json.dumps(resource))
        return status, headers.get("Location", "").removeprefix(self.server.url)

    async def put(self, session: str, content_range: str, data: bytes = b"") -> tuple[int, str | None]:
        """The status of an answer, and what it says is kept."""
        status, headers = await self._ask("PUT", session, {"Content-Range": content_range}, data)
        return status, headers.get("Range")

    async def _ask(self, method: str, path: str, headers: dict[str, str], data: str | bytes) -> tuple[int, HTTPMessage]:
        return await asyncio.to_thread(ask, self.server.url, method, path, headers, data)


def ask(url: str, method: str, path: str, headers: dict[str, str], data: str | bytes) -> tuple[int, HTTPMessage]:
    """One request on a connection of its own."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        response.read()
        return response.status, response.headers
    finally:
        connection.close()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of a server that knows one token."""
    async with ResumableServer() as server:
        server.tokens.add("token")
        yield Client(server)


async def test_a_session_says_how_far_it_got(client: Client) -> None:
    """Nothing, then what came in whole 256 KiB, then all of it, also when asked once more."""
    size = 3 * GRANULE
    _, url = await client.begin({"name": "x"})
    assert await client.put(url, f"bytes */{size}") == (308, None)
    client.server.faults.append(Fault("cut", GRANULE + 5))
    with pytest.raises(ConnectionError):
        await client.put(url, f"bytes 0-{size - 1}/{size}", bytes(size))
    kept = (308, f"bytes=0-{GRANULE - 1}")
    assert await client.put(url, f"bytes */{size}") == kept
    assert (await client.put(url, f"bytes 5-{size - 1}/{size}", bytes(size - 5)))[0] == 400
    assert await client.put(url, f"bytes */{size}") == kept
    assert (await client.put(url, f"bytes {GRANULE}-{size - 1}/{size}", bytes(size - GRANULE)))[0] == 200
    assert (await client.put(url, f"bytes */{size}"))[0] == 200
    assert client.server.objects["x"].data == bytes(size)


async def test_other_bytes_than_announced_are_refused(client: Client) -> None:
    """Where the checksum is that of other bytes, no object appears."""
    _, url = await client.begin({"name": "x", "crc32c": encode(1)})
    assert (await client.put(url, "bytes 0-4/5", b"bytes"))[0] == 400
    assert client.server.objects == {}


async def test_no_token_no_service(client: Client) -> None:
    """Without a token that was given nothing is served."""
    assert (await client.begin({"name": "x"}))[0] == 200
    assert (await client.begin({"name": "x"}, "other"))[0] == 401
