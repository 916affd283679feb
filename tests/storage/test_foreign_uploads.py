"""Objects that other programs stored at real servers: downloads, copies, syncs and checks verify them."""

from __future__ import annotations

import base64
import hashlib
import os
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.blob import ContentSettings

from dxflow_async import AsyncSession, Settings
from dxflow_async.config.settings import AzureSettings, GCPSettings
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.sessions import MiB, settings_for

SMALL = bytes(range(256)) * 5
LARGE = random.Random(5).randbytes(11 * MiB + 1)


def in_one(weed: SeaweedFS, bucket: str, key: str, **options: Any) -> bytes:
    """A plain PUT, as s5cmd and older SDKs send it."""
    weed.client.put_object(Bucket=bucket, Key=key, Body=SMALL, **options)
    return SMALL


def in_parts(weed: SeaweedFS, bucket: str, key: str) -> bytes:
    """A multipart upload without checksums, in parts of 8 MiB as aws-cli makes them."""
    upload = weed.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    place = {"Bucket": bucket, "Key": key, "UploadId": upload}
    parts = []
    for number, start in enumerate(range(0, len(LARGE), 8 * MiB), 1):
        body = LARGE[start : start + 8 * MiB]
        sent = weed.client.upload_part(**place, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    weed.client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    return LARGE


def by_rclone(weed: SeaweedFS, bucket: str, key: str) -> bytes:
    """A multipart upload with rclone's MD5 of the whole in the metadata, in parts of 5 MiB."""
    told = base64.b64encode(hashlib.md5(LARGE).digest()).decode()
    upload = weed.client.create_multipart_upload(Bucket=bucket, Key=key, Metadata={"md5chksum": told})["UploadId"]
    place = {"Bucket": bucket, "Key": key, "UploadId": upload}
    parts = []
    for number, start in enumerate(range(0, len(LARGE), 5 * MiB), 1):
        body = BytesIO(LARGE[start : start + 5 * MiB])
        sent = weed.client.upload_part(**place, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    weed.client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    return LARGE


def with_sha256(weed: SeaweedFS, bucket: str, key: str) -> bytes:
    """A PUT with a checksum of another kind."""
    return in_one(weed, bucket, key, ChecksumAlgorithm="SHA256")


KINDS = [in_one, in_parts, by_rclone, with_sha256]


@pytest.fixture
async def session(weed: SeaweedFS, azurite: Azurite, gcs: GCSServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session at all of them."""
    azure = AzureSettings(endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key)
    settings: Settings = replace(
        settings_for(weed, tmp_path / "home"),
        azure=azure,
        gcp=GCPSettings(endpoint=gcs.endpoint),
        part_size="5MiB",
        max_attempts=2,
    )
    async with AsyncSession(settings=settings) as opened:
        yield opened


@pytest.mark.parametrize("kind", KINDS)
async def test_s3_objects_are_verified(
    session: AsyncSession, weed: SeaweedFS, bucket: str, tmp_path: Path, kind: Callable[..., bytes]
) -> None:
    """A download, a sync by checksum and a check need no checksum of ours; a changed byte is found."""
    top = uuid4().hex
    data = kind(weed, bucket, f"{top}/name")
    report = await session.copy(f"aws:/{bucket}/{top}/name", f"{tmp_path}/down/")
    assert report.verification == "all verified"
    assert (tmp_path / "down" / "name").read_bytes() == data
    there = f"aws:/{bucket}/{top}/"
    assert len(await session.sync(there, f"{tmp_path}/down/", compare="checksum", dry_run=True)) == 0
    assert (await session.check(f"{tmp_path}/down/", there, compare="checksum")).ok
    with (tmp_path / "down" / "name").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(bytes([data[-1] ^ 1]))
    (differing,) = (await session.check(there, f"{tmp_path}/down/", compare="checksum")).differing
    assert differing.reason == "checksum differs"


@pytest.mark.parametrize("kind", [in_one, in_parts])
async def test_copies_by_the_service_are_verified(
    session: AsyncSession, weed: SeaweedFS, bucket: str, kind: Callable[..., bytes]
) -> None:
    """A copy within a service is compared by what the service reports of both, or the report says that it is not."""
    top = uuid4().hex
    kind(weed, bucket, f"{top}/name")
    report = await session.copy(f"aws:/{bucket}/{top}/name", f"aws:/{bucket}/{top}/copy")
    reason = "the service copied it, and reports no checksum of both that can be compared"
    assert report.verified == 1 or report.unverified == {reason: 1}
    assert report.verified == 1 or kind is in_parts


@pytest.mark.parametrize("kind", KINDS)
async def test_copies_to_another_cloud_are_verified(
    session: AsyncSession, weed: SeaweedFS, bucket: str, gcs_bucket: str, kind: Callable[..., bytes]
) -> None:
    """A copy from cloud to cloud is compared with both sides, or the report says which digest could not be."""
    name = uuid4().hex
    data = kind(weed, bucket, name)
    report = await session.copy(f"aws:/{bucket}/{name}", f"gcp:/{gcs_bucket}/{name}")
    reasons = "".join(report.unverified)
    assert report.verified == 1 or "cannot be computed from parts that move side by side" in reasons
    assert report.verified == 1 or len(data) > 5 * MiB
    assert await session.read_bytes(f"gcp:/{gcs_bucket}/{name}") == data


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "parts"])
async def test_azure_blobs_are_verified(
    session: AsyncSession, azurite: Azurite, container: str, tmp_path: Path, data: bytes
) -> None:
    """The Content-MD5 of a blob is compared, in parts, too; a blob without one is downloaded and named."""
    blob = azurite.client.get_blob_client(container, "name")
    blob.upload_blob(data, content_settings=ContentSettings(content_md5=bytearray(hashlib.md5(data).digest())))
    report = await session.copy(f"azure:/{container}/name", tmp_path / "to")
    assert (report.verification, (tmp_path / "to").read_bytes()) == ("all verified", data)
    blob.set_http_headers(ContentSettings(content_md5=bytearray(hashlib.md5(b"other").digest())))
    with pytest.raises(Exception, match=r"checksum|another MD5"):
        await session.copy(f"azure:/{container}/name", tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()
    blob.set_http_headers(ContentSettings())
    report = await session.copy(f"azure:/{container}/name", tmp_path / "none")
    # Azurite keeps the MD5 of a blob that was sent with one request.
    assert report.unverified == ({} if data is SMALL else {"the source reports no checksum": 1})


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "parts"])
async def test_google_objects_are_verified(
    session: AsyncSession, gcs: GCSServer, gcs_bucket: str, tmp_path: Path, data: bytes
) -> None:
    """Google keeps a CRC32C of every object, whoever stored it."""
    gcs.put(gcs_bucket, "name", data)
    report = await session.copy(f"gcp:/{gcs_bucket}/name", tmp_path / "to")
    assert (report.verification, (tmp_path / "to").read_bytes()) == ("all verified", data)
    report = await session.copy(f"gcp:/{gcs_bucket}/name", f"gcp:/{gcs_bucket}/copy")
    assert report.verification == "all verified"
