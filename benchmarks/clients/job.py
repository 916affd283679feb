"""What a contestant is asked to do, and how a library measures only that."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Job", "measured"]

MiB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All files of `directory` to `bucket/prefix`, or everything under `bucket/prefix` into `directory`.

    Attributes:
        operation: `"upload"` or `"download"`.
        prefix: ends in a slash.
        directory: absolute; for a download an empty one.
        ca_bundle: a PEM file to verify an https endpoint with.
    """

    operation: str
    directory: str
    bucket: str
    prefix: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str
    ca_bundle: str | None

    @classmethod
    def from_arguments(cls) -> Self:
        """The job that `arguments` of another process describe."""
        return cls(**json.loads(sys.argv[1]))

    def arguments(self) -> list[str]:
        """The arguments to start a client with."""
        return [json.dumps(dataclasses.asdict(self))]

    def files(self) -> list[tuple[Path, str, int]]:
        """Path, key and bytes of each file to upload, in order of their names."""
        found = []
        for parent, _, names in os.walk(self.directory):
            for name in names:
                path = Path(parent, name)
                found.append((path, self.prefix + path.relative_to(self.directory).as_posix(), path.stat().st_size))
        return sorted(found)

    def path_of(self, key: str) -> Path:
        """Where the object `key` is to be downloaded to; its directory is made."""
        path = Path(self.directory, key.removeprefix(self.prefix))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@contextmanager
def measured() -> Iterator[None]:
    """Report wall and CPU seconds of the block, as one line of JSON on the standard output."""
    wall, cpu = time.perf_counter(), _cpu()
    yield
    figures = {"wall": time.perf_counter() - wall, "cpu": _cpu() - cpu}
    sys.stdout.write(json.dumps(figures) + "\n")


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
