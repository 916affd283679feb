"""File systems in memory that tell no size, as many network file systems do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["KINDS", "limitless"]

KINDS = ("ramfs", "tmpfs")


@contextmanager
def limitless(directory: Path, kind: str) -> Iterator[Path]:
    """Mounts a file system without a limit on a new directory; skips where this user may not mount one."""
    directory.mkdir()
    command = ["mount", "-t", kind, *(["-o", "size=0"] if kind == "tmpfs" else []), kind, str(directory)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user cannot mount a file system")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)
