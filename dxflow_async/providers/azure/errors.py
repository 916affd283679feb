"""Translates error responses of Azure Blob Storage into the library's errors.

Source: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and common-rest-api-error-codes
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.http import Call, Response

__all__ = ["UNKNOWN_HEADER_CODES", "error_of", "is_time_refused", "is_token_refusal", "parse_error"]

UNKNOWN_HEADER_CODES = {"UnsupportedHeader", "InvalidHeaderValue", "FeatureNotSupported", "NotImplemented"}

_AUTHENTICATE = (
    AccessDeniedError,
    "check AZURE.account and AZURE.account_key, the end of AZURE.sas_token's time, and this machine's clock",
)
_AUTHORIZE = (
    AccessDeniedError,
    "check AZURE.account_key, or the credentials' rights on this container, and the account's firewall",
)
_REPLACED = (PreconditionFailedError, "the object was replaced in the meantime; start again")
_DAMAGED = (ChecksumMismatchError, "the bytes changed on the way")
_SLOWER = (ThrottledError, "the service asks for fewer requests")
_FAILED = (ServiceError, "the service failed; try again")
_DIRECTORY = (
    AlreadyExistsError,
    "a directory has that name, or a file has the name of a directory above it; delete that, or use another name",
)
_ELSEWHERE = (ServiceError, "a sign-in page or a proxy may have answered in the service's place; check the network")
_UNKNOWN = (UnsupportedError, "this server does not support the request")

# Code: the error, and what the user can do.
_CODES: dict[str, tuple[type[StorageError], str]] = {
    "ContainerNotFound": (NotFoundError, "create it or set AZURE.private to another container"),
    "ContainerBeingDeleted": (NotFoundError, "create it anew in half a minute, or use another container"),
    "BlobNotFound": (NotFoundError, "check the path"),
    "ResourceNotFound": (NotFoundError, "check the path and AZURE.account"),
    "AuthenticationFailed": _AUTHENTICATE,
    "InvalidAuthenticationInfo": _AUTHENTICATE,
    "NoAuthenticationInformation": _AUTHENTICATE,
    "KeyBasedAuthenticationNotPermitted": (AccessDeniedError, "the account takes no keys; sign in with azure-identity"),
    "AuthorizationFailure": _AUTHORIZE,
    "AuthorizationPermissionMismatch": _AUTHORIZE,
    "InsufficientAccountPermissions": _AUTHORIZE,
    "AccountIsDisabled": (AccessDeniedError, "the account has to be enabled first"),
    "PublicAccessNotPermitted": (UnsupportedError, "the account allows no public access; change that in its settings"),
    "LeaseIdMissing": (AccessDeniedError, "somebody holds a lease on it; break the lease or wait"),
    "BlobImmutableDueToPolicy": (AccessDeniedError, "a policy keeps it as it is"),
    "SnapshotsPresent": (StorageError, "it has snapshots; delete them first"),
    "ConditionNotMet": _REPLACED,
    "SourceConditionNotMet": _REPLACED,
    "TargetConditionNotMet": _REPLACED,
    "InvalidRange": (PreconditionFailedError, "the object is shorter than the range; start again"),
    "InvalidBlockList": (
        PreconditionFailedError,
        "its blocks are gone, as after another write of the same name, or after a week; start again",
    ),
    "InvalidBlobOrBlock": (
        StorageError,
        "blocks of another program's unfinished upload are in the way; store an empty object there first",
    ),
    "InvalidBlobType": (UnsupportedError, "it is an append or a page blob; delete it first, or use another name"),
    "BlobAlreadyExists": (AlreadyExistsError, "choose another name"),
    "ContainerAlreadyExists": (AlreadyExistsError, "use it as it is"),
    "BlobArchived": (UnsupportedError, "it is archived; set its access tier to hot or cool first, which takes hours"),
    "BlobBeingRehydrated": (UnsupportedError, "it is being brought back from the archive; try again in some hours"),
    "DirectoryIsNotEmpty": (
        AlreadyExistsError,
        "it is a directory with something in it; end its path in a slash to delete it with all that is in it",
    ),
    "OperationNotSupportedOnDirectory": _DIRECTORY,
    "ResourceTypeMismatch": _DIRECTORY,
    "PathConflict": _DIRECTORY,
    "PendingCopyOperation": (StorageError, "another copy to that name is under way; wait for it or abort it"),
    "Md5Mismatch": _DAMAGED,
    "Crc64Mismatch": _DAMAGED,
    "UnsupportedHeader": _UNKNOWN,
    "FeatureNotSupported": _UNKNOWN,
    "ServerBusy": _SLOWER,
    "OperationTimedOut": _FAILED,
    "InternalError": _FAILED,
}

_STATUSES: dict[int, tuple[type[StorageError], str]] = {
    302: _ELSEWHERE,
    303: _ELSEWHERE,
    401: _AUTHENTICATE,
    403: _AUTHORIZE,
    404: (NotFoundError, "check the path"),
    409: (StorageError, "another request was at work on it; try again"),
    412: _REPLACED,
    416: (PreconditionFailedError, "the object is shorter than the range; start again"),
    429: _SLOWER,
    501: _UNKNOWN,
    503: _SLOWER,
}


def error_of(call: Call, status: int, code: str, message: str, headers: Mapping[str, str]) -> StorageError:
    """Returns the error for a response with that status, code and message."""
    cls, advice = _CODES.get(code) or _STATUSES.get(status) or _other(status)
    subject = message.partition("\n")[0].strip()  # the request id and the time follow
    if code == "ContainerNotFound":
        subject = f'container "{call.path.split("/")[1]}" does not exist'
    advice = for_remote(advice, call.provider, "AZURE")
    said = f"{subject or 'no reason given'} ({' '.join(filter(None, [str(status), code]))}); {advice}"
    seconds = headers.get("retry-after", "")
    retry_after = float(seconds) if re.fullmatch(r"\d{1,6}(\.\d+)?", seconds) else None
    return call.error(
        cls, said, status=status, code=code or None, request_id=headers.get("x-ms-request-id"), retry_after=retry_after
    )


def _other(status: int) -> tuple[type[StorageError], str]:
    return _FAILED if status >= 500 else (StorageError, "see the code")


def parse_error(headers: Mapping[str, str], data: bytes) -> tuple[str, str]:
    """Returns the code and message of an error, from a header and the XML body; without XML, the start of the body."""
    code = headers.get("x-ms-error-code", "")
    if not data:
        return code, ""
    try:
        values = xmlreader.parse(data).values
    except xmlreader.MalformedXMLError:
        return code, data[:200].decode("utf-8", "replace")
    message, detail = values.get("Message", ""), values.get("AuthenticationErrorDetail", "")
    if detail and "string to sign" not in detail.lower():  # it is long and does not help users
        message = detail
    return code or values.get("Code", ""), message


def is_token_refusal(status: int, code: str) -> bool:
    """Returns whether the service refuses a bearer token as invalid or expired."""
    return status == 401 or code in ("AuthenticationFailed", "InvalidAuthenticationInfo")


_TIME_REFUSED = re.compile(r"date header", re.IGNORECASE)
"""As in `Request date header too old: 'Thu, 01 Jan 2026 00:00:00 GMT'`."""


def is_time_refused(clock: ServerClock, used: float, response: Response, code: str, message: str) -> bool:
    """Returns whether the service may refuse the time of a signature, and another signature has another time.

    The code is the same for any wrong signature, and not every response has the detail; there, the service's `Date`
    tells.

    Args:
        clock: the service's time, which is corrected.
        used: the offset of `clock` that the request was signed with.
        response: the refusal.
        code: its code.
        message: its message, or its detail.
    """
    if response.status not in (400, 401, 403) or code not in ("AuthenticationFailed", ""):
        return False
    named = _TIME_REFUSED.search(message) is not None
    return clock.corrected(used, response.headers, named=named)
