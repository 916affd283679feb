"""The headers of S3 that describe objects.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from dxflow_async import checksum
from dxflow_async.digests import ExpectedDigest, s3_expected
from dxflow_async.providers.aws.metadata import decode_value, encode_value, metadata_header
from dxflow_async.providers.common.etags import if_match, opaque_tag, parse_etag
from dxflow_async.providers.common.fields import extent_of, timestamp_of
from dxflow_async.providers.common.metadata_limits import check_metadata_size, twice
from dxflow_async.providers.common.mtime import NAME, format_mtime, parse_mtime
from dxflow_async.providers.contract import SYSTEM_OPTIONS, Encryption, Entry, ObjectOptions, PartReceipt
from dxflow_async.providers.http import Call
from dxflow_async.security.redaction import Secret

__all__ = [
    "FULL_OBJECT",
    "METADATA",
    "MTIME",
    "checksum_type",
    "class_of",
    "copy_headers",
    "crc32c_of",
    "customer_headers",
    "describes_object",
    "entry_of",
    "etag_of",
    "extent_of",
    "has_service_headers",
    "multipart_etag",
    "object_headers",
    "option_headers",
    "other_digest",
    "range_headers",
    "split_key",
    "stored_headers",
]

FULL_OBJECT = "FULL_OBJECT"
"""The type of a checksum of the whole object. That of its parts' checksums is `COMPOSITE`."""

METADATA = "x-amz-meta-"
MTIME = METADATA + NAME
_MAX_METADATA_SIZE = 2 << 10
"""Bytes of all names and values, as Amazon counts them.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html (user-defined metadata)
"""

_IN_PARTS = re.compile(r"-[0-9]+\"?\s*$")
_OPTIONS = (
    *((name, name.replace("_", "-")) for name in SYSTEM_OPTIONS),
    ("storage_class", "x-amz-storage-class"),
)
_NOT_TAKEN_OVER = (None, "", "STANDARD", "EXPRESS_ONEZONE", "OUTPOSTS", "SNOW")
"""The standard class, and those that every object of a place of another kind has."""

_SYSTEM = {
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-website-redirect-location",
}


def object_headers(call: Call, options: ObjectOptions) -> dict[str, str]:
    """Returns the headers for storing an object. The user's own `mtime` takes precedence over the source's time.

    Raises:
        UnsupportedError: metadata cannot be sent in a header.
    """
    headers = {"content-type": options.content_type or "application/octet-stream"}
    if options.modified is not None:
        headers[MTIME] = format_mtime(options.modified)
    if options.metadata:
        headers |= _metadata_headers(call, options.metadata)
    if options.public:
        headers["x-amz-acl"] = "public-read"
    return headers | option_headers(options) if options.named() else headers


