"""A program that moves files in a process that is as macOS as Linux can make it; run by `tests/test_macos.py`.

There is no `/proc` (its caller hides it), none of the system calls that only Linux has, and `sys.platform` is `darwin`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

__all__ = ["main"]

_ONLY_ON_LINUX = (
    "O_PATH",
    "O_TMPFILE",
    "O_DIRECT",
    "RWF_NOWAIT",
    "POSIX_FADV_DONTNEED",
    "copy_file_range",
    "eventfd",
    "fdatasync",
    "getxattr",
    "listxattr",
    "memfd_create",
    "pidfd_open",
    "posix_fadvise",
    "posix_fallocate",
    "removexattr",
    "setxattr",
    "splice",
    "sched_getaffinity",
)


def become_macos() -> None:
    """Hides what macOS does not have. It must run before the library is imported."""
    for name in _ONLY_ON_LINUX:
        if hasattr(os, name):
            delattr(os, name)
    if hasattr(os, "process_cpu_count"):  # since Python 3.13, which looks for sched_getaffinity on its import
        os.process_cpu_count = os.cpu_count
    fcntl.F_FULLFSYNC = 51  # type: ignore[attr-defined]  # Linux refuses it, as some file systems of macOS do
    system: Any = urllib.request
    system.getproxies_macosx_sysconf = dict
    system._get_proxy_settings = dict
    sys.platform = "darwin"


async def main(root: Path) -> None:
    """Uploads, downloads, copies and syncs a tree with links and special files, and checks every result."""
    from dxflow_async import AsyncSession, Settings, TransferError, UnsafePathError
    from dxflow_async.providers.local.kind import LocalSettings
    from dxflow_async.security import safe_open

    assert not safe_open.has_openat2()
    tree = root / "tree"
    (tree / "deep/er").mkdir(parents=True)
    (tree / "small").write_bytes(b"small")
    (tree / "deep/er/large").write_bytes(os.urandom(20 << 20))
    (tree / "script").write_bytes(b"#!/bin/sh\n")
    (tree / "script").chmod(0o750)
    (tree / "link").symlink_to("small")
    store = LocalSettings(root=root / "store")
    settings = Settings(home=root / "home", part_size=5 << 20, remotes={"store": store})
    async with AsyncSession("me@example.org", "correct horse", settings=settings) as session:
        assert (await session.copy(f"{tree}/", "unit:/Demo/tree/")).ok
        assert (await session.copy("unit:/Demo/tree/", f"{root}/back/")).ok
        assert (await session.copy(f"{tree}/", f"{root}/copy/")).ok
        assert (await session.copy(f"{tree}/", "aws:/bucket/tree/")).ok
        assert (await session.sync("aws:/bucket/tree/", f"{root}/synced/")).ok
        # A local store keeps checksums, though files have no attributes.
        assert (await session.copy(f"{tree}/", "store:/tree/")).verification == "all verified"
        assert (await session.copy("store:/tree/", f"{root}/kept/")).verification == "all verified"
        for name in ("back", "copy", "synced", "kept"):
            same(tree, root / name)
        assert stat.S_IMODE((root / "copy/script").stat().st_mode) == 0o750
        # Another sync, with a file too many on one side and a changed one on the other.
        (root / "synced/extra").touch()
        (tree / "small").write_bytes(b"changed")
        assert (await session.sync(f"{tree}/", f"{root}/synced/", delete=True)).ok
        same(tree, root / "synced")
        # Special files and links that lead out.
        os.mkfifo(tree / "pipe")
        report = await session.copy(f"{tree}/", f"{root}/second/")
        skipped = {os.path.basename(each.source): each.skipped for each in report if each.skipped}
        assert skipped == {"pipe": "not a regular file"}
        same(tree, root / "second", ignored={"pipe"})
        (root / "outside").mkdir()
        (root / "planted").mkdir()
        (root / "planted/deep").symlink_to(root / "outside")
        with pytest.raises(TransferError) as raised:
            await session.copy("unit:/Demo/tree/", f"{root}/planted/")
        assert {type(each.error) for each in raised.value.report.failed} == {UnsafePathError}
        assert not any((root / "outside").iterdir())


def same(left: Path, right: Path, ignored: frozenset[str] | set[str] = frozenset()) -> None:
    """Compares the files of two trees."""
    trees = [
        {str(file.relative_to(top)): file.read_bytes() for file in top.rglob("*") if file.is_file()}
        for top in (left, right)
    ]
    assert trees[0].keys() - ignored == trees[1].keys(), (sorted(trees[0]), sorted(trees[1]))
    assert all(trees[1][name] == trees[0][name] for name in trees[1])


if __name__ == "__main__":
    become_macos()
    assert not Path("/proc/self").exists()
    asyncio.run(main(Path(sys.argv[1])))
