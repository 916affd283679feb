"""What disks do, and what other programs do to files and objects that are under way."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dxflow_async.exceptions import (
    AccessDeniedError,
    NotFoundError,
    PreconditionFailedError,
    SourceChangedError,
    StorageError,
    TransferError,
)
from dxflow_async.models import Progress
from tests.faults.proxied_providers import Site, hashes, make_tree
from tests.faults.proxy import Request
from tests.sessions import MiB, open_files, part_files


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """A disk of its own, in memory; skips where this user may not mount one."""
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk could be mounted: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def remount_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def reason(error: BaseException) -> StorageError:
    """Why an item failed."""
    if isinstance(error, TransferError):
        found = error.report.failed[0].error
        assert found is not None
        return found
    assert isinstance(error, StorageError)
    return error


@pytest.mark.parametrize("size", [1, 12])
async def test_full_disk(site: Site, tmp_path: Path, size: int) -> None:
    """A disk that is full is said so, the old file stays, and nothing of the new one does, whole or in parts."""
    tree = make_tree(tmp_path / "tree", 0, size * MiB)
    with small_disk(tmp_path / "disk", "12m") as disk:
        (disk / "large-0").write_bytes(b"old")
        (disk / "other").write_bytes(bytes(11 * MiB + (1 << 19)))
        async with site.session(tmp_path / "home") as session:
            storage = await site.storage(session)
            await storage.upload(f"{tree}/", site / "to/")
            with pytest.raises(TransferError, match="disk is full; make room"):
                await storage.download_many([(site / "to/large-0", str(disk / "large-0"))])
            assert (disk / "large-0").read_bytes() == b"old"
            assert sorted(os.listdir(disk)) == ["large-0", "other"]
            assert open_files(disk) == []
            (disk / "other").unlink()
            if size == 1:
                await storage.download_many([(site / "to/large-0", str(disk / "large-0"))])
                assert (disk / "large-0").read_bytes() == (tree / "large-0").read_bytes()


async def test_disk_that_fills_up_meanwhile(aws: Site, tmp_path: Path) -> None:
    """What another program takes of the disk while a download is under way is found out by the write that fails."""
    tree = make_tree(tmp_path / "tree", 0, 24 * MiB)
    with small_disk(tmp_path / "disk", "32m") as disk:

        def fill(progress: Progress) -> None:
            if progress.bytes_done > 2 * MiB:
                with suppress(OSError), (disk / "other").open("ab") as other:
                    other.write(bytes(24 * MiB))

        (disk / "large-0").write_bytes(b"old")
        async with aws.session(tmp_path / "home", max_bandwidth=30 * MiB) as session:
            storage = await aws.storage(session)
            await storage.upload(f"{tree}/", aws / "to/")
            with pytest.raises(TransferError, match="disk is full; make room"):
                await storage.download_many([(aws / "to/large-0", str(disk / "large-0"))], on_progress=fill)
        assert (disk / "large-0").read_bytes() == b"old"
        assert part_files(disk) == []


async def test_read_only_disk(aws: Site, tmp_path: Path) -> None:
    """A disk that cannot be written to is said so, and the old file stays."""
    tree = make_tree(tmp_path / "tree", 1, 12 * MiB)
    with small_disk(tmp_path / "disk", "32m") as disk:
        (disk / "large-0").write_bytes(b"old")
        remount_read_only(disk)
        async with aws.session(tmp_path / "home") as session:
            storage = await aws.storage(session)
            await storage.upload(f"{tree}/", aws / "to/")
            with pytest.raises(StorageError, match="file system is read-only") as raised:
                await storage.download(aws / "to/", disk)
            assert isinstance(reason(raised.value), AccessDeniedError)
            with pytest.raises(TransferError, match="file system is read-only"):
                await storage.download_many([(aws / "to/large-0", str(disk / "large-0"))])
            assert open_files(disk) == []
        assert os.listdir(disk) == ["large-0"]


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, 13 * MiB)


def vanish(path: Path) -> None:
    path.unlink()


def become_another(path: Path) -> None:
    path.with_name("new").write_bytes(bytes(20 * MiB))
    path.with_name("new").replace(path)


@pytest.mark.parametrize("change", [grow, shrink, vanish, become_another])
async def test_source_that_changes_while_it_is_read(site: Site, change: Callable[[Path], None], tmp_path: Path) -> None:
    """A local file that is changed while it goes up is that item's error, and what was stored before stays.

    Unless all that is left to read was open already, and is still there: then it goes up as it was.
    """
    path = make_tree(tmp_path / "tree", 0, 40 * MiB) / "large-0"
    digest, changed = hashes(path.parent)["large-0"], False

    def on_progress(progress: Progress) -> None:
        nonlocal changed
        if progress.bytes_done > MiB and not changed:
            changed = True
            change(path)

    async with site.session(tmp_path / "home", max_bandwidth=60 * MiB, max_concurrency=2) as session:
        storage = await site.storage(session)
        await storage.write(site / "kept", _stream(b"as it was"))
        try:
            await storage.upload(path, site / "kept", on_progress=on_progress)
        except TransferError as raised:
            error, kept = reason(raised), hashlib.sha256(b"as it was").hexdigest()
            assert isinstance(error, SourceChangedError | PreconditionFailedError | NotFoundError), repr(error)
        else:
            kept = digest
            assert change in (vanish, become_another)
        assert changed
        stored = hashlib.sha256()
        async for chunk in storage.read(site / "kept"):
            stored.update(chunk)
        assert stored.hexdigest() == kept
    if site.name != "AZURE":  # which drops blocks that were not committed by itself
        site.check_nothing_left()
    assert open_files(tmp_path / "tree") == []


async def test_object_that_is_replaced_while_it_is_read(site: Site, tmp_path: Path) -> None:
    """The bytes of two versions are never mixed: it is that item's error, and the old file stays."""
    tree = make_tree(tmp_path / "tree", 0, 24 * MiB)
    # fake-gcs-server gives an object that is put together of parts the generation of the one it replaces.
    (tree / "another").write_bytes(bytes(6 * MiB))
    (tmp_path / "back").write_bytes(b"old")
    async with site.session(tmp_path / "home") as other:
        replace = (await site.storage(other)).upload
        await replace(tree / "large-0", site / "object")
        asked = 0

        async def gate(_: Request) -> None:
            nonlocal asked
            asked += 1
            if asked == 3:
                await replace(tree / "another", site / "object")

        proxy = site.proxy(gate=gate)
        async with proxy.running(), site.session(tmp_path / "home", proxy.endpoint, max_concurrency=1) as session:
            with pytest.raises(TransferError) as raised:
                await (await site.storage(session)).download_many([(site / "object", str(tmp_path / "back"))])
    assert isinstance(reason(raised.value), SourceChangedError | PreconditionFailedError)
    assert (tmp_path / "back").read_bytes() == b"old"
    assert part_files(tmp_path) == []


async def _stream(data: bytes) -> AsyncIterator[bytes]:
    yield data
