"""What becomes of Azure's answers, and of a server's that are none; from a server that answers as it is told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace

import pytest

from dxflow_async.checksum import crc32c, encode
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
from dxflow_async.providers.contract import Entry, ObjectOptions, Part, PartReceipt
from tests.providers.connected_providers import ConnectAzure
from tests.providers.in_memory_bodies import body, read
from tests.scripted_server import ScriptedServer, answer

OPTIONS = ObjectOptions()


def refusal(status: str, code: str, message: str = "said so", extra: str = "", **headers: str) -> bytes:
    """Azure's way to refuse."""
    document = f"\ufeff<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>"
    return answer(status, document.encode(), x_ms_error_code=code, x_ms_request_id="REQ1", **headers)


ROWS = [
    ("404 Not Found", "ContainerNotFound", NotFoundError, False),
    ("409 Conflict", "ContainerBeingDeleted", NotFoundError, False),
    ("404 Not Found", "BlobNotFound", NotFoundError, False),
    ("404 Not Found", "ResourceNotFound", NotFoundError, False),
    ("404 Not Found", "Unheard", NotFoundError, False),
    ("403 Forbidden", "AuthenticationFailed", AccessDeniedError, False),
    ("400 Bad Request", "InvalidAuthenticationInfo", AccessDeniedError, False),
    ("401 Unauthorized", "NoAuthenticationInformation", AccessDeniedError, False),
    ("403 Forbidden", "KeyBasedAuthenticationNotPermitted", AccessDeniedError, False),
    ("403 Forbidden", "AuthorizationFailure", AccessDeniedError, False),
    ("403 Forbidden", "AuthorizationPermissionMismatch", AccessDeniedError, False),
    ("403 Forbidden", "InsufficientAccountPermissions", AccessDeniedError, False),
    ("403 Forbidden", "AccountIsDisabled", AccessDeniedError, False),
    ("403 Forbidden", "Unheard", AccessDeniedError, False),
    ("409 Conflict", "PublicAccessNotPermitted", UnsupportedError, False),
    ("412 Precondition Failed", "LeaseIdMissing", AccessDeniedError, False),
    ("409 Conflict", "BlobImmutableDueToPolicy", AccessDeniedError, False),
    ("412 Precondition Failed", "ConditionNotMet", PreconditionFailedError, False),
    ("412 Precondition Failed", "SourceConditionNotMet", PreconditionFailedError, False),
    ("412 Precondition Failed", "TargetConditionNotMet", PreconditionFailedError, False),
    ("412 Precondition Failed", "Unheard", PreconditionFailedError, False),
    ("416 Range Not Satisfiable", "InvalidRange", PreconditionFailedError, False),
    ("416 Range Not Satisfiable", "Unheard", PreconditionFailedError, False),
    ("400 Bad Request", "InvalidBlockList", PreconditionFailedError, False),
    ("400 Bad Request", "InvalidBlobOrBlock", StorageError, False),
    ("409 Conflict", "InvalidBlobType", UnsupportedError, False),
    ("409 Conflict", "BlobAlreadyExists", AlreadyExistsError, False),
    ("409 Conflict", "ContainerAlreadyExists", AlreadyExistsError, False),
    ("409 Conflict", "BlobArchived", UnsupportedError, False),
    ("409 Conflict", "BlobBeingRehydrated", UnsupportedError, False),
    ("409 Conflict", "PendingCopyOperation", StorageError, False),
    ("409 Conflict", "SnapshotsPresent", StorageError, False),
    ("409 Conflict", "Unheard", StorageError, False),
    ("400 Bad Request", "Md5Mismatch", ChecksumMismatchError, True),
    ("400 Bad Request", "Crc64Mismatch", ChecksumMismatchError, True),
    ("400 Bad Request", "UnsupportedHeader", UnsupportedError, False),
    ("501 Not Implemented", "Unheard", UnsupportedError, False),
    ("503 Busy", "ServerBusy", ThrottledError, True),
    ("429 Too Many", "Unheard", ThrottledError, True),
    ("503 Unavailable", "Unheard", ThrottledError, True),
    ("500 Internal", "OperationTimedOut", ServiceError, True),
    ("500 Internal", "InternalError", ServiceError, True),
    ("502 Bad Gateway", "Unheard", ServiceError, True),
    ("400 Bad Request", "Unheard", StorageError, False),
]


