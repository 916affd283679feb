"""Answers in Google's place, and what they are not taken for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from dxflow_async.checksum import crc32c, encode
from dxflow_async.exceptions import ChecksumMismatchError, PreconditionFailedError, ServiceError, StorageError
from dxflow_async.providers.contract import Entry, ObjectOptions, Part
from dxflow_async.providers.gcp.provider import GCPProvider
from tests.providers.connected_providers import ConnectGCP
from tests.providers.gcp.example_objects import json_answer, json_error, stored
from tests.providers.in_memory_bodies import body, read
from tests.scripted_server import ScriptedServer, answer

MiB = 1 << 20
OPTIONS = ObjectOptions()
LISTING = {"kind": "storage#objects"}
REWRITE = {"kind": "storage#rewriteResponse"}
PAGE = answer(body=b"<html>Sign in</html>", Content_Type="text/html", ETag='"1"')
FOREIGN = {
    "page": PAGE,
    "nothing": answer(),
    "204": answer("204 No Content"),
    "object": json_answer({}),
    "list": json_answer([]),
    "text": json_answer("x"),
    "message": json_answer({"message": "maintenance"}),
    "error": json_answer({"error": {"code": 503, "message": "backend"}}),
    "xml": answer(body=b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"),
    "redirect": answer("302 Found", Location="/login?upload_id=1"),
    "another object": json_answer(stored(name="other")),
    "another bucket": json_answer(stored(bucket="other")),
    "no version": json_answer(stored(generation=None)),
}
VERBS: dict[str, Callable[[GCPProvider], Awaitable[object]]] = {
    "list": lambda gcp: gcp.list_page("bucket/", recursive=True),
    "buckets": lambda gcp: gcp.list_page("", recursive=False),
    "stat": lambda gcp: gcp.stat("bucket/name"),
    "bucket": lambda gcp: gcp.stat("bucket/"),
    "read": lambda gcp: read(gcp, "bucket/name"),
    "range": lambda gcp: read(gcp, "bucket/name", 1, 3),
    "write": lambda gcp: gcp.write("bucket/name", body(b"bytes"), OPTIONS),
    "large write": lambda gcp: gcp.write("bucket/name", body(bytes(9 * MiB)), OPTIONS),
    "copy": lambda gcp: gcp.copy(Entry("bucket/a", 5), "bucket/name", OPTIONS),
    "delete many": lambda gcp: gcp.delete(["bucket/a", "bucket/b"]),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("reply", FOREIGN)
async def test_foreign_answers(connect_gcp: ConnectGCP, verb: str, reply: str) -> None:
    """No verb takes an answer for the service's that is not about what was asked; nothing is deleted for it."""
    async with ScriptedServer(FOREIGN[reply]) as server:
        with pytest.raises(StorageError):
            await VERBS[verb](connect_gcp(server.url))
        deletes = [request.target for request in server.requests if request.method == "DELETE"]
    assert [target for target in deletes if "upload_id" not in target] == []


async def test_page_after_itself(connect_gcp: ConnectGCP) -> None:
    """A page of a listing that is followed by itself is an error, not an endless listing."""
    async with ScriptedServer(json_answer({**LISTING, "nextPageToken": "a", "items": [stored()]})) as server:
        gcp = connect_gcp(server.url)
        page = await gcp.list_page("bucket/", recursive=True)
        with pytest.raises(ServiceError, match="names itself as the next page"):
            await gcp.list_page("bucket/", recursive=True, cursor=page.cursor)


async def test_names_outside_of_the_prefix(connect_gcp: ConnectGCP) -> None:
    """A listing that names an object or a directory outside of what was asked for is refused."""
    for content in ({"items": [stored(name="p q/x")]}, {"prefixes": ["p q/"]}):
        async with ScriptedServer(json_answer({**LISTING, **content})) as server:
            with pytest.raises(ServiceError, match="not below"):
                await connect_gcp(server.url).list_page("bucket/p+q/", recursive="items" in content)


async def test_directory_where_all_was_asked_for(connect_gcp: ConnectGCP) -> None:
    """A page of one directory is not taken for all that is below: it leaves out what is in the inner ones."""
    async with ScriptedServer(json_answer({**LISTING, "prefixes": ["a/"]})) as server:
        gcp = connect_gcp(server.url)
        assert (await gcp.list_page("bucket/", recursive=False)).entries == [Entry("bucket/a/", directory=True)]
        with pytest.raises(ServiceError, match="not of all"):
            await gcp.list_page("bucket/", recursive=True)


async def test_session_that_is_answered_otherwise(connect_gcp: ConnectGCP) -> None:
    """After an answer that the protocol does not have the session is asked where it is."""
    done = json_answer(stored(size=str(len(LARGE)), crc32c=encode(crc32c(LARGE))))
    for reply in ("204", "redirect", "page"):
        async with ScriptedServer(BEGUN, FOREIGN[reply], done) as server:
            assert (await connect_gcp(server.url).write("bucket/name", body(LARGE), OPTIONS)).size == len(LARGE)


