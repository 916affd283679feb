"""The headers and metadata that describe objects at Azure.

Azure has no field for the CRC32C of a whole object, so it is stored as metadata `dxflow_crc32c` in base64. The source's
time is stored as `mtime` in decimal seconds, which is rclone's convention.
Source: https://learn.microsoft.com/rest/api/storageservices/get-blob
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

from dxflow_async import checksum
from dxflow_async.digests import md5_expected
from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.common.etags import if_match, parse_etag
from dxflow_async.providers.common.fields import timestamp_of
from dxflow_async.providers.common.metadata_limits import check_metadata_size, twice
from dxflow_async.providers.common.mtime import NAME, format_mtime, parse_mtime
from dxflow_async.providers.contract import SYSTEM_OPTIONS, Encryption, Entry, ObjectOptions
from dxflow_async.providers.http import Call
from dxflow_async.security.redaction import Secret

__all__ = [
    "DIRECTORY_HEADER",
    "checksum_header",
    "condition_headers",
    "copied_metadata",
    "crc32c_of",
    "describe",
    "encryption_headers",
    "entry_of",
    "etag_of",
    "is_directory",
    "keeps_checksums",
    "object_headers",
    "range_headers",
]

_METADATA = "x-ms-meta-"
_OPTIONS = (
    *((name, f"x-ms-blob-{name.replace('_', '-')}") for name in SYSTEM_OPTIONS),
    ("storage_class", "x-ms-access-tier"),
)
_SYSTEM = tuple((name, name.replace("_", "-")) for name in SYSTEM_OPTIONS)
_MAX_METADATA_SIZE = 8 << 10
"""Bytes of all names and values.

Source: https://learn.microsoft.com/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources
"""

_TIERS = ("Hot", "Cool", "Cold")
_CRC32C = "dxflow_crc32c"
_FOLDER = "hdi_isfolder"

DIRECTORY_HEADER = {_METADATA + _FOLDER: "true"}
"""Marks an empty blob as a directory, as other tools do; a hierarchical namespace makes it a real one."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def object_headers(call: Call, options: ObjectOptions) -> dict[str, str]:
    """Returns the headers for storing an object, without its checksum. The user's own `mtime` takes precedence.

    Raises:
        UnsupportedError: Azure does not accept the name or the value of metadata.
    """
    headers = {"x-ms-blob-content-type": options.content_type or "application/octet-stream"}
    if options.modified is not None:
        headers[_METADATA + NAME] = format_mtime(options.modified)
    metadata: dict[str, str] = {}
    for name, value in options.metadata.items():
        if not _IDENTIFIER.fullmatch(name):
            raise call.error(
                UnsupportedError,
                f"metadata {name!r} cannot be kept: a name has only letters, digits and underscores, and does not "
                "start with a digit; rename it",
            )
        if not (value.isascii() and value.strip().replace("\t", " ").isprintable()):
            raise call.error(
                UnsupportedError,
                f"metadata {name!r} cannot be kept: Azure takes only ASCII in a value, without control characters; "
                "encode the value, or remove it",
            )
        if name.lower() in metadata:
            raise twice(call, name, "Azure")
        metadata[name.lower()] = value.strip()  # signed as it arrives
        if name.lower() != _CRC32C:
            headers[_METADATA + name.lower()] = value.strip()
    check_metadata_size(call, metadata, _MAX_METADATA_SIZE, "Azure")
    for option, header in _OPTIONS:
        if (text := getattr(options, option)) is not None:
            headers[header] = text
    if options.tags is not None:
        headers |= tags_header(options.tags.items())
    return headers


