"""Files that are written and wait for the disk before they get their names."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.durability import BatchSync
from dxflow_async.providers.contract import Buffered, ObjectOptions
from dxflow_async.providers.local.provider import LocalProvider

BODY = Buffered((b"content",), 7)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system than `tmp_path`."""
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    if directory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system to write to")
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize("durable", [True, False])
async def test_who_waits_says_so(tmp_path: Path, threads: Threads, *, durable: bool) -> None:
    """A durable file has no name until it is committed, and says that this waits; another one has its name at once."""
    staged = await LocalProvider(tmp_path, threads, durable=durable).stage("name", BODY, ObjectOptions())
    assert staged.waits == durable
    assert (tmp_path / "name").exists() != durable
    await staged.commit()
    assert (tmp_path / "name").read_bytes() == b"content"


async def test_each_file_system_is_flushed(
    tmp_path: Path, elsewhere: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of several file systems that are committed together have each of these flushed to its disk."""
    batches: list[set[int]] = []
    plain = BatchSync.sync_files

    def sync_files(self: BatchSync, descriptors: Mapping[int, int]) -> dict[int, OSError]:
        batches.append(set(descriptors.values()))
        assert all(os.fstat(each).st_dev == device for each, device in descriptors.items())
        return plain(self, descriptors)

    monkeypatch.setattr(BatchSync, "sync_files", sync_files)
    providers = [LocalProvider(top, threads, durable=True) for top in (tmp_path, elsewhere)]
    staged = [await provider.stage(f"{number}", BODY, ObjectOptions()) for number in range(6) for provider in providers]
    await asyncio.gather(*(each.commit() for each in staged))
    assert max(map(len, batches)) == 2
    assert len(os.listdir(tmp_path)) == len(os.listdir(elsewhere)) == 6
