from __future__ import annotations

import asyncio
import json

import pytest

from dxflow_async.checksum import crc32c, encode
from dxflow_async.exceptions import (
    AccessDeniedError,
    ChecksumMismatchError,
    NotFoundError,
    ServiceError,
)
from dxflow_async.providers.contract import Buffered, Entry, ObjectOptions, Part, Upload
from dxflow_async.providers.gcp.provider import GCPProvider
from tests.providers.connected_providers import ConnectGCP
from tests.providers.gcp.example_objects import json_answer, json_error, stored
from tests.providers.in_memory_bodies import body, read
from tests.scripted_server import ScriptedServer, answer
from tests.servers import GCSServer

MiB = 1 << 20
OPTIONS = ObjectOptions()


# Parts


@pytest.mark.parametrize("count", [1, 32, 33, 1025])
async def test_more_parts_than_a_composition_takes(
    gcp: GCPProvider, gcs: GCSServer, gcs_bucket: str, count: int
) -> None:
    """Parts beyond 32 are put together in rounds, in their order; of the rounds nothing is left."""
    pieces = [f"<part {number}>".encode() for number in range(count)]
    upload = await gcp.start_upload(f"{gcs_bucket}/whole", None, ObjectOptions("text/x", {"run": "7"}))
    offsets = [sum(map(len, pieces[:number])) for number in range(count)]
    slots = asyncio.Semaphore(16)

    async def write(number: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
        async with slots:
            part = Part(number + 1, offsets[number], len(pieces[number]))
            return await upload.write_part(part, body(pieces[number]))

    receipts = await asyncio.gather(*(write(number) for number in reversed(range(count))))
    assert all(receipt.verified for receipt in receipts)
    receipts.sort(key=lambda receipt: receipt.part.number)
    data = b"".join(pieces)
    entry = await upload.finish(receipts, crc32c(data))
    assert (entry.size, entry.crc32c) == (len(data), crc32c(data))
    assert await read(gcp, f"{gcs_bucket}/whole") == data
    assert gcs.names(gcs_bucket) == ["whole"]


async def test_parts_cost_here(gcp: GCPProvider) -> None:
    """Parts are objects: there are to be few, and what is read from a disk is read once for them."""
    assert gcp.features.parts_are_objects
    assert gcp.features.streams_parts


async def test_parts_are_nobody_s_objects(gcp: GCPProvider, gcs: GCSServer, gcs_bucket: str) -> None:
    """Parts are left out of listings, but for one that asks for them; so a dead program's can be found and deleted."""
    upload = await gcp.start_upload(f"{gcs_bucket}/whole", None, OPTIONS)
    await upload.write_part(Part(1, 0, 1), body(b"x"))
    await gcp.write(f"{gcs_bucket}/.dxflow-parts.txt", body(b"x"), OPTIONS)
    for prefix, recursive in (("", True), ("", False), (".", True), (".dxflow-parts", False)):
        page = await gcp.list_page(f"{gcs_bucket}/{prefix}", recursive=recursive)
        assert [entry.key for entry in page.entries] == [f"{gcs_bucket}/.dxflow-parts.txt"]
    page = await gcp.list_page(f"{gcs_bucket}/.dxflow-parts/", recursive=True)
    assert [entry.key for entry in page.entries] == [f"{gcs_bucket}/.dxflow-parts/{upload.id}/00001"]
    await gcp.delete([entry.key for entry in page.entries])
    assert gcs.names(gcs_bucket) == [".dxflow-parts.txt"]


async def test_composition_that_is_something_else(connect_gcp: ConnectGCP) -> None:
    """When the service puts together something else after all, that is removed again, in that version only."""
    wrong = json_answer(stored(size="1", generation="9", crc32c=encode(1)))
    async with ScriptedServer(answer()) as server:
        upload = await connect_gcp(server.url).start_upload("bucket/name", None, OPTIONS)
        server.requests.clear()  # the bucket's rules were looked up
        server.reply(part_of(upload), wrong, wrong, answer("204 No Content", X_GUploader_UploadID="1"))
        receipt = await upload.write_part(Part(1, 0, 1), body(b"x"))
        with pytest.raises(ChecksumMismatchError, match="they were deleted"):
            await upload.finish([receipt], crc32c(b"x"))
    _, compose, look, remove = server.requests
    assert look.method == "GET"
    document = json.loads(compose.body)
    (source,) = document["sourceObjects"]
    assert (source["generation"], source["objectPreconditions"]) == ("5", {"ifGenerationMatch": "5"})
    assert document["destination"]["crc32c"] == encode(crc32c(b"x"))
    assert (remove.method, remove.target) == ("DELETE", "/storage/v1/b/bucket/o/name?generation=9")


async def test_parts_are_removed_for_good(connect_gcp: ConnectGCP) -> None:
    """Parts are removed by their generation, so that a bucket that keeps old versions keeps none of them."""
    whole = json_answer(stored(size="1", crc32c=encode(crc32c(b"x"))))
    async with ScriptedServer(answer()) as server:
        upload = await connect_gcp(server.url).start_upload("bucket/name", None, OPTIONS)
        server.reply(part_of(upload), whole, answer("204 No Content", X_GUploader_UploadID="1"))
        await upload.finish([await upload.write_part(Part(1, 0, 1), body(b"x"))], None)
    remove = server.requests[-1]
    assert remove.method == "DELETE"
    assert remove.target == f"/storage/v1/b/bucket/o/.dxflow-parts%2F{upload.id}%2F00001?generation=5"


@pytest.mark.parametrize("size", [1, 9 * MiB])
@pytest.mark.parametrize("told", ["right", "nothing"])
async def test_part_whose_checksum_is_not_known_before(connect_gcp: ConnectGCP, size: int, told: str) -> None:
    """A part that is streamed has the checksum of what was sent, and is verified where the service tells the same."""
    data = b"x" * size
    crc = {"crc32c": encode(crc32c(data))} if told == "right" else {"crc32c": None}
    begun = [answer(Location="/upload?upload_id=7")] if size > MiB else []
    async with ScriptedServer(answer()) as server:
        upload = await connect_gcp(server.url).start_upload("bucket/name", None, OPTIONS)
        server.reply(*begun, part_of(upload, size=str(size), **crc))
        receipt = await upload.write_part(Part(1, 0, size), Buffered([data], size))
    assert (receipt.crc32c, receipt.verified) == (crc32c(data), told == "right")


async def test_part_that_is_stored_otherwise(connect_gcp: ConnectGCP) -> None:
    """A streamed part of which the service has other bytes is removed, in that version, and is an error."""
    async with ScriptedServer(answer()) as server:
        upload = await connect_gcp(server.url).start_upload("bucket/name", None, OPTIONS)
        server.requests.clear()  # the bucket's rules were looked up
        wrong = part_of(upload, crc32c=encode(crc32c(b"y")))
        server.reply(wrong, wrong, answer("204 No Content", X_GUploader_UploadID="1"))
        with pytest.raises(ChecksumMismatchError, match="they were deleted"):
            await upload.write_part(Part(1, 0, 1), Buffered([b"x"], 1))
    assert server.requests[2].target == f"/storage/v1/b/bucket/o/.dxflow-parts%2F{upload.id}%2F00001?generation=5"


def part_of(upload: Upload, **changes: object) -> bytes:
    """The answer that stores an upload's first part, `x`."""
    told = {"name": f".dxflow-parts/{upload.id}/00001", "size": "1", "generation": "5", "crc32c": encode(crc32c(b"x"))}
    return json_answer(stored(**{**told, **changes}))


# Deleting, copying


async def test_failure_in_a_delete(connect_gcp: ConnectGCP) -> None:
    """What could not be deleted is said; what was not there is no failure, and neither is the answers' order."""

    def reply(*rows: tuple[int, str]) -> bytes:
        parts = [
            f"--batch_x\r\nContent-Type: application/http\r\nContent-ID: <response-{number}>\r\n\r\nHTTP/1.1 {said}\r\n"
            f"Content-Length: 0\r\n\r\n\r\n"
            for number, said in rows
        ]
        return answer(body="".join([*parts, "--batch_x--"]).encode(), Content_Type="multipart/mixed; boundary=batch_x")

    keys = ["bucket/a", "bucket/b"]
    async with ScriptedServer(reply((1, "404 Not Found"), (0, "204 No Content"))) as server:
        assert await connect_gcp(server.url).delete(keys) == {}
    async with ScriptedServer(reply((1, "403 Forbidden"), (0, "204 No Content"))) as server:
        failed = await connect_gcp(server.url).delete(keys)
    assert [(key, type(error)) for key, error in failed.items()] == [("bucket/b", AccessDeniedError)]
    assert "GCP delete of /bucket/b failed" in str(failed["bucket/b"])
    async with ScriptedServer(reply((1, "204 No Content"))) as server:
        with pytest.raises(ServiceError, match="1 of 2"):
            await connect_gcp(server.url).delete(keys)


@pytest.mark.parametrize(("keys", "size"), [(16, 8), (500, 100)])
async def test_several_batches_at_a_time(connect_gcp: ConnectGCP, keys: int, size: int) -> None:
    """The service works off a batch one by one, so that not too few go in several; it takes a hundred in one."""
    rows = "".join(
        f"--b\r\nContent-Type: application/http\r\nContent-ID: <response-{number}>\r\n\r\nHTTP/1.1 204 No Content\r\n"
        f"Content-Length: 0\r\n\r\n\r\n"
        for number in range(size)
    )
    done = answer(body=f"{rows}--b--".encode(), Content_Type="multipart/mixed; boundary=b")
    async with ScriptedServer(done) as server:
        assert await connect_gcp(server.url).delete([f"bucket/{number}" for number in range(keys)]) == {}
    assert [request.body.count(b"DELETE /storage") for request in server.requests] == [size] * (keys // size)


async def test_thousand_deletes(gcp: GCPProvider, gcs: GCSServer, gcs_bucket: str) -> None:
    """As many as a call may delete go in batches of a hundred."""
    for number in range(3):
        await gcp.write(f"{gcs_bucket}/{number * 499}", body(b"x"), OPTIONS)
    assert await gcp.delete([f"{gcs_bucket}/{number}" for number in range(1000)]) == {}
    assert gcs.names(gcs_bucket) == []


async def test_copy_in_several_calls(connect_gcp: ConnectGCP) -> None:
    """A copy goes on with the token of the call before until it is done, of the version that was seen."""
    kind = {"kind": "storage#rewriteResponse"}
    unfinished = json_answer({**kind, "done": False, "rewriteToken": "to/ken+1"})
    done = json_answer({**kind, "done": True, "resource": stored(name="to/y", generation="9")})
    async with ScriptedServer(unfinished, done) as server:
        source = Entry("bucket/from/x", 5, etag="7")
        entry = await connect_gcp(server.url).copy(source, "other/to/y", ObjectOptions(public=True))
    assert (entry.key, entry.etag, entry.crc32c) == ("other/to/y", "9", crc32c(b"bytes"))
    first, second = [request.target for request in server.requests]
    assert first.startswith("/storage/v1/b/bucket/o/from%2Fx/rewriteTo/b/other/o/to%2Fy?")
    assert "sourceGeneration=7" in first
    assert "destinationPredefinedAcl=publicRead" in first
    assert second == f"{first}&rewriteToken=to%2Fken%2B1"


async def test_copy_that_does_not_go_on(connect_gcp: ConnectGCP) -> None:
    """A copy that is neither done nor says how to go on ends."""
    async with ScriptedServer(json_answer({"done": False})) as server:
        with pytest.raises(ServiceError, match="not valid"):
            await connect_gcp(server.url).copy(Entry("bucket/a"), "bucket/b", OPTIONS)
        assert len(server.requests) == 1


async def test_copy_to_a_missing_bucket(connect_gcp: ConnectGCP) -> None:
    """What is missing is not the version, when that is still there."""
    missing = json_error("404 Not Found", "notFound", "The specified bucket does not exist.")
    async with ScriptedServer(missing, json_answer(stored())) as server:
        with pytest.raises(NotFoundError, match="does not exist"):
            await connect_gcp(server.url).copy(Entry("bucket/name", 5, etag="7"), "other/name", OPTIONS)
        assert len(server.requests) == 2
