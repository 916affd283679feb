"""Multipart uploads of the S3 server.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html, and for checksums
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from tests.dialects.s3_checksums import ALGORITHMS, checksum, composite, verify_md5
from tests.dialects.s3_exchange import Answer, Ask, S3Error, document, element, instant, parsed
from tests.dialects.s3_objects import copied_source, template
from tests.dialects.s3_service import S3Service
from tests.dialects.s3_store import Part, StoredObject, Upload

__all__ = ["abort", "complete", "copy_part", "list_parts", "list_uploads", "put_part", "start"]


def start(service: S3Service, ask: Ask) -> Answer:
    """Answers CreateMultipartUpload."""
    bucket, quirks = service.bucket(ask.bucket), service.quirks
    named = quirks.other_checksum or ask.headers.get("x-amz-checksum-algorithm", "").lower()
    algorithm = named if named and not quirks.no_checksums else None
    if algorithm is not None and algorithm not in ALGORITHMS:
        raise S3Error(400, "InvalidRequest", "Checksum algorithm provided is unsupported.")
    kind = ask.headers.get("x-amz-checksum-type", "FULL_OBJECT" if algorithm == "crc64nvme" else "COMPOSITE")
    if quirks.composite_only:
        kind = "COMPOSITE"
    if algorithm is None and not quirks.no_checksums:
        kind = "FULL_OBJECT"
    upload_id = uuid4().hex
    bucket.uploads[upload_id] = Upload(ask.key, template(service, ask), algorithm, kind, service.now())
    told = {}
    if algorithm is not None:
        told = {"x-amz-checksum-algorithm": algorithm.upper()}
        if not quirks.composite_only:
            told["x-amz-checksum-type"] = kind
    rows = [element("Bucket", ask.bucket), element("Key", ask.key), element("UploadId", upload_id)]
    return service.xml(document("InitiateMultipartUploadResult", rows), headers=told)


def put_part(service: S3Service, ask: Ask) -> Answer:
    """Answers UploadPart."""
    upload, number = service.upload(ask), _number(service, ask)
    service.check_key(ask, upload.template)
    service.check_size(ask)
    verify_md5(ask.headers, ask.body)
    sent = {} if service.quirks.no_checksums else service.checksums_of(ask, ask.body)
    if sent and upload.algorithm is not None and upload.algorithm not in sent:
        text = f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm}"
        raise S3Error(400, "InvalidRequest", text)
    part = _part(service, upload, ask.body, sent)
    upload.parts[number] = part
    told = {f"x-amz-checksum-{name}": value for name, value in part.checksums.items()}
    return Answer(200, {"ETag": service.etag_header(part.etag), **told})


def copy_part(service: S3Service, ask: Ask) -> Answer:
    """Answers UploadPartCopy."""
    upload, number = service.upload(ask), _number(service, ask)
    service.check_key(ask, upload.template)
    _, _, source = copied_source(service, ask)
    data = source.data
    asked = ask.headers.get("x-amz-copy-source-range")
    if asked is not None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
        if found is None or int(found.group(2)) >= len(data):
            raise S3Error(400, "InvalidArgument", "The x-amz-copy-source-range value must be within the source")
        data = data[int(found.group(1)) : int(found.group(2)) + 1]
    upload.parts[number] = part = _part(service, upload, data, {})
    told = [element(f"Checksum{name.upper()}", value) for name, value in part.checksums.items()]
    rows = [element("LastModified", instant(part.modified)), element("ETag", service.etag_text(part.etag)), *told]
    return service.xml(document("CopyPartResult", rows))


def complete(service: S3Service, ask: Ask) -> Answer:
    """Answers CompleteMultipartUpload."""
    upload, quirks = service.upload(ask), service.quirks
    service.check_key(ask, upload.template)
    rows = [{each.tag: (each.text or "") for each in row} for row in parsed(ask.body).iter("Part")]
    numbers = [int(row.get("PartNumber", "0")) for row in rows]
    if not numbers:
        raise S3Error(400, "MalformedXML", "The XML you provided was not well-formed")
    if numbers != sorted(set(numbers)):
        raise S3Error(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
    parts = [_named(service, upload, row) for row in rows]
    if any(len(part.data) < service.min_part_size for part in parts[:-1]):
        raise S3Error(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
    if quirks.uniform_parts and (
        len({len(part.data) for part in parts[:-1]}) > 1
        or (len(parts) > 1 and len(parts[-1].data) > len(parts[0].data))
    ):
        raise S3Error(400, "InvalidPart", "All non-trailing parts must have the same length.")
    service.check_condition(ask)
    stored = _whole(service, upload, ask, parts)
    service.fail_once("complete", ask)
    bucket = service.bucket(ask.bucket)
    bucket.objects[ask.key] = stored
    del bucket.uploads[ask.query["uploadId"]]
    told = [element(f"Checksum{name.upper()}", value) for name, value in stored.checksums.items()]
    if told and not quirks.composite_only:
        told.append(element("ChecksumType", stored.checksum_type))
    etag = element("ETag", service.etag_text(stored.etag))
    names = [element("Bucket", ask.bucket), element("Key", ask.key)]
    return service.xml(document("CompleteMultipartUploadResult", [*names, etag, *told]))


def abort(service: S3Service, ask: Ask) -> Answer:
    """Answers AbortMultipartUpload."""
    service.upload(ask)
    del service.bucket(ask.bucket).uploads[ask.query["uploadId"]]
    return Answer(204)


def list_parts(service: S3Service, ask: Ask) -> Answer:
    """Answers ListParts."""
    upload = service.upload(ask)
    after = int(ask.query.get("part-number-marker") or 0)
    size = min(int(ask.query.get("max-parts", 1000)), service.quirks.page_size)
    numbers = sorted(number for number in upload.parts if number > after)
    page, more = numbers[:size], len(numbers) > size
    rows = [
        element("Bucket", ask.bucket),
        element("Key", ask.key),
        element("UploadId", ask.query["uploadId"]),
        element("PartNumberMarker", after),
        element("MaxParts", size),
        element("IsTruncated", "true" if more else "false"),
    ]
    if more:
        rows.append(element("NextPartNumberMarker", page[-1]))
    if upload.algorithm is not None:
        rows.append(element("ChecksumAlgorithm", upload.algorithm.upper()))
        if not service.quirks.composite_only:
            rows.append(element("ChecksumType", upload.checksum_type))
    for number in page:
        part = upload.parts[number]
        told = [element(f"Checksum{name.upper()}", value) for name, value in part.checksums.items()]
        cells = [
            element("PartNumber", number),
            element("LastModified", instant(part.modified)),
            element("ETag", service.etag_text(part.etag)),
            element("Size", len(part.data)),
        ]
        rows.append(element("Part", [*cells, *told]))
    return service.xml(document("ListPartsResult", rows))


def list_uploads(service: S3Service, ask: Ask) -> Answer:
    """Answers ListMultipartUploads."""
    prefix = ask.query.get("prefix", "")
    marker = (ask.query.get("key-marker", ""), ask.query.get("upload-id-marker", ""))
    size = min(int(ask.query.get("max-uploads", 1000)), service.quirks.page_size)
    found = sorted(
        (upload.key, upload_id)
        for upload_id, upload in service.bucket(ask.bucket).uploads.items()
        if upload.key.startswith(prefix) and (upload.key, upload_id) > marker
    )
    page, more = found[:size], len(found) > size
    show = service.encoded if service.url_encoded(ask) else str
    rows = [element("Bucket", ask.bucket), element("Prefix", show(prefix)), element("MaxUploads", size)]
    rows.append(element("IsTruncated", "true" if more else "false"))
    if service.url_encoded(ask):
        rows.append(element("EncodingType", "url"))
    if more:
        rows += [element("NextKeyMarker", show(page[-1][0])), element("NextUploadIdMarker", page[-1][1])]
    for key, upload_id in page:
        began = service.bucket(ask.bucket).uploads[upload_id].began
        cells = [element("Key", show(key)), element("UploadId", upload_id), element("Initiated", instant(began))]
        rows.append(element("Upload", cells))
    return service.xml(document("ListMultipartUploadsResult", rows))


def _number(service: S3Service, ask: Ask) -> int:
    text, most = ask.query["partNumber"], service.quirks.max_parts
    number = int(text) if text.isdigit() else 0
    if not 1 <= number <= most:
        said = f"Part number must be an integer between 1 and {most}, inclusive"
        details = {"ArgumentName": "partNumber", "ArgumentValue": text}
        raise S3Error(400, "InvalidArgument", said, details=details)
    return number


def _part(service: S3Service, upload: Upload, data: bytes, sent: dict[str, str]) -> Part:
    checksums = dict(sent)
    if not service.quirks.no_checksums and not checksums and upload.algorithm is not None:
        checksums = {upload.algorithm: checksum(upload.algorithm, data)}
    return Part(data, hashlib.md5(data).hexdigest(), checksums, service.now())


def _named(service: S3Service, upload: Upload, row: dict[str, str]) -> Part:
    """Returns the part that a row of the request names.

    Raises:
        S3Error: there is none with that etag and checksum.
    """
    part = upload.parts.get(int(row.get("PartNumber", "0")))
    named = {row.get("ETag", ""), row.get("ETag", "").strip('"')}
    told = {name: row[f"Checksum{name.upper()}"] for name in ALGORITHMS if f"Checksum{name.upper()}" in row}
    if service.quirks.no_checksums:
        told = {}
    etags = {part.etag, service.etag_header(part.etag)} if part is not None else set()
    if service.quirks.no_etags == "everywhere":
        etags.add("")
    if part is None or not named & etags or any(part.checksums.get(name) != value for name, value in told.items()):
        text = "One or more of the specified parts could not be found or did not match."
        raise S3Error(400, "InvalidPart", text)
    if upload.algorithm is not None and upload.checksum_type == "COMPOSITE" and upload.algorithm not in told:
        text = f"The upload was created using a {upload.algorithm} checksum. The complete request must include it."
        raise S3Error(400, "InvalidRequest", text)
    return part


def _whole(service: S3Service, upload: Upload, ask: Ask, parts: Sequence[Part]) -> StoredObject:
    """Returns the object that parts make.

    Raises:
        S3Error: the request announces another checksum.
    """
    data, quirks = b"".join([part.data for part in parts]), service.quirks
    digests = b"".join([bytes.fromhex(part.etag) for part in parts])
    checksums: dict[str, str] = {}
    if not quirks.no_checksums:
        algorithm = upload.algorithm or "crc64nvme"
        if upload.algorithm is not None and upload.checksum_type == "COMPOSITE":
            checksums = {algorithm: composite(algorithm, [part.checksums[algorithm] for part in parts])}
        else:
            checksums = {algorithm: checksum(algorithm, data)}
        kind = ask.headers.get("x-amz-checksum-type")
        if kind not in (None, upload.checksum_type) and not quirks.composite_only:
            raise S3Error(400, "InvalidRequest", "The checksum type is not that of the upload")
        for name in ALGORITHMS:
            sent = ask.headers.get(f"x-amz-checksum-{name}")
            if sent is not None and sent != checksums.get(name):
                text = f"The {name.upper()} you specified did not match the calculated checksum."
                raise S3Error(400, "BadDigest", text)
    etag = f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"
    kind = upload.checksum_type
    return replace(
        upload.template, data=data, etag=etag, checksums=checksums, checksum_type=kind, modified=service.now()
    )
