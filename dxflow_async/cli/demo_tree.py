"""The tree of files that the demo transfers, and comparing two trees."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Comparison", "compare_trees", "make_tree"]

_KiB, _MiB = 1 << 10, 1 << 20

_LARGE = {
    "model/weights.bin": 112 * _MiB + 3,
    "model/exactly-three-parts.bin": 24 * _MiB,
    "results/field.h5": 9 * _MiB + 4097,
}

_ODD_NAMES = (
    "accents äöü ñ.txt",
    "数据 和 файл.csv",
    "rocket 🚀.txt",
    "e\u0301 decomposed.txt",
    "two  spaces.txt",
    "a+b=c&d.txt",
    "100%25 sure.txt",
    "#1 'quoted' (copy) [2].txt",
    "semi;colon,comma@at!.txt",
    ".hidden",
    ".config/.nested/.deep",
    "..two-dots",
    "~tilde",
    "-dash",
    "no-extension",
    "many.dots.in.a.name.tar.gz",
    "long-" + "n" * 200 + ".dat",
    "/".join(["deep"] * 20) + "/leaf.txt",
    "what?.txt",
    "star*.txt",
    'double"quote.txt',
    "less<more>.txt",
    "pipe|a:b.txt",
)
_EMPTY_DIRECTORIES = ("empty", "nested/empty/directory")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The number of files and bytes that two trees have in common, and the relative names that differ."""

    files: int
    bytes: int
    different: list[str]


def make_tree(root: Path, files: int, seed: int) -> Comparison:
    """Makes a tree of small files (0 B to 64 KiB), a few large ones and unusual names.

    Args:
        root: the directory to make it in.
        files: the number of small files.
        seed: the same seed makes the same tree.

    Returns:
        The number of files and bytes.
    """
    source = random.Random(seed)
    count = total = 0
    for name, size in _plan(files, source):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, size, source)
        count, total = count + 1, total + size
    for name in _EMPTY_DIRECTORIES:
        (root / name).mkdir(parents=True)
    return Comparison(count, total, [])


def compare_trees(left: Path, right: Path) -> Comparison:
    """Compares the names of files and directories, and every byte."""
    names, others = _names(left), _names(right)
    different = sorted(names ^ others)
    files = total = 0
    for name in names & others:
        if name.endswith("/"):
            continue
        size = _same_bytes(left / name, right / name)
        if size is None:
            different.append(name)
        else:
            files, total = files + 1, total + size
    return Comparison(files, total, different)


def _plan(files: int, source: random.Random) -> Iterator[tuple[str, int]]:
    for number in range(files):
        yield f"samples/batch-{number // 500:03}/sample-{number:06}.dat", _small_size(number, source)
    for name in _ODD_NAMES:
        yield f"odd names/{name}", source.randrange(4 * _KiB)
    yield from _LARGE.items()


def _small_size(number: int, source: random.Random) -> int:
    edges = (0, 1, 64 * _KiB)
    return edges[number] if number < len(edges) else int(2 ** source.uniform(0, 16))


def _write(path: Path, size: int, source: random.Random) -> None:
    with path.open("wb") as file:
        while size > 0:
            file.write(source.randbytes(min(size, _MiB)))
            size -= _MiB


def _names(root: Path) -> set[str]:
    names: set[str] = set()
    for directory, below, files in os.walk(root):
        relative = Path(directory).relative_to(root)
        names.update(f"{(relative / name).as_posix()}/" for name in below)
        names.update((relative / name).as_posix() for name in files)
    return names


def _same_bytes(left: Path, right: Path) -> int | None:
    """The size of both, or None when they differ."""
    total = 0
    with left.open("rb") as one, right.open("rb") as other:
        while True:
            chunk = one.read(_MiB)
            if chunk != other.read(_MiB):
                return None
            if not chunk:
                return total
            total += len(chunk)
