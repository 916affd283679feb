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
from dxflow_async.providers.common.remote_names import for_remote
from dxflow_async.providers.http import Call

__all__ = ["error_of", "parse_error"]

_SLOWER = "the service asks for fewer requests"
_RIGHTS = "check the credentials' rights on this bucket"
_REPLACED = "the object was replaced in the meantime; start again"
_AGAIN = "the service failed; try again"
_PAYS = "set GCP.user_project to the project that pays for your requests"
_MAY_NOT_BILL = (
    "the credentials may not use the project in GCP.user_project: grant them Service Usage Consumer there, or unset it "
    "for a bucket that pays itself"
)
_MAY_NOT_REPLACE = (
    "deleting an object, and replacing one that exists, needs the right storage.objects.delete: grant it, as with the "
    "role Storage Object User, or use a new name"
)
_KEPT = "a retention policy keeps it as it is until the time above: wait, change the policy, or use a new name"
_NO_BUCKET = "create it or set GCP.private to another bucket"

# Some messages say what no reason or status does. The first match counts.
_MESSAGES: tuple[tuple[re.Pattern[str], type[StorageError], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), cls, advice)
    for pattern, cls, advice in (
        (
            "uniform bucket-level access",
            UnsupportedError,
            "this bucket's objects cannot be made public one by one; upload without public, and let allUsers read it",
        ),
        (
            "public access prevention|permitted customer",
            UnsupportedError,
            "this bucket or its organization allows no public objects; upload without public",
        ),
        ("match(es)? (the )?(calculated|computed)", ChecksumMismatchError, "the bytes changed on the way"),
        ("bucket does not exist", NotFoundError, _NO_BUCKET),
        ("requester pays", AccessDeniedError, _PAYS),
        (
            r"serviceusage\.services\.use",
            AccessDeniedError,
            _MAY_NOT_BILL,
        ),
        (
            r"does not have storage\.objects\.delete",
            AccessDeniedError,
            _MAY_NOT_REPLACE,
        ),
    )
)

# The JSON API's reasons, then the XML API's codes.
_REASONS: dict[str, tuple[type[StorageError], str]] = {
    "rateLimitExceeded": (ThrottledError, _SLOWER),
    "userRateLimitExceeded": (ThrottledError, _SLOWER),
    "dailyLimitExceeded": (AccessDeniedError, "raise the project's quota"),
    "quotaExceeded": (AccessDeniedError, "raise the project's quota"),
    "accessNotConfigured": (AccessDeniedError, "enable the Cloud Storage API in the project"),
    "retentionPolicyNotMet": (AccessDeniedError, _KEPT),
    "objectUnderActiveHold": (AccessDeniedError, "release the hold first, or use a new name"),
    "accountDisabled": (AccessDeniedError, "the project's billing has to be enabled first"),
    "conflict": (AlreadyExistsError, "choose another name"),
    "NoSuchBucket": (NotFoundError, _NO_BUCKET),
    "NoSuchKey": (NotFoundError, "check the path"),
    "AccessDenied": (AccessDeniedError, _RIGHTS),
    "UserProjectMissing": (AccessDeniedError, _PAYS),
    "BadDigest": (ChecksumMismatchError, "the bytes changed on the way"),
    "SlowDown": (ThrottledError, _SLOWER),
    "RequestTimeout": (ServiceError, _AGAIN),
}

_STATUSES: dict[int, tuple[type[StorageError], str]] = {
    401: (AccessDeniedError, "check GCP.service_file, or sign in to Google Cloud again"),
    403: (AccessDeniedError, _RIGHTS),
    404: (NotFoundError, "check the path"),
    408: (ServiceError, _AGAIN),
    409: (StorageError, "another request was at work on it; try again"),
    410: (ServiceError, "the upload was lost; start it again"),
    412: (PreconditionFailedError, _REPLACED),
    416: (PreconditionFailedError, "the object is shorter than the range; start again"),
    429: (ThrottledError, _SLOWER),
    501: (UnsupportedError, "this server does not support the request"),
    503: (ThrottledError, _SLOWER),
}


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
    cls, advice = _row(status, reason, message)
    if cls is NotFoundError and (missing_bucket or advice is _NO_BUCKET):
        message, advice = f'bucket "{missing_bucket or call.path.split("/")[1]}" does not exist', _NO_BUCKET
    advice = for_remote(advice, call.provider, "GCP")
    said = f"{message or 'no reason given'} ({' '.join(filter(None, [str(status), reason]))}); {advice}"
    seconds = headers.get("retry-after", "")
    return call.error(
        cls,
        said,
        status=status,
        code=reason or None,
        request_id=headers.get("x-guploader-uploadid"),
        retry_after=float(seconds) if re.fullmatch(r"\d{1,6}(\.\d+)?", seconds) else None,
    )


def _row(status: int, reason: str, message: str) -> tuple[type[StorageError], str]:
    for pattern, cls, advice in _MESSAGES:
        if pattern.search(message):
            return cls, advice
    other = (ServiceError, _AGAIN) if status >= 500 else (StorageError, "see the reason")
    return _REASONS.get(reason) or _STATUSES.get(status) or other


def parse_error(data: bytes) -> tuple[str, str]:
    """Returns the reason and message of an error body, which is JSON, XML or a line of text."""
    if data.startswith(b"{"):
        try:
            return _parse_json(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            pass
    elif data.startswith(b"<"):
        try:
            values = xmlreader.parse(data).values
        except xmlreader.MalformedXMLError:
            pass
        else:
            return values.get("Code", ""), values.get("Message", "")
    return "", " ".join(data[:200].decode("utf-8", "replace").split())


def _parse_json(document: dict[str, Any]) -> tuple[str, str]:
    error = document["error"]
    if isinstance(error, str):  # the form of token servers
        return error, str(document.get("error_description", ""))
    errors = error.get("errors") or [{}]
    return str(errors[0].get("reason", "")), str(error.get("message", ""))
