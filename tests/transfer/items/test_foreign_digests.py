"""Objects that other programs stored, verified by whatever their service reports of them."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import random
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from crc32c import crc32c

from dxflow_async import AsyncSession, AWSSettings, Settings
from dxflow_async.exceptions import ChecksumMismatchError, TransferError
from dxflow_async.reports import TransferReport
from tests.servers.summed_store import SummedStore
from tests.sessions import MiB

LARGE = random.Random(3).randbytes(12 * MiB + 3)
SMALL = LARGE[: 300 << 10]
COUNT = 3

Digest = Callable[[bytes], bytes]
MD5: Digest = lambda data: hashlib.md5(data).digest()  # noqa: E731
SHA256: Digest = lambda data: hashlib.sha256(data).digest()  # noqa: E731
CRC32: Digest = lambda data: zlib.crc32(data).to_bytes(4, "big")  # noqa: E731
CRC32C: Digest = lambda data: crc32c(data).to_bytes(4, "big")  # noqa: E731


def base64_of(value: bytes) -> str:
    """Returns base64, as headers have it."""
    return base64.b64encode(value).decode()


def sizes_of(data: bytes) -> list[int]:
    """Returns the sizes of three parts, the last one smaller."""
    size = len(data) // COUNT + 1
    return [size, size, len(data) - 2 * size]


def digests_of(digest: Digest, data: bytes) -> list[bytes]:
    """Returns the digests of the parts."""
    ends = [sum(sizes_of(data)[:count]) for count in range(COUNT + 1)]
    return [digest(data[start:end]) for start, end in itertools.pairwise(ends)]


def composite(digest: Digest, data: bytes) -> bytes:
    """Returns the digest of the parts' digests."""
    return digest(b"".join(digests_of(digest, data)))


def attributes(name: str, digest: Digest, data: bytes) -> str:
    """Returns what GetObjectAttributes answers."""
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><Size>{size}</Size><{name}>{base64_of(value)}</{name}></Part>"
        for number, (size, value) in enumerate(zip(sizes_of(data), digests_of(digest, data), strict=True), 1)
    )
    return (
        "<GetObjectAttributesResponse><ObjectParts><PartsCount>3</PartsCount><IsTruncated>false</IsTruncated>"
        f"{parts}</ObjectParts></GetObjectAttributesResponse>"
    )


def etag(data: bytes) -> dict[str, Any]:
    """An object that was stored with one request: its ETag is its MD5."""
    return {"headers": {"etag": f'"{MD5(data).hex()}"'}}


def capitals(data: bytes) -> dict[str, Any]:
    """The same, in capitals and without quotes."""
    return {"headers": {"etag": MD5(data).hex().upper()}}


def etag_of_parts(data: bytes) -> dict[str, Any]:
    """An object that was stored in parts without checksums, as older programs do."""
    return {"headers": {"etag": f'"{composite(MD5, data).hex()}-{COUNT}"'}, "parts": sizes_of(data)}


def rclone(data: bytes) -> dict[str, Any]:
    """An object that rclone stored in parts."""
    headers = {"etag": f'"{"0" * 32}-9"', "x-amz-meta-md5chksum": base64_of(MD5(data))}
    return {"headers": headers}


def rclone_hex(data: bytes) -> dict[str, Any]:
    """The same in hexadecimal digits, as some versions of other programs write it."""
    return {"headers": {"etag": '"1"', "x-amz-meta-md5chksum": MD5(data).hex()}}


def composite_crc32c(data: bytes) -> dict[str, Any]:
    """An object that an SDK stored in parts with a CRC32C of each."""
    headers = {"x-amz-checksum-crc32c": f"{base64_of(composite(CRC32C, data))}-3", "x-amz-checksum-type": "COMPOSITE"}
    return {"headers": headers, "attributes": attributes("ChecksumCRC32C", CRC32C, data)}


def composite_crc32(data: bytes) -> dict[str, Any]:
    """The same with a CRC32, and without a type."""
    headers = {"x-amz-checksum-crc32": f"{base64_of(composite(CRC32, data))}-3"}
    return {"headers": headers, "attributes": attributes("ChecksumCRC32", CRC32, data)}


