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
from dxflow_async.providers.common.remote_names import for_remote
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.http import Call, Response

__all__ = [
    "UNKNOWN_HEADER_CODES",
    "error_of",
    "is_key_refusal",
    "is_time_refused",
    "is_token_refusal",
    "parse_error",
    "region_named",
]

UNKNOWN_HEADER_CODES = {"NotImplemented", "InvalidArgument", "InvalidRequest", "UnsupportedHeader"}

# Code: the error, and what the user can do.
_CODES: dict[str, tuple[type[StorageError], str]] = {
    "NoSuchBucket": (NotFoundError, "create it or set AWS.private to another bucket"),
    "NoSuchKey": (NotFoundError, "check the path"),
    "NoSuchUpload": (NotFoundError, "the upload was finished or removed; start it again"),
    "AccessDenied": (AccessDeniedError, "check the credentials' rights on this bucket"),
    "AllAccessDisabled": (AccessDeniedError, "enable the account first"),
    "InvalidAccessKeyId": (AccessDeniedError, "check AWS.access_key or the SDK's credentials"),
    "SignatureDoesNotMatch": (AccessDeniedError, "check AWS.secret_key and AWS.region"),
    "ExpiredToken": (AccessDeniedError, "sign in to AWS again"),
    "RequestTimeTooSkewed": (AccessDeniedError, "correct the clock of this machine"),
    "PreconditionFailed": (PreconditionFailedError, "the object was replaced in the meantime; start again"),
    "ConditionalRequestConflict": (PreconditionFailedError, "the object was replaced in the meantime; start again"),
    "BucketAlreadyExists": (AlreadyExistsError, "choose another name"),
    "BucketAlreadyOwnedByYou": (AlreadyExistsError, "use it as it is"),
    "AccessControlListNotSupported": (
        UnsupportedError,
        "the bucket does not allow public objects; add a bucket policy",
    ),
    "NotImplemented": (UnsupportedError, "this server does not support the request"),
    "BadDigest": (ChecksumMismatchError, "the bytes changed on the way"),
    "InvalidDigest": (ChecksumMismatchError, "the bytes changed on the way"),
    "XAmzContentSHA256Mismatch": (ChecksumMismatchError, "the bytes changed on the way"),
    "XAmzContentChecksumMismatch": (ChecksumMismatchError, "the bytes changed on the way"),
    "SlowDown": (ThrottledError, "the service asks for fewer requests"),
    "ServiceUnavailable": (ThrottledError, "the service asks for fewer requests"),
    "RequestLimitExceeded": (ThrottledError, "the service asks for fewer requests"),
    "TooManyRequests": (ThrottledError, "the service asks for fewer requests"),
    "InternalError": (ServiceError, "the service failed; try again"),
    "RequestTimeout": (ServiceError, "the service lost the connection; try again"),
    "IncompleteBody": (ServiceError, "the service lost the connection; try again"),
}

_STATUSES: dict[int, tuple[type[StorageError], str]] = {
    302: (ServiceError, "a proxy or a sign-in page may have answered instead of the service; check the network"),
    303: (ServiceError, "a proxy or a sign-in page may have answered instead of the service; check the network"),
    301: (StorageError, "the bucket is in another region; set AWS.region"),
    401: (AccessDeniedError, "check the credentials"),
    403: (AccessDeniedError, "check the credentials and their rights on this bucket"),
    404: (NotFoundError, "check the path"),
    409: (StorageError, "another request changed it at the same time; try again"),
    412: (PreconditionFailedError, "the object was replaced in the meantime; start again"),
    416: (PreconditionFailedError, "the object is shorter than the range; start again"),
    429: (ThrottledError, "the service asks for fewer requests"),
    501: (UnsupportedError, "this server does not support the request"),
    503: (ThrottledError, "the service asks for fewer requests"),
}


def error_of(call: Call, status: int, code: str, message: str, headers: Mapping[str, str]) -> StorageError:
    """Returns the error for a response with that status, code and message."""
    cls, advice = _CODES.get(code) or _STATUSES.get(status) or _other(status)
    subject = f'bucket "{call.path.split("/")[1]}" does not exist' if code == "NoSuchBucket" else message
    advice = for_remote(advice, call.provider, "AWS")
    said = f"{subject or 'no reason given'} ({' '.join(filter(None, [str(status), code]))}); {advice}"
    seconds = headers.get("retry-after", "")
    retry_after = float(seconds) if re.fullmatch(r"\d{1,6}(\.\d+)?", seconds) else None
    return call.error(
        cls, said, status=status, code=code or None, request_id=headers.get("x-amz-request-id"), retry_after=retry_after
    )


def _other(status: int) -> tuple[type[StorageError], str]:
    return (ServiceError, "the service failed; try again") if status >= 500 else (StorageError, "see the code")


def parse_error(data: bytes) -> tuple[str, str]:
    """Returns the code and message of an error body; if it is not XML, no code and the start of the body."""
    if not data:
        return "", ""
    try:
        values = s3xml.parse(data).values
    except s3xml.MalformedXMLError:
        return "", data[:200].decode("utf-8", "replace")
    return values.get("Code", ""), values.get("Message", "")


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
