"""Translates error responses of S3 into the library's errors.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    ChecksumMismatchError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    StorageError,
    ThrottledError,
    UnsupportedError,
)
from dxflow_async.providers.aws import xml as s3xml
from dxflow_async.providers.common.confirm import FEW_ATTEMPTS
from dxflow_async.providers.common.error_table import AGAIN, SLOWER, ErrorRow, ErrorTable, KeyRows, page_text
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.http import Call, Response

__all__ = [
    "UNKNOWN_HEADER_CODES",
    "error_of",
    "is_key_refusal",
    "is_time_refused",
    "is_token_refusal",
    "late_error",
    "parse_error",
    "region_named",
]

UNKNOWN_HEADER_CODES = {"NotImplemented", "InvalidArgument", "InvalidRequest", "UnsupportedHeader"}

_PAID = "set AWS.requester_pays = true if it makes its readers pay"
_RIGHTS = f"check the credentials' rights on this bucket, and {_PAID}"
_REPLACED = ErrorRow(PreconditionFailedError, "the object was replaced in the meantime; start again")
_DAMAGED = ErrorRow(ChecksumMismatchError, "the bytes changed on the way")
_SLOWER = ErrorRow(ThrottledError, SLOWER)
_FAILED = ErrorRow(ServiceError, AGAIN)
_BROKEN = ErrorRow(ServiceError, "the service lost the connection; try again")
_UNKNOWN = ErrorRow(UnsupportedError, "this server does not support the request")
_SIGN_IN = ErrorRow(AccessDeniedError, "sign in to AWS again")
_PORTAL = ErrorRow(
    ServiceError, "a proxy or a sign-in page may have answered instead of the service; check the network"
)
_REGION = ErrorRow(StorageError, "the bucket is in another region; set AWS.region")
_ARCHIVED = ErrorRow(
    UnsupportedError, "the object is archived; restore it first (aws s3api restore-object), which takes minutes to days"
)
_LOCKED = ErrorRow(
    AccessDeniedError, "a retention period or a legal hold protects the object; wait until it ends, or lift it"
)
_KMS = ErrorRow(
    AccessDeniedError, "the KMS key of the bucket or object cannot be used; check the key's state and your rights on it"
)
_KEYS = KeyRows("AWS.customer_key")
_QUOTA = ErrorRow(StorageError, "the quota is used up; delete objects or have it raised")
_FULL = ErrorRow(StorageError, "the disks of the server are full; make room there")
_PARTS = ErrorRow(StorageError, "parts are missing or were replaced; start the upload again")
_SMALLER = ErrorRow(
    StorageError, "it is larger than the service takes in one request; set part_size to a smaller value"
)
_TAKEN = ErrorRow(
    AlreadyExistsError,
    "on this server an object and a directory cannot have the same name; delete that, or use another name",
)
_CLOCK = ErrorRow(AccessDeniedError, "the clock of this machine is wrong; set it, for example with NTP")
_SIGN_PAYLOAD = ErrorRow(
    ChecksumMismatchError,
    "the bytes changed on the way, or this server takes no unsigned bodies; set AWS.sign_payload = true",
    max_attempts=FEW_ATTEMPTS,
)

# What a message says and its code does not: the first match counts.
_MESSAGES = (
    (re.compile(r"object.?lock|\bWORM\b|retention|legal hold", re.IGNORECASE), _LOCKED),
    (re.compile(r"\bkms:|\bKMS key|key management", re.IGNORECASE), _KMS),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
    (re.compile(r"stored using a form of server.side encryption", re.IGNORECASE), _KEYS.needed),
    (re.compile(r"encryption parameters are not applicable", re.IGNORECASE), _KEYS.needless),
    (
        re.compile(r"requester.?pays|request-?payer", re.IGNORECASE),
        ErrorRow(AccessDeniedError, "the bucket makes the requester pay; set AWS.requester_pays = true"),
    ),
    (re.compile(r"\b(storage|transaction|bandwidth|download) cap\b|quota", re.IGNORECASE), _QUOTA),
    (re.compile(r"no space left|(disk|storage|drive)s? (path )?(is |are )?full", re.IGNORECASE), _FULL),
    (
        re.compile(r"plain.?text request|HTTP request .* HTTPS", re.IGNORECASE),
        ErrorRow(StorageError, "the server wants TLS; write https:// in AWS.endpoint"),
    ),
)

# Sources: the list of S3 (above), https://github.com/minio/minio/blob/master/cmd/api-errors.go (XMinio...),
# https://docs.ceph.com/en/latest/radosgw/s3/ (QuotaExceeded, UserSuspended)
_CODES: dict[str, ErrorRow] = {
    "NoSuchBucket": ErrorRow(NotFoundError, "create it or set AWS.private to another bucket"),
    "NoSuchKey": ErrorRow(NotFoundError, "check the path"),
    "NoSuchVersion": ErrorRow(NotFoundError, "check the path"),
    "NoSuchUpload": ErrorRow(NotFoundError, "the upload was finished or removed; start it again"),
    "NoSuchAccessPoint": ErrorRow(NotFoundError, "check the access point's name and AWS.region"),
    "AccessDenied": ErrorRow(AccessDeniedError, _RIGHTS),
    "AccountProblem": ErrorRow(AccessDeniedError, "the account has a problem that the service's support has to solve"),
    "AccountIsDisabled": ErrorRow(AccessDeniedError, "enable the account first"),
    "AllAccessDisabled": ErrorRow(AccessDeniedError, "enable the account first"),
    "NotSignedUp": ErrorRow(AccessDeniedError, "sign the account up for the service first, or use another one"),
    "UserSuspended": ErrorRow(AccessDeniedError, "the user is suspended; have it enabled first, or use another one"),
    "InvalidSecurity": ErrorRow(AccessDeniedError, "check AWS.access_key and AWS.secret_key"),
    "InvalidAccessKeyId": ErrorRow(AccessDeniedError, "check AWS.access_key or the SDK's credentials"),
    "InvalidToken": ErrorRow(AccessDeniedError, "check AWS.session_token, or sign in to AWS again"),
    "SignatureDoesNotMatch": ErrorRow(AccessDeniedError, "check AWS.secret_key and AWS.region"),
    "AuthorizationHeaderMalformed": ErrorRow(AccessDeniedError, "check AWS.region and AWS.access_key"),
    "ExpiredToken": _SIGN_IN,
    "TokenRefreshRequired": _SIGN_IN,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "RequestInTheFuture": _CLOCK,
    "PermanentRedirect": ErrorRow(StorageError, "the bucket is in another region; set AWS.region or AWS.endpoint"),
    "TemporaryRedirect": ErrorRow(ServiceError, "the bucket is being moved; try again"),
    "IllegalLocationConstraintException": _REGION,
    "InvalidObjectState": _ARCHIVED,
    "ObjectNotInActiveTierError": _ARCHIVED,
    "RestoreAlreadyInProgress": ErrorRow(UnsupportedError, "the object is being restored; try again in some hours"),
    "ObjectLocked": _LOCKED,
    "ObjectLockedByBucketPolicy": _LOCKED,
    "KMS.ThrottlingException": _SLOWER,
    "KMS.*": _KMS,
    "QuotaExceeded": _QUOTA,
    "AccountQuotaExceeded": _QUOTA,
    "XMinioAdminBucketQuotaExceeded": _QUOTA,
    "XMinioStorageFull": _FULL,
    "InsufficientStorage": _FULL,
    "TooManyBuckets": ErrorRow(
        StorageError, "the account has as many buckets as it may; remove one or raise the limit"
    ),
    "BucketNotEmpty": ErrorRow(AlreadyExistsError, "delete its objects, also older versions and unfinished uploads"),
    "InvalidBucketName": ErrorRow(
        StorageError,
        "a bucket's name, the first part of the path, has 3 to 63 small letters, digits, dots and hyphens; check it",
    ),
    "KeyTooLongError": ErrorRow(StorageError, "a key has at most 1,024 bytes; use a shorter name"),
    "XMinioInvalidObjectName": ErrorRow(StorageError, "this server does not take that name; use another one"),
    "XMinioObjectExistsAsDirectory": _TAKEN,
    "XMinioParentIsObject": _TAKEN,
    "MetadataTooLarge": ErrorRow(StorageError, "S3 keeps at most 2 KB of metadata; shorten it"),
    "EntityTooLarge": _SMALLER,
    "MaxMessageLengthExceeded": _SMALLER,
    "EntityTooSmall": ErrorRow(
        StorageError, "a part is smaller than the service allows; set part_size to a larger value"
    ),
    "InvalidPart": _PARTS,
    "InvalidPartOrder": _PARTS,
    "InvalidRange": ErrorRow(PreconditionFailedError, "the object is shorter than the range; start again"),
    "PreconditionFailed": _REPLACED,
    "ConditionalRequestConflict": _REPLACED,
    "OperationAborted": ErrorRow(
        ServiceError, "another request is at work on it; try again", max_attempts=FEW_ATTEMPTS
    ),
    "BucketAlreadyExists": ErrorRow(AlreadyExistsError, "choose another name"),
    "BucketAlreadyOwnedByYou": ErrorRow(AlreadyExistsError, "use it as it is"),
    "AccessControlListNotSupported": ErrorRow(
        UnsupportedError, "the bucket does not allow public objects; add a bucket policy"
    ),
    "MethodNotAllowed": ErrorRow(UnsupportedError, "this server does not allow that here; check the path"),
    "NotImplemented": _UNKNOWN,
    "MalformedXML": ErrorRow(UnsupportedError, "this server does not understand the request; check AWS.endpoint"),
    "InvalidURI": ErrorRow(StorageError, "this server does not take that name; use another one"),
    "MissingContentLength": ErrorRow(StorageError, "a proxy may have removed the Content-Length; check the network"),
    "BadDigest": _DAMAGED,
    "InvalidDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _SIGN_PAYLOAD,
    "XAmzContentChecksumMismatch": _DAMAGED,
    "SlowDown": _SLOWER,
    "SlowDownRead": _SLOWER,
    "SlowDownWrite": _SLOWER,
    "ServiceUnavailable": _SLOWER,
    "RequestLimitExceeded": _SLOWER,
    "TooManyRequests": _SLOWER,
    "TooManyRequestsException": _SLOWER,
    "Throttling": _SLOWER,
    "ThrottlingException": _SLOWER,
    "BandwidthLimitExceeded": _SLOWER,
    "XMinioServerNotInitialized": ErrorRow(ServiceError, "the server is starting; try again"),
    "InternalError": _FAILED,
    "RequestTimeout": _BROKEN,
    "IncompleteBody": _BROKEN,
}

_STATUSES: dict[int, ErrorRow] = {
    302: _PORTAL,
    303: _PORTAL,
    301: _REGION,
    307: _REGION,
    401: ErrorRow(AccessDeniedError, "check the credentials"),
    403: ErrorRow(AccessDeniedError, f"check the credentials and their rights on this bucket, and {_PAID}"),
    404: ErrorRow(NotFoundError, "check the path"),
    409: ErrorRow(StorageError, "another request changed it at the same time; try again"),
    412: _REPLACED,
    416: ErrorRow(PreconditionFailedError, "the object is shorter than the range; start again"),
    429: _SLOWER,
    501: _UNKNOWN,
    503: _SLOWER,
    507: _FULL,
}

_TABLE = ErrorTable(
    kind="AWS",
    codes=_CODES,
    messages=_MESSAGES,
    statuses=_STATUSES,
    request_id="x-amz-request-id",
    marks=("x-amz-bucket-region", "x-amz-id-2"),
    elsewhere="set AWS.endpoint to that address",
    time_codes=("RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"),
    vague_codes=("AccessDenied", "SignatureDoesNotMatch", "InvalidRequest"),
)


# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_NEEDED = {
    "list": "s3:ListBucket",
    "read": "s3:GetObject",
    "stat": "s3:GetObject",
    "write": "s3:PutObject",
    "copy": "s3:GetObject and s3:PutObject",
    "delete": "s3:DeleteObject",
    "list uploads": "s3:ListBucketMultipartUploads",
}
"""The rights that each storage call needs."""


def error_of(
    call: Call, status: int, code: str, message: str, headers: Mapping[str, str], *, keyed: bool = False
) -> StorageError:
    """Returns the error for a response with that status, code and message.

    Args:
        call, status, code, message, headers: the response, and the request's name.
        keyed: whether the request had a customer's key: a wrong one is refused as a right that is missing.
    """
    row = _TABLE.row(status, code, message, headers)
    if code == "NoSuchBucket":
        message = f'bucket "{call.path.split("/")[1]}" does not exist'
    if row.cls is AccessDeniedError and row.advice.endswith(_PAID) and (right := _right_for(call)):
        row = row._replace(advice=f"this needs the right {right}: {row.advice}")
        if keyed:
            row = row._replace(advice=f"{row.advice}; or {_KEYS.wrong.advice}")
    return _TABLE.error(call, status, code, message, headers, row)


def late_error(
    call: Call, status: int, code: str, message: str, headers: Mapping[str, str], clock: ServerClock
) -> StorageError:
    """Returns the error for a response to a request that was signed anew, with the service's time."""
    error = _TABLE.clock_error(call, status, code, message, headers, clock)
    return error or error_of(call, status, code, message, headers)