def composite_sha256(data: bytes) -> dict[str, Any]:
    """An object that was stored in parts with a SHA-256 of each."""
    headers = {"x-amz-checksum-sha256": f"{base64_of(composite(SHA256, data))}-3", "x-amz-checksum-type": "COMPOSITE"}
    return {"headers": headers, "attributes": attributes("ChecksumSHA256", SHA256, data)}


def composite_by_number(data: bytes) -> dict[str, Any]:
    """The same at a service without GetObjectAttributes."""
    return {"headers": composite_sha256(data)["headers"], "parts": sizes_of(data)}


def google(data: bytes) -> dict[str, Any]:
    """An object of Google's, whose XML API reports its hashes in its own header."""
    return {"headers": {"etag": '"1"', "x-goog-hash": f"crc32c={base64_of(CRC32C(data))},md5={base64_of(MD5(data))}"}}


def google_md5(data: bytes) -> dict[str, Any]:
    """The same with an MD5 only."""
    return {"headers": {"etag": '"1"', "x-goog-hash": f"md5={base64_of(MD5(data))}"}}


KINDS = [
    etag,
    capitals,
    etag_of_parts,
    rclone,
    rclone_hex,
    composite_crc32c,
    composite_crc32,
    composite_sha256,
    composite_by_number,
    google,
    google_md5,
]


async def download(store: SummedStore, directory: Path, *, moves: bool = False, **settings: Any) -> TransferReport:
    """Copies the object to the directory, in parts of 5 MiB where it is large."""
    aws = AWSSettings(endpoint=store.endpoint, region="us-east-1", access_key="AK", secret_key="SK", **settings)
    async with AsyncSession(
        settings=Settings(home=directory / "home", aws=aws, part_size=5 * MiB, max_attempts=2)
    ) as session:
        call = session.move if moves else session.copy
        return await call("aws:/bkt/name", directory / "to")


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "parts"])
@pytest.mark.parametrize("kind", KINDS)
async def test_right_bytes_are_verified(tmp_path: Path, kind: Callable[[bytes], Any], data: bytes) -> None:
    """Whatever a service reports of an object, in one read or in parts, proves the bytes that arrived."""
    async with SummedStore.running(data, **kind(data)) as store:
        report = await download(store, tmp_path)
    assert (report.verification, report.unverified) == ("all verified", {})
    assert (tmp_path / "to").read_bytes() == data


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "parts"])
@pytest.mark.parametrize("kind", [etag, etag_of_parts, rclone, composite_by_number])
async def test_bytes_that_are_wrong_once_are_read_again(
    tmp_path: Path, kind: Callable[[bytes], Any], data: bytes
) -> None:
    """One wrong answer on the way is noticed, and the object is read again."""
    async with SummedStore.running(data, **kind(data)) as store:
        store.wrong = 1
        report = await download(store, tmp_path)
    assert report.verification == "all verified"
    assert report.retries
    assert (tmp_path / "to").read_bytes() == data


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "parts"])
@pytest.mark.parametrize("kind", [composite_crc32c, composite_crc32, composite_sha256, google, google_md5])
async def test_wrong_bytes_become_no_file(tmp_path: Path, kind: Callable[[bytes], Any], data: bytes) -> None:
    """Bytes that are not those of a certain checksum fail the item, and nothing is left of them."""
    async with SummedStore.running(data, **kind(data)) as store:
        store.wrong = 1 << 30
        with pytest.raises(TransferError, match=r"another|checksum"):
            await download(store, tmp_path)
    assert os.listdir(tmp_path) in ([], ["home"])


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "parts"])
@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"headers": {"etag": f'"{"ab" * 16}"'}}, "the ETag of the source is not a checksum of its bytes"),
        ({"headers": {"etag": '"1"', "x-amz-meta-md5chksum": "ab" * 16}}, "the md5chksum of the source is not"),
        ({"headers": {"etag": f'"{"ab" * 16}-3"'}}, "the ETag of the source is not|sizes of the source's parts"),
        ({"headers": {"etag": '"of-its-own"'}}, "the source reports no checksum"),
        (
            {"headers": {"etag": f'"{"ab" * 16}"', "x-amz-server-side-encryption": "aws:kms"}},
            "the source reports no checksum",
        ),
        (
            {"headers": {"etag": f'"{"ab" * 16}"', "x-amz-server-side-encryption-customer-algorithm": "AES256"}},
            "the source reports no checksum",
        ),
    ],
    ids=["etag", "md5chksum", "parts", "own", "kms", "customer"],
)
async def test_what_is_no_checksum_fails_nothing(tmp_path: Path, told: Any, reason: str, data: bytes) -> None:
    """An ETag that only looks like an MD5 does not fail a download, and the report says why it is not verified."""
    async with SummedStore.running(data, **told) as store:
        report = await download(store, tmp_path)
    assert (tmp_path / "to").read_bytes() == data
    (found,) = report.unverified
    assert any(each in found for each in reason.split("|"))
    assert report.verification == f"0 verified, 1 not: {found}"
    assert report.to_dict()["unverified"] == {found: 1}
    assert report.to_dict()["items"][0]["unverified"] == found


