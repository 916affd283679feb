"""Uploads: tus 1.0.0 with its extensions, request by request, and what of it is ours."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import pytest

from dxflow_async.checksum import encode
from dxflow_async.modes import umask
from dxflow_async.server.unit.checksums import crc32c
from dxflow_async.server.unit.unit import UNIT
from tests.server.running_hub import BYTES, TUS, Answer, RunningUnit, metadata
from tests.waiting import until

CONTENT = random.Random(3).randbytes(3_000_001)


def checksum(algorithm: str, content: bytes) -> str:
    """The header `Upload-Checksum`."""
    if algorithm == "crc32c":
        return f"crc32c {encode(crc32c([content]))}"
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


async def test_options_tell_what_there_is(unit: RunningUnit) -> None:
    """OPTIONS, without a secret, names version, extensions, checksums and our own additions."""
    answer = await unit.request("OPTIONS", "/storage/upload/", secret="")
    assert answer.status == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert int(answer.headers["Dx-Directory-Mode"], 8) == 0o777 & ~umask()
    extensions = set(answer.headers["Tus-Extension"].split(","))
    assert extensions == {"creation", "creation-with-upload", "concatenation", "checksum", "termination", "expiration"}
    assert {"crc32c", "sha256", "sha1"} <= set(answer.headers["Tus-Checksum-Algorithm"].split(","))
    routes = {"rename", "directory", "stat", "order", "prune", "range", "sum", "echo"}
    uploads = {"mtime", "mode", "checksum", "group", "groups-removed", "digest", "absent"}
    assert routes | uploads == set(answer.headers["Dx-Extension"].split(","))


async def test_core(unit: RunningUnit) -> None:
    """Created, patched in three, asked in between; only then the file is there, and only the file."""
    created = await unit.create("a/b/file.bin", len(CONTENT))
    url = created.headers["Location"]
    assert (created.status, created.headers["Tus-Resumable"], url.startswith(unit.url)) == (201, "1.0.0", True)
    assert parsedate_to_datetime(created.headers["Upload-Expires"]).timestamp() > time.time() + 3600
    for start, end in ((0, 10), (10, 2_000_000), (2_000_000, len(CONTENT))):
        assert not (unit.root / "a").exists()
        assert await unit.offset(url) == start
        answer = await unit.patch(url, start, CONTENT[start:end])
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(end))
    assert (unit.root / "a/b/file.bin").read_bytes() == CONTENT
    assert answer.headers["ETag"] == (await unit.get("a/b/file.bin")).headers["ETag"]
    assert answer.headers["Repr-Digest"] == f"crc32c=:{encode(crc32c([CONTENT]))}:"
    assert [name.partition(".")[2] for name in unit.work_files()] == ["info"]
    assert await unit.offset(url) == len(CONTENT)  # for whoever did not get the answer


async def test_head(unit: RunningUnit) -> None:
    """HEAD tells offset, length, metadata and what kind of upload it is, not to be cached."""
    url = (await unit.create("a", 10)).headers["Location"]
    head = await unit.request("HEAD", url, headers=TUS)
    assert (head.headers["Upload-Length"], head.headers["Cache-Control"]) == ("10", "no-store")
    assert head.headers["Upload-Metadata"] == metadata(path="/", name="a")
    assert "Upload-Concat" not in head.headers


async def test_the_checksum_so_far_is_told(unit: RunningUnit) -> None:
    """Every answer that tells an offset tells the checksum of the bytes before it."""
    created = await unit.create("a", 10, **{"Upload-Concat": "partial"})
    url = created.headers["Location"]
    answers = [created, await unit.patch(url, 0, b"012"), await unit.patch(url, 3, b"3456789")]
    answers.append(await unit.request("HEAD", url, headers=TUS))
    sums = [crc32c([b"0123456789"[: int(each.headers["Upload-Offset"])]]) for each in answers]
    assert [each.headers["Repr-Digest"] for each in answers] == [f"crc32c=:{encode(each)}:" for each in sums]


async def test_empty_file(unit: RunningUnit) -> None:
    """A file of no bytes is there when it is created, with and without a body."""
    assert (await unit.create("a", 0)).status == 201
    assert (await unit.put("b", b"")).status == 201
    assert (unit.root / "a").read_bytes() == (unit.root / "b").read_bytes() == b""


@pytest.mark.parametrize("size", [1, 1 << 20, (1 << 20) + 1, 3_000_001])
async def test_creation_with_upload(unit: RunningUnit, size: int) -> None:
    """A whole file may come with its creation, small or large; nothing is kept of it but the file."""
    answer = await unit.put("dir/a", CONTENT[:size])
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, str(size))
    assert answer.headers["ETag"] == (await unit.get("dir/a")).headers["ETag"]
    assert (unit.root / "dir/a").read_bytes() == CONTENT[:size]


async def test_creation_with_the_first_bytes(unit: RunningUnit) -> None:
    """The first bytes may come with the creation; the upload goes on from there."""
    headers = {**BYTES, "Upload-Length": "100", "Upload-Metadata": metadata(name="a")}
    created = await unit.request("POST", "/storage/upload/", headers=headers, data=CONTENT[:40])
    assert (created.status, created.headers["Upload-Offset"]) == (201, "40")
    assert (await unit.patch(created.headers["Location"], 40, CONTENT[40:100])).status == 204
    assert (unit.root / "a").read_bytes() == CONTENT[:100]


async def test_the_old_file_stays_until_the_new_is_whole(unit: RunningUnit) -> None:
    """A file of that name is the old one or the new one, also for who looks in between."""
    await unit.put("a", b"old")
    url = (await unit.create("a", 6)).headers["Location"]
    await unit.patch(url, 0, b"new")
    assert (await unit.get("a")).content == b"old"
    await unit.patch(url, 3, b"new")
    assert (await unit.get("a")).content == b"newnew"


@pytest.mark.parametrize(("offset", "length"), [(0, 3), (4, 2), (6, 1), (1, 1)])
async def test_wrong_offsets_are_refused(unit: RunningUnit, offset: int, length: int) -> None:
    """Bytes for another offset than the upload's are 409, and change nothing."""
    url = (await unit.create("a", 10)).headers["Location"]
    await unit.patch(url, 0, b"12345")
    assert (await unit.patch(url, offset, b"x" * length)).code == "wrong_offset"
    assert await unit.offset(url) == 5
    await unit.patch(url, 5, b"67890")
    assert (unit.root / "a").read_bytes() == b"1234567890"


