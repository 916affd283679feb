"""How often each kind of failure is tried: what cannot change by waiting is tried once, or a few times."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from dxflow_async.exceptions import StorageError
from dxflow_async.net import (
    ConnectionBrokenError,
    InvalidRequestError,
    NetError,
    ProxyError,
    StalledError,
    TooSlowError,
)
from dxflow_async.net.errors import connect_error
from dxflow_async.providers.aws import errors as aws
from dxflow_async.providers.azure import errors as azure
from dxflow_async.providers.common.status_errors import status_error
from dxflow_async.providers.gcp import errors as gcp
from dxflow_async.providers.http import HTTP, Call
from dxflow_async.providers.unit import errors as unit
from dxflow_async.transfer.retry import RetryPolicy, retry

ONCE, FEW, MANY = 1, 5, 10

SERVICES: dict[str, Callable[[Call, int, dict[str, str]], StorageError]] = {
    "AWS": lambda call, status, headers: aws.error_of(call, status, "", "", headers),
    "AZURE": lambda call, status, headers: azure.error_of(call, status, "", "", headers),
    "GCP": lambda call, status, headers: gcp.error_of(call, status, "", "", headers),
    "UNIT": lambda call, status, headers: unit.error_of(call, status, "", "", headers),
    "HTTPS": status_error,
}
MARKS = {
    "AWS": "x-amz-request-id",
    "AZURE": "x-ms-request-id",
    "GCP": "x-guploader-uploadid",
    "UNIT": "x-request-id",
    "HTTPS": "x-request-id",
}

STATUSES: dict[int, int] = {
    **dict.fromkeys((400, 401, 402, 403, 404, 405, 406, 407, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422), ONCE),
    **dict.fromkeys((426, 428, 431, 451, 501, 505, 507, 508, 510, 511), ONCE),
    **dict.fromkeys((408, 425, 429, 500, 502, 503, 504, 509, 520, 522, 524, 529), MANY),
}
"""The attempts at a request that the service itself refuses with a status and without a code."""

OWN_STATUSES = {"GCP": {410: MANY}}
"""Google ends upload sessions with 410 at times, and asks to begin another.