def _metadata_headers(call: Call, given: Mapping[str, str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for name, value in given.items():
        sent, text = metadata_header(call, name, value)
        if sent in metadata:
            raise twice(call, name, "S3")
        metadata[sent] = value
        headers[METADATA + sent] = text
    check_metadata_size(call, metadata, _MAX_METADATA_SIZE, "S3")
    return headers


def option_headers(options: ObjectOptions) -> dict[str, str]:
    """Returns the headers of the options from `storage_class` on, without those of a customer's key.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    headers: dict[str, str] = {}
    for option, name in _OPTIONS:
        value = getattr(options, option)
        if value is not None:
            headers[name] = value
    if options.tags is not None:
        headers["x-amz-tagging"] = urlencode(list(options.tags.items()), quote_via=quote)
    encryption = options.stored_encryption()
    if encryption is not None:
        headers["x-amz-server-side-encryption"] = "AES256" if encryption.kind == "service" else "aws:kms"
        if encryption.name is not None:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = encryption.name
    return headers


def class_of(text: str | None) -> str | None:
    """Returns the storage class that copies of an object take over; None for the standard one."""
    return None if text in _NOT_TAKEN_OVER else text


def customer_headers(encryption: Encryption | None, prefix: str = "x-amz") -> dict[str, str]:
    """Returns the headers of a customer's key, which is never shown.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
    """
    if encryption is None or encryption.key is None:
        return {}
    start = f"{prefix}-server-side-encryption-customer"
    return {
        f"{start}-algorithm": "AES256",
        f"{start}-key": Secret(encryption.key),
        f"{start}-key-md5": Secret(encryption.key_md5),
    }


def copy_headers(source: Entry) -> dict[str, str]:
    """Returns the headers that name the source of a copy, in the version that was seen."""
    headers = {"x-amz-copy-source": quote(source.key, safe="/-_.~")}
    if (condition := if_match(source.etag)) is not None:
        headers["x-amz-copy-source-if-match"] = condition
    return headers


def stored_headers(source: Mapping[str, str], modified: float | None) -> dict[str, str]:
    """Returns the headers that store with a copy what is stored with its source.

    A source without a time of its own gets `modified`.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html (system-defined metadata)
    """
    kept = {name: value for name, value in source.items() if name in _SYSTEM}
    kept |= {name: encode_value(decode_value(value)) for name, value in source.items() if name.startswith(METADATA)}
    return kept if modified is None else {MTIME: format_mtime(modified), **kept}


def range_headers(start: int, end: int | None, etag: str | None) -> dict[str, str]:
    """Returns the headers for reading a range of bytes, of one version."""
    headers = {"x-amz-checksum-mode": "ENABLED"}
    if start or end is not None:
        headers = {"range": f"bytes={start}-{'' if end is None else end - 1}"}
    if (condition := if_match(etag)) is not None:
        headers["if-match"] = condition
    return headers


def entry_of(key: str, headers: Mapping[str, str], size: int, etag: str | None) -> Entry:
    """Returns the object that the headers describe, `etag_of` them included.

    An `mtime` that is not a time is ordinary metadata.
    """
    metadata = {name[11:]: decode_value(value) for name, value in headers.items() if name.startswith(METADATA)}
    mtime = parse_mtime(metadata.get(NAME))
    if mtime is not None:
        del metadata[NAME]
    crc32c = crc32c_of(headers)
    return Entry(
        key,
        size,
        timestamp_of(headers.get("last-modified", "")),
        etag=etag,
        crc32c=crc32c,
        content_type=headers.get("content-type"),
        metadata=metadata,
        mtime=mtime,
        system=_system_of(headers),
        version=headers.get("x-amz-version-id"),
        storage_class=class_of(headers.get("x-amz-storage-class")),
        digest=s3_expected(headers)
        if crc32c is None and "content-range" not in headers and _has_whole(headers)
        else None,
    )


def _system_of(headers: Mapping[str, str]) -> dict[str, str] | None:
    """Returns the values of `SYSTEM_OPTIONS`; `aws-chunked` is how a body was sent, and no encoding of the object."""
    found = {option: value for option, name in _OPTIONS[:-1] if (value := headers.get(name))}
    encoding = found.get("content_encoding")
    if encoding is not None and "aws-chunked" in encoding:
        kept = ",".join(each.strip() for each in encoding.split(",") if each.strip() != "aws-chunked")
        found["content_encoding"] = kept
        if not kept:
            del found["content_encoding"]
    return found or None


def describes_object(headers: Mapping[str, str]) -> bool:
    """Returns whether a response can be S3's about an object: it names a version or has one of S3's headers."""
    return "etag" in headers or has_service_headers(headers)


def has_service_headers(headers: Mapping[str, str]) -> bool:
    """Returns whether a response has a header that only S3 and compatible services send."""
    return "x-amz-request-id" in headers or any(name.startswith("x-amz-") for name in headers)


def split_key(key: str) -> tuple[str, str]:
    """Splits a key into bucket and object name."""
    bucket, _, name = key.partition("/")
    return bucket, name


def etag_of(headers: Mapping[str, str]) -> str | None:
    """Returns the object's version."""
    return parse_etag(headers.get("etag"))


def checksum_type(headers: Mapping[str, str]) -> str | None:
    """Returns the type of the checksums in a response, `FULL_OBJECT` or `COMPOSITE`; None if it has none."""
    return headers.get("x-amz-checksum-type", "").strip().upper() or None


def crc32c_of(headers: Mapping[str, str], sent: int | None = None) -> int | None:
    """Returns the checksum of the whole object, if one is stored; it probably is the one that was sent."""
    text = headers.get("x-amz-checksum-crc32c")
    if not text or not _has_whole(headers):
        return None
    return sent if sent is not None and text == checksum.encode(sent) else checksum.decode(text)


def other_digest(headers: Mapping[str, str]) -> ExpectedDigest | None:
    """Returns the digest of the whole that a response reports instead of a CRC32C; None if it reports none."""
    if "x-amz-checksum-crc32c" in headers or not _has_whole(headers):
        return None
    return s3_expected(headers)


def _has_whole(headers: Mapping[str, str]) -> bool:
    """Returns whether the checksums in a response are those of the whole object.

    Some services report the checksum of the parts' checksums without saying so. An object that was uploaded in parts
    shows it by its ETag, which ends in the number of parts.
    """
    if "x-amz-checksum-type" in headers and (kind := checksum_type(headers)) is not None:
        return kind == FULL_OBJECT
    etag = headers.get("etag", "")
    return "-" not in etag or _IN_PARTS.search(etag) is None


def multipart_etag(receipts: Sequence[PartReceipt]) -> str | None:
    """Returns the etag of an object assembled from these parts; None if their etags are not MD5s."""
    if any(receipt.etag is None for receipt in receipts):
        return None
    try:
        digests = b"".join([bytes.fromhex(opaque_tag(receipt.etag or "")) for receipt in receipts])
    except ValueError:
        return None
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(receipts)}"