@pytest.mark.parametrize(("status", "code", "expected", "retryable"), ROWS)
async def test_what_azure_says(
    connect_azure: ConnectAzure, status: str, code: str, expected: type[StorageError], *, retryable: bool
) -> None:
    """Each of Azure's errors is one of ours, and keeps what Azure said, also where only a header says it."""
    bare = answer(status, x_ms_error_code=code, x_ms_request_id="REQ1", retry_after="7")
    async with ScriptedServer(refusal(status, code, retry_after="7"), bare) as server:
        azure = connect_azure(server.url)
        for attempt in (lambda: azure.read("container/name"), lambda: azure.stat("container/name")):
            with pytest.raises(StorageError, match=f"AZURE (read|stat) of /container/name failed: .*{code}") as raised:
                await attempt()
            error = raised.value
            assert type(error) is expected
            assert (error.status, error.code, error.request_id) == (int(status[:3]), code, "REQ1")
            assert (error.retry_after, error.retryable) == (7.0, retryable)


async def test_one_line_of_what_azure_says(connect_azure: ConnectAzure) -> None:
    """Of a message the first line is shown; a detail is, unless it is the text that was signed."""
    short = "<AuthenticationErrorDetail>Lifetime validation failed.</AuthenticationErrorDetail>"
    long = "<AuthenticationErrorDetail>The string to sign was 'GET\n\n'</AuthenticationErrorDetail>"
    message = "No.\nRequestId:1\nTime:2"
    replies = [refusal("403 No", "AuthenticationFailed", message, extra) for extra in (short, long)]
    async with ScriptedServer(*replies) as server:
        azure = connect_azure(server.url)
        with pytest.raises(AccessDeniedError, match=r"failed: Lifetime validation failed\. \(403"):
            await azure.read("container/name")
        with pytest.raises(AccessDeniedError, match=r"failed: No\. \(403"):
            await azure.read("container/name")


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "inf"])
async def test_retry_after_that_is_no_number(connect_azure: ConnectAzure, value: str) -> None:
    """A Retry-After that is neither seconds nor a date is not taken for any."""
    async with ScriptedServer(refusal("503 Busy", "ServerBusy", retry_after=value)) as server:
        with pytest.raises(ThrottledError) as raised:
            await connect_azure(server.url).read("container/name")
    assert raised.value.retry_after is None


async def test_errors_that_are_no_xml(connect_azure: ConnectAzure) -> None:
    """A proxy's page is quoted; nothing at all is an error too."""
    async with ScriptedServer(answer("502 Bad Gateway", b"<html>no backend</html"), answer("404 Not Found")) as server:
        azure = connect_azure(server.url)
        with pytest.raises(ServiceError, match="no backend"):
            await azure.read("container/name")
        with pytest.raises(NotFoundError):
            await azure.read("container/name")


@pytest.mark.parametrize(
    "reply",
    [
        answer(body=b"0123456789", ETag='"1"'),
        answer("206 Partial", b"0123", ETag='"1"', Content_Range="bytes 0-3/10"),
        answer("206 Partial", b"234", ETag='"1"'),
        b"HTTP/1.1 206 Partial\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 2-4/10\r\n\r\n0\r\n\r\n",
    ],
)
async def test_another_range_than_asked_for(connect_azure: ConnectAzure, reply: bytes) -> None:
    """Bytes of another range are never taken for those of the one that was asked for."""
    async with ScriptedServer(reply) as server:
        with pytest.raises(ServiceError):
            await read(connect_azure(server.url), "container/name", 2, 5)
        assert server.requests[0].headers["x-ms-range"] == "bytes=2-4"


@pytest.mark.parametrize("mark", [b"x-ms-resource-type: directory", b"x-ms-meta-hdi_isfolder: true"])
async def test_directory_that_looks_like_an_object(connect_azure: ConnectAzure, mark: bytes) -> None:
    """A directory of a hierarchical namespace is no object; with a slash at its end it is what it is."""
    async with ScriptedServer(answer(Mark="").replace(b"Mark: ", mark)) as server:
        azure = connect_azure(server.url)
        with pytest.raises(NotFoundError, match="it is a directory"):
            await azure.read("container/dir")
        for key in ("container/dir", "container/dir/"):
            found = await azure.stat(key)
            assert (found.key, found.directory) == ("container/dir/", True)


