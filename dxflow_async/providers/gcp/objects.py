"""Objects as JSON resources and as headers of a download describe them.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects#resource
and https://cloud.google.com/storage/docs/xml-api/reference-headers
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dxflow_async import checksum
from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.common.metadata_limits import check_metadata_size
from dxflow_async.providers.common.verified_body import VerifiedBody
from dxflow_async.providers.contract import Buffer, Entry, ObjectOptions
from dxflow_async.providers.http import Call

__all__ = [
    "ENTRY_FIELDS",
    "KEPT_FIELDS",
    "LIST_FIELDS",
    "SINGLE_SIZE",
    "STORED_FIELDS",
    "MultipartRelatedBody",
    "described",
    "entries_of",
    "entry_of",
    "entry_of_headers",
    "is_decompressed",
    "resource_of",
    "text_of",
]

SINGLE_SIZE = 8 << 20
"""The largest object, in bytes, that is sent in one request; the upload of a larger one can be resumed."""

STORED_FIELDS = "kind,name,bucket,size,generation,crc32c"
"""The fields requested when an object is written."""

_DESCRIBED = "contentType,metadata,cacheControl,contentDisposition,contentEncoding,contentLanguage"
ENTRY_FIELDS = f"kind,name,bucket,size,generation,timeCreated,crc32c,storageClass,{_DESCRIBED}"
KEPT_FIELDS = f"{_DESCRIBED},customTime"
"""The fields that are copied with an object."""

_LISTED = "name,size,generation,timeCreated,timeDeleted,crc32c,storageClass,metadata"
LIST_FIELDS = f"kind,nextPageToken,prefixes,items({_LISTED})"

_CLASSES = ("NEARLINE", "COLDLINE", "ARCHIVE")
"""The classes that copies take over: all but the standard one, and its older names."""

_SYSTEM = (
    ("cache_control", "cacheControl"),
    ("content_disposition", "contentDisposition"),
    ("content_encoding", "contentEncoding"),
    ("content_language", "contentLanguage"),
)
_OPTIONS = (*_SYSTEM, ("storage_class", "storageClass"))
_MTIME = "mtime"
_META = "x-goog-meta-"
_MAX_METADATA_SIZE = 8 << 10
"""Bytes of all names and values. Source: https://cloud.google.com/storage/quotas#objects"""

_CRC32C = re.compile(r"crc32c=([A-Za-z0-9+/]{6}==)")


def resource_of(name: str, options: ObjectOptions, crc32c: int | None) -> dict[str, Any]:
    """Returns the resource of an object to be stored. Given a CRC32C, the service refuses different bytes.

    Raises:
        UnsupportedError: the content type cannot be sent in a header, or the metadata is too large.
    """
    content_type = options.content_type or "application/octet-stream"
    if not (content_type.isascii() and content_type.isprintable()):
        raise UnsupportedError(
            f"GCP write of {name} refused: its content type {content_type!r} cannot stand in a header; "
            "give it another one, such as text/csv",
            provider="GCP",
            operation="write",
            path=name,
        )
    metadata = dict(options.metadata)
    check_metadata_size(Call("GCP", "write", f"/{name}"), metadata, _MAX_METADATA_SIZE, "Google")
    if options.modified is not None:
        metadata[_MTIME] = f"{options.modified:.6f}"
    resource: dict[str, Any] = {"name": name, "contentType": content_type}
    resource |= {field: value for option, field in _OPTIONS if (value := getattr(options, option)) is not None}
    if metadata:
        resource["metadata"] = metadata
    if crc32c is not None:
        resource["crc32c"] = checksum.encode(crc32c)
    return resource


def entry_of(bucket: str, resource: Mapping[str, Any]) -> Entry:
    """Returns the object that a resource describes.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not the resource of an object.
    """
    name, size = resource["name"], int(resource["size"])
    if not isinstance(name, str) or not name or size < 0:
        raise ValueError(f"name = {name!r:.300}, size = {size}")
    metadata = resource.get("metadata") or {}
    mtime = metadata.get(_MTIME)
    if mtime is not None:
        metadata = {name: value for name, value in metadata.items() if name != _MTIME}
    return Entry(
        f"{bucket}/{name}",
        size,
        _timestamp(resource.get("timeCreated", "")),
        not size and name.endswith("/"),
        str(resource["generation"]) if "generation" in resource else None,
        checksum.decode(resource.get("crc32c")),
        resource.get("contentType"),
        metadata,
        mtime=_seconds(mtime),
        system={option: resource[field] for option, field in _SYSTEM if resource.get(field)} or None,
        version=str(resource["generation"]) if "generation" in resource else None,
        latest=not resource.get("timeDeleted"),
        storage_class=kind if (kind := resource.get("storageClass")) in _CLASSES else None,
    )


