"""Answers that are not S3's, and those that are but lack a sign: what is believed of them."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dxflow_async.checksum import crc32c, encode
from dxflow_async.exceptions import ServiceError
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.contract import Entry, ObjectOptions, Part, PartReceipt
from tests.providers.connected_providers import Connect
from tests.providers.in_memory_bodies import body, read
from tests.scripted_server import ScriptedServer, answer

DATA = b"x" * 1000
MD5 = hashlib.md5(DATA).hexdigest()
OPTIONS = ObjectOptions()
ENTRY = Entry("bkt/name", len(DATA), etag="1")

PAGE = answer(body=b"<html>Sign in</html>", Content_Type="text/html")
FOREIGN = {
    "page": PAGE,
    "page with an etag": answer(body=b"<html>Sign in</html>", Content_Type="text/html", ETag='"p"'),
    "error as XML": answer(body=b"<Error><Code>InternalError</Code></Error>"),
    "error as JSON": answer(body=b'{"error": "no"}', Content_Type="application/json"),
    "nothing": answer(),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "another document": answer(body=b"<ListAllMyBucketsResult></ListAllMyBucketsResult>"),
}
MISSING = answer("404 Not Found")

Verb = Callable[[AWSProvider], Awaitable[Any]]


async def _part(aws: AWSProvider) -> Any:
    upload, _ = await _resumed(aws)
    return await upload.write_part(Part(1, 0, len(DATA)), body(DATA))


async def _copied_part(aws: AWSProvider) -> Any:
    upload, _ = await _resumed(aws)
    return await upload.copy_part(Part(1, 0, len(DATA)), ENTRY)


async def _finished(aws: AWSProvider) -> Any:
    upload, _ = await _resumed(aws)
    return await upload.finish([PartReceipt(Part(1, 0, len(DATA)), MD5, crc32c(DATA))], crc32c(DATA))


async def _aborted(aws: AWSProvider) -> Any:
    upload, _ = await _resumed(aws)
    return await upload.abort()


async def _resumed(aws: AWSProvider) -> Any:
    return await aws.resume_upload("bkt/name", "id", (), OPTIONS)


PARTS = answer(body=b"<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>")

# Each verb, and what is answered before the request in question.
VERBS: dict[str, tuple[Verb, tuple[bytes, ...]]] = {
    "list": (lambda aws: aws.list_page("bkt/", recursive=True), ()),
    "list buckets": (lambda aws: aws.list_page("", recursive=False), ()),
    "write": (lambda aws: aws.write("bkt/name", body(DATA), OPTIONS), ()),
    "start": (lambda aws: aws.start_upload("bkt/name", None, OPTIONS), ()),
    "resume": (_resumed, ()),
    "part": (_part, (PARTS,)),
    "copied part": (_copied_part, (PARTS,)),
    "finish": (_finished, (PARTS,)),
    "abort": (_aborted, (PARTS,)),
    "copy": (lambda aws: aws.copy(ENTRY, "bkt/copy", OPTIONS), ()),
    "delete": (lambda aws: aws.delete(["bkt/a", "bkt/b"]), ()),
}
RIGHT = {("abort", "no content"), ("list buckets", "another document")}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("verb", VERBS)
async def test_foreign_answers(connect: Connect, verb: str, kind: str) -> None:
    """No verb takes another server's answer of status 200 for S3's; each may be tried again."""
    if (verb, kind) in RIGHT:
        return
    attempt, before = VERBS[verb]
    async with ScriptedServer(*before, FOREIGN[kind], PARTS if verb == "part" else MISSING) as server:
        with pytest.raises(ServiceError) as raised:
            await attempt(connect(server.url))
    assert raised.value.retryable


@pytest.mark.parametrize("kind", ["page", "error as XML", "nothing", "no content"])
async def test_a_look_that_says_nothing_of_an_object(connect: Connect, kind: str) -> None:
    """An answer to HEAD that has neither a version nor a header of the service is believed when a listing agrees."""
    head = FOREIGN[kind].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    size = int(head.decode().partition("Content-Length: ")[2].partition("\r")[0] or 0)
    for listed in (size, size + 1):
        row = f"<Contents><Key>name</Key><Size>{listed}</Size></Contents>"
        page = answer(body=f"<ListBucketResult>{row}</ListBucketResult>".encode())
        async with ScriptedServer(head, page) as server:
            aws = connect(server.url)
            if listed == size and kind != "no content":
                assert (await aws.stat("bkt/name")).size == size
            else:
                with pytest.raises(ServiceError):
                    await aws.stat("bkt/name")
    async with ScriptedServer(head, FOREIGN[kind]) as server:
        with pytest.raises(ServiceError):
            await connect(server.url).stat("bkt/name")


async def test_first_contact_is_compared_with_a_look(connect: Connect) -> None:
    """What bears no sign of the service, and was not looked up before, is compared with a look, once an endpoint."""
    page = FOREIGN["page with an etag"]
    right = answer(body=DATA, ETag='"1"', x_amz_request_id="1")
    async with ScriptedServer(page, right) as server:
        with pytest.raises(ServiceError, match="contradicts"):
            await read(connect(server.url), "bkt/name")
    plain = answer(body=DATA, ETag='"1"', Content_Type="application/octet-stream")
    async with ScriptedServer(plain, plain.removesuffix(DATA), plain, plain) as server:
        aws = connect(server.url)
        for _ in range(3):
            assert await read(aws, "bkt/name") == DATA
        assert [request.method for request in server.requests] == ["GET", "HEAD", "GET", "GET"]


HEAD = {
    "its checksum": {"x_amz_checksum_crc32c": encode(crc32c(DATA)), "ETag": '"1"'},
    "its MD5": {"ETag": f'"{MD5}"'},
    "its bytes": {"ETag": '"1"'},
}


@pytest.mark.parametrize("sign", HEAD)
@pytest.mark.parametrize("right", [True, False])
async def test_put_without_an_etag_is_looked_up(connect: Connect, sign: str, right: bool) -> None:
    """An object that was stored without saying so is confirmed by its checksum, its MD5 or its bytes."""
    data, headers = (DATA, HEAD[sign]) if right else (b"y" * 1000, {"ETag": '"2"'})
    head = answer(body=data, **headers).removesuffix(data)
    async with ScriptedServer(answer("201 Created"), head, answer(body=data, **headers)) as server:
        writing = connect(server.url).write("bkt/name", body(DATA), OPTIONS)
        if right:
            assert (await writing).size == len(DATA)
        else:
            with pytest.raises(ServiceError, match="the stored bytes differ"):
                await writing


async def test_put_with_an_etag_is_stored(connect: Connect) -> None:
    """An ETag and an answer without a body are the protocol's own signs; many endpoints give none of AWS's headers."""
    async with ScriptedServer(answer(ETag='"1"')) as server:
        assert (await connect(server.url).write("bkt/name", body(DATA), OPTIONS)).etag == "1"
        assert [request.method for request in server.requests] == ["PUT"]
    async with ScriptedServer(answer(ETag='"1"', Content_Type="text/html"), MISSING) as server:
        with pytest.raises(ServiceError, match="nothing is stored"):
            await connect(server.url).write("bkt/name", body(DATA), OPTIONS)


async def test_part_without_an_etag_is_listed(connect: Connect) -> None:
    """A part that was stored without saying so is confirmed by the list of parts, with the MD5 that was sent."""
    row = f"<Part><PartNumber>1</PartNumber><ETag>{MD5}</ETag><Size>{len(DATA)}</Size></Part>"
    listed = answer(body=f"<ListPartsResult>{row}</ListPartsResult>".encode())
    async with ScriptedServer(PARTS, answer(), listed) as server:
        assert (await _part(connect(server.url))).etag == MD5


async def test_a_checksum_that_is_told_is_told_each_time(connect: Connect) -> None:
    """An endpoint that told the checksum of what it stored, and then does not, is asked whether it is stored."""
    told = encode(crc32c(DATA))
    good = answer(ETag='"1"', x_amz_request_id="1", x_amz_checksum_crc32c=told)
    bad = answer(ETag='"2"', x_amz_request_id="2")
    async with ScriptedServer(good, good, bad, MISSING) as server:
        aws = connect(server.url)
        for _ in range(2):
            await aws.write("bkt/name", body(DATA), OPTIONS)
        with pytest.raises(ServiceError, match="nothing is stored"):
            await aws.write("bkt/name", body(DATA), OPTIONS)


LISTINGS = {
    "a key outside of the prefix": b"<Contents><Key>other/x</Key><Size>1</Size></Contents>",
    "a directory outside of the prefix": b"<CommonPrefixes><Prefix>other/</Prefix></CommonPrefixes>",
    "another prefix, and nothing": b"<Prefix>other/</Prefix>",
    "the answer to another page": b"<ContinuationToken>u</ContinuationToken>",
    "the answer to a listing of a directory": b"<CommonPrefixes><Prefix>dir/inner/</Prefix></CommonPrefixes>",
    "truncated without a token": b"<IsTruncated>true</IsTruncated>",
    "its own token": b"<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>",
}


@pytest.mark.parametrize("kind", LISTINGS)
async def test_listings_that_contradict(connect: Connect, kind: str) -> None:
    """A page that names something outside of its prefix, or that cannot be gone on with, is an error."""
    page = answer(body=b"<ListBucketResult>" + LISTINGS[kind] + b"</ListBucketResult>")
    async with ScriptedServer(page) as server:
        with pytest.raises(ServiceError):
            await connect(server.url).list_page("bkt/dir/", recursive=True, cursor="t")


@pytest.mark.parametrize("gone", [True, False])
async def test_an_abort_that_is_answered_otherwise(connect: Connect, gone: bool) -> None:
    """Not every server says 204 to an abort; the upload is gone when a look at its parts says so."""
    missing = answer("404 Not Found", body=b"<Error><Code>NoSuchUpload</Code></Error>")
    async with ScriptedServer(PARTS, answer(), missing if gone else PARTS) as server:
        upload, _ = await _resumed(connect(server.url))
        if gone:
            await upload.abort()
        else:
            with pytest.raises(ServiceError):
                await upload.abort()
        assert [request.method for request in server.requests] == ["GET", "DELETE", "GET"]