async def test_listing_that_is_none(connect_azure: ConnectAzure) -> None:
    """An answer that is no listing is not an empty one."""
    for page in (b"<html><body>Welcome to the network</body></html>", b"", b"<EnumerationResults>"):
        async with ScriptedServer(answer(body=page)) as server:
            for prefix in ("container/", "con"):
                with pytest.raises(ServiceError, match="not valid") as raised:
                    await connect_azure(server.url).list_page(prefix, recursive=True)
                assert raised.value.retryable


async def test_pages_of_containers(connect_azure: ConnectAzure) -> None:
    """The list of containers may have more pages; each is asked for with what the one before said."""
    rows = "<Containers><Container><Name>one</Name><Properties/></Container></Containers>"
    page = f"<EnumerationResults>{rows}<NextMarker>/account1/two</NextMarker></EnumerationResults>".encode()
    end = f"<EnumerationResults>{rows}<NextMarker/></EnumerationResults>".encode()
    async with ScriptedServer(answer(body=page), answer(body=end)) as server:
        azure = connect_azure(server.url)
        first = await azure.list_page("", recursive=False)
        await azure.list_page("", recursive=False, cursor=first.cursor)
    assert first.entries == [Entry("one/", directory=True)]
    assert "marker=%2Faccount1%2Ftwo" in server.requests[1].target


async def test_batch_that_is_none(connect_azure: ConnectAzure) -> None:
    """An answer to a batch that lacks some of the answers is an error, to be tried again."""
    part = b"--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n--b--\r\n"
    for reply in (
        answer("202 Accepted", part, Content_Type="multipart/mixed; boundary=b"),
        answer("202 Accepted", part, Content_Type="text/html"),
        answer("202 Accepted", part.replace(b"HTTP/1.1", b"SMTP"), Content_Type="multipart/mixed; boundary=b"),
        answer("202 Accepted"),
    ):
        async with ScriptedServer(reply) as server:
            with pytest.raises(ServiceError, match="not valid") as raised:
                await connect_azure(server.url).delete(["container/a", "container/b"])
            assert raised.value.retryable


async def test_batch_that_is_refused_as_a_whole(connect_azure: ConnectAzure) -> None:
    """After one refusal for all of a batch, its objects are deleted one by one."""
    part = b"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 400 No\r\nx-ms-error-code: InvalidInput\r\n\r\n--b--"
    reply = answer("202 Accepted", part, Content_Type='multipart/mixed; boundary="b"')
    one = answer("202 Accepted", x_ms_request_id="REQ1")
    async with ScriptedServer(reply, one, refusal("412 No", "LeaseIdMissing")) as server:
        failed = await connect_azure(server.url).delete(["container/a", "container/b"])
    assert [error.code for error in failed.values()] == ["LeaseIdMissing"]
    assert [request.method for request in server.requests] == ["POST", "DELETE", "DELETE"]


# Checksums that a server does not know


