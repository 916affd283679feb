from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.contract import Buffered, ObjectOptions
from dxflow_async.providers.local.provider import LocalProvider

_SLOWNESS = 0.03


@pytest.fixture
def provider(tmp_path: Path, threads: Threads) -> LocalProvider:
    """The user's own files: small ones may be read in the loop."""
    return LocalProvider(tmp_path / "files", threads, follow_symlinks=True, durable=False)


@pytest.fixture
def memory(threads: Threads) -> Iterator[LocalProvider]:
    """A directory on a file system that is memory."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("there is no /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield LocalProvider(Path(directory, "files"), threads, durable=False)


async def _write(provider: LocalProvider, key: str) -> None:
    data = Path(key).stem.encode()
    await provider.write(key, Buffered((data,), len(data)), ObjectOptions())


async def _longest_turn(work: asyncio.Task[Any]) -> float:
    """Returns the most seconds for which the loop did not turn while `work` ran."""
    longest, last = 0.0, time.monotonic()
    while not work.done():
        await asyncio.sleep(0.001)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    await work
    return longest


def _make_opening_slow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes each `os.open` of a file take long, and returns the list of their paths."""
    opened: list[str] = []
    plain = os.open

    def slow_open(path: Any, *args: Any, **options: Any) -> int:
        if ".bin" in str(path) or ".dxpart" in str(path):
            opened.append(str(path))
            time.sleep(_SLOWNESS)
        return plain(path, *args, **options)

    monkeypatch.setattr(os, "open", slow_open)
    return opened