def _right_for(call: Call) -> str | None:
    """Returns the right that a call needs; None if it is not known."""
    if call.operation == "list" and call.path == "/":
        return "s3:ListAllMyBuckets"
    return _NEEDED.get(call.operation)


def parse_error(data: bytes) -> tuple[str, str]:
    """Returns the code and message of an error body; if it is not XML, no code and its words."""
    if not data:
        return "", ""
    try:
        values = s3xml.parse(data).values
    except s3xml.MalformedXMLError:
        return "", page_text(data)
    if "Code" not in values:
        return "", page_text(data)
    return values["Code"], values.get("Message", "")


def is_token_refusal(status: int, code: str) -> bool:
    """Returns whether temporary credentials have expired. The response to a HEAD request carries no code."""
    return status == 400 and code in ("ExpiredToken", "TokenRefreshRequired", "")


def is_key_refusal(status: int, code: str) -> bool:
    """Returns whether the service may have revoked the keys that signed a request.

    That is sure where the response has a code. The response to a HEAD request has none.
    """
    revoked = ("ExpiredToken", "TokenRefreshRequired", "InvalidToken", "InvalidAccessKeyId")
    return status in (400, 401, 403) and (not code or code in revoked)


_TIME_REFUSED = re.compile(
    r"RequestTimeTooSkewed|RequestExpired|RequestInTheFuture|signature expired|signature not yet current|"
    r"requires a valid Date",
    re.IGNORECASE,
)


