"""Which operation of S3 a request is, and who answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from tests.dialects import s3_listing, s3_objects, s3_uploads
from tests.dialects.s3_exchange import Answer, Ask
from tests.dialects.s3_service import S3Service
from tests.dialects.s3_store import Bucket

__all__ = ["Operation", "operation_of"]


class Operation(NamedTuple):
    """An operation.

    Attributes:
        method: of its requests.
        about: what its path names.
        parameter: that its query has; None: any query.
        copies: whether its headers name a source.
        name: at Amazon.
        handler: answers it.
    """

    method: str
    about: Literal["account", "bucket", "object"]
    parameter: str | None
    copies: bool
    name: str
    handler: Callable[[S3Service, Ask], Answer]


def operation_of(ask: Ask) -> Operation:
    """Returns the operation that a request is."""
    about = "object" if ask.key else "bucket" if ask.bucket else "account"
    copies = "x-amz-copy-source" in ask.headers
    for each in _OPERATIONS:
        if (each.method, each.about, each.copies) == (ask.method, about, copies) and (
            each.parameter is None or each.parameter in ask.query
        ):
            return each
    return _UNKNOWN


def _create_bucket(service: S3Service, ask: Ask) -> Answer:
    service.buckets.setdefault(ask.bucket, Bucket())
    return Answer(200, {"Location": f"/{ask.bucket}"})


def _head_bucket(service: S3Service, ask: Ask) -> Answer:
    service.bucket(ask.bucket)
    return Answer(200, {"x-amz-bucket-region": service.quirks.home_region or "us-east-1"})


def _refuse(service: S3Service, _: Ask) -> Answer:
    service.not_implemented()


# The first one that fits is it, so parameters precede their absence.
_OPERATIONS = (
    Operation("GET", "account", None, False, "ListBuckets", s3_listing.list_buckets),
    Operation("GET", "bucket", "uploads", False, "ListMultipartUploads", s3_uploads.list_uploads),
    *(
        Operation("GET", "bucket", parameter, False, "Unknown", _refuse)
        for parameter in ("location", "acl", "versioning", "versions", "policy", "tagging")
    ),
    Operation("GET", "bucket", None, False, "ListObjects", s3_listing.list_objects),
    Operation("POST", "bucket", "delete", False, "DeleteObjects", s3_objects.delete_many),
    Operation("PUT", "bucket", None, False, "CreateBucket", _create_bucket),
    Operation("HEAD", "bucket", None, False, "HeadBucket", _head_bucket),
    Operation("GET", "object", "uploadId", False, "ListParts", s3_uploads.list_parts),
    Operation("GET", "object", "tagging", False, "GetObjectTagging", s3_objects.tagging),
    Operation("GET", "object", None, False, "GetObject", s3_objects.read),
    Operation("HEAD", "object", None, False, "HeadObject", s3_objects.read),
    Operation("PUT", "object", "partNumber", False, "UploadPart", s3_uploads.put_part),
    Operation("PUT", "object", "partNumber", True, "UploadPartCopy", s3_uploads.copy_part),
    Operation("PUT", "object", None, False, "PutObject", s3_objects.put),
    Operation("PUT", "object", None, True, "CopyObject", s3_objects.copy),
    Operation("POST", "object", "uploads", False, "CreateMultipartUpload", s3_uploads.start),
    Operation("POST", "object", "uploadId", False, "CompleteMultipartUpload", s3_uploads.complete),
    Operation("DELETE", "object", "uploadId", False, "AbortMultipartUpload", s3_uploads.abort),
    Operation("DELETE", "object", None, False, "DeleteObject", s3_objects.delete),
)
_UNKNOWN = Operation("", "account", None, False, "Unknown", _refuse)
