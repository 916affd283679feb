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
from dxflow_async.providers.common.error_table import AGAIN, SLOWER, ErrorRow, ErrorTable, KeyRows, page_text
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.http import Call, Response

__all__ = [
    "REQUEST_ID",
    "UNKNOWN_HEADER_CODES",
    "error_of",
    "is_time_refused",
    "is_token_refusal",
    "late_error",
    "parse_error",
]

UNKNOWN_HEADER_CODES = {"UnsupportedHeader", "InvalidHeaderValue", "FeatureNotSupported", "NotImplemented"}

_AUTHENTICATE = ErrorRow(
    AccessDeniedError,
    "check AZURE.account and AZURE.account_key, the end of AZURE.sas_token's time, and this machine's clock",
)
_AUTHORIZE = ErrorRow(
    AccessDeniedError,
    "check AZURE.account_key, or the credentials' rights on this container, and the account's firewall",
)
_RIGHTS = ErrorRow(
    AccessDeniedError,
    "the credentials lack the right to do this; give them a role such as Storage Blob Data Contributor, or make "
    "AZURE.sas_token with more rights",
)
_SAS = ErrorRow(AccessDeniedError, "AZURE.sas_token does not permit this; make one with more rights or services")
_HTTPS = ErrorRow(AccessDeniedError, "only encrypted requests are allowed; write https:// in AZURE.endpoint")
_KEYS = KeyRows("AZURE.customer_key")
_REPLACED = ErrorRow(PreconditionFailedError, "the object was replaced in the meantime; start again")
_DAMAGED = ErrorRow(ChecksumMismatchError, "the bytes changed on the way")
_SLOWER = ErrorRow(ThrottledError, SLOWER)
_FAILED = ErrorRow(ServiceError, AGAIN)
_DIRECTORY = ErrorRow(
    AlreadyExistsError,
    "a directory has that name, or a file has the name of a directory above it; delete that, or use another name",
)
_ELSEWHERE = ErrorRow(
    ServiceError, "a sign-in page or a proxy may have answered in the service's place; check the network"
)
_UNKNOWN = ErrorRow(UnsupportedError, "this server does not support the request")
_LEASED = ErrorRow(AccessDeniedError, "somebody holds a lease on it; break the lease or wait")
_IMMUTABLE = ErrorRow(
    AccessDeniedError, "an immutability policy protects it; wait until its retention ends, or lift the policy"
)
_HELD = ErrorRow(AccessDeniedError, "a legal hold protects it; have the hold lifted first")
_VAULT = ErrorRow(
    AccessDeniedError, "the account's key in Key Vault cannot be used; check that the key and the vault are enabled"
)
_SMALLER = ErrorRow(
    StorageError, "it is larger than the service takes in one request; set part_size to a smaller value"
)
_FEWER_BLOCKS = ErrorRow(StorageError, "it has more blocks than the service takes; set part_size to a larger value")
_NAME = ErrorRow(
    StorageError,
    "a container's name has 3 to 63 small letters, digits and hyphens, a blob's name 1 to 1,024 characters in "
    "at most 254 segments; check it",
)
_METADATA = ErrorRow(StorageError, "a metadata name has only letters, digits and underscores, a value only ASCII")

_MESSAGES = (
    (
        re.compile(r"write operations are not allowed", re.IGNORECASE),
        ErrorRow(AccessDeniedError, "a secondary endpoint only reads; write AZURE.endpoint without -secondary"),
    ),
    (
        re.compile(r"object replication|replication policy", re.IGNORECASE),
        ErrorRow(AccessDeniedError, "a replication policy writes this container; use another one"),
    ),
)

