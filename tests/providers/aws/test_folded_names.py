"""A service that repeats a key as it was sent, and stores it under another one."""

from __future__ import annotations

import pytest

from dxflow_async.exceptions import UnsafePathError
from dxflow_async.providers.contract import ObjectOptions
from tests.providers.aws.scripted_services import STORED, Service
from tests.providers.connected_providers import Connect
from tests.providers.in_memory_bodies import body, read
from tests.scripted_server import Request, answer
from tests.servers import SeaweedFS

PROBE = "/dxflow-names//./../probe"


def service(*keys: str) -> Service:
    """A service that has these keys in its listings."""
    rows = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)

    def reply(request: Request) -> bytes:
        if "uploads=" in request.target:
            begun = f"<Key>{PROBE}</Key><UploadId>u1</UploadId>"
            return answer(body=f"<InitiateMultipartUploadResult>{begun}</InitiateMultipartUploadResult>".encode())
        if request.method == "DELETE":
            return answer("204 No Content", x_amz_request_id="1")
        if request.method == "PUT":
            return STORED
        listing = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        return answer(body=listing.encode())

    return Service(reply)


@pytest.mark.parametrize("listed", [(), ("a//bc",)])
async def test_name_that_is_listed_otherwise(connect: Connect, listed: tuple[str, ...]) -> None:
    """The first odd name is found out by a listing; the second one is refused before anything is sent."""
    async with service(*listed) as server:
        aws = connect(server.url)
        with pytest.raises(UnsafePathError, match="stored it under another name"):
            await aws.write("bucket/a//b", body(b"x"), ObjectOptions())
        sent = len(server.requests)
        with pytest.raises(UnsafePathError, match="does not keep"):
            await aws.write("bucket/c//d", body(b"x"), ObjectOptions())
        assert len(server.requests) == sent


async def test_name_that_is_kept(connect: Connect) -> None:
    """Only the first odd name is listed, and ordinary names never are."""
    async with service("a//b") as server:
        aws = connect(server.url)
        await aws.write("bucket/plain/name", body(b"x"), ObjectOptions())
        assert len(server.requests) == 1
        for _ in range(2):
            await aws.write("bucket/a//b", body(b"x"), ObjectOptions())
        methods = [request.method for request in server.requests]
    assert methods == ["PUT", "POST", "DELETE", "PUT", "GET", "PUT"]


async def test_backslashes_that_are_folded(connect: Connect, weed: SeaweedFS, prefix: str) -> None:
    """SeaweedFS takes a backslash for a slash: what is below the directory is neither replaced nor deleted."""
    aws = connect(weed.endpoint, access_key=weed.access_key, secret_key=weed.secret_key)
    await aws.write(f"{prefix}a/b", body(b"kept"), ObjectOptions())
    with pytest.raises(UnsafePathError, match="does not keep backslashes"):
        await aws.write(f"{prefix}a\\b", body(b"other"), ObjectOptions())
    with pytest.raises(UnsafePathError, match="does not keep backslashes"):
        await aws.start_upload(f"{prefix}a\\b", 5, ObjectOptions())
    failed = await aws.delete([f"{prefix}a\\b"])
    assert [type(error) for error in failed.values()] == [UnsafePathError]
    assert await read(aws, f"{prefix}a/b") == b"kept"


async def test_a_listed_backslash_is_kept(connect: Connect) -> None:
    """Where a listing has a backslash, nothing is asked before such a key is deleted."""
    async with service("a\\b") as server:
        aws = connect(server.url)
        await aws.list_page("bucket/", recursive=True)
        assert await aws.delete(["bucket/a\\b"]) == {}
        assert [request.method for request in server.requests] == ["GET", "DELETE"]