async def test_empty_listing(connect_gcp: ConnectGCP) -> None:
    """A listing that is of its kind and names nothing is an empty one."""
    async with ScriptedServer(json_answer(LISTING)) as server:
        assert (await connect_gcp(server.url).list_page("bucket/x", recursive=True)).entries == []


# Reading


async def test_download_that_tells_another_version(connect_gcp: ConnectGCP) -> None:
    """Bytes of another version than was asked for, or of another size than the object is told to have, are refused."""
    wrong = answer(body=b"bytes", X_Goog_Generation="8"), answer(body=b"byte", X_Goog_Stored_Content_Length="5")
    for reply in wrong:
        async with ScriptedServer(reply) as server:
            with pytest.raises(ServiceError, match="contradicts"):
                await connect_gcp(server.url).read("bucket/name", etag="7")


async def test_download_that_tells_no_version(connect_gcp: ConnectGCP) -> None:
    """Where a download does not tell the version, a look tells it and the checksum; what differs is refused."""
    async with ScriptedServer(answer(body=b"bytes"), json_answer(stored())) as server:
        reading = await connect_gcp(server.url).read("bucket/name", etag="7")
        assert (reading.entry.etag, reading.crc32c) == ("7", crc32c(b"bytes"))
        await reading.aclose()
    async with ScriptedServer(answer(body=b"bytes?"), json_answer(stored())) as server:
        with pytest.raises(ServiceError, match="contradicts"):
            await connect_gcp(server.url).read("bucket/name")
    async with ScriptedServer(answer(body=b"bytes"), json_answer(stored())) as server:
        with pytest.raises(PreconditionFailedError, match="replaced"):
            await connect_gcp(server.url).read("bucket/name", etag="6")


# Writing


async def test_answer_that_does_not_fit_is_looked_into(connect_gcp: ConnectGCP) -> None:
    """On the word of an answer alone nothing is removed: what was sent is there, or something else is."""
    wrong, right = json_answer(stored(crc32c=encode(1))), json_answer(stored(generation="8"))
    async with ScriptedServer(wrong, right) as server:
        assert (await connect_gcp(server.url).write("bucket/name", body(b"bytes"), OPTIONS)).etag == "8"
    for found in (json_answer(stored(crc32c=encode(2))), json_error("404 Not Found", "notFound")):
        async with ScriptedServer(wrong, found) as server:
            with pytest.raises(ServiceError, match="contradicts") as raised:
                await connect_gcp(server.url).write("bucket/name", body(b"bytes"), OPTIONS)
        assert raised.value.retryable
        assert [request.method for request in server.requests] == ["POST", "GET"]


async def test_other_bytes_that_are_stored_are_removed(connect_gcp: ConnectGCP) -> None:
    """What a look finds to be stored otherwise than it was sent is removed, in that version only."""
    wrong = json_answer(stored(crc32c=encode(1)))
    async with ScriptedServer(wrong, wrong, answer("204 No Content", X_GUploader_UploadID="1")) as server:
        with pytest.raises(ChecksumMismatchError, match="they were deleted"):
            await connect_gcp(server.url).write("bucket/name", body(b"bytes"), OPTIONS)
    assert server.requests[2].target == "/storage/v1/b/bucket/o/name?generation=7"


BEGUN = answer(Location="/upload?upload_id=7")
LARGE = bytes(9 * MiB)


@pytest.mark.parametrize("reached", ["bytes=0-99999999", "bytes=5-6", "items=0-1", f"bytes=0-{'9' * 5000}"])
async def test_more_than_was_sent(connect_gcp: ConnectGCP, reached: str) -> None:
    """A session that says it has what was never sent, or says nothing that can be understood, is not believed."""
    async with ScriptedServer(BEGUN, answer("308 Resume Incomplete", Range=reached)) as server:
        with pytest.raises(ServiceError) as raised:
            await connect_gcp(server.url).write("bucket/name", body(LARGE), OPTIONS)
        assert raised.value.retryable


async def test_redirect_is_no_progress(connect_gcp: ConnectGCP) -> None:
    """A 308 that leads elsewhere is a redirect, and says nothing of the upload."""
    elsewhere = answer("308 Permanent Redirect", Location="https://portal.example.com/")
    done = json_answer(stored(size=str(len(LARGE)), crc32c=encode(crc32c(LARGE))))
    async with ScriptedServer(BEGUN, elsewhere, done) as server:
        assert (await connect_gcp(server.url).write("bucket/name", body(LARGE), OPTIONS)).size == len(LARGE)
        assert server.requests[2].headers["content-range"] == f"bytes */{len(LARGE)}"