# Sources: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and
# https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
_CODES: dict[str, ErrorRow] = {
    "ContainerNotFound": ErrorRow(NotFoundError, "create it or set AZURE.private to another container"),
    "ContainerBeingDeleted": ErrorRow(NotFoundError, "create it anew in half a minute, or use another container"),
    "ContainerDisabled": ErrorRow(AccessDeniedError, "an administrator has disabled the container; have it enabled"),
    "BlobNotFound": ErrorRow(NotFoundError, "check the path"),
    "ResourceNotFound": ErrorRow(NotFoundError, "check the path and AZURE.account"),
    "AuthenticationFailed": _AUTHENTICATE,
    "InvalidAuthenticationInfo": _AUTHENTICATE,
    "NoAuthenticationInformation": _AUTHENTICATE,
    "KeyBasedAuthenticationNotPermitted": ErrorRow(
        AccessDeniedError,
        "the account takes neither its keys nor signatures made with them; sign in with azure-identity",
    ),
    "AuthorizationFailure": _AUTHORIZE,
    "AuthorizationPermissionMismatch": _RIGHTS,
    "InsufficientAccountPermissions": _RIGHTS,
    "UnauthorizedBlobOverwrite": ErrorRow(
        AccessDeniedError,
        "the credentials may make new blobs and not replace any, and an earlier attempt may have stored this one; use "
        "another name, or credentials with the right to write",
    ),
    "AuthorizationServiceMismatch": _SAS,
    "AuthorizationResourceTypeMismatch": _SAS,
    "AuthorizationSourceIPMismatch": ErrorRow(
        AccessDeniedError, "AZURE.sas_token permits other addresses only; make one for this machine's address"
    ),
    "AuthorizationProtocolMismatch": _HTTPS,
    "AccountRequiresHttps": _HTTPS,
    "AccountIsDisabled": ErrorRow(AccessDeniedError, "enable the account first, in the Azure portal"),
    "AccountBeingCreated": ErrorRow(ServiceError, "the account is being created; try again in a few minutes"),
    "PublicAccessNotPermitted": ErrorRow(
        UnsupportedError, "the account allows no public access; change that in its settings"
    ),
    "LeaseIdMissing": _LEASED,
    "LeaseIdMismatchWithBlobOperation": _LEASED,
    "BlobImmutableDueToPolicy": _IMMUTABLE,
    "BlobImmutableDueToLegalHold": _HELD,
    "ContainerImmutabilityPolicyLocked": _IMMUTABLE,
    "ContainerProtectedFromDeletion": _IMMUTABLE,
    "ContainerHasLegalHold": _HELD,
    "BlobTagsNotSupportedForAccountType": ErrorRow(
        UnsupportedError, "this account keeps no index tags; leave tags out"
    ),
    "SnapshotsPresent": ErrorRow(StorageError, "it has snapshots; delete them first"),
    "ConditionNotMet": _REPLACED,
    "SourceConditionNotMet": _REPLACED,
    "TargetConditionNotMet": _REPLACED,
    "BlobOverwritten": _REPLACED,
    "InvalidRange": ErrorRow(PreconditionFailedError, "the object is shorter than the range; start again"),
    "InvalidBlockList": ErrorRow(
        PreconditionFailedError,
        "its blocks are gone, as after another write of the same name, or after a week; start again",
    ),
    "InvalidBlobOrBlock": ErrorRow(
        StorageError,
        "blocks of another program's unfinished upload are in the way; store an empty object there first",
    ),
    "UncommittedBlockCountExceedsLimit": ErrorRow(
        StorageError,
        "unfinished uploads of that name have as many blocks as the service keeps; store an empty object there first, "
        "or wait a week",
    ),
    "BlockCountExceedsLimit": _FEWER_BLOCKS,
    "BlockListTooLong": _FEWER_BLOCKS,
    "RequestBodyTooLarge": _SMALLER,
    "ContentLengthLargerThanTierLimit": _SMALLER,
    "InvalidBlobType": ErrorRow(
        UnsupportedError, "it is an append or a page blob; delete it first, or use another name"
    ),
    "BlobAlreadyExists": ErrorRow(AlreadyExistsError, "choose another name"),
    "ContainerAlreadyExists": ErrorRow(AlreadyExistsError, "use it as it is"),
    "BlobArchived": ErrorRow(
        UnsupportedError, "it is archived; set its access tier to hot or cool first, which takes hours"
    ),
    "BlobBeingRehydrated": ErrorRow(
        UnsupportedError, "it is being brought back from the archive; try again in some hours"
    ),
    "BlobUsesCustomerSpecifiedEncryption": _KEYS.needed,
    "BlobCustomerSpecifiedEncryptionMismatch": _KEYS.wrong,
    "BlobDoesNotUseCustomerSpecifiedEncryption": _KEYS.needless,
    "KeyVault*": _VAULT,
    "DirectoryIsNotEmpty": ErrorRow(
        AlreadyExistsError,
        "it is a directory with something in it; end its path in a slash to delete it with all that is in it",
    ),
    "OperationNotSupportedOnDirectory": _DIRECTORY,
    "ResourceTypeMismatch": _DIRECTORY,
    "PathConflict": _DIRECTORY,
    "PendingCopyOperation": ErrorRow(StorageError, "another copy to that name is under way; wait for it or abort it"),
    "CannotVerifyCopySource": ErrorRow(
        StorageError, "the account cannot read the source; check the rights on it and that it exists"
    ),
    "CopyAcrossAccountsNotSupported": ErrorRow(
        UnsupportedError, "the account does not copy from others; copy through this machine"
    ),
    "InvalidResourceName": _NAME,
    "OutOfRangeInput": _NAME,
    "InvalidUri": _NAME,
    "InvalidMetadata": _METADATA,
    "EmptyMetadataKey": _METADATA,
    "MetadataTooLarge": ErrorRow(StorageError, "Azure keeps at most 8 KB of metadata; shorten it"),
    "MissingContentLengthHeader": ErrorRow(
        StorageError, "a proxy may have removed the Content-Length; check the network"
    ),
    "Md5Mismatch": _DAMAGED,
    "Crc64Mismatch": _DAMAGED,
    "UnsupportedHeader": _UNKNOWN,
    "UnsupportedHttpVerb": _UNKNOWN,
    "FeatureNotSupported": _UNKNOWN,
    "FeatureVersionMismatch": _UNKNOWN,
    "BlobOperationNotSupported": _UNKNOWN,
    "BlobTypeNotSupported": _UNKNOWN,
    "ServerBusy": _SLOWER,
    "OperationTimedOut": _FAILED,
    "InternalError": _FAILED,
}