async def test_more_than_the_length_is_refused(unit: RunningUnit) -> None:
    """Bytes beyond the upload's length are 413; with and without a length of their own; none of them counts."""

    async def chunked(content: bytes) -> AsyncIterator[bytes]:
        yield content

    url = (await unit.create("a", 10)).headers["Location"]
    assert (await unit.patch(url, 0, b"x" * 11)).code == "too_long"
    assert (await unit.patch(url, 0, chunked(b"x" * 11))).code == "too_long"
    assert (await unit.put("b", b"")).status == 201
    headers = {**BYTES, "Upload-Length": "3", "Upload-Metadata": metadata(name="c")}
    assert (await unit.request("POST", "/storage/upload/", headers=headers, data=b"1234")).code == "too_long"
    assert await unit.offset(url) == 0
    assert (await unit.patch(url, 0, chunked(b"x" * 10))).status == 204


@pytest.mark.parametrize("algorithm", ["crc32c", "sha256", "sha1", "md5"])
@pytest.mark.parametrize("size", [1000, 3_000_001])
async def test_checksums_are_compared(unit: RunningUnit, algorithm: str, size: int) -> None:
    """Bytes with another checksum than was sent are 460 and dropped; the right ones are taken afterwards."""
    content = CONTENT[:size]
    wrong, right = checksum(algorithm, content + b"x"), checksum(algorithm, content)
    url = (await unit.create("a", size)).headers["Location"]
    answer = await unit.patch(url, 0, content, **{"Upload-Checksum": wrong})
    assert (answer.status, answer.code) == (460, "checksum_mismatch")
    assert await unit.offset(url) == 0
    assert not (unit.root / "a").exists()
    assert (await unit.patch(url, 0, content, **{"Upload-Checksum": right})).status == 204
    assert (unit.root / "a").read_bytes() == content
    headers = {**BYTES, "Upload-Length": str(size), "Upload-Metadata": metadata(name="b")}
    refused = await unit.request(
        "POST", "/storage/upload/", headers={**headers, "Upload-Checksum": wrong}, data=content
    )
    assert refused.status == 460
    assert not (unit.root / "b").exists()
    assert len(unit.work_files()) == 1  # of "a": nobody knows where the other one was
    taken = await unit.request("POST", "/storage/upload/", headers={**headers, "Upload-Checksum": right}, data=content)
    assert taken.status == 201


