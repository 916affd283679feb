"""Translates error responses of Google Cloud Storage into the library's errors.

Source: https://cloud.google.com/storage/docs/json_api/v1/status-codes
and https://cloud.google.com/storage/docs/xml-api/reference-status
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

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
from dxflow_async.providers.common import xml_reader as xmlreader
from dxflow_async.providers.common.error_table import AGAIN, SLOWER, ErrorRow, ErrorTable, KeyRows, page_text
from dxflow_async.providers.http import Call

__all__ = ["REQUEST_ID", "error_of", "parse_error", "refuses_rewrite"]

_RIGHTS = ErrorRow(AccessDeniedError, "check the credentials' rights on this bucket")
_SLOWER = ErrorRow(ThrottledError, SLOWER)
_REPLACED = ErrorRow(PreconditionFailedError, "the object was replaced in the meantime; start again")
_FAILED = ErrorRow(ServiceError, AGAIN)
_NO_BUCKET = ErrorRow(NotFoundError, "create it or set GCP.private to another bucket")
_DAMAGED = ErrorRow(ChecksumMismatchError, "the bytes changed on the way")
_SIGN_IN = ErrorRow(AccessDeniedError, "check GCP.service_file, or sign in to Google Cloud again")
_QUOTA = ErrorRow(AccessDeniedError, "raise the project's quota")
_BILLING = ErrorRow(AccessDeniedError, "the project's billing has to be enabled first")
_MAY_NOT_BILL = ErrorRow(
    AccessDeniedError,
    "the credentials may not use the project in GCP.user_project: grant them Service Usage Consumer there, or unset it "
    "for a bucket that pays itself",
)
_MAY_NOT_REPLACE = ErrorRow(
    AccessDeniedError,
    "deleting an object, and replacing one that exists, needs the right storage.objects.delete: grant it, as with the "
    "role Storage Object User, or use a new name",
)
_RETAINED = ErrorRow(
    AccessDeniedError, "a retention policy protects the object; wait until it ends, or have the policy lifted"
)
_HELD = ErrorRow(AccessDeniedError, "a hold protects the object; have the hold released first")
_PAYER = ErrorRow(
    AccessDeniedError,
    "the bucket makes the requester pay; set GCP.user_project to the project that pays, in which the credentials need "
    "serviceusage.services.use",
)
_KMS = ErrorRow(
    AccessDeniedError, "the Cloud KMS key of the bucket or object cannot be used; check its state and the rights on it"
)
_KEYS = KeyRows("GCP.customer_key")
_POLICY = ErrorRow(AccessDeniedError, "a policy of the organization forbids it; ask its administrator")
_SMALLER = ErrorRow(
    StorageError, "it is larger than the service takes in one request; set part_size to a smaller value"
)
_UNKNOWN = ErrorRow(UnsupportedError, "this server does not support the request")

# Some messages say what no reason or status does. The first match counts.
_MESSAGES = tuple(
    (re.compile(pattern, re.IGNORECASE), row)
    for pattern, row in (
        (
            "uniform bucket-level access",
            ErrorRow(
                UnsupportedError,
                "this bucket's objects cannot be made public one by one; upload without public, and let allUsers read "
                "it",
            ),
        ),
        (
            "public access prevention|permitted customer",
            ErrorRow(
                UnsupportedError,
                "this bucket or its organization allows no public objects; upload without public",
            ),
        ),
        (r"serviceusage\.services\.use", _MAY_NOT_BILL),
        (r"does not have storage\.objects\.delete", _MAY_NOT_REPLACE),
        ("requester pays|user project", _PAYER),
        ("retention (policy|period)|subject to .*retention", _RETAINED),
        ("under (active|an? (temporary|event.based)) hold|event.based hold|temporary hold", _HELD),
        ("vpc ?service ?controls|organization's policy", _POLICY),
        (r"cloud ?kms|kms key|cryptokey", _KMS),
        ("match(es)? (the )?(calculated|computed)", _DAMAGED),
        ("bucket does not exist", _NO_BUCKET),
    )
)

# The JSON API's reasons, then the XML API's codes.
_REASONS: dict[str, ErrorRow] = {
    "rateLimitExceeded": _SLOWER,
    "userRateLimitExceeded": _SLOWER,
    "usageLimits.rateLimitExceeded": _SLOWER,
    "tooManyRequests": _SLOWER,
    "dailyLimitExceeded": _QUOTA,
    "quotaExceeded": _QUOTA,
    "accessNotConfigured": ErrorRow(AccessDeniedError, "enable the Cloud Storage API in the project"),
    "usageLimits.accessNotConfigured": ErrorRow(AccessDeniedError, "enable the Cloud Storage API in the project"),
    "insufficientPermissions": ErrorRow(
        AccessDeniedError, "the credentials lack the scope or the right for this; check their rights on this bucket"
    ),
    "accountDisabled": _BILLING,
    "userProjectAccountProblem": _BILLING,
    "UserProjectAccountProblem": _BILLING,
    "authError": _SIGN_IN,
    "conflict": ErrorRow(AlreadyExistsError, "choose another name"),
    "retentionPolicyNotMet": _RETAINED,
    "objectUnderActiveHold": _HELD,
    "ObjectUnderActiveHold": _HELD,
    "userProjectMissing": _PAYER,
    "userProjectInvalid": _PAYER,
    "userProjectInconsistent": _PAYER,
    "userProjectAccessDenied": _PAYER,
    "authenticationRequiredRequesterPays": _PAYER,
    "orgPolicyConstraintFailed": _POLICY,
    "vpcServiceControls": _POLICY,
    "cloudKms*": _KMS,
    "customerEncryptionKey*": _KEYS.wrong,
    "CustomerEncryptionKey*": _KEYS.wrong,
    "resourceIsEncryptedWithCustomerEncryptionKey": _KEYS.needed,
    "ResourceIsEncryptedWithCustomerEncryptionKey": _KEYS.needed,
    "resourceNotEncryptedWithCustomerEncryptionKey": _KEYS.needless,
    "ResourceNotEncryptedWithCustomerEncryptionKey": _KEYS.needless,
    "uploadTooLarge": _SMALLER,
    "sslRequired": ErrorRow(AccessDeniedError, "only encrypted requests are allowed; write https:// in GCP.endpoint"),
    "countryBlocked": ErrorRow(AccessDeniedError, "the service is not offered in this country"),
    "NoSuchBucket": _NO_BUCKET,
    "NoSuchKey": ErrorRow(NotFoundError, "check the path"),
    "AccessDenied": _RIGHTS,
    "UserProjectMissing": _PAYER,
    "UserProjectInvalid": _PAYER,
    "UserProjectInconsistent": _PAYER,
    "UserProjectAccessDenied": _PAYER,
    "KeyTooLong": ErrorRow(StorageError, "a name has at most 1,024 bytes; use a shorter one"),
    "MetadataTooLarge": ErrorRow(StorageError, "Google keeps at most 8 KiB of metadata; shorten it"),
    "EntityTooLarge": _SMALLER,
    "EntityTooSmall": ErrorRow(
        StorageError, "a part is smaller than the service allows; set part_size to a larger value"
    ),
    "InvalidBucketName": ErrorRow(
        StorageError,
        "a bucket's name has 3 to 63 small letters, digits, dots, hyphens and underscores; check the path",
    ),
    "BadDigest": _DAMAGED,
    "SlowDown": _SLOWER,
    "RequestTimeout": _FAILED,
}

_STATUSES: dict[int, ErrorRow] = {
    401: _SIGN_IN,
    403: _RIGHTS,
    404: ErrorRow(NotFoundError, "check the path"),
    408: _FAILED,
    409: ErrorRow(StorageError, "another request was at work on it; try again"),
    410: ErrorRow(ServiceError, "the upload was lost; start it again"),
    412: _REPLACED,
    416: ErrorRow(PreconditionFailedError, "the object is shorter than the range; start again"),
    429: _SLOWER,
    501: _UNKNOWN,
    503: _SLOWER,
}

_PROTECTED = re.compile(
    r"retention|\bhold\b|storage\.objects\.(create|delete|get)\b|serviceusage|billing|accountDisabled|quota|rate limit",
    re.IGNORECASE,
)

REQUEST_ID = "x-guploader-uploadid"
"""The header that each answer of Google's has."""

