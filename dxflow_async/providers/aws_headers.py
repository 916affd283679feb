"""What is said of an object in S3's headers.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from dxflow_async.providers import checksum
from dxflow_async.providers.base import Entry, ObjectOptions, Receipt

__all__ = [
    "copy_headers",
    "crc32c_of",
    "entry_of",
    "etag_of",
    "extent_of",
    "multipart_etag",
    "object_headers",
    "range_headers",
]

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def object_headers(options: ObjectOptions) -> dict[str, str]:
    """What is stored with an object."""
    headers = {"content-type": options.content_type or "application/octet-stream"}
    for name, value in options.metadata.items():
        headers[f"x-amz-meta-{name.lower()}"] = value
    if options.public:
        headers["x-amz-acl"] = "public-read"
    return headers


def copy_headers(source: Entry) -> dict[str, str]:
    """What to copy, in the version that was seen."""
    headers = {"x-amz-copy-source": quote(source.key, safe="/-_.~")}
    if source.etag is not None:
        headers["x-amz-copy-source-if-match"] = f'"{source.etag}"'
    return headers


def range_headers(start: int, end: int | None, etag: str | None) -> dict[str, str]:
    """Which bytes of which version to read."""
    headers = {"x-amz-checksum-mode": "ENABLED"}
    if start or end is not None:
        headers = {"range": f"bytes={start}-{'' if end is None else end - 1}"}
    if etag is not None:
        headers["if-match"] = f'"{etag}"'
    return headers


def extent_of(status: int, headers: Mapping[str, str], start: int, end: int | None) -> tuple[int, int]:
    """The size of an object and that of the range `[start, end)` of it, which is what was sent.

    Raises:
        ValueError: something else was sent.
    """
    if "content-length" not in headers:
        raise ValueError("the server does not say how many bytes it sends")
    length = int(headers["content-length"])
    if not start and end is None:
        return length, length
    found = _RANGE.fullmatch(headers.get("content-range", ""))
    if status != 206 or found is None:
        raise ValueError("the server ignored a range request")
    first, last, size = map(int, found.groups())
    if first != start or last + 1 != min(end or size, size) or last + 1 - first != length:
        raise ValueError("the server sent another range than was asked for")
    return size, length


def entry_of(key: str, headers: Mapping[str, str], size: int) -> Entry:
    """An object as the headers describe it."""
    return Entry(
        key,
        size,
        _timestamp(headers.get("last-modified", "")),
        etag=etag_of(headers),
        crc32c=crc32c_of(headers),
        content_type=headers.get("content-type"),
        metadata={name[11:]: value for name, value in headers.items() if name.startswith("x-amz-meta-")},
    )


def etag_of(headers: Mapping[str, str]) -> str | None:
    """The object's version."""
    return headers.get("etag", "").strip('"') or None


def crc32c_of(headers: Mapping[str, str]) -> int | None:
    """The checksum of the whole object, where one is stored."""
    return checksum.decode(headers.get("x-amz-checksum-crc32c"))


def multipart_etag(receipts: Sequence[Receipt]) -> str | None:
    """The etag of an object put together from these parts; None where theirs are no MD5s."""
    try:
        digests = b"".join([bytes.fromhex(receipt.etag or "") for receipt in receipts])
    except ValueError:
        return None
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(receipts)}"


def _timestamp(text: str) -> float:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return 0.0