Source: https://cloud.google.com/storage/docs/json_api/v1/status-codes#410_Gone
"""

CODES: dict[str, dict[tuple[int, str], int]] = {
    "AWS": {
        **dict.fromkeys(
            [
                (400, "InvalidArgument"),
                (400, "InvalidRequest"),
                (400, "MalformedXML"),
                (400, "EntityTooLarge"),
                (400, "AuthorizationHeaderMalformed"),
                (403, "SignatureDoesNotMatch"),
                (403, "InvalidAccessKeyId"),
                (403, "AccessDenied"),
                (403, "RequestTimeTooSkewed"),
                (403, "InvalidObjectState"),
                (404, "NoSuchBucket"),
                (404, "NoSuchKey"),
                (301, "PermanentRedirect"),
                (501, "NotImplemented"),
                (411, "MissingContentLength"),
                (400, "KeyTooLongError"),
            ],
            ONCE,
        ),
        (409, "OperationAborted"): FEW,
        **dict.fromkeys(
            [
                (503, "SlowDown"),
                (200, "SlowDown"),
                (200, "InternalError"),
                (500, "InternalError"),
                (400, "RequestTimeout"),
                (503, "ServiceUnavailable"),
                (400, "KMS.ThrottlingException"),
            ],
            MANY,
        ),
    },
    "AZURE": {
        **dict.fromkeys(
            [
                (400, "InvalidQueryParameterValue"),
                (400, "InvalidHeaderValue"),
                (403, "AuthenticationFailed"),
                (403, "AuthorizationPermissionMismatch"),
                (404, "ContainerNotFound"),
                (409, "BlobArchived"),
                (413, "RequestBodyTooLarge"),
            ],
            ONCE,
        ),
        **dict.fromkeys([(503, "ServerBusy"), (500, "InternalError"), (500, "OperationTimedOut")], MANY),
    },
    "GCP": {
        **dict.fromkeys([(400, "invalid"), (401, "authError"), (403, "forbidden"), (404, "notFound")], ONCE),
        **dict.fromkeys([(429, "rateLimitExceeded"), (503, "backendError"), (403, "rateLimitExceeded")], MANY),
    },
    "UNIT": {
        **dict.fromkeys([(401, "wrong_secret"), (400, "invalid_parameter"), (404, "not_found")], ONCE),
        **dict.fromkeys([(503, "busy"), (500, "internal"), (408, "stalled"), (423, "locked")], MANY),
    },
}
ERROR_OF: dict[str, Callable[..., StorageError]] = {
    "AWS": aws.error_of,
    "AZURE": azure.error_of,
    "GCP": gcp.error_of,
    "UNIT": unit.error_of,
}

FAILURES: list[tuple[str, NetError, int]] = [
    ("unknown host", connect_error(socket.gaierror(socket.EAI_NONAME, "not known"), "h"), FEW),
    ("no look-up", connect_error(socket.gaierror(socket.EAI_AGAIN, "try again"), "h"), MANY),
    ("refused", connect_error(ConnectionRefusedError(111, "refused"), "h"), MANY),
    ("connect timeout", connect_error(TimeoutError(), "h"), MANY),
    ("untrusted", connect_error(ssl.SSLCertVerificationError("self-signed"), "h"), ONCE),
    ("handshake", connect_error(ssl.SSLError("WRONG_VERSION_NUMBER"), "h"), FEW),
    ("handshake broken off", connect_error(ssl.SSLEOFError("EOF"), "h"), MANY),
    ("407", ProxyError("refused (407)", retryable=False), ONCE),
    ("proxy not reached", ProxyError("not reached"), MANY),
    ("not HTTP", InvalidRequestError("a line break"), ONCE),
    ("reset", ConnectionBrokenError("reset"), MANY),
    ("stalled", StalledError("no byte moved"), MANY),
    ("too slow", TooSlowError("few bytes moved"), FEW),
]


async def attempts_at(error: StorageError) -> int:
    """How often a request that always fails with an error is made, with the settings that everybody has."""
    count = 0

    async def fail() -> None:
        nonlocal count
        count += 1
        raise error

    async def skip(_: float) -> None:
        pass

    with pytest.raises(StorageError):
        await retry(fail, RetryPolicy(MANY, sleep=skip))
    return count


@pytest.mark.parametrize("service", SERVICES)
async def test_statuses(service: str) -> None:
    """Refusals without a code are tried as often as their status is worth, the same at every service."""
    call = Call(service, "read", "/bucket/key")
    found = {
        status: await attempts_at(SERVICES[service](call, status, {MARKS[service]: "R1", "retry-after": "1"}))
        for status in STATUSES
    }
    assert found == {**STATUSES, **OWN_STATUSES.get(service, {})}


@pytest.mark.parametrize("service", CODES)
async def test_codes(service: str) -> None:
    """Refusals with a code are tried as often as the code is worth, whatever their status."""
    call, headers = Call(service, "read", "/bucket/key"), {MARKS[service]: "R1"}
    found = {
        (status, code): await attempts_at(ERROR_OF[service](call, status, code, "", headers))
        for status, code in CODES[service]
    }
    assert found == CODES[service]


@pytest.mark.parametrize("service", ERROR_OF)
@pytest.mark.parametrize(("status", "most"), [(302, FEW), (303, FEW), (307, ONCE), (308, ONCE)])
async def test_foreign_redirects(service: str, status: int, most: int) -> None:
    """A redirect to another host is tried a few times at most."""
    headers = {"location": "https://elsewhere.example/x", "content-type": "text/html"}
    assert await attempts_at(SERVICES[service](Call(service, "read", "/b/k"), status, headers)) <= most


@pytest.mark.parametrize(("name", "error", "attempts"), FAILURES, ids=[name for name, _, _ in FAILURES])
async def test_network(name: str, error: NetError, attempts: int, http: HTTP, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures of the network are tried as often as waiting is worth."""

    async def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(http.client, "send", fail)
    with pytest.raises(StorageError) as raised:
        await http.send(Call("AWS", "read", "/b/k"), "GET", "http://h/", {})
    assert await attempts_at(raised.value) == attempts, name
