"""What errors of services advise: it fits the code and the words of the service, not the status alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

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
from dxflow_async.providers.aws import errors as aws
from dxflow_async.providers.azure import errors as azure
from dxflow_async.providers.common.error_table import page_text
from dxflow_async.providers.common.status_errors import status_error
from dxflow_async.providers.gcp import errors as gcp
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit import errors as unit

ERROR_OF: dict[str, Callable[..., StorageError]] = {
    "AWS": aws.error_of,
    "AZURE": azure.error_of,
    "GCP": gcp.error_of,
    "UNIT": unit.error_of,
}
REQUEST_ID = {"AWS": "x-amz-request-id", "AZURE": "x-ms-request-id", "GCP": "x-guploader-uploadid"}
PAGE = {"content-type": "text/html; charset=UTF-8"}


def refusal(kind: str, status: int, code: str = "", message: str = "", **headers: str) -> StorageError:
    """The error of a response that the service itself sent."""
    sent = {REQUEST_ID.get(kind, "x-request-id"): "R1", **headers}
    return ERROR_OF[kind](Call(kind, "read", "/bucket/key"), status, code, message, sent)


class Row(NamedTuple):
    """A refusal of a service, the error that it becomes, and words of its advice."""

    kind: str
    status: int
    code: str
    cls: type[StorageError]
    advice: str
    message: str = ""


RETENTION = "Object 'b/x' is subject to bucket's retention policy or object retention and cannot be deleted"
NO_PROJECT = "Bucket is a requester pays bucket but no user project provided."

ROWS = [
    Row("AWS", 403, "InvalidObjectState", UnsupportedError, "restore it first"),
    Row("AWS", 403, "ObjectNotInActiveTierError", UnsupportedError, "restore it first"),
    Row("AWS", 409, "RestoreAlreadyInProgress", UnsupportedError, "try again in some hours"),
    Row("AWS", 403, "AccessDenied", AccessDeniedError, "rights on this bucket"),
    Row("AWS", 403, "", AccessDeniedError, "check the credentials and their rights on this bucket, and set"),
    Row("AWS", 403, "AccessDenied", AccessDeniedError, "retention period", "object protected by object lock."),
    Row("AWS", 400, "InvalidRequest", AccessDeniedError, "retention period", "Object is WORM protected"),
    Row("AWS", 403, "AccessDenied", AccessDeniedError, "KMS key", "not authorized to perform: kms:GenerateDataKey"),
    Row("AWS", 400, "KMS.DisabledException", AccessDeniedError, "KMS key"),
    Row("AWS", 400, "KMS.ThrottlingException", ThrottledError, "fewer requests"),
    Row("AWS", 403, "AccessDenied", AccessDeniedError, r"AWS\.requester_pays = true", "Requester Pays bucket"),
    Row("AWS", 403, "AccessDenied", StorageError, "quota", "Cannot upload files, storage cap exceeded."),
    Row("AWS", 403, "QuotaExceeded", StorageError, "quota"),
    Row("AWS", 507, "XMinioStorageFull", StorageError, "make room"),
    Row("AWS", 507, "", StorageError, "make room"),
    Row("AWS", 500, "InternalError", StorageError, "make room", "write /data: no space left on device"),
    Row("AWS", 403, "RequestTimeTooSkewed", AccessDeniedError, "clock"),
    Row("AWS", 403, "AccountProblem", AccessDeniedError, "support"),
    Row("AWS", 403, "UserSuspended", AccessDeniedError, "suspended"),
    Row("AWS", 400, "InvalidToken", AccessDeniedError, r"AWS\.session_token"),
    Row("AWS", 400, "AuthorizationHeaderMalformed", AccessDeniedError, r"AWS\.region"),
    Row("AWS", 301, "PermanentRedirect", StorageError, r"AWS\.region or AWS\.endpoint"),
    Row("AWS", 400, "InvalidBucketName", StorageError, "3 to 63"),
    Row("AWS", 400, "EntityTooLarge", StorageError, "part_size to a smaller value"),
    Row("AWS", 400, "EntityTooSmall", StorageError, "part_size to a larger value"),
    Row("AWS", 413, "", StorageError, "part_size to a smaller value"),
    Row("AWS", 400, "KeyTooLongError", StorageError, "1,024 bytes"),
    Row("AWS", 400, "MetadataTooLarge", StorageError, "2 KB"),
    Row("AWS", 400, "MalformedXML", UnsupportedError, r"AWS\.endpoint"),
    Row("AWS", 405, "MethodNotAllowed", UnsupportedError, "does not allow"),
    Row("AWS", 400, "XAmzContentSHA256Mismatch", ChecksumMismatchError, r"AWS\.sign_payload = true"),
    Row("AWS", 400, "XMinioParentIsObject", AlreadyExistsError, "same name"),
    Row("AWS", 503, "XMinioServerNotInitialized", ServiceError, "starting"),
    Row("AWS", 409, "OperationAborted", ServiceError, "try again"),
    Row("AWS", 404, "NoSuchKey", NotFoundError, "check the path", "/quota/retention/kms:x does not exist"),
    Row("AWS", 412, "PreconditionFailed", PreconditionFailedError, "start again", "retention"),
    Row("AZURE", 409, "BlobArchived", UnsupportedError, "access tier"),
    Row("AZURE", 409, "BlobBeingRehydrated", UnsupportedError, "some hours"),
    Row("AZURE", 409, "BlobImmutableDueToPolicy", AccessDeniedError, "retention ends"),
    Row("AZURE", 409, "BlobImmutableDueToLegalHold", AccessDeniedError, "legal hold"),
    Row("AZURE", 409, "ContainerHasLegalHold", AccessDeniedError, "legal hold"),
    Row("AZURE", 403, "AccountIsDisabled", AccessDeniedError, "enable the account"),
    Row("AZURE", 403, "AuthorizationSourceIPMismatch", AccessDeniedError, "address"),
    Row("AZURE", 403, "AuthorizationProtocolMismatch", AccessDeniedError, "https://"),
    Row("AZURE", 400, "AccountRequiresHttps", AccessDeniedError, "https://"),
    Row("AZURE", 403, "AuthorizationResourceTypeMismatch", AccessDeniedError, r"AZURE\.sas_token"),
    Row("AZURE", 403, "KeyVaultEncryptionKeyNotFound", AccessDeniedError, "Key Vault"),
    Row("AZURE", 409, "BlobUsesCustomerSpecifiedEncryption", AccessDeniedError, r"give that key .*AZURE\.customer_key"),
    Row("AZURE", 409, "BlobCustomerSpecifiedEncryptionMismatch", AccessDeniedError, "another customer's key"),
    Row("AZURE", 409, "BlobDoesNotUseCustomerSpecifiedEncryption", StorageError, "not encrypted with"),
    Row("AZURE", 413, "RequestBodyTooLarge", StorageError, "part_size to a smaller value"),
    Row("AZURE", 409, "BlockCountExceedsLimit", StorageError, "part_size to a larger value"),
    Row("AZURE", 400, "MetadataTooLarge", StorageError, "8 KB"),
    Row("AZURE", 400, "InvalidResourceName", StorageError, "3 to 63"),
    Row("AZURE", 412, "LeaseIdMissing", AccessDeniedError, "lease"),
    Row("AZURE", 411, "MissingContentLengthHeader", StorageError, "Content-Length"),
    Row("GCP", 403, "retentionPolicyNotMet", AccessDeniedError, "retention policy protects", RETENTION),
    Row("GCP", 403, "forbidden", AccessDeniedError, "retention policy protects", RETENTION),
    Row("GCP", 403, "objectUnderActiveHold", AccessDeniedError, "hold"),
    Row("GCP", 400, "required", AccessDeniedError, r"GCP\.user_project", NO_PROJECT),
    Row("GCP", 400, "UserProjectMissing", AccessDeniedError, r"GCP\.user_project"),
    Row("GCP", 403, "userProjectAccessDenied", AccessDeniedError, "serviceusage"),
    Row("GCP", 400, "cloudKmsDisabledKey", AccessDeniedError, "KMS key"),
    Row("GCP", 400, "customerEncryptionKeyIsIncorrect", AccessDeniedError, "another customer's key"),
    Row("GCP", 400, "ResourceIsEncryptedWithCustomerEncryptionKey", AccessDeniedError, "give that key"),
    Row("GCP", 400, "resourceNotEncryptedWithCustomerEncryptionKey", StorageError, "not encrypted with"),
    Row("GCP", 412, "orgPolicyConstraintFailed", AccessDeniedError, "organization"),
    Row("GCP", 403, "vpcServiceControls", AccessDeniedError, "organization"),
    Row("GCP", 403, "forbidden", AccessDeniedError, "rights on this bucket"),
    Row("GCP", 413, "uploadTooLarge", StorageError, "part_size"),
    Row("GCP", 403, "sslRequired", AccessDeniedError, "https://"),
    Row("GCP", 404, "notFound", NotFoundError, "check the path", "No such object: b/retention policy/hold"),
    Row("UNIT", 507, "disk_full", StorageError, "make room"),
    Row("UNIT", 413, "", StorageError, "part_size|nothing of that size"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind}-{row.status}-{row.code}")
def test_advice_fits_the_code(row: Row) -> None:
    """A refusal becomes one class of error, whose advice names what to do; the service is quoted."""
    error = refusal(row.kind, row.status, row.code, row.message)
    assert type(error) is row.cls
    with pytest.raises(type(error), match=row.advice):
        raise error
    assert row.message in str(error)
    assert (error.status, error.code) == (row.status, row.code or None)


@pytest.mark.parametrize("kind", ERROR_OF)
@pytest.mark.parametrize(
    "status", [400, 401, 402, 403, 405, 411, 413, 414, 415, 421, 426, 431, 451, 501, 505, 507, 511]
)
def test_refusals_for_good_are_not_repeated(kind: str, status: int) -> None:
    """A service's own refusal that waiting does not change is not tried again."""
    assert not refusal(kind, status).retryable
    assert not refusal(kind, status, "NeverHeardOf").retryable


