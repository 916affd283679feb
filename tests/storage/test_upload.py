from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async.exceptions import (
    ConfigurationError,
    NotFoundError,
    StorageError,
    TransferError,
    UnsafePathError,
)
from dxflow_async.models import Progress
from tests.servers import SeaweedFS
from tests.sessions import MiB, tasks, unfinished_uploads
from tests.storage.tested_accounts import Account


async def names(account: Account) -> list[str]:
    """All objects of the account, below its own directory."""
    try:
        found = [item async for item in account.storage.scan(path=account / "")]
    except NotFoundError:
        return []
    return sorted(item.path[len(account / "") :] for item in found)


async def content(account: Account, name: str) -> bytes:
    return b"".join([chunk async for chunk in account.storage.read(account / name)])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """`tree/a.txt`, `tree/deep/er/b.csv` and the empty directory `tree/empty`."""
    top = tmp_path / "tree"
    (top / "deep/er").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "a.txt").write_bytes(b"a")
    (top / "deep/er/b.csv").write_bytes(b"bb")
    return top


IN_TREE = ["a.txt", "deep/er/b.csv", "empty/"]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("tree/a.txt", "dir/", ["dir/a.txt"]),
        ("tree/a.txt", "dir/name", ["dir/name"]),
        ("tree", "dir/", [f"dir/tree/{name}" for name in IN_TREE]),
        ("tree", "dir", [f"dir/{name}" for name in IN_TREE]),
        ("tree/", "dir/", [f"dir/{name}" for name in IN_TREE]),
        ("tree/", "dir", [f"dir/{name}" for name in IN_TREE]),
        ("tree/*.txt", "dir/", ["dir/a.txt"]),
        ("tree/*.txt", "dir/name", ["dir/name"]),
        ("tree/**/*.csv", "dir/", ["dir/b.csv"]),
        ("tree/[ad]*", "dir/", ["dir/a.txt", "dir/deep/er/b.csv"]),
    ],
)
async def test_where_sources_go(account: Account, tree: Path, source: str, target: str, expected: list[str]) -> None:
    """A trailing slash at the target means into it; at the source, its content; without, the exact name."""
    report = await account.storage.upload(f"{tree.parent}/{source}", account / target)
    assert await names(account) == sorted(expected)
    assert len(report) == len(expected)
    assert report.ok


async def test_several_matches_for_one_name_are_refused(account: Account, tree: Path) -> None:
    """A glob pattern that matches several needs a directory; nothing is sent."""
    (tree / "c.txt").touch()
    with pytest.raises(ConfigurationError, match=r"2 files.*slash"):
        await account.storage.upload(f"{tree}/*.txt", account / "name")
    assert await names(account) == []


@pytest.mark.parametrize("source", ["missing", "missing/", "missing*", "tree/a.txt/", "nul\0"])
async def test_missing_source_is_an_error(account: Account, tree: Path, source: str) -> None:
    """What matches nothing is no silent success."""
    advice = "leave out the slash" if source == "tree/a.txt/" else "check the path"
    with pytest.raises(NotFoundError, match=advice):
        await account.storage.upload(f"{tree.parent}/{source}", account / "dir/")


async def test_file_named_like_a_pattern_is_that_file(account: Account, tmp_path: Path) -> None:
    """What exists under the name is taken as it is."""
    (tmp_path / "a[1]*.txt").write_bytes(b"odd")
    await account.storage.upload(tmp_path / "a[1]*.txt", account / "dir/")
    assert await content(account, "dir/a[1]*.txt") == b"odd"


ODD_NAMES = [
    "ünïcödé-日本.txt",
    "with space",
    "plus+percent%20hash#question?star*",
    ".hidden",
    "quote\"'&<>",
    "new\nline",
    "emoji-😀",
    "trailing.",
    "-",
    "x" * 255,
]


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_round_trip(account: Account, tmp_path: Path, name: str) -> None:
    """Odd names come back as they were, up and down, and in the listing."""
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / name).write_bytes(name.encode())
    await account.storage.upload(f"{tmp_path}/odd/", account / "odd/")
    assert await names(account) == [f"odd/{name}"]
    await account.storage.download(account / "odd/", tmp_path / "back")
    assert (tmp_path / "back" / name).read_bytes() == name.encode()
    assert await account.storage.delete(account / f"odd/{name}") == 1
    assert not await account.storage.exists(account / f"odd/{name}")