async def test_fewer_than_it_had(connect_gcp: ConnectGCP) -> None:
    """A session that says it has fewer bytes than before fails once; when it says so again, they are sent again."""
    part = "308 Resume Incomplete"
    async with ScriptedServer(answer()) as server:
        upload = await connect_gcp(server.url).start_upload("bucket/name", None, OPTIONS)
        server.requests.clear()  # the bucket's rules were looked up
        told = {"name": f".dxflow-parts/{upload.id}/00001", "size": str(len(LARGE)), "crc32c": encode(crc32c(LARGE))}
        less = answer(part, Range="bytes=0-524287")
        server.reply(BEGUN, answer(part, Range="bytes=0-1048575"), less, less, less, json_answer(stored(**told)))
        with pytest.raises(ServiceError, match="where it had 1048576"):
            await upload.write_part(Part(1, 0, len(LARGE)), body(LARGE))
        assert (await upload.write_part(Part(1, 0, len(LARGE)), body(LARGE))).verified
    offsets = [request.headers["content-range"] for request in server.requests[1:]]
    assert [each.partition("/")[0] for each in offsets] == [
        f"bytes 0-{len(LARGE) - 1}",
        f"bytes 1048576-{len(LARGE) - 1}",
        "bytes *",
        "bytes *",
        f"bytes 524288-{len(LARGE) - 1}",
    ]


# Deleting, copying


async def test_delete_that_is_answered_otherwise(connect_gcp: ConnectGCP) -> None:
    """After a success that is not the protocol's, a look tells whether the object is gone."""
    async with ScriptedServer(PAGE, json_answer(stored())) as server:
        with pytest.raises(ServiceError, match="there still") as raised:
            await connect_gcp(server.url).delete_one("bucket/name")
        assert raised.value.retryable
    async with ScriptedServer(PAGE, json_error("404 Not Found", "notFound")) as server:
        await connect_gcp(server.url).delete_one("bucket/name")
    async with ScriptedServer(PAGE) as server:
        with pytest.raises(ServiceError):
            await connect_gcp(server.url).delete_one("bucket/name")


async def test_copy_of_another_size(connect_gcp: ConnectGCP) -> None:
    """A copy that has another size or checksum than its source was told to have is none."""
    done = json_answer({**REWRITE, "done": True, "resource": stored()})
    for source in (Entry("bucket/a", 6, etag="7"), Entry("bucket/a", 5, etag="7", crc32c=1)):
        async with ScriptedServer(done) as server:
            with pytest.raises(ServiceError, match="the copy"):
                await connect_gcp(server.url).copy(source, "bucket/name", OPTIONS)


async def test_copy_that_stands_still(connect_gcp: ConnectGCP) -> None:
    """A copy that goes on for ever without getting further ends."""
    same = json_answer({**REWRITE, "done": False, "rewriteToken": "t", "totalBytesRewritten": "1"})
    async with ScriptedServer(same) as server:
        with pytest.raises(ServiceError, match="without getting further"):
            await connect_gcp(server.url).copy(Entry("bucket/a", 5), "bucket/name", OPTIONS)
        assert len(server.requests) == 2


@pytest.mark.parametrize("told", ["1", None])
async def test_copy_that_stands_still_with_new_tokens(connect_gcp: ConnectGCP, told: str | None) -> None:
    """So does one that names another token each time, whether it tells how much it has copied or not."""
    answers = [
        json_answer({**REWRITE, "done": False, "rewriteToken": f"t{number}", "totalBytesRewritten": told})
        for number in range(200)
    ]
    async with ScriptedServer(*answers) as server:
        with pytest.raises(ServiceError, match="without getting further"):
            await connect_gcp(server.url).copy(Entry("bucket/a", 5), "bucket/name", OPTIONS)
        assert len(server.requests) < 40


async def test_copy_that_pauses(connect_gcp: ConnectGCP) -> None:
    """A copy that gets further after some calls that copied nothing is done."""
    totals = [str(step << 20) for step in range(1, 31) for _ in range(8)]
    going = [
        json_answer({**REWRITE, "done": False, "rewriteToken": f"t{number}", "totalBytesRewritten": total})
        for number, total in enumerate(totals)
    ]
    done = json_answer({**REWRITE, "done": True, "resource": stored()})
    async with ScriptedServer(*going, done) as server:
        await connect_gcp(server.url).copy(Entry("bucket/a", 5), "bucket/name", OPTIONS)
        assert len(server.requests) == len(totals) + 1


async def test_bare_answers_to_deletions(connect_gcp: ConnectGCP) -> None:
    """A 204 without a header of Google's is believed only where a look agreed, and none has one otherwise."""
    bare, marked = answer("204 No Content"), answer("204 No Content", X_GUploader_UploadID="1")
    there, gone = json_answer(stored()), json_error("404 Not Found", "notFound")
    async with ScriptedServer(bare, there, marked, bare, there) as server:
        gcp = connect_gcp(server.url)
        with pytest.raises(ServiceError, match="is there still"):
            await gcp.delete_one("bucket/name")
        await gcp.delete_one("bucket/name")
        with pytest.raises(ServiceError, match="is there still"):
            await gcp.delete_one("bucket/name")
        assert len(server.requests) == 5
    async with ScriptedServer(bare, gone, bare) as server:
        gcp = connect_gcp(server.url)
        for _ in range(2):
            await gcp.delete_one("bucket/name")
        assert [request.method for request in server.requests] == ["DELETE", "GET", "DELETE"]
    async with ScriptedServer(bare, json_error("403 Forbidden", "forbidden")) as server:
        await connect_gcp(server.url).delete_one("bucket/name")  # who may not look has only the answer