@pytest.mark.parametrize("kind", ERROR_OF)
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_failures_of_the_service_are_repeated(kind: str, status: int) -> None:
    """A failure that may pass is tried again as often as the settings say, also where a proxy answers with a page."""
    for headers in ({}, PAGE):
        error = ERROR_OF[kind](Call(kind, "read", "/bucket/key"), status, "", "", headers)
        assert (error.retryable, error.max_attempts) == (True, None)


@pytest.mark.parametrize("kind", ERROR_OF)
@pytest.mark.parametrize("headers", [PAGE, {}, {"content-type": "text/plain"}])
def test_400_that_is_not_the_service_is_repeated_a_few_times(kind: str, headers: dict[str, str]) -> None:
    """A 400 without the service's own form comes from a load balancer, and is tried a few times."""
    error = ERROR_OF[kind](Call(kind, "write", "/bucket/key"), 400, "", "400 Bad Request nginx", headers)
    assert isinstance(error, ServiceError)
    assert (error.retryable, error.max_attempts) == (True, 5)
    assert "400 Bad Request nginx (400); the answer is not one of the service" in str(error)


def test_400_page_of_a_plain_web_server_is_repeated_a_few_times() -> None:
    """A web server's 400 is tried again only where it is a page, which a load balancer may have sent."""
    page, other = (status_error(Call("HTTP", "read", "/x"), 400, headers) for headers in (PAGE, {}))
    assert (page.retryable, page.max_attempts) == (True, 5)
    assert not other.retryable


