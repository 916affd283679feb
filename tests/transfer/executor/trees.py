"""Directories of files for tests of executors, and what is equal about two of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

__all__ = ["content", "make_files"]


def make_files(directory: Path, count: int, size: int = 1000, *, large: int = 0) -> Path:
    """Makes a directory of files with different bytes; `large` bytes go into one more file called `large`."""
    directory.mkdir(parents=True)
    for number in range(count):
        (directory / f"{number:05}").write_bytes(f"{number:010}".encode() * (size // 10))
    if large:
        (directory / "large").write_bytes(os.urandom(large))
    return directory


def content(directory: Path) -> dict[str, str]:
    """The digest of every file below a directory, by its relative name."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
