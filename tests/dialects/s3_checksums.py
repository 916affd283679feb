"""Checksums and digests of requests, as S3 compares and keeps them.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence

from awscrt.checksums import crc64nvme
from crc32c import crc32c

from tests.dialects.s3_exchange import S3Error

__all__ = ["ALGORITHMS", "checksum", "composite", "sent_checksums", "verify_md5"]

ALGORITHMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")


def checksum(algorithm: str, data: bytes) -> str:
    """Returns a checksum in base64."""
    match algorithm:
        case "crc32":
            value = zlib.crc32(data).to_bytes(4, "big")
        case "crc32c":
            value = crc32c(data).to_bytes(4, "big")
        case "crc64nvme":
            value = crc64nvme(data).to_bytes(8, "big")
        case _:
            value = hashlib.new(algorithm, data).digest()
    return base64.b64encode(value).decode()


def composite(algorithm: str, parts: Sequence[str]) -> str:
    """Returns the checksum of the parts' checksums, with their number."""
    joined = b"".join([base64.b64decode(each) for each in parts])
    return f"{checksum(algorithm, joined)}-{len(parts)}"


def sent_checksums(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Returns the checksums that a request announces, by algorithm.

    Raises:
        S3Error: the body has another one.
    """
    sent = {name: headers[header] for name in ALGORITHMS if (header := f"x-amz-checksum-{name}") in headers}
    for algorithm, value in sent.items():
        if checksum(algorithm, body) != value:
            text = f"The {algorithm.upper()} you specified did not match the calculated checksum."
            raise S3Error(400, "BadDigest", text)
    return sent


def verify_md5(headers: Mapping[str, str], body: bytes) -> None:
    """Compares Content-MD5 where it is sent.

    Raises:
        S3Error: the body has another one.
    """
    sent = headers.get("content-md5")
    if sent is not None and sent != base64.b64encode(hashlib.md5(body).digest()).decode():
        raise S3Error(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