@pytest.mark.parametrize(
    "refused",
    [("501 No", "NotImplemented"), ("400 No", "UnsupportedHeader"), ("400 No", "InvalidHeaderValue")],
)
async def test_fallback_to_md5(
    connect_azure: ConnectAzure, refused: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """A server that refuses a CRC64 gets a Content-MD5, and is remembered, with a warning; the CRC32C is kept."""
    async with ScriptedServer(refusal(*refused), answer("201 Created", ETag='"1"')) as server:
        azure = connect_azure(server.url)
        for _ in range(2):
            await azure.write("container/name", body(b"by", b"tes"), OPTIONS)
    first, second, third = server.requests
    assert first.headers["x-ms-content-crc64"]
    for request in (second, third):
        assert request.headers["content-md5"] == base64.b64encode(hashlib.md5(b"bytes").digest()).decode()
        assert "x-ms-content-crc64" not in request.headers
        assert request.headers["x-ms-meta-dxflow_crc32c"] == first.headers["x-ms-meta-dxflow_crc32c"]
        assert request.body == b"bytes"
    assert [record.message for record in caplog.records if "refuses the CRC64" in record.message]


async def test_fallback_of_requests_under_way(connect_azure: ConnectAzure) -> None:
    """All requests that were refused together are sent again, not only the first of them."""

    async def judge(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(server.requests)
        refused = "x-ms-content-crc64" in server.requests[-1].headers
        await asyncio.sleep(0.02 * number if refused else 0)
        writer.write(refusal("501 No", "NotImplemented") if refused else answer("201 Created", ETag='"1"'))

    async with ScriptedServer(judge) as server:
        azure = connect_azure(server.url)
        await asyncio.gather(*(azure.write(f"container/{number}", body(b"x"), OPTIONS) for number in range(10)))
        assert not azure._requests.dialect.has_crc64
        assert set(Counter(request.target for request in server.requests).values()) == {2}


async def test_what_is_no_refusal_of_checksums(connect_azure: ConnectAzure) -> None:
    """A request that is refused without a CRC64 too was wrong itself: nothing is remembered of it."""
    async with ScriptedServer(refusal("400 No", "InvalidHeaderValue")) as server:
        azure = connect_azure(server.url)
        with pytest.raises(StorageError, match="InvalidHeaderValue"):
            await azure.write("container/name", body(b"x"), OPTIONS)
        assert azure._requests._crc64 is None
        assert len(server.requests) == 2


@pytest.mark.parametrize("checksum", ["crc64", "md5"])
async def test_what_the_server_did_not_compare(connect_azure: ConnectAzure, checksum: str) -> None:
    """A block whose checksum the server does not tell back is not verified, nor is a whole with it in."""
    silent = answer("201 Created", ETag='"1"')
    async with ScriptedServer(silent) as server:
        upload = await connect_azure(server.url, checksum=checksum).start_upload("container/name", None, OPTIONS)
        receipt = await upload.write_part(Part(1, 0, 5), body(b"bytes"))
        assert (receipt.verified, receipt.crc32c) == (False, crc32c(b"bytes"))
        assert (await upload.finish([receipt], crc32c(b"bytes"))).crc32c is None


async def test_block_stored_otherwise(connect_azure: ConnectAzure) -> None:
    """A block of which the server tells another checksum was not stored."""
    async with ScriptedServer(answer("201 Created", x_ms_content_crc64="AAAAAAAAAAE=")) as server:
        upload = await connect_azure(server.url).start_upload("container/name", None, OPTIONS)
        with pytest.raises(ChecksumMismatchError):
            await upload.write_part(Part(1, 0, 5), body(b"bytes"))


# Copies that take their time


def copying(status: str, copy_id: str = "id1") -> bytes:
    """What a copy's target says of it."""
    reason = "500 InternalServerError"
    return answer(
        x_ms_copy_id=copy_id, x_ms_copy_status=status, x_ms_copy_status_description=reason, ETag=f'"{status}"'
    )


BEGUN = answer("202 Accepted", x_ms_copy_id="id1", x_ms_copy_status="pending", ETag='"begun"')
SOURCE = Entry("container/a b", 5, etag="v1")


async def test_copy_is_waited_for(connect_azure: ConnectAzure) -> None:
    """A copy has ended when the service says so."""
    async with ScriptedServer(BEGUN, copying("pending"), copying("success")) as server:
        stored = await connect_azure(server.url).copy(SOURCE, "container/to", OPTIONS)
    assert stored == Entry("container/to", 5, etag="success")
    first, *others = server.requests
    assert first.headers["x-ms-copy-source"] == f"{server.url}/container/a%20b"
    assert first.headers["x-ms-source-if-match"] == '"v1"'
    assert [request.method for request in others] == ["HEAD", "HEAD"]


async def test_copy_that_fails(connect_azure: ConnectAzure) -> None:
    """A copy that the service gives up is an error, to be tried again."""
    async with ScriptedServer(BEGUN, copying("failed")) as server:
        with pytest.raises(ServiceError, match="500 InternalServerError") as raised:
            await connect_azure(server.url).copy(SOURCE, "container/to", OPTIONS)
        assert raised.value.retryable


async def test_copy_whose_target_is_replaced(connect_azure: ConnectAzure) -> None:
    """What another copy put there meanwhile is not taken for ours, and left alone."""
    none = refusal("409 Conflict", "NoPendingCopyOperation")
    async with ScriptedServer(BEGUN, copying("pending", "id2"), none) as server:
        with pytest.raises(PreconditionFailedError):
            await connect_azure(server.url).copy(SOURCE, "container/to", OPTIONS)
    assert [request.method for request in server.requests] == ["PUT", "HEAD", "PUT"]


async def test_cancelled_copy_is_aborted(connect_azure: ConnectAzure) -> None:
    """A copy that nobody waits for any more is aborted, and the empty object that leaves is removed."""
    replies = [BEGUN, copying("pending"), answer("204 No Content"), copying("aborted"), answer("202 Accepted")]
    async with ScriptedServer(*replies) as server:
        copy = asyncio.ensure_future(connect_azure(server.url).copy(SOURCE, "container/to", OPTIONS))
        async with asyncio.timeout(5):
            while len(server.requests) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        copy.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copy
    abort, _, delete = server.requests[2:]
    assert (abort.target, abort.headers["x-ms-copy-action"]) == ("/container/to?comp=copy&copyid=id1", "abort")
    assert (delete.method, delete.headers["if-match"]) == ("DELETE", '"aborted"')


async def test_odd_dates(connect_azure: ConnectAzure) -> None:
    """A time that cannot be read is none."""
    async with ScriptedServer(answer(ETag='"1"', Last_Modified="yesterday", x_ms_request_id="1")) as server:
        assert (await connect_azure(server.url).stat("container/name")).modified == 0.0


async def test_connection_closed_while_idle(connect_azure: ConnectAzure) -> None:
    """A kept connection that the server closed, as Azurite does after five seconds, is no error."""

    async def one_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=b"x", ETag='"1"', x_ms_request_id="1"))
        await writer.drain()
        writer.close()

    async with ScriptedServer(one_answer) as server:
        azure = connect_azure(server.url)
        for _ in range(3):
            assert await read(azure, "container/name") == b"x"
        assert server.connections == 3