async def test_checksum_of_the_whole(unit: RunningUnit) -> None:
    """The metadata may have the whole file's checksum: a file with another one never gets its name."""
    right, wrong = checksum("crc32c", CONTENT), checksum("crc32c", b"other")
    for given, status in ((wrong, 460), (right, 204)):
        url = (await unit.create("a", len(CONTENT), checksum=given)).headers["Location"]
        await unit.patch(url, 0, CONTENT[:1_500_000])
        assert (await unit.patch(url, 1_500_000, CONTENT[1_500_000:])).status == status
        assert (unit.root / "a").exists() == (status == 204)


async def test_source_time_is_kept(unit: RunningUnit) -> None:
    """`mtime` of the metadata becomes the file's, to the nanosecond, before 1970 too."""
    for text, nanoseconds in (("1700000000.123456", 1_700_000_000_123_456_000), ("-1.5", -1_500_000_000), ("0", 0)):
        await unit.put("a", b"1", mtime=text)
        assert (unit.root / "a").stat().st_mtime_ns == nanoseconds
        assert (await unit.request("GET", "/storage/stat/?path=/a")).tree["modification"] == float(text)


async def test_termination(unit: RunningUnit) -> None:
    """A terminated upload is gone, bytes and all; a finished one's file stays."""
    url = (await unit.create("a", 10)).headers["Location"]
    await unit.patch(url, 0, b"12345")
    assert (await unit.request("DELETE", url, headers=TUS)).status == 204
    assert unit.work_files() == []
    for method in ("HEAD", "DELETE"):
        assert (await unit.request(method, url, headers=TUS)).status == 404
    assert (await unit.patch(url, 5, b"67890")).code == "no_such_upload"
    url = (await unit.create("b", 0)).headers["Location"]
    await unit.request("DELETE", url, headers=TUS)
    assert (unit.root / "b").exists()


async def test_two_writers(unit: RunningUnit) -> None:
    """While somebody writes, others are 423, for bytes and for termination; HEAD still answers."""
    going = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield CONTENT[:1_500_000]
        await going.wait()
        yield CONTENT[1_500_000:]

    url = (await unit.create("a", len(CONTENT))).headers["Location"]
    first = asyncio.create_task(unit.patch(url, 0, slowly()))
    while not (offset := await unit.offset(url)):
        assert not first.done()
    second = await unit.patch(url, offset, b"x")
    assert (second.status, second.code, second.headers["Retry-After"]) == (423, "locked", "1")
    assert (await unit.request("DELETE", url, headers=TUS)).status == 423
    going.set()
    assert (await first).status == 204
    assert (unit.root / "a").read_bytes() == CONTENT


async def test_many_writers_at_once(unit: RunningUnit) -> None:
    """Of many that write the same bytes at once one at a time is let in, and the file is right."""
    url = (await unit.create("a", len(CONTENT))).headers["Location"]
    answers = await asyncio.gather(*(unit.patch(url, 0, CONTENT) for _ in range(20)))
    assert sorted({answer.status for answer in answers}) in ([204, 423], [204, 409, 423], [204, 409])
    assert sum(answer.status == 204 for answer in answers) == 1
    assert (unit.root / "a").read_bytes() == CONTENT


async def break_off(unit: RunningUnit, url: str, content: bytes, length: int, **headers: str) -> None:
    """Send part of a body and hang up."""
    port, path = int(unit.url.rpartition(":")[2]), url.removeprefix(unit.url)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = {**BYTES, "X-SECRET-KEY": unit.secrets.rw, "Upload-Offset": "0", "Content-Length": str(length), **headers}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"PATCH {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{text}\r\n".encode() + content)
    await until(lambda: writer.transport.get_write_buffer_size() == 0)
    writer.transport.abort()


