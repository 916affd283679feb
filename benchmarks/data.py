"""The files that are raced with: deterministic, incompressible, made fast."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DATASETS", "Dataset", "make", "make_empty", "make_sparse"]

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30
_FILES_PER_DIRECTORY = 100
_SAMPLE = 20


@dataclass(frozen=True, slots=True)
class Dataset:
    """A tree of files.

    Attributes:
        name: of the dataset.
        title: what it is, for a table.
        directory: where it lies.
        sizes: bytes of each file, by its path below `directory`.
        digests: of a sample of them.
    """

    name: str
    title: str
    directory: Path
    sizes: dict[str, int]
    digests: dict[str, bytes]

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(self.sizes.values())

    def check(self, directory: Path) -> None:
        """Compare a copy: every name and size, and the bytes of the sample.

        Raises:
            ValueError: it differs; says how.
        """
        found = {path.relative_to(directory).as_posix(): path.stat().st_size for path in _files(directory)}
        self.check_sizes(found)
        for name, expected in self.digests.items():
            if _digest(directory / name) != expected:
                raise ValueError(f"{name} has other bytes")

    def check_sizes(self, found: dict[str, int]) -> None:
        """Compare names and sizes.

        Raises:
            ValueError: they differ; says how.
        """
        if found != self.sizes:
            wrong = sorted(dict(found.items() ^ self.sizes.items()))
            raise ValueError(f"{len(found)} files of {len(self.sizes)}, {len(wrong)} wrong, such as {wrong[:3]}")


def _big(scale: float) -> tuple[str, list[int]]:
    size = max(int(GiB * scale), MiB)
    return f"1 x {size // MiB} MiB", [size]


def _small(scale: float) -> tuple[str, list[int]]:
    count = max(int(5000 * scale), 10)
    return f"{count:,} x 16 KiB", [16 * KiB] * count


def _mix(scale: float) -> tuple[str, list[int]]:
    """1 KiB to 64 MiB, the density of log(size) falling linearly to nothing, which makes 1,000 files about 1 GiB."""
    count = max(int(1000 * scale), 10)
    steps = (1 - (1 - index / (count - 1)) ** 0.5 for index in range(count))
    sizes = [int(KiB * 2 ** (16 * step)) for step in steps]
    random.Random(count).shuffle(sizes)
    return f"{count:,} x 1 KiB to 64 MiB", sizes


DATASETS = {"big": _big, "small": _small, "mix": _mix}


def make(name: str, title: str, sizes: Sequence[int], parent: Path) -> Dataset:
    """Make files of these sizes in a directory of their own below `parent`."""
    directory = parent / name
    names = {f"{index // _FILES_PER_DIRECTORY:03}/{index:05}.bin": size for index, size in enumerate(sizes)}
    source = random.Random(name)
    for path, size in names.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        with (directory / path).open("wb") as file:
            for start in range(0, size, 8 * MiB):
                file.write(source.randbytes(min(8 * MiB, size - start)))
    sample = source.sample(sorted(names), min(_SAMPLE, len(names)))
    return Dataset(name, title, directory, names, {path: _digest(directory / path) for path in sample})


def make_sparse(name: str, size: int, parent: Path) -> Dataset:
    """Make one file of `size` bytes, nearly all of them a hole."""
    path = parent / name / "sparse.bin"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        for position in (0, size // 3, size - MiB):
            file.seek(position)
            file.write(random.Random(position).randbytes(MiB))
    return Dataset(name, f"1 x {size // MiB:,} MiB", path.parent, {path.name: size}, {path.name: _digest(path)})


def make_empty(count: int, directory: Path) -> None:
    """Make empty files, all of one time, a thousand in a directory."""
    for index in range(count):
        path = f"{directory}/{index // 1000:04}/{index:07}"
        if not index % 1000:
            os.makedirs(os.path.dirname(path))
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.utime(path, (1_000_000_000, 1_000_000_000))


def _files(directory: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(directory):
        yield from (Path(parent, name) for name in names)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()