# Answers that are not the service's


async def test_a_page_with_an_etag(connect_azure: ConnectAzure) -> None:
    """What has an ETag, but no header of the service's, is believed only where another answer confirms it."""
    page = answer(body=b"<html>Sign in</html>", ETag='"1"', Content_Type="text/html")
    blob = "<Blob><Name>name</Name><Properties><Etag>2</Etag><Content-Length>20</Content-Length></Properties></Blob>"
    listing = answer(body=f"<EnumerationResults><Blobs>{blob}</Blobs></EnumerationResults>".encode())
    right = answer(body=listing.partition(b"\r\n\r\n")[2].replace(b"<Etag>2<", b"<Etag>1<"))
    for confirmed in (listing, right):
        head = page.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        with pytest.raises(ServiceError, match="does not describe") if confirmed is listing else nullcontext():
            async with ScriptedServer(head, confirmed) as server:
                assert (await connect_azure(server.url).stat("container/name")).size == 20
        with pytest.raises(ServiceError, match="does not describe") if confirmed is listing else nullcontext():
            async with ScriptedServer(page, head, confirmed) as server:
                assert await read(connect_azure(server.url), "container/name") == b"<html>Sign in</html>"
    with pytest.raises(ServiceError, match="another version") as raised:
        async with ScriptedServer(page, answer(body=b"x" * 20, ETag='"2"', x_ms_request_id="1")[:-20]) as server:
            await read(connect_azure(server.url), "container/name")
    assert raised.value.retryable


PAGE = b"<html><body>Welcome to the network</body></html>"
REFUSAL = b"<?xml version='1.0'?><Error><Code>ServerBusy</Code></Error>"
FOREIGN = [
    answer(body=PAGE, Content_Type="text/html"),
    answer(body=REFUSAL, Content_Type="application/xml"),
    answer(body=b'{"error": {"code": 503}}', Content_Type="application/json"),
    answer(),
    answer("204 No Content"),
]


