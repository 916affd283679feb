"""The state of the S3 server, and the rules that several of its operations share."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import NoReturn
from urllib.parse import quote_plus

from tests.dialects.s3_checksums import checksum, sent_checksums
from tests.dialects.s3_exchange import Answer, Ask, S3Error
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_store import Bucket, StoredObject, Upload

__all__ = ["KEY_MD5", "S3Service"]

KEY_MD5 = "x-amz-server-side-encryption-customer-key-md5"
"""The header that names a customer's key: an object that has it was stored under that key."""


class S3Service:
    """Buckets, and how the server differs from Amazon's.

    Attributes:
        min_part_size: of all parts but the last, in bytes.
        failed: operations that `Quirks.fails_after_200` has made fail: (operation, bucket, key).
    """

    def __init__(self, quirks: Quirks, min_part_size: int) -> None:
        self.quirks = quirks
        self.min_part_size = min_part_size
        self.buckets: dict[str, Bucket] = {}
        self.failed: set[tuple[str, str, str]] = set()

    def now(self) -> float:
        """Returns the server's time."""
        return time.time() + self.quirks.clock_offset

    def bucket(self, name: str) -> Bucket:
        """Returns a bucket.

        Raises:
            S3Error: there is none.
        """
        found = self.buckets.get(name)
        if found is None:
            details = {"BucketName": name}
            raise S3Error(404, "NoSuchBucket", "The specified bucket does not exist", details=details)
        return found

    def object(self, bucket: str, key: str) -> StoredObject:
        """Returns an object.

        Raises:
            S3Error: there is none.
        """
        found = self.bucket(bucket).objects.get(key)
        if found is None:
            raise S3Error(404, "NoSuchKey", "The specified key does not exist.", details={"Key": key})
        return found

    def upload(self, ask: Ask) -> Upload:
        """Returns the upload that a request names.

        Raises:
            S3Error: there is none.
        """
        found = self.bucket(ask.bucket).uploads.get(ask.query["uploadId"])
        if found is None or found.key != ask.key:
            text = "The specified upload does not exist. The upload ID may be invalid, or it was aborted or completed."
            raise S3Error(404, "NoSuchUpload", text, details={"UploadId": ask.query["uploadId"]})
        return found

    def etag_header(self, etag: str) -> str:
        """Returns an etag as headers report it."""
        if self.quirks.plain_etags:
            return etag
        return f'W/"{etag}"' if self.quirks.weak_etags else f'"{etag}"'

    def etag_text(self, etag: str) -> str:
        """Returns an etag as documents report it."""
        return f'"{etag}"' if self.quirks.weak_etags == "headers" else self.etag_header(etag)

    def matches(self, condition: str, etag: str) -> bool:
        """Returns whether one of the etags of an If-Match names the object. A weak one never does (RFC 9110 13.1.1)."""
        if condition.strip() == "*":
            return True
        if self.quirks.weak_etags == "everywhere":
            return False
        return any(each.strip() in (f'"{etag}"', etag) for each in condition.split(","))

    def check_size(self, ask: Ask) -> None:
        """Refuses a body that is larger than one request may have.

        Raises:
            S3Error: it is.
        """
        if len(ask.body) > self.quirks.max_put:
            text = "Your proposed upload exceeds the maximum allowed size"
            details = {"ProposedSize": str(len(ask.body)), "MaxSizeAllowed": str(self.quirks.max_put)}
            raise S3Error(400, "EntityTooLarge", text, details=details)

    def check_key(self, ask: Ask, stored: StoredObject, prefix: str = "x-amz") -> None:
        """Refuses a request about an encrypted object without the customer's key, and a needless key.

        Raises:
            S3Error: 400 without the key or with one that is not needed, 403 with another key.
        """
        kept = stored.headers.get(KEY_MD5)
        sent = ask.headers.get(KEY_MD5.replace("x-amz", prefix, 1))
        if kept is None and sent is None:
            return
        if kept is None:
            raise S3Error(400, "InvalidRequest", "The encryption parameters are not applicable to this object.")
        if sent is None:
            text = (
                "The object was stored using a form of Server Side Encryption. The correct parameters must be provided "
                "to retrieve the object."
            )
            raise S3Error(400, "InvalidRequest", text)
        key = base64.b64decode(ask.headers.get(KEY_MD5.replace("x-amz", prefix, 1).removesuffix("-md5"), ""))
        if base64.b64encode(hashlib.md5(key).digest()).decode() != sent or len(key) != 32:
            raise S3Error(400, "InvalidArgument", "The calculated MD5 hash of the key did not match the hash provided")
        if sent != kept:
            raise S3Error(403, "AccessDenied", "Access Denied")

    def check_condition(self, ask: Ask) -> None:
        """Refuses a write or a deletion whose condition does not hold.

        Raises:
            S3Error: 412, 404 where there is no object to match, or 501.
        """
        none_match, match = ask.headers.get("if-none-match"), ask.headers.get("if-match")
        if (none_match is None and match is None) or self.quirks.conditions == "ignored":
            return
        if self.quirks.conditions == "refused":
            raise S3Error(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
        found = self.bucket(ask.bucket).objects.get(ask.key)
        if match is not None and found is None:
            raise S3Error(404, "NoSuchKey", "The specified key does not exist.", details={"Key": ask.key})
        differs = match is not None and found is not None and not self.matches(match, found.etag)
        if differs or (none_match == "*" and found is not None):
            raise S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")

    def loses(self, operation: str, ask: Ask) -> bool:
        """Returns whether the answer to a write is lost, which happens once for each key."""
        writes = operation in ("PutObject", "CopyObject", "CompleteMultipartUpload")
        conditional = "if-none-match" in ask.headers or "if-match" in ask.headers
        if not (self.quirks.loses_answers and writes and conditional) or ("lost", ask.bucket, ask.key) in self.failed:
            return False
        self.failed.add(("lost", ask.bucket, ask.key))
        return True

    def checksums_of(self, ask: Ask, data: bytes) -> dict[str, str]:
        """Returns the checksums of a body that its request announces, or those that this server uses instead."""
        other = self.quirks.other_checksum
        return sent_checksums(ask.headers, data) if other is None else {other: checksum(other, data)}

    def fail_once(self, operation: str, ask: Ask) -> None:
        """Makes an operation fail once for each key, after its status was sent."""
        if self.quirks.fails_after_200 and (operation, ask.bucket, ask.key) not in self.failed:
            self.failed.add((operation, ask.bucket, ask.key))
            raise S3Error(200, "InternalError", "We encountered an internal error. Please try again.")

    def url_encoded(self, ask: Ask) -> bool:
        """Returns whether an answer to a request encodes keys."""
        return ask.query.get("encoding-type") == "url" and not self.quirks.ignores_encoding

    def xml(self, text: str, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
        """Returns an answer with a document."""
        body = f'{self.quirks.prologue}<?xml version="1.0" encoding="UTF-8"?>\n{text}'
        return Answer(status, {"Content-Type": "application/xml", **(headers or {})}, body.encode())

    @staticmethod
    def encoded(text: str) -> str:
        """Returns a key as `encoding-type=url` asks for it."""
        return quote_plus(text, safe="/-_.*")

    @staticmethod
    def not_implemented() -> NoReturn:
        """Refuses a request that this server does not know.

        Raises:
            S3Error: always.
        """
        text = "A header you provided implies functionality that is not implemented."
        raise S3Error(501, "NotImplemented", text)
