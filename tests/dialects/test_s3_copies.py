"""Copies within S3 keep everything that is stored with the source, whether one request makes them or many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from dxflow_async.exceptions import PreconditionFailedError
from dxflow_async.providers.contract import ObjectOptions
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import MiB

DATA = bytes(range(251)) * 14_000
SYSTEM = {
    "content-type": "text/csv",
    "cache-control": "max-age=60",
    "content-disposition": 'attachment; filename="a b.csv"',
    "content-encoding": "gzip",
    "content-language": "de",
    "expires": "Wed, 21 Oct 2026 07:28:00 GMT",
}
"""What S3 keeps with an object, by header."""
METADATA = {"a": "1", "long-name": "two words"}


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("kept_time", [False, True])
async def test_copies_keep_what_is_stored(tmp_path: Path, *, in_parts: bool, kept_time: bool) -> None:
    """System metadata, user metadata, times and tags go along; parts make no difference."""
    async with S3Server(min_part_size=PART_SIZE) as server, open_session(server, tmp_path) as session:
        metadata = METADATA | ({"mtime": "1700000000.25"} if kept_time else {})
        server.store("source", DATA, headers=SYSTEM, metadata=metadata, tags="team=a%26b&plus=a%2Bb%20c")
        provider = (await session._resolver.area("AWS")).provider
        provider.features = replace(provider.features, max_copy_size=2 * MiB if in_parts else 5 << 30)
        await session.copy("aws:/bucket/source", "aws:/bucket/copy")
        source, copy = server.stored("source"), server.stored("copy")
        assert ("UploadPartCopy" in server.operations()) is in_parts
        assert (copy.data, copy.headers) == (DATA, SYSTEM)
        assert {name: value for name, value in copy.metadata.items() if kept_time or name != "mtime"} == metadata
        assert parse_qsl(copy.tags) == parse_qsl(source.tags) != []


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(refuses_head=405),
        Quirks(tagging="denied"),
        Quirks(tagging="missing"),
        Quirks(tagging="ignored"),
        Quirks(weak_etags="everywhere"),
        Quirks(weak_etags="headers"),
        Quirks(no_checksums=True),
    ],
    ids=["no HEAD", "tags denied", "no tags", "tags ignored", "weak etags", "weak etags in headers", "no checksums"],
)
async def test_copies_in_parts_at_other_servers(quirks: Quirks, tmp_path: Path) -> None:
    """A server without HEAD, tags, strong ETags or checksums keeps the metadata of a large copy all the same."""
    async with S3Server(quirks, min_part_size=PART_SIZE) as server, open_session(server, tmp_path) as session:
        server.store("source", DATA, headers=SYSTEM, metadata=METADATA)
        await session.copy("aws:/bucket/source", "aws:/bucket/copy")
        copy = server.stored("copy")
        assert (copy.data, copy.headers) == (DATA, SYSTEM)
        assert METADATA.items() <= copy.metadata.items()


async def test_moves_in_parts_keep_what_is_stored(tmp_path: Path) -> None:
    """A move is a copy, and the source is gone only after it."""
    async with S3Server(min_part_size=PART_SIZE) as server, open_session(server, tmp_path) as session:
        server.store("source", DATA, headers=SYSTEM, metadata=METADATA)
        await session.move("aws:/bucket/source", "aws:/bucket/moved")
        assert server.stored("moved").headers == SYSTEM
        assert list(server.objects()) == ["moved"]


@pytest.mark.parametrize("refusal", [(501, "NotImplemented"), (405, "MethodNotAllowed"), (403, "AccessDenied")])
@pytest.mark.parametrize("in_parts", [False, True])
async def test_refused_copies(tmp_path: Path, refusal: tuple[int, str], *, in_parts: bool) -> None:
    """Copies that the service refuses are made by this machine, with the metadata, and not tried again."""
    quirks = Quirks(refuses_copies=refusal)
    async with S3Server(quirks, min_part_size=PART_SIZE) as server, open_session(server, tmp_path) as session:
        server.store("source", DATA, headers={"content-type": "text/csv"}, metadata=METADATA)
        provider = (await session._resolver.area("AWS")).provider
        provider.features = replace(provider.features, max_copy_size=2 * MiB if in_parts else 5 << 30)
        for _ in range(2):
            await session.copy("aws:/bucket/source", "aws:/bucket/copy")
            copy = server.stored("copy")
            assert (copy.data, copy.headers["content-type"]) == (DATA, "text/csv")
            assert METADATA.items() <= copy.metadata.items()
        asked = server.operations()
        assert asked["CopyObject"] + (asked["UploadPartCopy"] > 0) == 1


async def test_other_etags_in_listings(tmp_path: Path) -> None:
    """Objects that are listed with another ETag than HEAD tells are copied, moved and read like all others."""
    quirks = Quirks(other_listed_etags=True)
    async with S3Server(quirks, min_part_size=PART_SIZE) as server, open_session(server, tmp_path / "home") as session:
        tree = {"a": b"a" * 100, "dir/large": DATA}
        provider = (await session._resolver.area("AWS")).provider
        provider.features = replace(provider.features, max_copy_size=5 << 30)
        for name, data in tree.items():
            server.store(f"top/{name}", data)
        await session.copy("aws:/bucket/top/", "aws:/bucket/copy/")
        await session.move("aws:/bucket/copy/", "aws:/bucket/moved/")
        assert server.objects() == {f"{top}/{name}": data for top in ("top", "moved") for name, data in tree.items()}
        await session.copy("aws:/bucket/moved/", f"{tmp_path}/down/")
        assert (tmp_path / "down/dir/large").read_bytes() == DATA
        assert len(await session.sync("aws:/bucket/top/", "aws:/bucket/moved/")) == 0


@pytest.mark.parametrize("other", [b"b" * 100, b"b" * 101])
async def test_a_source_that_was_replaced_is_not_taken_for_one(tmp_path: Path, other: bytes) -> None:
    """A source that was replaced since it was listed is no copy's source, also where listings have other ETags."""
    quirks = Quirks(other_listed_etags=True)
    async with S3Server(quirks, min_part_size=PART_SIZE) as server, open_session(server, tmp_path / "home") as session:
        server.store("a", b"a" * 100)
        provider = (await session._resolver.area("AWS")).provider
        listed = (await provider.list_page("bucket/a", recursive=True)).entries[0]
        listed.modified -= 10  # it is newer now
        server.store("a", other)
        with pytest.raises(PreconditionFailedError):
            await provider.copy(listed, "bucket/b", ObjectOptions())
        assert "b" not in server.objects()
