"""The ways in which S3 services differ from Amazon's: one switch each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Quirks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How a server differs from Amazon S3. By default it does not.

    Attributes:
        composite_only: multipart uploads have checksums of checksums only, and no `x-amz-checksum-type` is known
            (Garage, MinIO of 2022).
        refuses_checksums: requests with a checksum header or a checksum algorithm fail with this status and code.
        refuses_checksum_mode: HEAD and GET with `x-amz-checksum-mode` fail with 400 InvalidArgument (Backblaze B2).
        refuses_copies: status and code with which CopyObject and UploadPartCopy are refused.
        no_checksums: checksum headers are ignored and none is returned; only Content-MD5 is compared.
        other_checksum: the algorithm that is used whatever was sent or asked for.
        refuses_unsigned: UNSIGNED-PAYLOAD fails with XAmzContentSHA256Mismatch, of requests with a body or of all.
        refuses_delete_objects: DeleteObjects fails with this status and code (Google Cloud Storage).
        uniform_parts: all parts but the last must have the same size (Cloudflare R2).
        max_parts: the highest number of a part (Scaleway: 1,000).
        get_without_length: bodies of objects are sent chunked, without Content-Length.
        head_without_length: answers to HEAD have no Content-Length.
        ignores_range: a range is answered with the whole object and status 200.
        weak_etags: ETags are weak, in headers only (a compressing proxy) or everywhere. If-Match compares strongly.
        home_region: the region of all buckets. A GET that is signed for another one fails and names it; a HEAD
            fails with 400 and says nothing.
        max_put: the largest body of one request, in bytes; larger ones are EntityTooLarge.
        plain_prefixes: listings encode keys and say so, but do not encode common prefixes.
        ignores_encoding: `encoding-type` is ignored: listings are not encoded.
        prologue: precedes each XML document.
        html_400_every: a load balancer answers each n-th request with 400 and a page of HTML.
        metadata: how values beyond ASCII are kept. Amazon decodes RFC 2047 and returns it; `"utf8"` keeps the bytes
            as they are (MinIO); `"refused"` fails with 400 InvalidArgument.
        other_listed_etags: listings have another ETag than HEAD and GET (copies of objects in parts at Swift).
        plain_etags: ETags have no quotes.
        no_etags: there are no ETags, in headers only (a proxy that changes bodies) or everywhere.
        no_metadata: user metadata is dropped.
        classes: the storage classes that new objects may be given, besides the standard one; None: any.
        terse_listing: objects in listings have no owner, no storage class and no checksum algorithm.
        v1_only: pages have markers and no tokens: `list-type=2` is ignored, or refused with 501.
        no_next_marker: pages have no `NextMarker`, and what a common prefix stands for is behind it.
        fails_after_200: the first CompleteMultipartUpload and the first CopyObject of each key are answered with 200
            and a body that is an InternalError; nothing is stored.
        clock_offset: seconds by which the server's clock is ahead. Requests that differ by more than 15 minutes are
            RequestTimeTooSkewed.
        damaged: of objects and parts of these keys, other bytes are stored than were sent.
        files: DELETE of `name/` removes the object `name` where there is no marker (MinIO's older backends, JuiceFS).
        folds_slashes: `a//b` is the same key as `a/b`.
        requester_pays: requests that do not agree to pay are AccessDenied.
        denied: the operations that the credentials have no right to, such as `"ListObjects"`.
        refuses_head: HEAD of an object fails with this status.
        tagging: whether tags may be read and written; `"denied"` is 403, `"missing"` 501, and where they are
            `"ignored"`, `?tagging` is answered with the object.
        page_size: the most entries of a page of a listing.
        conditions: of writes and deletions, `If-None-Match` and `If-Match`, are obeyed, ignored, or refused with 501.
        loses_answers: the first PutObject, CopyObject and CompleteMultipartUpload with a condition, of each key, are
            done, and the connection is closed instead of an answer.
    """

    composite_only: bool = False
    refuses_checksums: tuple[int, str] | None = None
    refuses_checksum_mode: bool = False
    refuses_copies: tuple[int, str] | None = None
    no_checksums: bool = False
    other_checksum: str | None = None
    refuses_unsigned: Literal["bodies", "all"] | None = None
    refuses_delete_objects: tuple[int, str] | None = None
    uniform_parts: bool = False
    max_parts: int = 10_000
    get_without_length: bool = False
    head_without_length: bool = False
    ignores_range: bool = False
    weak_etags: Literal["headers", "everywhere"] | None = None
    home_region: str | None = None
    max_put: int = 5 << 30
    plain_prefixes: bool = False
    ignores_encoding: bool = False
    prologue: str = ""
    html_400_every: int | None = None
    metadata: Literal["rfc2047", "utf8", "refused"] = "rfc2047"
    other_listed_etags: bool = False
    plain_etags: bool = False
    no_etags: Literal["headers", "everywhere"] | None = None
    no_metadata: bool = False
    classes: tuple[str, ...] | None = None
    terse_listing: bool = False
    v1_only: Literal["ignored", "refused"] | None = None
    no_next_marker: bool = False
    fails_after_200: bool = False
    clock_offset: float = 0.0
    damaged: tuple[str, ...] = ()
    files: bool = False
    folds_slashes: bool = False
    requester_pays: bool = False
    denied: frozenset[str] = frozenset()
    refuses_head: int | None = None
    tagging: Literal["kept", "denied", "missing", "ignored"] = "kept"
    page_size: int = 1000
    conditions: Literal["obeyed", "ignored", "refused"] = "obeyed"
    loses_answers: bool = False
