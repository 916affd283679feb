"""File systems, open files and stores that are compared, pickled, and used by threads, loops and processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from operator import methodcaller
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AWSSettings, Settings

pytest.importorskip("fsspec", reason="the file system is fsspec's")

import fsspec

from dxflow_async.doors.fsspec import DxflowFileSystem


@pytest.fixture
def fs(settings: Settings) -> DxflowFileSystem:
    """A file system with settings."""
    return DxflowFileSystem(settings=settings)


@pytest.fixture
def top(tops: Callable[[str], str]) -> str:
    """A directory of the test's own on the disk."""
    return tops("local")


def test_spawned_processes(fs: DxflowFileSystem, top: str, settings: Settings) -> None:
    """File systems, open readers at their position, and files to open reach another process; open writers do not."""
    fs.pipe_file(f"{top}/x", b"0123456789")
    fs.write_text(f"{top}/t.gz", "täxt", compression="gzip", encoding="utf-8")
    opened = fs.open(f"{top}/x")
    opened.seek(4)
    cached = fs.open(f"{top}/x", cache_type="readahead")
    cached.seek(6)
    url = fsspec.open(f"dxflow://{top}/t.gz", "rt", compression="infer", settings=settings)
    with pickle.loads(pickle.dumps(url)) as text:
        assert text.read() == "täxt"
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        read = methodcaller("read")
        assert [pool.submit(read, each).result() for each in (opened, cached)] == [b"456789", b"6789"]
        assert pool.submit(methodcaller("cat_file", f"{top}/x"), fs).result() == b"0123456789"
    opened.close()
    cached.close()
    with fs.open(f"{top}/w", "wb") as writer, pytest.raises(TypeError, match="pickle"):
        pickle.dumps(writer)


def test_versions_are_pickled(fs: DxflowFileSystem, top: str) -> None:
    """The version that an open file reads is pickled with it."""
    fs.pipe_file(f"{top}/x", b"x")
    with fs.open(f"{top}/x") as file:
        file._rules = {"version": "old"}
        _, arguments = file.__reduce__()[:2]
    assert arguments[3] == {"version": "old"}


def test_other_secrets_are_other_file_systems() -> None:
    """File systems whose settings differ in what no text shows are neither shared nor equal, for dask neither."""
    one, other = (
        DxflowFileSystem(settings=Settings(aws=AWSSettings(access_key="me", secret_key=secret)))
        for secret in ("one", "other")
    )
    assert one is not other
    assert one != other
    assert one.__dask_tokenize__() != other.__dask_tokenize__()
    assert len({one, other}) == 2


def test_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts show no secret of settings, and a pickle holds only what was given."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-the-environment")
    plain = DxflowFileSystem(skip_instance_cache=True)
    plain.ls("")
    assert b"from-the-environment" not in pickle.dumps(plain)
    given = DxflowFileSystem(settings=Settings(aws=AWSSettings(access_key="me", secret_key="hush")))
    file = fsspec.open("dxflow://aws/bucket/x", settings=given.storage_options["settings"])
    for shown in (repr(given), str(given), repr(given.storage_options), repr(file), repr(vars(given))):
        assert "hush" not in shown


def test_threads(fs: DxflowFileSystem, top: str) -> None:
    """Threads share a file system."""

    def work(number: int) -> bytes:
        path = f"{top}/{number}"
        with fs.open(path, "wb") as file:
            file.write(str(number).encode())
        return bytes(fs.cat_file(path))

    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(work, range(40))] == [str(number).encode() for number in range(40)]
    assert len(fs.find(top)) == 40


def test_loops(settings: Settings, top: str) -> None:
    """An asynchronous file system works in one event loop after the other, and in several at the same time."""
    fs = DxflowFileSystem(settings=settings, asynchronous=True)

    async def work(number: int) -> bytes:
        await fs._pipe_file(f"{top}/{number}", b"x")
        found = await fs._cat([f"{top}/{number}"])
        await fs.aclose()
        return bytes(found[f"{top}/{number}"])

    assert [asyncio.run(work(number)) for number in range(2)] == [b"x"] * 2
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda number: asyncio.run(work(number)), range(8))] == [b"x"] * 8


async def test_blocking_calls_in_a_loop(fs: DxflowFileSystem, top: str, settings: Settings) -> None:
    """A blocking file system works in a coroutine; an asynchronous one refuses blocking calls there."""
    fs.pipe_file(f"{top}/x", b"x")
    async with AsyncSession(settings=settings) as session:
        other = DxflowFileSystem(session=session, asynchronous=True)
        assert await other._cat_file(f"{top}/x") == b"x"
        with pytest.raises(RuntimeError):
            other.cat_file(f"{top}/x")
        with pytest.raises(RuntimeError):
            other.open(f"{top}/x")


def test_forks(fs: DxflowFileSystem, top: str) -> None:
    """A file system of the parent is refused in a child with a clear error, and works in the parent."""
    fs.pipe_file(f"{top}/x", b"x")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            fs.cat_file(f"{top}/x")
        except RuntimeError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    assert b"fork-safe" in os.read(reading, 1000)
    os.close(reading)
    assert fs.cat_file(f"{top}/x") == b"x"


async def test_stores_with_a_session(tmp_path: Path, settings: Settings) -> None:
    """A store that was given a session is not pickled: it would use another account elsewhere."""
    pytest.importorskip("zarr")
    from dxflow_async.doors.zarr import DxflowStore

    async with AsyncSession(settings=settings) as session:
        with pytest.raises(TypeError, match="session"):
            pickle.dumps(DxflowStore(tmp_path, session=session))
        with pytest.raises(TypeError):
            pickle.dumps(DxflowFileSystem(session=session, asynchronous=True))
    again = pickle.loads(pickle.dumps(DxflowStore(tmp_path, settings=settings)))
    assert again == DxflowStore(tmp_path, settings=settings)
