"""Bodies at a server without checksums are compared by their MD5."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ChecksumMismatchError
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.contract import ObjectOptions, Part
from dxflow_async.providers.http import HTTP
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE, aws_settings
from tests.providers.in_memory_bodies import body

OPTIONS = ObjectOptions()
UNAWARE = Quirks(no_checksums=True)
"""A server that ignores checksums."""


async def test_the_etag_confirms_what_was_stored(http: HTTP, threads: Threads) -> None:
    """The CRC32C of a body is reported as stored where the ETag is its MD5, for the first object and for later ones."""
    async with S3Server(UNAWARE) as server:
        provider = AWSProvider(aws_settings(server), http, threads)
        for _ in range(2):
            stored = await provider.write("bucket/name", body(b"bytes"), OPTIONS)
            assert stored.crc32c == crc32c(b"bytes")
        assert ["content-md5" in request.headers for request in server.requests] == [False, True]


@pytest.mark.parametrize("quirks", [Quirks(), UNAWARE], ids=["checksums", "no checksums"])
async def test_a_body_that_is_not_what_it_announces(quirks: Quirks, http: HTTP, threads: Threads) -> None:
    """A body with another CRC32C than it announces replaces nothing."""
    async with S3Server(quirks) as server:
        provider = AWSProvider(aws_settings(server), http, threads)
        await provider.write("bucket/name", body(b"old"), OPTIONS)
        with pytest.raises(ChecksumMismatchError):
            await provider.write("bucket/name", replace(body(b"bytes"), crc32c=1), OPTIONS)
        assert server.objects() == {"name": b"old"}


async def test_bytes_that_are_damaged_on_their_way(http: HTTP, threads: Threads) -> None:
    """A server that compares nothing shows by its ETag that it stored other bytes, of an object and of a part."""
    async with S3Server(replace(UNAWARE, damaged=("bad",)), min_part_size=1) as server:
        provider = AWSProvider(aws_settings(server), http, threads)
        await provider.write("bucket/good", body(b"bytes"), OPTIONS)
        with pytest.raises(ChecksumMismatchError, match="other bytes"):
            await provider.write("bucket/bad", body(b"bytes"), OPTIONS)
        upload = await provider.start_upload("bucket/bad", None, OPTIONS)
        with pytest.raises(ChecksumMismatchError, match="other bytes"):
            await upload.write_part(Part(1, 0, 5), body(b"bytes"))
        await upload.abort()


async def test_uploads_are_verified_by_their_etags(tmp_path: Path) -> None:
    """A session reports uploads to such a server as verified, whole and in parts."""
    (tmp_path / "small").write_bytes(b"bytes")
    (tmp_path / "large").write_bytes(bytes(range(251)) * 14_000)
    async with (
        S3Server(UNAWARE, min_part_size=PART_SIZE) as server,
        open_session(server, tmp_path / "home") as session,
    ):
        for name in ("small", "large"):
            (result,) = await session.get_storage_manager().upload(f"{tmp_path}/{name}", f"/bucket/{name}")
            assert result.verified