def tags_header(tags: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns the header that stores index tags with a blob."""
    return {"x-ms-tags": urlencode(list(tags), quote_via=quote)}


def tier_of(tier: str | None, inferred: str | None) -> str | None:
    """Returns the access tier that copies of a blob take over; None if nobody chose it, or copies cannot have it.

    An archived blob cannot be read, and the tiers of page blobs and premium accounts are those of other accounts.

    Args:
        tier, inferred: as the service tells them.
    """
    return tier if tier in _TIERS and inferred != "true" else None


def tag_count_of(text: str) -> int:
    """Returns the number of index tags of a blob; 0 where the service does not tell it."""
    return int(text) if re.fullmatch(r"[0-9]{1,2}", text) else 0


def encryption_headers(encryption: Encryption | None) -> dict[str, str]:
    """Returns the headers of a customer's key, which is never shown, or of an encryption scope.

    Source: https://learn.microsoft.com/azure/storage/blobs/encryption-customer-provided-keys
    """
    if encryption is None:
        return {}
    if encryption.key is None:
        return {"x-ms-encryption-scope": encryption.name or ""}
    return {
        "x-ms-encryption-algorithm": "AES256",
        "x-ms-encryption-key": Secret(encryption.key),
        "x-ms-encryption-key-sha256": Secret(encryption.key_sha256),
    }


def condition_headers(options: ObjectOptions) -> dict[str, str]:
    """Returns the headers of the condition on which an object is stored or deleted."""
    if options.if_absent:
        return {"if-none-match": "*"}
    return {} if options.if_match is None else {"if-match": if_match(options.if_match) or "*"}


def checksum_header(crc32c: int) -> dict[str, str]:
    """Returns the header that stores the checksum of the whole object."""
    return {_METADATA + _CRC32C: checksum.encode(crc32c)}


def copied_metadata(source: Entry, modified: float) -> dict[str, str]:
    """Returns all metadata for a copy: a copy with metadata of its own does not inherit the source's.

    Args:
        source: the source, with its metadata.
        modified: seconds since the epoch, stored if the source stores no time.
    """
    headers = {_METADATA + name.lower(): value for name, value in source.metadata.items()}
    headers.setdefault(_METADATA + NAME, format_mtime(modified))
    return headers if source.crc32c is None else headers | checksum_header(source.crc32c)


def range_headers(start: int, end: int | None, etag: str | None) -> dict[str, str]:
    """Returns the headers for reading a range of bytes, of one version."""
    headers = {}
    if start or end is not None:
        headers["x-ms-range"] = f"bytes={start}-{'' if end is None else end - 1}"
    if (condition := if_match(etag)) is not None:
        headers["if-match"] = condition
    return headers


def entry_of(key: str, headers: Mapping[str, str], size: int) -> Entry:
    """Returns the object that the headers describe."""
    entry = Entry(
        key,
        size,
        timestamp_of(headers.get("last-modified", "")),
        etag=etag_of(headers),
        content_type=headers.get("content-type"),
        system={name: headers[header] for name, header in _SYSTEM if header in headers} or None,
        version=headers.get("x-ms-version-id"),
    )
    describe(entry, {name[len(_METADATA) :]: value for name, value in headers.items() if name.startswith(_METADATA)})
    entry.tag_count = tag_count_of(headers.get("x-ms-tag-count", ""))
    entry.storage_class = tier_of(headers.get("x-ms-access-tier"), headers.get("x-ms-access-tier-inferred"))
    if not keeps_checksums(headers.get("x-ms-blob-type")):
        entry.crc32c = None
    elif entry.crc32c is None:
        # In the response to a range, `content-md5` is that of the range.
        name = "x-ms-blob-content-md5" if "content-range" in headers else "content-md5"
        entry.digest = md5_expected(headers.get(name))
    return entry


def keeps_checksums(blob_type: str | None) -> bool:
    """Returns whether a checksum that is stored with a blob is that of its bytes.

    Blocks and pages are added to append and page blobs without a change of the MD5 and of the metadata.
    Source: https://learn.microsoft.com/rest/api/storageservices/append-block and put-page
    """
    return blob_type in (None, "", "BlockBlob")


def describe(entry: Entry, metadata: dict[str, str]) -> None:
    """Adds metadata to an entry, and removes the names that belong to this library from it."""
    entry.crc32c = checksum.decode(metadata.pop(_CRC32C, None))
    entry.mtime = parse_mtime(metadata.get(NAME))
    if entry.mtime is not None:
        del metadata[NAME]
    metadata.pop(_FOLDER, None)
    entry.metadata = metadata


def is_directory(headers: Mapping[str, str]) -> bool:
    """Returns whether it is a directory of a hierarchical namespace, or an empty blob that stands for one."""
    return headers.get("x-ms-resource-type") == "directory" or headers.get(_METADATA + _FOLDER, "").lower() == "true"


def crc32c_of(headers: Mapping[str, str]) -> int | None:
    """Returns the checksum of the whole object that is stored with it."""
    return checksum.decode(headers.get(_METADATA + _CRC32C))


def etag_of(headers: Mapping[str, str]) -> str | None:
    """Returns the object's version."""
    return parse_etag(headers.get("etag"))
