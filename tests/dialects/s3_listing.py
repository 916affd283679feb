"""Listings of the S3 server: buckets, and objects in both versions.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and API_ListObjects.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from tests.dialects.s3_exchange import Answer, Ask, S3Error, document, element, instant
from tests.dialects.s3_service import S3Service
from tests.dialects.s3_store import StoredObject

__all__ = ["list_buckets", "list_objects"]

_Row = tuple[str, StoredObject | None]


def list_buckets(service: S3Service, _: Ask) -> Answer:
    """Answers ListBuckets, whatever is asked."""
    created = element("CreationDate", instant(0))
    rows = [element("Bucket", [element("Name", name), created]) for name in sorted(service.buckets)]
    owner = element("Owner", [element("ID", "owner")])
    return service.xml(document("ListAllMyBucketsResult", [owner, element("Buckets", rows)]))


def list_objects(service: S3Service, ask: Ask) -> Answer:
    """Answers ListObjectsV2, and ListObjects where that is asked for or nothing else is known."""
    quirks, query = service.quirks, ask.query
    if quirks.v1_only == "refused" and "list-type" in query:
        service.not_implemented()
    second = query.get("list-type") == "2" and not quirks.v1_only
    encoded = service.url_encoded(ask)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token = query.get("continuation-token") if second else None
    after = _decoded(token) if token is not None else query.get("start-after" if second else "marker", "")
    size = min(int(query.get("max-keys") or 1000), quirks.page_size)
    rows: list[_Row] = []
    more = False
    for row in _rows(service, ask.bucket, prefix, delimiter, after):
        if len(rows) == size:
            more = True
            break
        rows.append(row)
    show = service.encoded if encoded else str
    head = [element("Name", ask.bucket), element("Prefix", show(prefix)), element("MaxKeys", size)]
    if delimiter:
        head.append(element("Delimiter", show(delimiter)))
    if encoded:
        head.append(element("EncodingType", "url"))
    head.append(element("IsTruncated", "true" if more else "false"))
    if second:
        head.append(element("KeyCount", len(rows)))
        if token is not None:
            head.append(element("ContinuationToken", token))
        if more:
            head.append(element("NextContinuationToken", base64.urlsafe_b64encode(rows[-1][0].encode()).decode()))
    else:
        head.append(element("Marker", show(after)))
        if more and delimiter and not quirks.no_next_marker:
            head.append(element("NextMarker", show(rows[-1][0])))
    owner = query.get("fetch-owner") == "true" or not second
    objects = [_contents(service, show(key), found, owner=owner) for key, found in rows if found is not None]
    plain = str if quirks.plain_prefixes else show
    prefixes = [element("CommonPrefixes", [element("Prefix", plain(key))]) for key, found in rows if found is None]
    return service.xml(document("ListBucketResult", [*head, *objects, *prefixes]))


def _rows(service: S3Service, bucket: str, prefix: str, delimiter: str, after: str) -> Iterator[_Row]:
    """Yields objects and common prefixes (as None) behind a key, in the order of their bytes."""
    objects = service.bucket(bucket).objects
    last = None
    for key in sorted((key for key in objects if key.startswith(prefix)), key=str.encode):
        if key.encode() <= after.encode():
            continue
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        if not found:
            yield key, objects[key]
        elif (shared := prefix + head + delimiter) != last:
            last = shared
            if shared.encode() > after.encode() or service.quirks.no_next_marker:
                yield shared, None


def _contents(service: S3Service, key: str, found: StoredObject, *, owner: bool) -> str:
    cells = [
        element("Key", key),
        element("LastModified", instant(found.modified)),
        element("ETag", service.etag_text(found.etag[::-1] if service.quirks.other_listed_etags else found.etag)),
    ]
    if not service.quirks.terse_listing:
        cells += [element("ChecksumAlgorithm", name.upper()) for name in found.checksums]
        if found.checksums:
            cells.append(element("ChecksumType", found.checksum_type))
    cells.append(element("Size", len(found.data)))
    if not service.quirks.terse_listing:
        if owner:
            cells.append(element("Owner", [element("ID", "owner"), element("DisplayName", "owner")]))
        cells.append(element("StorageClass", found.headers.get("x-amz-storage-class", "STANDARD")))
    return element("Contents", cells)


def _decoded(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise S3Error(400, "InvalidArgument", "The continuation token provided is incorrect") from error