@pytest.mark.parametrize("reply", FOREIGN, ids=["page", "XML", "JSON", "empty", "nothing"])
async def test_foreign_answers(connect_azure: ConnectAzure, reply: bytes) -> None:
    """Whatever a portal or a proxy answers with success is a failure that may be retried, at every verb."""
    async with ScriptedServer(reply) as server:
        azure = connect_azure(server.url, checksum="md5")
        upload = await azure.start_upload("container/name", None, OPTIONS)
        part = Part(1, 0, 1)
        public = ObjectOptions(public=True)
        for attempt in (
            lambda: azure.stat("container/name"),
            lambda: azure.stat("container/"),
            lambda: azure.list_page("container/", recursive=True),
            lambda: azure.list_page("con", recursive=False),
            lambda: azure.write("container/name", body(b"x"), OPTIONS),
            lambda: azure.write("container/name", body(b"x"), public),
            lambda: azure.write("container/dir/", body(b""), OPTIONS),
            lambda: upload.write_part(part, body(b"x")),
            lambda: upload.finish([PartReceipt(part, None, 1)], None),
            lambda: azure.resume_upload("container/name", "id", [PartReceipt(part, None, 1)], OPTIONS),
            lambda: azure.copy(SOURCE, "container/to", OPTIONS),
            lambda: azure.delete_one("container/name"),
            lambda: azure.delete(["container/a", "container/b"]),
        ):
            with pytest.raises(StorageError) as raised:
                await attempt()
            assert raised.value.retryable, raised.value


async def test_put_without_an_etag(connect_azure: ConnectAzure) -> None:
    """It counts as stored where a look finds the same bytes under the name, and not otherwise."""
    kept = encode(crc32c(b"bytes")).encode()
    there = answer(body=b"bytes", ETag='"v2"', Kept="").replace(b"Kept: ", b"x-ms-meta-dxflow_crc32c: " + kept)
    same = there[: -len(b"bytes")]  # of a HEAD, there is no body
    for status in ("200 OK", "201 Created"):
        async with ScriptedServer(answer(status), same) as server:
            stored = await connect_azure(server.url).write("container/name", body(b"bytes"), OPTIONS)
        assert (stored.etag, [request.method for request in server.requests]) == ("v2", ["PUT", "HEAD"])
    for other in (
        refusal("404 Not Found", "BlobNotFound"),
        same.replace(b"Content-Length: 5", b"Content-Length: 4"),
        same.replace(kept, encode(1).encode()),
        same.replace(b"x-ms-meta-dxflow_crc32c", b"x-other"),
    ):
        async with ScriptedServer(answer("201 Created"), other) as server:
            with pytest.raises(ServiceError, match="not one of the service") as raised:
                await connect_azure(server.url).write("container/name", body(b"bytes"), OPTIONS)
            assert raised.value.retryable