async def test_every_byte_that_came_counts(unit: RunningUnit) -> None:
    """A connection that breaks in mid-body loses nothing that arrived; the upload goes on from there."""
    url = (await unit.create("a", len(CONTENT))).headers["Location"]
    await break_off(unit, url, CONTENT[:765_432], len(CONTENT))
    async with asyncio.timeout(60):
        while await unit.offset(url) != 765_432:  # noqa: ASYNC110 - the server is asked
            await asyncio.sleep(0.01)
    assert (await unit.patch(url, 765_432, CONTENT[765_432:])).status == 204
    assert (unit.root / "a").read_bytes() == CONTENT


async def test_what_was_not_compared_does_not_count(unit: RunningUnit) -> None:
    """A connection that breaks before the bytes could be compared with their checksum leaves the offset."""
    url = (await unit.create("a", len(CONTENT))).headers["Location"]
    await break_off(unit, url, CONTENT[:2_500_000], len(CONTENT), **{"Upload-Checksum": checksum("sha1", CONTENT)})
    async with asyncio.timeout(60):
        while (answer := await unit.patch(url, 0, CONTENT)).status == 423:  # the broken request is not ended yet
            assert await unit.offset(url) == 0
    assert answer.status == 204
    assert (unit.root / "a").read_bytes() == CONTENT


async def parts_of(unit: RunningUnit, sizes: list[int], *, group: str = "", order: int = 1) -> list[str]:
    """Finished partial uploads that make CONTENT's beginning, written in order or against it."""
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    urls = [""] * len(sizes)
    for number in range(len(sizes))[::order]:
        given = metadata(group=group, start=str(starts[number])) if group else ""
        headers = {**TUS, "Upload-Concat": "partial", "Upload-Length": str(sizes[number]), "Upload-Metadata": given}
        urls[number] = (await unit.request("POST", "/storage/upload/", headers=headers)).headers["Location"]
        content = CONTENT[starts[number] : starts[number] + sizes[number]]
        if content:
            await unit.patch(urls[number], 0, content)
    return urls


async def concatenate(unit: RunningUnit, urls: list[str], **pairs: str) -> Answer:
    """The answer to a final upload of these parts."""
    headers = {**TUS, "Upload-Concat": f"final;{' '.join(urls)}", "Upload-Metadata": metadata(**pairs)}
    return await unit.request("POST", "/storage/upload/", headers=headers)


GROUPS = ["", "g" * 16]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("order", [1, -1])
async def test_concatenation(unit: RunningUnit, group: str, order: int) -> None:
    """Parts, written in any order, become one file with its checksum and time; nothing is left of them."""
    sizes = [1_000_000, 1, 0, 1_000_000, 999_999]
    urls = await parts_of(unit, sizes, group=group, order=order)
    assert (await unit.request("HEAD", urls[0], headers=TUS)).headers["Upload-Concat"] == "partial"
    whole = checksum("crc32c", CONTENT[:3_000_000])
    final = await concatenate(unit, urls, path="/deep", name="a", mtime="1700000000.5", checksum=whole)
    assert (final.status, final.headers["Upload-Offset"]) == (201, "3000000")
    assert (unit.root / "deep/a").read_bytes() == CONTENT[:3_000_000]
    assert (unit.root / "deep/a").stat().st_mtime == 1_700_000_000.5
    stat = (await unit.request("GET", "/storage/stat/?path=/deep/a")).tree
    assert (stat["checksum"], f'"{stat["etag"]}"') == (whole.replace(" ", ":"), final.headers["ETag"])
    head = await unit.request("HEAD", final.headers["Location"], headers=TUS)
    assert head.headers["Upload-Concat"].startswith("final;")
    assert (await unit.patch(final.headers["Location"], 3_000_000, b"x")).status in (403, 409)
    assert [name for name in unit.work_files() if not name.startswith("final-")] == []


@pytest.mark.parametrize("group", GROUPS)
async def test_concatenation_may_be_asked_for_again(unit: RunningUnit, group: str) -> None:
    """Who did not get the answer asks again and gets it; relative URLs name the parts as well."""
    urls = [url.removeprefix(unit.url) for url in await parts_of(unit, [10, 20], group=group)]
    first, second = [await concatenate(unit, urls, name="a") for _ in range(2)]
    assert (first.status, second.status) == (201, 201)
    assert first.headers["Location"] == second.headers["Location"]
    assert (unit.root / "a").read_bytes() == CONTENT[:30]


