"""Deletions at services without DeleteObjects, or with a part of it only."""

from __future__ import annotations

import pytest

from dxflow_async.checksum import crc32c, encode
from dxflow_async.exceptions import AccessDeniedError, NotFoundError, ServiceError
from tests.providers.aws.scripted_services import Service, refusal
from tests.providers.connected_providers import Connect
from tests.scripted_server import Request, ScriptedServer, answer

NO_BATCH = [
    ("501 No", "NotImplemented"),
    ("405 No", "MethodNotAllowed"),
    ("400 No", "InvalidArgument"),
    ("400 No", "InvalidRequest"),
    ("403 No", "AccessDenied"),
]


@pytest.mark.parametrize("said", NO_BATCH)
@pytest.mark.parametrize("deleted", ["204 No Content", "200 OK", "404 Not Found"])
async def test_deletion_one_by_one(connect: Connect, said: tuple[str, str], deleted: str) -> None:
    """Without DeleteObjects each key takes one DELETE, a few at a time, and the next keys ask for nothing else."""
    missing = refusal("404 Not Found", "NoSuchKey")

    def reply(request: Request) -> bytes:
        if request.method == "POST":
            return refusal(*said)
        return missing if request.method in ("HEAD", "GET") or deleted.startswith("404") else answer(deleted)

    keys = [f"bucket/{number}" for number in range(20)]
    async with Service(reply) as server:
        aws = connect(server.url)
        assert await aws.delete(keys) == {}
        first = len(server.requests)
        assert await aws.delete(keys) == {}
        assert [request.method for request in server.requests[first:]] == ["DELETE"] * 20
        assert server.connections <= 10


async def test_one_key_takes_one_delete(connect: Connect) -> None:
    """A single key is never a batch."""
    async with ScriptedServer(answer("204 No Content", x_amz_request_id="1")) as server:
        assert await connect(server.url).delete(["bucket/name"]) == {}
    assert [(request.method, request.target) for request in server.requests] == [("DELETE", "/bucket/name")]


@pytest.mark.parametrize("marks", [True, False])
async def test_bare_answers_to_deletions(connect: Connect, marks: bool) -> None:
    """A 204 without a header of S3's is believed only where one look agreed, and the service sends none otherwise."""
    there, bare = True, False

    def reply(request: Request) -> bytes:
        if request.method == "DELETE":
            marked = answer("204 No Content", x_amz_request_id="1")
            return marked if marks and not bare else answer("204 No Content")
        if not there:
            return refusal("404 Not Found", "NoSuchKey")
        return answer("200 OK", b"" if request.method == "HEAD" else b"12345", etag='"1"', x_amz_request_id="1")

    async with Service(reply) as server:
        aws, there = connect(server.url), False
        for _ in range(2):
            await aws.delete_one("bucket/name")
        methods = [request.method for request in server.requests]
        assert methods == (["DELETE", "DELETE"] if marks else ["DELETE", *methods[1:-1], "DELETE"])
        assert ("HEAD" in methods) is not marks
        there = bare = True
        if marks:
            with pytest.raises(ServiceError, match="it is still there"):
                await aws.delete_one("bucket/name")
        with pytest.raises(ServiceError, match="it is still there"):
            await connect(server.url).delete_one("bucket/name")


async def test_who_may_not_look_has_the_answer_only(connect: Connect) -> None:
    """Without the right to read, a 204 is believed, whatever headers it has."""

    def reply(request: Request) -> bytes:
        return answer("204 No Content") if request.method == "DELETE" else refusal("403 No", "AccessDenied")

    async with Service(reply) as server:
        await connect(server.url).delete_one("bucket/name")


async def test_denied_batch_and_denied_key(connect: Connect) -> None:
    """Keys without the right to delete are not all tried one by one."""
    async with ScriptedServer(refusal("403 No", "AccessDenied")) as server:
        with pytest.raises(AccessDeniedError):
            await connect(server.url).delete([f"bucket/{number}" for number in range(100)])
    assert len(server.requests) < 6


async def test_deletion_without_md5(connect: Connect) -> None:
    """A service that refuses a Content-MD5 gets a CRC32C of the list of keys, from the first on."""

    def reply(request: Request) -> bytes:
        refused = "content-md5" in request.headers
        return refusal("400 No", "InvalidRequest") if refused else answer(body=b"<DeleteResult></DeleteResult>")

    async with Service(reply) as server:
        aws = connect(server.url)
        for _ in range(2):
            assert await aws.delete(["bucket/a", "bucket/b"]) == {}
    assert len(server.requests) == 3
    last = server.requests[-1]
    assert last.headers["x-amz-checksum-crc32c"] == encode(crc32c(last.body))


_PAGE = answer(body=b"<html>please sign in</html>", content_type="text/html")
_THERE = answer(etag='"1"', x_amz_request_id="1", x_amz_version_id="v1")
_GONE = answer("404 Not Found", x_amz_request_id="1")


@pytest.mark.parametrize("status", ["200 OK", "202 Accepted"])
async def test_a_version_whose_deletion_is_answered_otherwise(connect: Connect, status: str) -> None:
    """A version is gone when the service says 204, or when a look says so; a page of another server is no success."""
    async with ScriptedServer(_PAGE.replace(b"200 OK", status.encode()), _THERE) as server:
        with pytest.raises(ServiceError, match="still there"):
            await connect(server.url).at_version("v1").delete(["bucket/name"])
        assert all("versionId=v1" in request.target for request in server.requests)
    async with ScriptedServer(_PAGE.replace(b"200 OK", status.encode()), _GONE) as server:
        assert await connect(server.url).at_version("v1").delete(["bucket/name"]) == {}


async def test_a_version_in_a_bucket_that_is_not_there(connect: Connect) -> None:
    """Only a missing version or object is no error."""
    async with ScriptedServer(answer("404 Not Found", b"<Error><Code>NoSuchBucket</Code></Error>")) as server:
        with pytest.raises(NotFoundError):
            await connect(server.url).at_version("v1").delete(["bucket/name"])
    for code in ("NoSuchKey", "NoSuchVersion"):
        missing = answer("404 Not Found", f"<Error><Code>{code}</Code></Error>".encode())
        async with ScriptedServer(missing) as server:
            assert await connect(server.url).at_version("v1").delete(["bucket/name"]) == {}


async def test_a_version_that_may_not_be_deleted(connect: Connect) -> None:
    """The refusal is that of the object, as in any deletion."""
    async with ScriptedServer(refusal("403 Forbidden", "AccessDenied")) as server:
        failed = await connect(server.url).at_version("v1").delete(["bucket/name"])
    assert isinstance(failed["bucket/name"], AccessDeniedError)
