"""Objects of the S3 server: GET, HEAD, PUT, copy and delete.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate
from urllib.parse import parse_qsl, unquote

from tests.dialects.s3_checksums import checksum, verify_md5
from tests.dialects.s3_exchange import Answer, Ask, S3Error, document, element, instant, parsed
from tests.dialects.s3_metadata import sent_metadata, told_metadata
from tests.dialects.s3_service import KEY_MD5, S3Service
from tests.dialects.s3_store import StoredObject

__all__ = [
    "copied_source",
    "copy",
    "delete",
    "delete_many",
    "described",
    "put",
    "read",
    "tagging",
    "template",
    "told_checksums",
]

_SYSTEM = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires")
_ENCRYPTION = (
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class",
    KEY_MD5,
)
_MAX_DELETED = 1000


def read(service: S3Service, ask: Ask) -> Answer:
    """Answers GET and HEAD of an object."""
    quirks = service.quirks
    if quirks.refuses_head is not None and ask.method == "HEAD":
        raise S3Error(quirks.refuses_head, "MethodNotAllowed", "The specified method is not allowed.")
    if quirks.refuses_checksum_mode and "x-amz-checksum-mode" in ask.headers:
        text = "Unsupported header 'x-amz-checksum-mode' received for this API call."
        raise S3Error(400, "InvalidArgument", text)
    found = service.object(ask.bucket, ask.key)
    service.check_key(ask, found)
    headers = described(service, found)
    match = ask.headers.get("if-match")
    if match is not None and not service.matches(match, found.etag):
        raise S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
    none_match = ask.headers.get("if-none-match")
    if none_match is not None and service.matches(none_match, found.etag):
        return Answer(304, {"ETag": headers["ETag"]})
    status, data = 200, found.data
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", ask.headers.get("range", ""))
    if asked is not None and any(asked.groups()) and not quirks.ignores_range:
        start, end = _range(asked.group(1), asked.group(2), len(data))
        status, headers["Content-Range"] = 206, f"bytes {start}-{end - 1}/{len(data)}"
        data = data[start:end]
    elif ask.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        headers |= told_checksums(found)
    for name, value in ask.query.items():
        if name.startswith("response-"):
            headers[name.removeprefix("response-").title()] = value
    return Answer(status, headers, data, chunked=quirks.get_without_length and ask.method == "GET")


def tagging(service: S3Service, ask: Ask) -> Answer:
    """Answers GetObjectTagging."""
    found, kept = service.object(ask.bucket, ask.key), service.quirks.tagging
    if kept == "denied":
        raise S3Error(403, "AccessDenied", "Access Denied")
    if kept == "missing":
        service.not_implemented()
    if kept == "ignored":
        return read(service, ask)
    tags = [element("Tag", [element("Key", key), element("Value", value)]) for key, value in parse_qsl(found.tags)]
    return service.xml(document("Tagging", [element("TagSet", tags)]))


def put(service: S3Service, ask: Ask) -> Answer:
    """Answers PUT of an object with its bytes."""
    bucket = service.bucket(ask.bucket)
    _check_key(ask)
    service.check_size(ask)
    verify_md5(ask.headers, ask.body)
    service.check_condition(ask)
    checksums: dict[str, str] = {}
    if not service.quirks.no_checksums:
        checksums = service.checksums_of(ask, ask.body) or {"crc64nvme": checksum("crc64nvme", ask.body)}
    stored = replace(
        template(service, ask),
        data=ask.body,
        etag=hashlib.md5(ask.body).hexdigest(),
        checksums=checksums,
    )
    bucket.objects[ask.key] = stored
    return Answer(200, {"ETag": service.etag_header(stored.etag), **told_checksums(stored)})


def copy(service: S3Service, ask: Ask) -> Answer:
    """Answers CopyObject."""
    bucket = service.bucket(ask.bucket)
    _check_key(ask)
    source_bucket, source_key, source = copied_source(service, ask)
    replaces = ask.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
    if (source_bucket, source_key) == (ask.bucket, ask.key) and not replaces:
        text = "This copy request is illegal because it is trying to copy an object to itself without changing it."
        raise S3Error(400, "InvalidRequest", text)
    service.check_condition(ask)
    service.fail_once("copy", ask)
    base = template(service, ask)
    if not replaces:
        own = {name: value for name, value in base.headers.items() if name in _ENCRYPTION}
        theirs = {name: value for name, value in source.headers.items() if name not in _ENCRYPTION}
        base = replace(base, headers=theirs | own, metadata=source.metadata)
    if ask.headers.get("x-amz-tagging-directive", "COPY").upper() != "REPLACE":
        base = replace(base, tags=source.tags)
    checksums = {name: checksum(name, source.data) for name in source.checksums}
    stored = replace(base, data=source.data, etag=hashlib.md5(source.data).hexdigest(), checksums=checksums)
    bucket.objects[ask.key] = stored
    told = [element(f"Checksum{name.upper()}", value) for name, value in checksums.items()]
    rows = [element("LastModified", instant(stored.modified)), element("ETag", service.etag_text(stored.etag)), *told]
    return service.xml(document("CopyObjectResult", rows))


def copied_source(service: S3Service, ask: Ask) -> tuple[str, str, StoredObject]:
    """Returns the bucket, key and object that a copy names.

    Raises:
        S3Error: there is none, or it is another version.
    """
    if service.quirks.refuses_copies is not None:
        raise S3Error(*service.quirks.refuses_copies, "A header you provided implies functionality that is not there")
    bucket, _, key = unquote(ask.headers["x-amz-copy-source"]).lstrip("/").partition("/")
    found = service.object(bucket, key)
    service.check_key(ask, found, "x-amz-copy-source")
    match = ask.headers.get("x-amz-copy-source-if-match")
    if match is not None and not service.matches(match, found.etag):
        raise S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
    return bucket, key, found


def delete(service: S3Service, ask: Ask) -> Answer:
    """Answers DELETE of an object, which need not exist."""
    service.check_condition(ask)
    _remove(service, ask.bucket, ask.key)
    return Answer(204)


def _remove(service: S3Service, bucket: str, key: str) -> None:
    objects = service.bucket(bucket).objects
    objects.pop(key.rstrip("/") if service.quirks.files and key not in objects else key, None)


def delete_many(service: S3Service, ask: Ask) -> Answer:
    """Answers DeleteObjects."""
    if service.quirks.refuses_delete_objects is not None:
        raise S3Error(*service.quirks.refuses_delete_objects)
    service.bucket(ask.bucket)
    if not any(name == "content-md5" or name.startswith("x-amz-checksum-") for name in ask.headers):
        raise S3Error(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
    verify_md5(ask.headers, ask.body)
    root = parsed(ask.body)
    keys = [each.findtext("Key", "") for each in root.iter("Object")]
    if not 0 < len(keys) <= _MAX_DELETED or "" in keys:
        raise S3Error(400, "MalformedXML", "The XML you provided was not well-formed")
    for key in keys:
        _remove(service, ask.bucket, key)
    quiet = root.findtext("Quiet") == "true"
    rows = [] if quiet else [element("Deleted", [element("Key", key)]) for key in keys]
    return service.xml(document("DeleteResult", rows))


def template(service: S3Service, ask: Ask) -> StoredObject:
    """Returns an object without bytes that has the headers and metadata of a request.

    Raises:
        S3Error: the service does not take its storage class.
    """
    kind, taken = ask.headers.get("x-amz-storage-class", "STANDARD"), service.quirks.classes
    if taken is not None and kind not in ("STANDARD", *taken):
        raise S3Error(400, "InvalidStorageClass", "The storage class you specified is not valid")
    return StoredObject(
        data=b"",
        etag="",
        headers={name: ask.headers[name] for name in (*_SYSTEM, *_ENCRYPTION) if name in ask.headers},
        metadata={} if service.quirks.no_metadata else sent_metadata(ask.headers, service.quirks.metadata),
        checksums={},
        checksum_type="FULL_OBJECT",
        modified=service.now(),
        public=ask.headers.get("x-amz-acl") == "public-read",
        tags=ask.headers.get("x-amz-tagging", ""),
    )


def described(service: S3Service, found: StoredObject) -> dict[str, str]:
    """Returns the headers that describe an object."""
    return {
        "Content-Type": "binary/octet-stream",
        **{name.title(): value for name, value in found.headers.items()},
        **told_metadata(found.metadata, service.quirks.metadata),
        "ETag": service.etag_header(found.etag),
        "Last-Modified": formatdate(found.modified, usegmt=True),
        "Accept-Ranges": "bytes",
    }


def told_checksums(found: StoredObject) -> dict[str, str]:
    """Returns the headers that report an object's checksums."""
    told = {f"x-amz-checksum-{name}": value for name, value in found.checksums.items()}
    return {**told, "x-amz-checksum-type": found.checksum_type} if told else {}


def _range(first: str, last: str, size: int) -> tuple[int, int]:
    start, end = (int(first), int(last) + 1 if last else size) if first else (max(size - int(last), 0), size)
    if start >= size or start >= end:
        text = "The requested range is not satisfiable"
        raise S3Error(416, "InvalidRange", text, details={"ActualObjectSize": str(size)})
    return start, min(end, size)


def _check_key(ask: Ask) -> None:
    if len(ask.key.encode()) > 1024:
        raise S3Error(400, "KeyTooLongError", "Your key is too long")
    size = sum(len(name) - 11 + len(value.encode()) for name, value in _sent(ask.headers).items())
    if size > 2048:
        raise S3Error(400, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")


def _sent(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
