"""Large objects that are read into memory at once, over several connections."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dxflow_async import AsyncSession, ChecksumMismatchError, PreconditionFailedError
from dxflow_async.checksum import crc32c, encode
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_store import StoredObject
from tests.sessions import MiB

DATA = Random(40).randbytes(40 * MiB + 3)

CHECKSUMS: dict[str, Mapping[str, str]] = {
    "CRC32C": {"crc32c": encode(crc32c(DATA))},
    "SHA-256": {"sha256": base64.b64encode(hashlib.sha256(DATA).digest()).decode()},
    "ETag": {},
}
"""The checksums that an object is stored with; its ETag is always the MD5 of its bytes."""


@pytest.fixture
async def server() -> AsyncIterator[S3Server]:
    """A server with one large object."""
    async with S3Server() as server:
        server.store("large", DATA)
        yield server


@pytest.fixture
async def session(server: S3Server, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session there."""
    async with open_session(server, tmp_path / "home") as session:
        yield session


def ranges(server: S3Server) -> list[str]:
    """What was asked of the object, request by request; an empty text is all of it."""
    return [each.headers.get("range", "") for each in server.requests if each.operation == "GetObject"]


@pytest.mark.parametrize("span", [(None, None), (5, None), (5, 30 * MiB + 1), (0, len(DATA) + 9)])
async def test_pieces_are_asked_for(
    span: tuple[int | None, int | None], session: AsyncSession, server: S3Server
) -> None:
    """A large range, however it is written, is read by several requests, each of another piece and of one version."""
    assert await session.read_bytes("aws:/bucket/large", *span) == DATA[slice(*span)]
    asked = ranges(server)
    assert len(asked) == len(set(asked)) >= 4
    matches = [each.headers.get("if-match") for each in server.requests if each.operation == "GetObject"]
    assert set(matches[1:]) == {f'"{server.stored("large").etag}"'}


async def test_small_ranges_are_one_request(session: AsyncSession, server: S3Server) -> None:
    """A range that one connection reads quickly costs one request, and so does a small object."""
    server.store("small", b"small")
    assert await session.read_bytes("aws:/bucket/small") == b"small"
    assert await session.read_bytes("aws:/bucket/large", 10, 9 * MiB) == DATA[10 : 9 * MiB]
    assert len(ranges(server)) == 2


@pytest.mark.parametrize("kind", CHECKSUMS)
async def test_checksums_are_compared(kind: str, session: AsyncSession, server: S3Server) -> None:
    """Whichever checksum the object has, bytes that differ from it in one place of one piece are not returned."""
    server.store("summed", DATA, checksums=CHECKSUMS[kind])
    assert await session.read_bytes("aws:/bucket/summed") == DATA
    stored = server.stored("summed")
    for place in (0, 20 * MiB, len(DATA) - 1):
        changed = DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :]
        server._service.buckets["bucket"].objects["summed"] = replace(stored, data=changed)
        with pytest.raises(ChecksumMismatchError, match="another checksum"):
            await session.read_bytes("aws:/bucket/summed")


async def test_servers_without_ranges(tmp_path: Path) -> None:
    """Where a range is answered with the whole object, the bytes are right, and it is not asked for again."""
    async with S3Server(Quirks(ignores_range=True)) as server, open_session(server, tmp_path / "home") as session:
        server.store("large", DATA)
        assert await session.read_bytes("aws:/bucket/large") == DATA
        before = len(server.requests)
        assert await session.read_bytes("aws:/bucket/large") == DATA
        assert len(server.requests) == before + 1


async def test_an_object_that_is_replaced_meanwhile(session: AsyncSession, server: S3Server) -> None:
    """The bytes of two versions are never mixed."""
    first, other = server.stored("large"), DATA[::-1]
    bucket = server._service.buckets["bucket"]
    bucket.objects = _Replaced(first, replace(first, data=other, etag=hashlib.md5(other).hexdigest()))
    with pytest.raises(PreconditionFailedError):
        await session.read_bytes("aws:/bucket/large")


class _Replaced(dict[str, Any]):
    """The objects of a bucket that are the first version until they were looked at twice, and then the second."""

    def __init__(self, first: StoredObject, second: StoredObject) -> None:
        super().__init__()
        self._versions = [first, first, second]

    def get(self, key: str, default: Any = None) -> Any:
        return self._versions.pop(0) if len(self._versions) > 1 else self._versions[0]