async def test_block_without_a_sign(connect_azure: ConnectAzure) -> None:
    """It counts where the service lists it with its size, and not otherwise."""

    async def blocks(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        block = f"<Block><Name>{block_id}</Name><Size>{size}</Size></Block>"
        text = f"<BlockList><UncommittedBlocks>{block}</UncommittedBlocks></BlockList>"
        writer.write(answer(body=text.encode()))

    for size in (5, 4):
        async with ScriptedServer(answer("200 OK"), blocks) as server:
            upload = await connect_azure(server.url, checksum="md5").start_upload("container/name", None, OPTIONS)
            block_id = base64.b64encode(f"{upload.id}00001".encode()).decode()
            with pytest.raises(ServiceError, match="not one of the service") if size == 4 else nullcontext():
                await upload.write_part(Part(1, 0, 5), body(b"bytes"))


async def test_deletion_answered_otherwise(connect_azure: ConnectAzure) -> None:
    """Another status of success than the service's counts where the object is gone."""
    gone = refusal("404 Not Found", "BlobNotFound")
    async with ScriptedServer(answer("200 OK"), gone) as server:
        await connect_azure(server.url).delete_one("container/name")
    part = (
        b"--b\r\nContent-ID: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n--b\r\nContent-ID: 1\r\n\r\nHTTP/1.1 202 OK\r\n\r\n--b--"
    )
    batch = answer("202 Accepted", part, Content_Type="multipart/mixed; boundary=b")
    there = answer(ETag='"1"')
    async with ScriptedServer(batch, answer("202 Accepted", x_ms_request_id="1")) as server:
        assert await connect_azure(server.url).delete(["container/a", "container/b"]) == {}
    async with ScriptedServer(batch, answer("200 OK"), there) as server:
        failed = await connect_azure(server.url).delete(["container/a", "container/b"])
    assert [(key, error.retryable) for key, error in failed.items()] == [("container/a", True)]


async def test_bare_answers_to_deletions(connect_azure: ConnectAzure) -> None:
    """A 202 without a header of Azure's is believed only where a look agreed, and none has one otherwise."""
    bare, marked = answer("202 Accepted"), answer("202 Accepted", x_ms_request_id="1")
    there, gone = answer(ETag='"1"'), refusal("404 Not Found", "BlobNotFound")
    async with ScriptedServer(bare, there, marked, bare, there) as server:
        azure = connect_azure(server.url)
        with pytest.raises(ServiceError, match="it is still there"):
            await azure.delete_one("container/name")
        await azure.delete_one("container/name")
        with pytest.raises(ServiceError, match="it is still there"):
            await azure.delete_one("container/name")
        assert len(server.requests) == 5
    async with ScriptedServer(bare, gone, bare) as server:
        azure = connect_azure(server.url)
        for _ in range(2):
            await azure.delete_one("container/name")
        assert [request.method for request in server.requests] == ["DELETE", "HEAD", "DELETE"]
    async with ScriptedServer(bare, refusal("403 Forbidden", "AuthorizationPermissionMismatch")) as server:
        await connect_azure(server.url).delete_one("container/name")  # who may not look has only the answer


@pytest.mark.parametrize(
    "parts",
    [
        b"--b\r\nContent-ID: 0\r\n\r\nHTTP/1.1 202 OK\r\n\r\n--b\r\nContent-ID: 1\r\n\r\nHTTP/1.1 202 OK",
        b"--b\r\nContent-ID: 0\r\n\r\nHTTP/1.1 202 OK\r\n\r\n--b\r\nContent-ID: 0\r\n\r\nHTTP/1.1 202 OK\r\n\r\n--b--",
        b"--b\r\n\r\nHTTP/1.1 202 OK\r\n\r\n--b--",
        b"--b\r\nContent-ID: %s\r\n\r\nHTTP/1.1 202 OK\r\n\r\n--b--" % (b"9" * 5000),
    ],
    ids=["cut", "twice", "of the whole", "a huge number"],
)
async def test_batch_that_tells_too_little(connect_azure: ConnectAzure, parts: bytes) -> None:
    """A batch whose answer does not tell of each request once, to its end, deleted nothing for sure."""
    async with ScriptedServer(answer("202 Accepted", parts, Content_Type="multipart/mixed; boundary=b")) as server:
        with pytest.raises(ServiceError, match="not valid"):
            await connect_azure(server.url).delete(["container/a", "container/b"])


async def test_names_that_were_not_asked_for(connect_azure: ConnectAzure) -> None:
    """A listing with a name outside of the prefix is an error, and no name of it is acted on."""
    size = "<Properties><Content-Length>1</Content-Length></Properties>"
    for row in (
        f"<Blob><Name>other/name</Name>{size}</Blob>",
        f"<Blob>\n<Name>other/name</Name>{size}</Blob>",
        "<BlobPrefix><Name>other/</Name></BlobPrefix>",
    ):
        page = f"<EnumerationResults><Blobs>{row}</Blobs><NextMarker/></EnumerationResults>".encode()
        async with ScriptedServer(answer(body=page)) as server:
            with pytest.raises(ServiceError, match="is listed below") as raised:
                await connect_azure(server.url).list_page("container/dir/", recursive=True)
            assert raised.value.retryable


async def test_listing_that_goes_on_with_itself(connect_azure: ConnectAzure) -> None:
    """A page that is followed by itself is an error, not an endless listing."""
    page = b"<EnumerationResults><Blobs/><NextMarker>again</NextMarker></EnumerationResults>"
    async with ScriptedServer(answer(body=page)) as server:
        azure = connect_azure(server.url)
        first = await azure.list_page("container/", recursive=True)
        with pytest.raises(ServiceError, match="circle"):
            await azure.list_page("container/", recursive=True, cursor=first.cursor)


@pytest.mark.parametrize(
    "other",
    [
        "<Prefix>other/</Prefix><Blobs/>",
        "<Prefix>dir/</Prefix><Delimiter>/</Delimiter><Blobs/>",
        "<Blobs><BlobPrefix><Name>dir/inner/</Name></BlobPrefix></Blobs>",
    ],
)
async def test_the_answer_to_another_listing(connect_azure: ConnectAzure, other: str) -> None:
    """A page that was made for another prefix, or for one directory only, is an error and not an answer."""
    page = f"<EnumerationResults>{other}<NextMarker/></EnumerationResults>".encode()
    async with ScriptedServer(answer(body=page)) as server:
        with pytest.raises(ServiceError, match="contradicts") as raised:
            await connect_azure(server.url).list_page("container/dir/", recursive=True)
    assert raised.value.retryable


async def test_blob_without_a_size(connect_azure: ConnectAzure) -> None:
    """A listed blob without a size is not an empty one."""
    page = b"<EnumerationResults><Blobs><Blob><Name>a</Name></Blob></Blobs><NextMarker/></EnumerationResults>"
    async with ScriptedServer(answer(body=page)) as server:
        with pytest.raises(ServiceError, match="without a name or a size"):
            await connect_azure(server.url).list_page("container/", recursive=True)


async def test_undo_of_a_copy_is_tried_again(connect_azure: ConnectAzure) -> None:
    """A portal's page in answer to the abort of a copy is not taken for the abort."""
    bad, busy = answer(body=PAGE), answer("204 No Content")
    replies = [BEGUN, answer(body=b"", ETag='"1"', x_ms_copy_id="id1", x_ms_copy_status="pending"), bad, busy]
    async with ScriptedServer(*replies, copying("aborted"), answer("202 Accepted")) as server:
        copy = asyncio.ensure_future(connect_azure(server.url).copy(SOURCE, "container/to", OPTIONS))
        async with asyncio.timeout(5):
            while len(server.requests) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        copy.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copy
    assert [request.method for request in server.requests[2:]] == ["PUT", "PUT", "HEAD", "DELETE"]


async def test_copy_with_a_time(connect_azure: ConnectAzure) -> None:
    """A copy that is given a time is given all else that the source has; one whose source has a time is not."""
    source = Entry("container/a", 5, etag="v1", crc32c=7, metadata={"Origin": "lab"})
    done = answer("202 Accepted", x_ms_copy_id="id1", x_ms_copy_status="success", ETag='"2"')
    async with ScriptedServer(done) as server:
        azure = connect_azure(server.url)
        await azure.copy(source, "container/to", ObjectOptions(modified=1.5))
        await azure.copy(source, "container/to", OPTIONS)
        await azure.copy(replace(source, mtime=3.0), "container/to", ObjectOptions(modified=1.5))
    first, *others = [
        {name: value for name, value in request.headers.items() if name.startswith("x-ms-meta-")}
        for request in server.requests
    ]
    assert first == {
        "x-ms-meta-origin": "lab",
        "x-ms-meta-mtime": "1.500000",
        "x-ms-meta-dxflow_crc32c": encode(7),
    }
    assert others == [{}, {}]


async def test_body_without_a_length(connect_azure: ConnectAzure) -> None:
    """Where a GET tells no length, the listing or a look does, of the same version."""
    start = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-ms-request-id: 1\r\nETag: "v1"\r\n\r\n'
    chunked = start + b"5\r\nbytes\r\n0\r\n\r\n"
    head = answer(body=b"bytes", ETag='"v1"', x_ms_request_id="1")[:-5]
    for listed in (SOURCE, None):
        async with ScriptedServer(chunked, head) as server:
            reading = await connect_azure(server.url).read("container/a", listed=listed)
            async with reading:
                assert (reading.size, bytes(await reading.read())) == (5, b"bytes")
        assert len(server.requests) == (1 if listed else 2)
    async with ScriptedServer(chunked, head.replace(b"v1", b"v2")) as server:
        with pytest.raises(ServiceError, match="another version") as raised:
            await connect_azure(server.url).read("container/a")
        assert raised.value.retryable


async def test_body_with_another_md5(connect_azure: ConnectAzure) -> None:
    """Of an object that another program stored, the MD5 that the service tells is compared."""
    for data, told in ((b"bytes", b"bytes"), (b"bytes", b"other")):
        digest = base64.b64encode(hashlib.md5(told).digest()).decode()
        async with ScriptedServer(answer(body=data, ETag='"1"', Content_MD5=digest, x_ms_request_id="1")) as server:
            with pytest.raises(ChecksumMismatchError) if data != told else nullcontext():
                assert await read(connect_azure(server.url), "container/name") == data