HOSTILE = ["a//b", "../x", "a/../b", "./x", "a/.", "nul\0name", "x/" * 520 + "x", "lone\ud800", "slash/"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_are_refused(account: Account, tmp_path: Path, name: str) -> None:
    """What would not come back is refused with a reason, and nothing is stored."""
    (tmp_path / "file").write_bytes(b"x")

    async def stream() -> AsyncIterator[bytes]:
        yield b"x"

    with pytest.raises(UnsafePathError, match="refused"):
        await account.storage.write(account / name, stream())
    with pytest.raises(TransferError, match="refused") as raised:
        await account.storage.upload_many([(str(tmp_path / "file"), account / name)])
    assert isinstance(raised.value.report[0].error, UnsafePathError)
    assert await names(account) == []


async def test_longest_key_round_trips(account: Account, tmp_path: Path) -> None:
    """A key of 1,024 bytes is stored and comes back."""
    below = (account / "").partition("/")[2].partition("/")[2]
    name = "/".join(["y" * 200] * 5)
    name += "/" + "z" * (1024 - len(below.encode()) - len(name) - 1)
    (tmp_path / "file").write_bytes(b"long")
    await account.storage.upload(tmp_path / "file", account / name)
    await account.storage.download(account / "", tmp_path / "back")
    assert (tmp_path / "back" / name).read_bytes() == b"long"


async def test_name_of_a_bucket_is_no_target(cloud: Account, tmp_path: Path, weed: SeaweedFS) -> None:
    """A file cannot be a bucket; nothing is sent, and no bucket comes of it or goes."""
    before = weed.client.list_buckets()["Buckets"]
    (tmp_path / "file").write_bytes(b"x")
    for target, reason in (("/never-a-bucket", "it names a bucket"), ("/", "it names no bucket for file")):
        with pytest.raises(TransferError, match=reason):
            await cloud.storage.upload(tmp_path / "file", target)
    with pytest.raises(UnsafePathError, match="bucket"):
        await cloud.storage.delete("/" + cloud.bucket.partition("/")[0])
    assert weed.client.list_buckets()["Buckets"] == before


async def test_upload_many_takes_iterables_and_async_iterators(account: Account, tree: Path) -> None:
    """Pairs come from either kind of iterator."""
    pairs = [(str(tree / "a.txt"), account / f"many/{number}") for number in range(20)]

    async def stream() -> AsyncIterator[tuple[str, str]]:
        for source, target in pairs:
            yield source, f"{target}-async"

    assert len(await account.storage.upload_many(pairs)) == 20
    assert len(await account.storage.upload_many(stream())) == 20
    assert len(await names(account)) == 40


async def test_partial_failure_reports_every_item(account: Account, tree: Path) -> None:
    """Good items are stored; the error names the bad one, and its report has all."""
    pairs = [(str(tree / name), account / f"part/{name}") for name in ("a.txt", "missing", "deep/er/b.csv")]
    with pytest.raises(TransferError, match="1 of 3 items failed") as raised:
        await account.storage.upload_many(pairs)
    report = raised.value.report
    assert [result.source for result in report.failed] == [str(tree / "missing")]
    assert isinstance(report.failed[0].error, NotFoundError)
    assert await names(account) == ["part/a.txt", "part/deep/er/b.csv"]


async def test_second_of_two_files_with_one_name_is_refused(account: Account, tree: Path) -> None:
    """The first file is stored; a pair that comes twice is no error."""
    first, second = str(tree / "a.txt"), str(tree / "deep/er/b.csv")
    assert not (await account.storage.upload_many([(first, account / "twice")] * 2)).failed
    with pytest.raises(TransferError, match="another item of this call has that name") as raised:
        await account.storage.upload_many([(first, account / "one"), (second, account / "one")])
    assert [result.source for result in raised.value.report.failed] == [second]
    assert await content(account, "one") == b"a"


async def test_special_files_are_skipped_with_a_reason(account: Account, tree: Path) -> None:
    """Pipes and links to nothing are left alone, and said so."""
    os.mkfifo(tree / "pipe")
    (tree / "dangling").symlink_to(tree / "nowhere")
    report = await account.storage.upload(f"{tree}/", account / "dir/")
    skipped = {os.path.basename(result.source): result.skipped for result in report.skipped}
    assert skipped == {"pipe": "not a regular file", "dangling": "a symbolic link to nothing"}
    assert await names(account) == sorted(f"dir/{name}" for name in IN_TREE)


async def test_match_that_cannot_be_read_does_not_stop_the_others(account: Account, tree: Path) -> None:
    """Of a glob pattern, a match that is gone fails alone."""
    (tree / "0.txt").symlink_to(tree / "nowhere")
    with pytest.raises(TransferError, match="1 of 2 items"):
        await account.storage.upload(f"{tree}/*.txt", account / "dir/")
    assert await names(account) == ["dir/a.txt"]


async def test_source_that_vanished_is_an_error(account: Account, tree: Path) -> None:
    """A file that was planned and is gone when its turn comes is that item's error."""

    async def pairs() -> AsyncIterator[tuple[str, str]]:
        yield str(tree / "a.txt"), account / "a"
        (tree / "deep/er/b.csv").unlink()
        yield str(tree / "deep/er/b.csv"), account / "b"

    with pytest.raises(TransferError, match="does not exist"):
        await account.storage.upload_many(pairs())
    assert await names(account) == ["a"]


async def test_source_that_changes_is_never_stored_torn(account: Account, tmp_path: Path) -> None:
    """A file written to while it is uploaded is an error, or one version of it."""
    path, stop = tmp_path / "changing", threading.Event()
    path.write_bytes(bytes(24 * MiB))

    def change() -> None:
        byte = 0
        with path.open("r+b") as file:
            while not stop.wait(0.002):
                byte = (byte + 1) % 256
                file.seek(16 * MiB)
                file.write(bytes([byte]))
                file.flush()

    changer = threading.Thread(target=change)
    changer.start()
    try:
        with pytest.raises(TransferError) as raised:
            await account.storage.upload(path, account / "changing")
    finally:
        stop.set()
        changer.join()
    assert isinstance(raised.value.report[0].error, StorageError)
    assert await names(account) == []


async def test_results_are_verified_where_the_service_checks(account: Account, tree: Path) -> None:
    """S3 compares the checksum, and a local store keeps it, so the result says verified."""
    (tree / "large").write_bytes(os.urandom(11 * MiB))
    report = await account.storage.upload(f"{tree}/*", account / "dir/")
    files = [result for result in report if not result.destination.endswith("/")]
    assert all(result.checksum and result.checksum.startswith("crc32c:") for result in files)
    assert all(result.verified for result in files)
    assert report.verification == "all verified"
    assert report.bytes == 11 * MiB + 3


async def test_content_type_and_metadata(cloud: Account, tree: Path) -> None:
    """The media type follows from the name, or is what was given; metadata is kept, also for large files."""
    (tree / "large.json").write_bytes(bytes(11 * MiB))
    await cloud.storage.upload(f"{tree}/*.*", cloud / "typed/", metadata={"project": "demo"})
    for name, expected in [("a.txt", "text/plain"), ("large.json", "application/json")]:
        item = await cloud.storage.stat(cloud / f"typed/{name}")
        assert item.content_type == expected
        assert item.metadata == {"project": "demo"}
    await cloud.storage.upload(tree / "a.txt", cloud / "given", content_type="text/x-own")
    assert (await cloud.storage.stat(cloud / "given")).content_type == "text/x-own"


async def test_progress_is_monotone_and_final(account: Account, tree: Path) -> None:
    """Counters never go back, and the last event has everything."""
    for number in range(200):
        (tree / f"{number}.bin").write_bytes(bytes(1000))
    (tree / "large").write_bytes(bytes(12 * MiB))
    events: list[Progress] = []
    report = await account.storage.upload(f"{tree}/", account / "dir/", on_progress=events.append)
    for before, after in itertools.pairwise(events):
        assert before.files_done <= after.files_done
        assert before.bytes_done <= after.bytes_done
        assert before.seconds <= after.seconds
    last = events[-1]
    assert (last.files_done, last.files_total) == (len(report), len(report))
    assert last.bytes_done == last.bytes_total == report.bytes == 12 * MiB + 200_003
    assert last.failed == last.retries == 0


async def test_public_objects_say_what_became_of_them(account: Account, tree: Path) -> None:
    """Where objects cannot be made public the upload says why; a stand-in keeps them in an area of their own."""
    if account.is_cloud:
        with pytest.raises(TransferError, match="does not allow public objects"):
            await account.storage.upload(tree / "a.txt", account / "public", utype="public")
    else:
        await account.storage.upload(tree / "a.txt", account / "public", utype="public")
        assert await account.storage.exists(account / "public", storage_type="public")
        assert not await account.storage.exists(account / "public")


# Streams


@pytest.mark.parametrize("size", [0, 1, 5 * MiB - 1, 5 * MiB, 5 * MiB + 1, 10 * MiB, 17 * MiB])
async def test_streams_of_any_length(account: Account, size: int) -> None:
    """Streams of nothing, of one part exactly, and of several are stored whole."""
    data = os.urandom(size)

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, size, 700_000):
            yield data[start : start + 700_000]

    (result,) = await account.storage.write(account / "stream.csv", stream())
    assert result.bytes == size
    assert result.verified
    assert await content(account, "stream.csv") == data


@pytest.mark.parametrize("before", [0, 1, 12 * MiB])
async def test_stream_that_raises_stores_nothing(account: Account, weed: SeaweedFS, bucket: str, before: int) -> None:
    """What the stream raises comes out as it is, no object is there, and no part is left."""
    running = tasks()

    async def stream() -> AsyncIterator[bytes]:
        yield bytes(before)
        raise ZeroDivisionError("from the stream")

    with pytest.raises(ZeroDivisionError, match="from the stream"):
        await account.storage.write(account / "broken", stream())
    assert await names(account) == []
    assert unfinished_uploads(weed, bucket) == []
    assert tasks() == running


async def test_stream_piped_from_a_read_needs_one_request_at_a_time(cloud: Account) -> None:
    """Reading and writing at once do not wait for each other's place, however many of them there are."""
    storage = cloud.storage

    async def stream() -> AsyncIterator[bytes]:
        yield bytes(6 * MiB)

    await storage.write(cloud / "source", stream())
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(storage.write(cloud / f"copy-{number}", storage.read(cloud / "source")))
    assert len(await names(cloud)) == 21