@pytest.mark.parametrize("group", GROUPS)
async def test_concatenation_with_a_wrong_checksum(unit: RunningUnit, group: str) -> None:
    """A whole with another checksum than expected gets no name; the parts stay, to be tried again."""
    urls = await parts_of(unit, [10, 20], group=group)
    wrong = await concatenate(unit, urls, name="a", checksum=checksum("crc32c", b"other"))
    assert wrong.status == 460
    assert not (unit.root / "a").exists()
    assert (await concatenate(unit, urls, name="a", checksum=checksum("crc32c", CONTENT[:30]))).status == 201


async def test_concatenations_that_cannot_be(unit: RunningUnit) -> None:
    """Parts that are not complete, not partial, not there, or of a group in another order make no file."""
    complete = await parts_of(unit, [10, 20])
    headers = {**TUS, "Upload-Concat": "partial", "Upload-Length": "5"}
    incomplete = (await unit.request("POST", "/storage/upload/", headers=headers)).headers["Location"]
    plain = (await unit.create("p", 0)).headers["Location"]
    grouped = await parts_of(unit, [10, 20, 30], group="g" * 16)
    for urls, status, code in (
        ([incomplete], 409, "not_complete"),
        ([plain], 409, "not_partial"),
        ([*complete, f"{unit.url}/storage/upload/{'0' * 32}"], 404, "no_such_upload"),
        ([complete[0], complete[0]], 423, "locked"),
        ([grouped[1], grouped[0], grouped[2]], 409, "bad_group"),
        ([grouped[0], grouped[1]], 409, "bad_group"),
        ([complete[0], *grouped], 409, "bad_group"),
        (["http://example.org/elsewhere"], 400, "invalid_header"),
        ([], 400, "invalid_header"),
    ):
        answer = await concatenate(unit, urls, name="a")
        assert (answer.status, answer.code) == (status, code)
    assert not (unit.root / "a").exists()
    assert (await concatenate(unit, grouped, name="a")).status == 201


async def test_no_bytes_are_taken_for_none(unit: RunningUnit) -> None:
    """A PATCH without a body moves nothing, is answered with the offset, and is refused as any other is."""
    url = (await unit.create("a", 10)).headers["Location"]
    await unit.patch(url, 0, CONTENT[:4])
    async with asyncio.timeout(10):
        answer = await unit.patch(url, 4, None)
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, "4")
        assert (await unit.patch(url, 3, None)).code == "wrong_offset"
    assert (await unit.patch(url, 4, CONTENT[4:10])).status == 204
    assert (unit.root / "a").read_bytes() == CONTENT[:10]


async def test_a_part_that_nobody_heard_of(unit: RunningUnit) -> None:
    """A part of a group that was created twice, as when an answer was lost, is dropped when the other one is named."""
    lost = await parts_of(unit, [10], group="g" * 16)
    urls = await parts_of(unit, [10, 20], group="g" * 16)
    assert (await concatenate(unit, urls, name="a")).status == 201
    assert (unit.root / "a").read_bytes() == CONTENT[:30]
    assert (await unit.request("HEAD", lost[0], headers=TUS)).status == 404
    assert [name for name in unit.work_files() if not name.startswith("final-")] == []


async def test_terminated_parts_of_a_group(unit: RunningUnit) -> None:
    """A group's bytes go with the last of its parts."""
    urls = await parts_of(unit, [10, 20], group="g" * 16)
    await unit.request("DELETE", urls[0], headers=TUS)
    assert f"{'g' * 16}.data" in unit.work_files()
    await unit.request("DELETE", urls[1], headers=TUS)
    assert unit.work_files() == []


async def test_a_group_is_removed_with_all_its_parts(unit: RunningUnit) -> None:
    """One request removes a group, also parts that no client heard of; other groups and uploads stay."""
    await parts_of(unit, [10, 20], group="g" * 16)
    await unit.request(
        "POST",
        "/storage/upload/",
        headers={
            **TUS,
            "Upload-Concat": "partial",
            "Upload-Length": "5",
            "Upload-Metadata": metadata(group="g" * 16, start="30"),
        },
    )
    others = [*await parts_of(unit, [10], group="g" * 17), *await parts_of(unit, [10])]
    assert (await unit.request("DELETE", f"/storage/upload/{'g' * 16}", headers=TUS)).status == 204
    assert not [name for name in unit.work_files() if name.startswith(f"{'g' * 16}.")]
    assert [(await unit.request("HEAD", url, headers=TUS)).status for url in others] == [200, 200]
    assert (await unit.request("DELETE", f"/storage/upload/{'g' * 16}", headers=TUS)).status == 404


