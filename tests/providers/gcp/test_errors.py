from __future__ import annotations

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
from dxflow_async.providers.contract import Entry, ObjectOptions
from tests.providers.connected_providers import ConnectGCP
from tests.providers.gcp.example_objects import json_error, xml_error
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer

MiB = 1 << 20
OPTIONS = ObjectOptions()


JSON_ROWS = [
    ("404 Not Found", "notFound", NotFoundError, False),
    ("403 Forbidden", "forbidden", AccessDeniedError, False),
    ("403 Forbidden", "insufficientPermissions", AccessDeniedError, False),
    ("403 Forbidden", "accessNotConfigured", AccessDeniedError, False),
    ("403 Forbidden", "quotaExceeded", AccessDeniedError, False),
    ("403 Forbidden", "rateLimitExceeded", ThrottledError, True),
    ("403 Forbidden", "userRateLimitExceeded", ThrottledError, True),
    ("401 Unauthorized", "authError", AccessDeniedError, False),
    ("409 Conflict", "conflict", AlreadyExistsError, False),
    ("412 Precondition Failed", "conditionNotMet", PreconditionFailedError, False),
    ("416 Range Not Satisfiable", "requestedRangeNotSatisfiable", PreconditionFailedError, False),
    ("429 Too Many", "rateLimitExceeded", ThrottledError, True),
    ("503 Unavailable", "backendError", ThrottledError, True),
    ("500 Internal", "internalError", ServiceError, True),
    ("502 Bad Gateway", "unheard", ServiceError, True),
    ("408 Timeout", "unheard", ServiceError, True),
    ("410 Gone", "unheard", ServiceError, True),
    ("501 No", "unheard", UnsupportedError, False),
    ("400 Bad Request", "invalid", StorageError, False),
]

XML_ROWS = [
    ("404 Not Found", "NoSuchKey", NotFoundError, False),
    ("403 Forbidden", "AccessDenied", AccessDeniedError, False),
    ("400 Bad Request", "UserProjectMissing", AccessDeniedError, False),
    ("412 Precondition Failed", "PreconditionFailed", PreconditionFailedError, False),
    ("416 Range Not Satisfiable", "InvalidRange", PreconditionFailedError, False),
    ("400 Bad Request", "BadDigest", ChecksumMismatchError, True),
    ("503 Unavailable", "SlowDown", ThrottledError, True),
    ("500 Internal", "InternalError", ServiceError, True),
]


@pytest.mark.parametrize(
    ("make", "row"), [(json_error, row) for row in JSON_ROWS] + [(xml_error, row) for row in XML_ROWS]
)
async def test_what_google_says(
    connect_gcp: ConnectGCP, make: object, row: tuple[str, str, type[StorageError], bool]
) -> None:
    """Each of Google's errors is one of ours, and keeps what Google said."""
    status, reason, expected, retryable = row
    async with ScriptedServer(make(status, reason, retry_after="7")) as server:  # type: ignore[operator]
        with pytest.raises(StorageError, match=f"GCP read of /bucket/name failed: .*{reason}") as raised:
            await connect_gcp(server.url).read("bucket/name")
    error = raised.value
    assert type(error) is expected
    assert (error.status, error.code, error.request_id) == (int(status[:3]), reason, "REQ1")
    assert (error.retry_after, error.retryable) == (7.0, retryable)


async def test_errors_that_are_neither_json_nor_xml(connect_gcp: ConnectGCP) -> None:
    """A proxy's page is quoted; nothing at all is an error too."""
    pages = [b"<html>no backend</html", b"{no backend", b"no backend", b'{"error": [], "no backend": 1}']
    for page in pages:
        async with ScriptedServer(answer("502 Bad Gateway", page)) as server:
            with pytest.raises(ServiceError, match="no backend"):
                await connect_gcp(server.url).read("bucket/name")
    async with ScriptedServer(answer("404 Not Found")) as server:
        with pytest.raises(NotFoundError):
            await connect_gcp(server.url).stat("bucket/name")


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan"])
async def test_retry_after_that_is_no_number(connect_gcp: ConnectGCP, value: str) -> None:
    """A Retry-After that is neither seconds nor a date is not taken for any."""
    async with ScriptedServer(json_error("503 Slow", "backendError", retry_after=value)) as server:
        with pytest.raises(ThrottledError) as raised:
            await connect_gcp(server.url).stat("bucket/name")
    assert raised.value.retry_after is None


@pytest.mark.parametrize("page", [b"<html>Welcome</html>", b"", b"[]", b'{"items": [{}]}', b'{"items": [{"name": 1}]}'])
async def test_answers_that_are_none(connect_gcp: ConnectGCP, page: bytes) -> None:
    """An answer that is not what was asked for is not an empty one."""
    async with ScriptedServer(answer(body=page)) as server:
        gcp = connect_gcp(server.url)
        for attempt in (
            lambda: gcp.list_page("bucket/", recursive=True),
            lambda: gcp.stat("bucket/name"),
            lambda: gcp.write("bucket/name", body(b"x"), OPTIONS),
            lambda: gcp.copy(Entry("bucket/a"), "bucket/b", OPTIONS),
            lambda: gcp.delete(["bucket/a", "bucket/b"]),
        ):
            with pytest.raises(ServiceError, match="not valid") as raised:
                await attempt()
            assert raised.value.retryable


@pytest.mark.parametrize(
    "reply",
    [
        answer(body=b"0123456789"),
        answer("206 Partial", b"0123", Content_Range="bytes 0-3/10"),
        answer("206 Partial", b"23", Content_Range="bytes 2-3/10"),
        answer("206 Partial", b"234"),
    ],
)
async def test_another_range_than_asked_for(connect_gcp: ConnectGCP, reply: bytes) -> None:
    """Bytes of another range are never taken for those of the one that was asked for."""
    async with ScriptedServer(reply) as server:
        with pytest.raises(ServiceError):
            await connect_gcp(server.url).read("bucket/name", 2, 5)
        assert server.requests[0].headers["range"] == "bytes=2-4"
