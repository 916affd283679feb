"""Directories that are held open while files are written into them."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import NotFoundError, PreconditionFailedError
from dxflow_async.providers.contract import Entry, ObjectOptions, Part
from dxflow_async.providers.local.directories import Directories
from dxflow_async.providers.local.files import TemporaryFile
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.providers.local.readable_file import READ_SIZE
from tests.providers.in_memory_bodies import body

OPTIONS = ObjectOptions()


def descriptors(below: Path) -> list[str]:
    """What this process has open there."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # that of the listing itself
            continue
        if path.startswith(str(below)):
            found.append(path)
    return found


def test_opened_once_and_closed_by_the_last(tmp_path: Path) -> None:
    """All who hold a directory have one descriptor of it, which is open from the first use to the last release."""
    directories, opened = Directories(), []

    def open_directory(key: str) -> int:
        opened.append(key)
        return os.open(tmp_path, os.O_RDONLY)

    first, second = directories.hold("a"), directories.hold("a")
    assert directories.hold("b") is not first
    assert first.descriptor(open_directory) == second.descriptor(open_directory)
    assert opened == ["a"]
    first.release()
    os.fstat(second.open_descriptor)
    assert directories.hold("a") is second
    second.release()
    descriptor = second.open_descriptor
    second.release()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)
    assert directories.hold("a") is not second


def test_opened_by_two_at_once(tmp_path: Path) -> None:
    """Where two open a directory at the same time, one descriptor is kept, and the other one closed."""
    directory = Directories().hold("a")
    made: list[int] = []

    def other(_: str) -> int:
        made.append(os.open(tmp_path, os.O_RDONLY))
        return made[-1]

    def slow(key: str) -> int:
        mine = other(key)
        directory.descriptor(other)
        return mine

    assert directory.descriptor(slow) == made[1]
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(made[0])
    directory.release()


async def test_nothing_stays_open(tmp_path: Path, threads: Threads) -> None:
    """After many files at once, among them some that fail, no descriptor is left."""
    local = LocalProvider(tmp_path / "root", threads)
    (tmp_path / "root" / "d0" / "taken").mkdir(parents=True)
    (tmp_path / "root" / "d0" / "file").touch()
    keys = [f"d{number % 3}/{number}" for number in range(60)] + ["d0/taken", "d0/file/below", "d2/"]
    results = await asyncio.gather(*(local.write(key, body(b"x"), OPTIONS) for key in keys), return_exceptions=True)
    assert [result for result in results if isinstance(result, Exception)] == results[60:]
    with pytest.raises(NotFoundError):
        await local.copy(Entry("d1/nothing", 1), "d1/copy", OPTIONS)
    assert descriptors(tmp_path) == []


async def test_a_directory_that_is_removed_meanwhile(tmp_path: Path, threads: Threads) -> None:
    """What follows goes into the directory that has the name then, made anew, while others still hold the old one."""
    local = LocalProvider(tmp_path, threads)
    upload = await local.start_upload("d/large", None, OPTIONS)
    shutil.rmtree(tmp_path / "d")
    await local.write("d/small", body(b"small"), OPTIONS)
    assert (tmp_path / "d" / "small").read_bytes() == b"small"
    await upload.abort()
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["small"]
    assert descriptors(tmp_path) == []


async def test_a_resumed_file_that_is_gone(tmp_path: Path, threads: Threads) -> None:
    """Going on with a file that is not there leaves nothing open, and makes no directory."""
    local = LocalProvider(tmp_path, threads)
    path = tmp_path / "d" / ".0123456789abcdef.dxpart"
    with pytest.raises(NotFoundError):
        await local.resume_upload("d/large", str(path), (), OPTIONS)
    path.parent.mkdir()
    with pytest.raises(NotFoundError):
        await local.resume_upload("d/large", str(path), (), OPTIONS)
    assert list(path.parent.iterdir()) == []
    assert descriptors(tmp_path) == []


async def test_what_is_refused_leaves_nothing(tmp_path: Path, threads: Threads) -> None:
    """Neither reading nor copying a version that is gone leaves a descriptor, or a file beside the target."""
    local = LocalProvider(tmp_path, threads)
    (tmp_path / "large").write_bytes(bytes(2 * READ_SIZE))
    with pytest.raises(PreconditionFailedError):
        await local.read("large", etag="other")
    with pytest.raises(PreconditionFailedError):
        await local.copy(Entry("large", 2 * READ_SIZE, etag="other"), "copy", OPTIONS)
    assert os.listdir(tmp_path) == ["large"]
    assert descriptors(tmp_path) == []


async def test_writers_of_one_file(tmp_path: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """One writes at a time, a second one waits in its thread; the other threads are free for other files."""
    active = {"pwritev": 0, "write": 0}
    most = dict(active)

    def watched(name: str, function: Callable[..., int]) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            active[name] += 1
            most[name] = max(most[name], active[name])
            try:
                time.sleep(0.002)
                return function(*arguments)
            finally:
                active[name] -= 1

        return call

    local = LocalProvider(tmp_path, threads)
    upload = await local.start_upload("large", None, OPTIONS)
    monkeypatch.setattr(os, "pwritev", watched("pwritev", os.pwritev))
    monkeypatch.setattr(TemporaryFile, "write", watched("write", TemporaryFile.write))
    parts = [Part(number + 1, number * 1000, 1000) for number in range(12)]
    receipts = await asyncio.gather(*(upload.write_part(part, body(b"x" * 1000)) for part in parts))
    assert most == {"pwritev": 1, "write": 2}
    await upload.finish(receipts, None)
    assert (tmp_path / "large").read_bytes() == b"x" * 12_000