async def test_reads_of_a_slow_disk_do_not_hold_up_the_loop(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a disk whose `open` waits are read in threads: the loop waits for one of forty, and not for the rest."""
    for number in range(40):
        await provider.write(f"{number}.bin", Buffered((b"x",), 1), ObjectOptions())
    page = await provider.list_page("", recursive=True)
    opened = _make_opening_slow(monkeypatch)

    async def read_all() -> None:
        for start in range(0, 40, 8):
            readers = [provider.read(entry.key, listed=entry) for entry in page.entries[start : start + 8]]
            for reading in await asyncio.gather(*readers):
                assert bytes(await reading.read()) == b"x"
                await reading.aclose()

    longest = await _longest_turn(asyncio.create_task(read_all()))
    assert longest < 10 * _SLOWNESS
    assert 40 <= len(opened) <= 41


async def test_small_files_in_memory_are_read_as_they_are_now(memory: LocalProvider, threads: Threads) -> None:
    """The bytes of a small file come with what it is now; one that is large or has grown is left to a read."""
    users = LocalProvider(memory.root.path, threads, follow_symlinks=True)
    for key, data in (("a", b"old"), ("empty", b""), ("large", bytes(70_000))):
        await memory.write(key, Buffered((data,), len(data)), ObjectOptions())
    listed = {entry.key: entry for entry in (await users.list_page("", recursive=True)).entries}
    (memory.root.path / "a").write_bytes(b"ne")
    found = users.local_disk.cached_body(listed["a"])
    assert found is not None
    entry, body = found
    assert (entry.size, entry.etag) == (2, (await users.stat("a")).etag)
    assert (list(body.chunks), body.size, body.crc32c) == ([b"ne"], 2, crc32c(b"ne"))
    assert users.local_disk.cached_body(listed["large"]) is None
    empty = users.local_disk.cached_body(listed["empty"])
    assert empty is not None
    assert (empty[1].chunks, empty[1].size) == ((), 0)
    (memory.root.path / "a").write_bytes(b"grown")
    assert users.local_disk.cached_body(listed["a"]) is None
    (memory.root.path / "a").unlink()
    assert users.local_disk.cached_body(listed["a"]) is None
    assert memory.local_disk.cached_body(listed["empty"]) is None  # links may lead out of a stand-in


async def test_writes_to_a_slow_disk_do_not_hold_up_the_loop(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small files that are written together to a disk that waits never hold up the loop, and are all there."""
    opened = _make_opening_slow(monkeypatch)

    async def write(number: int) -> None:
        await provider.write(f"{number}.bin", Buffered((b"%d" % number,), len(str(number))), ObjectOptions())

    async def write_all() -> None:
        await asyncio.gather(*(write(number) for number in range(40)))

    longest = await _longest_turn(asyncio.create_task(write_all()))
    assert len(opened) == 40
    assert longest < 10 * _SLOWNESS
    for number in range(40):
        assert (Path(provider.root.path) / f"{number}.bin").read_text() == str(number)


async def test_small_files_in_memory_are_written_in_the_loop(
    memory: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first file, small files on a file system that is memory take no thread; large ones still do."""
    await _write(memory, "first/0.bin")
    handed_over: list[str] = []
    run_short = memory.threads.run_short

    def counted(function: Any, *args: Any) -> Any:
        handed_over.append(function.__name__)
        return run_short(function, *args)

    monkeypatch.setattr(memory.threads, "run_short", counted)
    await asyncio.gather(*(_write(memory, f"{number % 3}/{number}.bin") for number in range(40)))
    assert not handed_over
    assert sorted(path.read_text() for path in memory.root.path.rglob("*.bin")) == sorted([*map(str, range(40)), "0"])
    await memory.write("large.bin", Buffered((bytes(200_000),), 200_000), ObjectOptions())
    assert handed_over == ["write_new"]


async def test_a_directory_that_is_exchanged_gets_the_next_file(memory: LocalProvider) -> None:
    """A directory stays open for the files of one turn of the loop only: a new one of its name gets the next file."""
    await _write(memory, "first/0.bin")
    await _write(memory, "first/1.bin")
    await asyncio.sleep(0)
    (memory.root.path / "first").rename(memory.root.path / "second")
    (memory.root.path / "first").mkdir()
    await _write(memory, "first/2.bin")
    assert [path.name for path in (memory.root.path / "first").iterdir()] == ["2.bin"]


async def test_memory_that_makes_writes_wait_is_left_to_threads(
    memory: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where writing in the loop takes long all the same, it happens once or twice, and the rest goes to threads."""
    await _write(memory, "0.bin")
    opened = _make_opening_slow(monkeypatch)
    loop_thread, in_loop = threading.get_ident(), []
    slow_open = os.open

    def noting_open(path: Any, *args: Any, **options: Any) -> int:
        in_loop.extend([path] if ".dxpart" in str(path) and threading.get_ident() == loop_thread else [])
        return slow_open(path, *args, **options)

    monkeypatch.setattr(os, "open", noting_open)
    await asyncio.gather(*(_write(memory, f"{number}.bin") for number in range(20)))
    assert len(opened) == 20
    assert 1 <= len(in_loop) <= 2


async def test_quick_reads_bring_the_loop_back(provider: LocalProvider) -> None:
    """After a slow read in the loop, files are read in threads until many of them were quick."""
    reads = provider.root.cached_reads
    reads.learn(os.stat("/").st_dev)
    assert reads.allowed
    reads.took(1.0)
    for _ in range(64):
        assert not reads.allowed
        reads.took_in_thread(0.0001)
    assert reads.allowed
    reads.took(1.0)  # again: now it takes twice as many, and a slow one in a thread begins anew
    for _ in range(100):
        reads.took_in_thread(0.0001)
    reads.took_in_thread(1.0)
    for _ in range(128):
        assert not reads.allowed
        reads.took_in_thread(0.0001)


def test_a_loop_that_waits_for_a_processor_is_no_slow_disk(provider: LocalProvider) -> None:
    """The second slow read in the loop counts, unless the thread gave up its processor for nothing meanwhile."""
    reads = provider.root.cached_reads
    reads.learn(os.stat("/").st_dev)
    before = reads.waits()
    assert before is None
    reads.took(1.0, before)
    assert reads.allowed
    while reads.allowed:  # a busy loop may be interrupted, but does not wait
        waits = reads.waits()
        assert waits is not None
        time.sleep(0.001)
        reads.took(1.0, waits)
    assert not reads.allowed