@pytest.mark.parametrize("attributes_told", [None, "<GetObjectAttributesResponse/>", "not xml"])
async def test_parts_that_are_not_told_are_guessed(tmp_path: Path, attributes_told: str | None) -> None:
    """Without the sizes of the parts, the usual ones are tried; a size that fits is proven by the checksum."""
    part = 8 * MiB
    parts = [MD5(LARGE[start : start + part]) for start in range(0, len(LARGE), part)]
    told: dict[str, Any] = {"headers": {"etag": f'"{MD5(b"".join(parts)).hex()}-2"'}, "attributes": attributes_told}
    async with SummedStore.running(LARGE, **told) as store:
        report = await download(store, tmp_path)
    assert report.verification == "all verified"


async def test_an_attribute_list_that_is_not_the_objects_proves_nothing(tmp_path: Path) -> None:
    """Part checksums that do not make the object's composite checksum are not believed."""
    told = composite_crc32c(LARGE) | {"attributes": attributes("ChecksumCRC32C", CRC32C, LARGE[::-1])}
    async with SummedStore.running(LARGE, **told) as store:
        report = await download(store, tmp_path)
    assert report.verified == 0
    assert (tmp_path / "to").read_bytes() == LARGE


async def test_checksums_that_are_switched_off(tmp_path: Path) -> None:
    """`response_checksum_validation = "when_required"` compares nothing, and the report says so."""
    async with SummedStore.running(SMALL, **etag(SMALL)) as store:
        report = await download(store, tmp_path, response_checksum_validation="when_required")
    assert report.unverified == {"the source reports no checksum": 1}


@pytest.mark.parametrize("told", [{}, {"headers": {"etag": f'"{MD5(b"").hex()}"'}}], ids=["plain", "md5"])
async def test_nothing_is_verified_by_its_size(tmp_path: Path, told: Mapping[str, Any]) -> None:
    """An object without bytes is verified: nothing of it can be wrong."""
    async with SummedStore.running(b"", **told) as store:
        report = await download(store, tmp_path)
    assert report.verification == "all verified"


@pytest.mark.parametrize("kind", [etag, etag_of_parts, rclone])
async def test_moves_are_verified_by_it_too(tmp_path: Path, kind: Callable[[bytes], Any]) -> None:
    """The source of a move is deleted once its bytes are proven to have arrived."""
    async with SummedStore.running(LARGE, **kind(LARGE)) as store:
        report = await download(store, tmp_path, moves=True)
        assert (report.verification, store.deleted) == ("all verified", True)


@pytest.mark.parametrize("kind", [composite_crc32, composite_sha256, google_md5, rclone, etag_of_parts])
async def test_reads_are_verified(tmp_path: Path, kind: Callable[[bytes], Any]) -> None:
    """`read` compares too. Digests that are certain raise; those that are presumed do once they proved right."""
    async with SummedStore.running(SMALL, **kind(SMALL)) as store:
        aws = AWSSettings(endpoint=store.endpoint, region="us-east-1", access_key="AK", secret_key="SK")
        async with AsyncSession(settings=Settings(home=tmp_path / "home", aws=aws)) as session:
            storage = session.get_storage_manager()
            assert b"".join([chunk async for chunk in storage.read("/bkt/name", provider="AWS")]) == SMALL
            store.wrong = 1
            with pytest.raises(ChecksumMismatchError):
                async for _ in storage.read("/bkt/name", provider="AWS"):
                    pass