_TABLE = ErrorTable(
    kind="GCP",
    codes=_REASONS,
    messages=_MESSAGES,
    statuses=_STATUSES,
    request_id=REQUEST_ID,
    marks=("x-goog-generation",),
    elsewhere="set GCP.endpoint to that address",
    always_marked=True,
)


def error_of(
    call: Call,
    status: int,
    reason: str,
    message: str,
    headers: Mapping[str, str],
    *,
    missing_bucket: str = "",
) -> StorageError:
    """Returns the error for a response with that status, reason and message.

    Args:
        call, status, reason, message, headers: the request and its response.
        missing_bucket: the bucket, if nothing else can be missing.
    """
    row = _TABLE.row(status, reason, message, headers)
    if row.cls is NotFoundError and (missing_bucket or row is _NO_BUCKET):
        message, row = f'bucket "{missing_bucket or call.path.split("/")[1]}" does not exist', _NO_BUCKET
    return _TABLE.error(call, status, reason, message, headers, row)


def refuses_rewrite(error: StorageError) -> bool:
    """Returns whether a copy may be refused that this machine can make by reading and writing.

    Policies and perimeters apply to the service's own access. A protected target refuses a write just the same.
    """
    if error.status in (405, 501) or error.code in ("notImplemented", "methodNotAllowed"):
        return True
    if isinstance(error, NotFoundError) and not error.code:
        return True  # there is no such request; a missing object has a reason
    return error.status == 403 and _PROTECTED.search(str(error)) is None


def parse_error(data: bytes) -> tuple[str, str]:
    """Returns the reason and message of an error body, which is JSON, XML or a line of text."""
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        try:
            return _parse_json(json.loads(start))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            pass
    elif start.startswith(b"<"):
        try:
            values = xmlreader.parse(data, prefixes=False).values
        except xmlreader.MalformedXMLError:
            pass
        else:
            if "Code" in values:
                return values["Code"], values.get("Message", "")
    return "", page_text(data)


def _parse_json(document: dict[str, Any]) -> tuple[str, str]:
    error = document["error"]
    if isinstance(error, str):  # the form of token servers
        return error, str(document.get("error_description", ""))
    errors = error.get("errors") or [{}]
    return str(errors[0].get("reason", "")), str(error.get("message", ""))
