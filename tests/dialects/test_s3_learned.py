"""Servers without ETags or without metadata: what is learned, what is said, and that nothing is lost."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async.exceptions import TransferError, UnsupportedError
from dxflow_async.providers.aws.provider import AWSProvider
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import MiB

NEITHER = Quirks(no_etags="everywhere", no_metadata=True, no_checksums=True)


async def test_features_are_lowered(tmp_path: Path) -> None:
    """Answers without ETags and without the metadata that was stored lower the features, which the facts say."""
    (tmp_path / "file").write_bytes(b"bytes")
    async with S3Server(NEITHER) as server, open_session(server, tmp_path / "home") as session:
        storage, provider = session.get_storage_manager(), (await session._resolver.area("AWS")).provider
        report = await storage.upload(tmp_path / "file", "/bucket/file")
        await storage.stat("/bucket/file")
        assert (provider.features.versions, provider.features.mtime) == (False, False)
        facts = dict(provider.endpoint_facts())
    (result,) = report
    assert (result.verified, bool(result.unverified)) == (False, True)
    assert "not in the answers" in facts["ETags of objects"]
    assert "not in the answers" in facts["metadata of objects"]


async def test_lowered_features_come_back(tmp_path: Path) -> None:
    """After an hour the lack is not believed any more: a service that was updated has all features again."""
    (tmp_path / "file").write_bytes(b"bytes")
    async with S3Server(NEITHER) as server, open_session(server, tmp_path / "home") as session:
        storage, provider = session.get_storage_manager(), (await session._resolver.area("AWS")).provider
        assert isinstance(provider, AWSProvider)
        await storage.upload(tmp_path / "file", "/bucket/file")
        await storage.stat("/bucket/file")
        assert (provider.features.versions, provider.features.mtime) == (False, False)
        now = provider.dialect._clock()
        provider.dialect._clock = lambda: now + 3601
        server.quirks = Quirks()
        assert (await storage.stat("/bucket/file")).etag is not None
        assert (provider.features.versions, provider.features.mtime) == (True, True)


async def test_sync_settles_and_keeps(tmp_path: Path) -> None:
    """Syncs without ETags, metadata and checksums send nothing twice, and notice a change of the same size."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(5):
        (source / str(number)).write_bytes(bytes(10 + number))
    async with S3Server(NEITHER) as server, open_session(server, tmp_path / "home") as session:
        place = "aws:/bucket/area/"
        assert len(await session.sync(f"{source}/", place, delete=True)) == 5
        for _ in range(2):
            assert len(await session.sync(f"{source}/", place, delete=True)) == 0
        (source / "3").write_bytes(b"x" * 13)
        os.utime(source / "3", (4_000_000_000, 4_000_000_000))
        assert len(await session.sync(f"{source}/", place, delete=True)) == 1
        assert server.objects()["area/3"] == b"x" * 13
        down = tmp_path / "down"
        assert len(await session.sync(place, f"{down}/", delete=True)) == 5
        assert len(await session.sync(place, f"{down}/", delete=True)) == 0
        assert len(server.objects()) == 5


async def test_parts_without_etags(tmp_path: Path) -> None:
    """The parts of an upload are looked up once before it is completed, and not once for each part."""
    data = os.urandom(5 * MiB)
    (tmp_path / "file").write_bytes(data)
    quirks = Quirks(no_etags="headers", no_checksums=True)
    async with S3Server(quirks, min_part_size=PART_SIZE) as server, open_session(server, tmp_path / "home") as session:
        storage = session.get_storage_manager()
        await storage.upload(tmp_path / "file", "/bucket/first")
        since = len(server.requests)
        await storage.upload(tmp_path / "file", "/bucket/second")
        assert server.operations(since)["ListParts"] == 1
        assert server.objects() == {"first": data, "second": data}


async def test_metadata_that_is_dropped(tmp_path: Path) -> None:
    """Metadata that a service does not keep is an error that says so, each time."""
    (tmp_path / "file").write_bytes(b"bytes")
    quirks = Quirks(no_metadata=True)
    async with S3Server(quirks) as server, open_session(server, tmp_path / "home") as session:
        for name in ("first", "second"):
            with pytest.raises((TransferError, UnsupportedError), match="keeps no metadata"):
                await session.get_storage_manager().upload(tmp_path / "file", f"/bucket/{name}", metadata={"a": "1"})


@pytest.mark.parametrize(
    ("algorithm", "size"),
    [("crc64nvme", 1000), ("sha256", 1000), ("sha1", 1000), ("crc32", 1000), ("crc64nvme", 3 * MiB)],
)
async def test_checksums_of_another_kind(tmp_path: Path, algorithm: str, size: int) -> None:
    """A checksum that the service chose is compared: right bytes are verified by it, and wrong ones are an error."""
    (tmp_path / "file").write_bytes(os.urandom(size))
    quirks = Quirks(other_checksum=algorithm, no_etags="everywhere", damaged=("wrong",))
    async with S3Server(quirks, min_part_size=PART_SIZE) as server, open_session(server, tmp_path / "home") as session:
        session._resources.policy = replace(session._resources.policy, max_attempts=2)
        storage = session.get_storage_manager()
        (result,) = await storage.upload(tmp_path / "file", "/bucket/right")
        assert result.verified or size > MiB  # nothing proves that the service joined the right parts
        with pytest.raises(TransferError, match="bytes"):
            await storage.upload(tmp_path / "file", "/bucket/wrong")
        assert "right" in server.objects()


async def test_checksums_that_cannot_be_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without awscrt a CRC64NVME proves nothing, and is not believed."""
    (tmp_path / "file").write_bytes(b"bytes")
    quirks = Quirks(other_checksum="crc64nvme", no_etags="everywhere")
    async with S3Server(quirks) as server, open_session(server, tmp_path / "home") as session:
        monkeypatch.setitem(sys.modules, "awscrt", None)
        (result,) = await session.get_storage_manager().upload(tmp_path / "file", "/bucket/file")
        monkeypatch.undo()
        assert not result.verified
        assert server.objects() == {"file": b"bytes"}