async def test_parts_are_written_in_parallel(unit: RunningUnit) -> None:
    """Parts of a group may all be written at once."""
    sizes = [100_000] * 30
    starts = range(0, 3_000_000, 100_000)
    headers = {**BYTES, "Upload-Concat": "partial", "Upload-Length": "100000"}

    async def part(start: int) -> str:
        given = {**headers, "Upload-Metadata": metadata(group="g" * 16, start=str(start))}
        content = CONTENT[start : start + 100_000]
        return (await unit.request("POST", "/storage/upload/", headers=given, data=content)).headers["Location"]

    urls = await asyncio.gather(*map(part, starts))
    assert (await concatenate(unit, urls, name="a")).headers["Upload-Offset"] == str(sum(sizes))
    assert (unit.root / "a").read_bytes() == CONTENT[:3_000_000]


async def test_expiration(unit: RunningUnit) -> None:
    """An upload that nobody touched for its lifetime is 410, and what it left is swept; a younger one stays."""
    old = (await unit.create("a", 10)).headers["Location"]
    await unit.patch(old, 0, b"12345")
    young = (await unit.create("b", 10)).headers["Location"]
    done = (await unit.create("c", 0)).headers["Location"]
    parts = await parts_of(unit, [5, 5], group="g" * 16)
    long_ago = time.time() - 25 * 3600
    for url in (old, done, *parts):
        os.utime(unit.root / ".dx-uploads" / f"{url.rpartition('/')[2]}.info", (long_ago, long_ago))
    for name in (f"{old.rpartition('/')[2]}.data", f"{'g' * 16}.data"):
        os.utime(unit.root / ".dx-uploads" / name, (long_ago, long_ago))
    (unit.root / ".dx-uploads/leftover.tmp").touch()
    os.utime(unit.root / ".dx-uploads/leftover.tmp", (long_ago, long_ago))
    assert (await unit.request("HEAD", old, headers=TUS)).status == 410
    assert (await unit.patch(old, 5, b"67890")).code == "expired"
    uploads = unit.app[UNIT].uploads
    for _ in range(2):  # a directory is read in any order, and the bytes go after the state
        await asyncio.to_thread(uploads.sweep)
    assert {name.partition(".")[0] for name in unit.work_files()} == {young.rpartition("/")[2]}
    assert await unit.offset(young) == 0
    assert (unit.root / "c").exists()


async def test_a_crash_before_the_name_is_made_good(unit: RunningUnit) -> None:
    """An upload with all its bytes, which a crash kept from its name, gets it when somebody asks."""
    url = (await unit.create("a", 5)).headers["Location"]
    await unit.patch(url, 0, b"1234")
    name = url.rpartition("/")[2]
    with (unit.root / f".dx-uploads/{name}.data").open("r+b") as data:
        data.write(b"12345")
    with (unit.root / f".dx-uploads/{name}.info").open("r+b") as info:
        info.write(b"%020d %08x %020d %08x\n" % (5, crc32c([b"12345"]), 4, crc32c([b"1234"])))
    assert await unit.offset(url) == 5
    assert (unit.root / "a").read_bytes() == b"12345"


async def test_overridden_method(unit: RunningUnit) -> None:
    """Who cannot send PATCH, DELETE or HEAD sends POST and says so."""
    url = (await unit.create("a", 5)).headers["Location"]
    headers = {**BYTES, "Upload-Offset": "0"}
    answer = await unit.request("POST", url, headers={**headers, "X-HTTP-Method-Override": "PATCH"}, data=b"123")
    assert (answer.status, await unit.offset(url)) == (204, 3)
    assert (await unit.request("POST", url, headers={**TUS, "X-HTTP-Method-Override": "DELETE"})).status == 204
    assert (await unit.request("POST", url, headers=TUS)).status == 405