def described(bucket: str, name: str, resource: Mapping[str, Any]) -> Entry:
    """Returns the object of that name from a response about it.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the response is about another object, or names no version.
    """
    told = resource["name"], resource.get("bucket", bucket)
    if told != (name, bucket):
        raise ValueError(f"it is about {told[1]!r:.100}/{told[0]!r:.300}, not about {bucket!r}/{name!r:.300}")
    if not re.fullmatch(r"[0-9]{1,20}", str(resource["generation"])):
        raise ValueError(f"generation = {resource['generation']!r:.50}")
    return entry_of(bucket, resource)


def entries_of(bucket: str, document: Mapping[str, Any], hidden: str) -> Sequence[Entry]:
    """Returns the objects and directories of a page, sorted by the bytes of their keys, without the prefix `hidden`.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not a listing.
    """
    entries = [entry_of(bucket, resource) for resource in _list_of(document, "items")]
    prefixes = _list_of(document, "prefixes")
    if prefixes:
        entries += [Entry(f"{bucket}/{_directory(prefix)}", directory=True) for prefix in prefixes]
        entries.sort(key=lambda entry: entry.key.encode())
    if not hidden:
        return entries
    below = f"{bucket}/{hidden}"
    return [entry for entry in entries if not entry.key.startswith(below)]


def _list_of(document: Mapping[str, Any], name: str) -> list[Any]:
    """Returns a list of a page; some servers send `null` for an empty one."""
    found = document.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise TypeError(f"{name} = {found!r:.100}")
    return found


def _directory(prefix: object) -> str:
    if not isinstance(prefix, str) or not prefix.endswith("/"):
        raise ValueError(f"the prefix {prefix!r:.200} is not that of a directory")
    return prefix


def entry_of_headers(key: str, headers: Mapping[str, str], size: int) -> Entry:
    """Returns the object that the headers of a download describe."""
    found = _CRC32C.search(headers.get("x-goog-hash", ""))
    return Entry(
        key,
        size,
        etag=headers.get("x-goog-generation"),
        crc32c=checksum.decode(found[1]) if found else None,
        content_type=headers.get("content-type"),
        metadata={
            name[len(_META) :]: _text(value)
            for name, value in headers.items()
            if name.startswith(_META) and name != _META + _MTIME
        },
        mtime=_seconds(headers.get(_META + _MTIME)),
        system=_system_of(headers),
        storage_class=kind if (kind := headers.get("x-goog-storage-class")) in _CLASSES else None,
    )


def _system_of(headers: Mapping[str, str]) -> dict[str, str] | None:
    found = {option: headers[name] for option, _ in _SYSTEM if (name := option.replace("_", "-")) in headers}
    encoding = headers.get("x-goog-stored-content-encoding", "identity")
    if encoding != "identity":
        found["content_encoding"] = encoding
    return found or None


def is_decompressed(status: int, headers: Mapping[str, str]) -> bool:
    """Returns whether the body of a download is the decompressed content of a compressed object.

    Such bodies are not what is stored: their size and checksum are not known, and ranges of them are ignored. The
    service sends them in spite of `Accept-Encoding: gzip` for some content types, and where a proxy drops that header.
    Source: https://cloud.google.com/storage/docs/transcoding
    """
    if "content-encoding" in headers or headers.get("x-goog-stored-content-encoding", "identity") != "gzip":
        return False
    stored = headers.get("x-goog-stored-content-length")
    return status == 200 and (stored is None or headers.get("content-length") != stored)


def text_of(document: Mapping[str, Any], name: str) -> str:
    """Returns a text of a response.

    Raises:
        ValueError, KeyError: it is missing, or no text.
    """
    text = document[name]
    if not isinstance(text, str) or not text:
        raise ValueError(f"{name} = {text!r}")
    return text


def _text(value: str) -> str:
    """Returns the value of a header, which holds UTF-8."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _timestamp(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp() if text else 0.0
    except (ValueError, OverflowError, OSError):
        return 0.0


def _seconds(text: str | None) -> float | None:
    """Parses an mtime: decimal seconds, or RFC 3339, in which rclone stores it at Google."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return _timestamp(text) or None


# Bodies


class MultipartRelatedBody:
    """A resource and its bytes as one `multipart/related` body.

    Source: https://cloud.google.com/storage/docs/uploading-objects#uploading-an-object (multipart upload)
    """

    __slots__ = ("_body", "_head", "_tail", "content_type", "size")

    crc32c = None

    def __init__(self, resource: Mapping[str, Any], body: VerifiedBody) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/related; boundary={boundary}"
        self._head = (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(resource)}\r\n"
            f"--{boundary}\r\nContent-Type: {resource['contentType']}\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._body = body
        self.size = len(self._head) + body.size + len(self._tail)

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        yield self._head
        async for chunk in self._body:
            yield chunk
        yield self._tail