_STATUSES: dict[int, ErrorRow] = {
    302: _ELSEWHERE,
    303: _ELSEWHERE,
    401: _AUTHENTICATE,
    403: _AUTHORIZE,
    404: ErrorRow(NotFoundError, "check the path"),
    409: ErrorRow(StorageError, "another request was at work on it; try again"),
    412: _REPLACED,
    416: ErrorRow(PreconditionFailedError, "the object is shorter than the range; start again"),
    429: _SLOWER,
    501: _UNKNOWN,
    503: _SLOWER,
}

REQUEST_ID = "x-ms-request-id"
"""The header that each answer of Azure's has."""

_TABLE = ErrorTable(
    kind="AZURE",
    codes=_CODES,
    messages=_MESSAGES,
    statuses=_STATUSES,
    request_id=REQUEST_ID,
    marks=("x-ms-error-code", "x-ms-version"),
    elsewhere="set AZURE.endpoint to that address",
    vague_codes=("AuthenticationFailed",),
    always_marked=True,
)


def error_of(call: Call, status: int, code: str, message: str, headers: Mapping[str, str]) -> StorageError:
    """Returns the error for a response with that status, code and message."""
    row = _TABLE.row(status, code, message, headers)
    subject = message.partition("\n")[0].strip()  # the request id and the time follow
    if code == "ContainerNotFound":
        subject = f'container "{call.path.split("/")[1]}" does not exist'
    return _TABLE.error(call, status, code, subject, headers, row)


def late_error(
    call: Call, status: int, code: str, message: str, headers: Mapping[str, str], clock: ServerClock
) -> StorageError:
    """Returns the error for a response to a request that was signed anew, with the service's time."""
    error = _TABLE.clock_error(call, status, code, message.partition("\n")[0].strip(), headers, clock)
    if code == "AuthenticationFailed":  # any wrong signature has this code, also one with a wrong time
        message = clock.explained(message)
    return error or error_of(call, status, code, message, headers)


def parse_error(headers: Mapping[str, str], data: bytes) -> tuple[str, str]:
    """Returns the code and message of an error, from a header and the XML body; without XML, its words."""
    code = headers.get("x-ms-error-code", "")
    if not data:
        return code, ""
    try:
        values = xmlreader.parse(data, prefixes=False).values
    except xmlreader.MalformedXMLError:
        return code, page_text(data)
    if "Code" not in values:
        return code, page_text(data)
    message, detail = values.get("Message", ""), values.get("AuthenticationErrorDetail", "")
    if detail and "string to sign" not in detail.lower():  # it is long and does not help users
        message = detail
    return code or values["Code"], message


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