async def test_versions(unit: RunningUnit) -> None:
    """Another version of the protocol is 412, with ours; none at all is taken for ours."""
    headers = {"Upload-Length": "0", "Upload-Metadata": metadata(name="a")}
    wrong = await unit.request("POST", "/storage/upload/", headers={**headers, "Tus-Resumable": "0.2.2"})
    assert (wrong.status, wrong.headers["Tus-Version"]) == (412, "1.0.0")
    assert (await unit.request("POST", "/storage/upload/", headers=headers)).status == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Length": "9" * 30}, 400),
        ({"Upload-Length": "1e3"}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": ""}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": "name !!!"}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": "name YQ==,name YQ=="}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(name="a/b")}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(name="a", mtime="yesterday")}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(name="a", mtime="nan")}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(name="a", mtime="1e99")}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(name="a", checksum="crc32c xx")}, 400),
        ({"Upload-Length": "5", "Upload-Concat": "half"}, 400),
        ({"Upload-Length": "5", "Upload-Concat": "partial", "Upload-Metadata": metadata(group="short")}, 400),
        ({"Upload-Length": "5", "Upload-Concat": "partial", "Upload-Metadata": metadata(group="g" * 16)}, 400),
        ({"Upload-Length": str(10**17), "Upload-Metadata": metadata(name="a")}, 507),
    ],
)
async def test_malformed_creations(unit: RunningUnit, headers: dict[str, str], status: int) -> None:
    """A creation that cannot be is refused before any byte, and leaves nothing."""
    answer = await unit.request("POST", "/storage/upload/", headers={**TUS, **headers})
    assert (answer.status, bool(answer.code)) == (status, True)
    assert unit.work_files() == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Offset": ""}, 400),
        ({"Upload-Offset": "-1"}, 400),
        ({"Upload-Offset": "0", "Content-Type": "text/plain"}, 415),
        ({"Upload-Offset": "0", "Content-Encoding": "gzip"}, 415),
        ({"Upload-Offset": "0", "Upload-Checksum": "crc32c x"}, 400),
        ({"Upload-Offset": "0", "Upload-Checksum": "crc17 AAAA"}, 400),
    ],
)
async def test_malformed_patches(unit: RunningUnit, headers: dict[str, str], status: int) -> None:
    """A PATCH that cannot be is refused, and the upload is where it was."""
    url = (await unit.create("a", 5)).headers["Location"]
    answer = await unit.request("PATCH", url, headers={**BYTES, **headers}, data=b"12345")
    assert (answer.status, await unit.offset(url)) == (status, 0)


async def test_targets_that_cannot_be_are_refused_early(unit: RunningUnit) -> None:
    """A directory in the place, or a file above it, is 409 at the creation, and for whole files too."""
    await unit.put("file", b"1")
    (unit.root / "dir").mkdir()
    for name in ("dir", "file/below", "file/below/deep"):
        assert (await unit.create(name, 5)).code == "already_exists"
        assert (await unit.put(name, b"12345")).code == "already_exists"
    assert unit.work_files() == []


async def test_uploads_are_not_listed(unit: RunningUnit) -> None:
    """What is not finished is in no listing, and no path leads to it."""
    url = (await unit.create("a", 5)).headers["Location"]
    name = url.rpartition("/")[2]
    assert (await unit.request("GET", "/storage/items/?path=/&recursive=true")).tree == []
    for path in (f"/.dx-uploads/{name}.data", "/.DX-Uploads", "/volume/.dx-uploads"):
        assert (await unit.request("GET", f"/storage/download/?path={path}")).code == "unsafe_path"
        assert (await unit.request("DELETE", f"/storage/items/?path={path}")).code == "unsafe_path"
    assert (await unit.put(".dx-uploads/x", b"1")).code == "unsafe_path"


async def test_names_from_other_clients(unit: RunningUnit) -> None:
    """Other clients say `filename`, and no directory; a name that is no UTF-8 is kept as it is."""
    headers = {**TUS, "Upload-Length": "0", "Upload-Metadata": metadata(filename="a", filetype="text/plain")}
    assert (await unit.request("POST", "/storage/upload/", headers=headers)).status == 201
    headers["Upload-Metadata"] = metadata(path="/d", name=b"caf\xe9")
    assert (await unit.request("POST", "/storage/upload/", headers=headers)).status == 201
    assert sorted(os.listdir(os.fsencode(unit.root))) == [b".dx-uploads", b"a", b"d"]
    assert os.listdir(os.fsencode(unit.root / "d")) == [b"caf\xe9"]