def is_time_refused(clock: ServerClock, used: float, response: Response, code: str, message: str, data: bytes) -> bool:
    """Returns whether the service refuses the time of a signature, and another signature has another time.

    The response to a HEAD request has no code; there, the service's `Date` tells.

    Args:
        clock: the service's time, which is corrected.
        used: the offset of `clock` that the request was signed with.
        response: the refusal.
        code: its code.
        message: its message.
        data: its body.
    """
    named = _TIME_REFUSED.search(f"{code} {message}") is not None
    if not named and (code or response.status not in (400, 401, 403)):
        return False
    told = re.search(rb"<ServerTime>([0-9-]+T[0-9:]+)(?:\.[0-9]+)?Z</ServerTime>", data) if named else None
    return clock.corrected(used, response.headers, named=named, told=_seconds(told[1]) if told else 0.0)


def _seconds(text: bytes) -> float:
    try:
        return datetime.fromisoformat(text.decode()).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def region_named(headers: Mapping[str, str], code: str, message: str, data: bytes) -> str | None:
    """Returns the region that an error asks for: in a header, a `<Region>` element, or its message."""
    told = headers.get("x-amz-bucket-region", "")
    if re.fullmatch(r"[a-z0-9-]+", told):
        return told
    if code not in ("AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"):
        return None
    found = re.search(rb"<Region>([a-z0-9-]+)</Region>", data) or re.search(r"expecting '([a-z0-9-]+)'", message)
    if found is None:
        return None
    region = found.group(1)
    return region.decode() if isinstance(region, bytes) else region