@pytest.mark.parametrize("kind", ERROR_OF)
@pytest.mark.parametrize("status", [401, 403])
def test_page_instead_of_a_refusal(kind: str, status: int) -> None:
    """A page with 403 comes from a firewall or a proxy: it does not speak of rights."""
    error = ERROR_OF[kind](Call(kind, "read", "/bucket/key"), status, "", "Blocked", PAGE)
    assert isinstance(error, AccessDeniedError)
    assert "firewall" in str(error)


@pytest.mark.parametrize("kind", ERROR_OF)
@pytest.mark.parametrize("status", [301, 307, 308])
def test_redirect_names_its_target(kind: str, status: int) -> None:
    """A proxy that redirects to another address is named, without anything secret of its URL."""
    headers = {"location": "https://user:pw@elsewhere.example:8443/bucket/key?X-Amz-Signature=secret"}
    error = ERROR_OF[kind](Call(kind, "read", "/bucket/key"), status, "", "", headers)
    assert "it redirects to https://elsewhere.example:8443/; " in str(error)
    assert not error.retryable
    assert "secret" not in str(error)
    assert "pw@" not in str(error)


@pytest.mark.parametrize("location", ["", "/x", "http://[::1", "ftp://h/", "https://:9/", "http://h:port/"])
def test_redirect_to_nowhere(location: str) -> None:
    """A redirect without a usable target is an error all the same."""
    for kind, error_of in ERROR_OF.items():
        assert isinstance(error_of(Call(kind, "read", "/b/k"), 308, "", "", {"location": location}), StorageError)


def test_settings_of_another_remote_are_named() -> None:
    """The advice names the settings of the remote that failed."""
    error = aws.error_of(Call("MINIO", "read", "/b/k"), 301, "PermanentRedirect", "", {})
    assert "set remotes.minio.region or remotes.minio.endpoint" in str(error)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", ""),
        (b"plain\n words", "plain words"),
        (b"<html><head><title>502</title></head><body><h1>Bad &amp; gone</h1></body>", "Bad & gone"),
        (b"<title>Only a title</title>", "Only a title"),
        (b"<!DOCTYPE html><script>if (1<2) x()</script><style>p {}</style>text", "text"),
        (b"1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        (b"\xff<p>x", "\ufffd x"),
        (b"<h1>" + b"x" * 1000, "x" * 200),
    ],
)
def test_pages_are_quoted_without_their_tags(body: bytes, text: str) -> None:
    """An error that is a page is quoted as a reader of the page sees it."""
    assert page_text(body) == text
    assert aws.parse_error(body) == ("", text)
    assert azure.parse_error({}, body) == ("", text)
    assert gcp.parse_error(body) == ("", text)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n ", b"<!-- proxy -->\n"])
def test_errors_of_xml_with_something_before_them(start: bytes) -> None:
    """The code of an error is read, whatever white space, mark or comment stands before it."""
    body = start + b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>m</Message></Error>"
    assert aws.parse_error(body) == ("NoSuchKey", "m")
    assert azure.parse_error({}, body) == ("NoSuchKey", "m")
    assert gcp.parse_error(body) == ("NoSuchKey", "m")
