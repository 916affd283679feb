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

__all__ = ["Place", "TransferItem", "measured"]

MiB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Everything under `bucket/prefix` at a provider.

    Attributes:
        provider: `"AWS"`, `"AZURE"`, `"GCP"`, `"UNIT"` or `"LOCAL"`.
        bucket: a unit's has no name.
        prefix: ends in a slash; of a local place the directory.
        endpoint: for `"AZURE"` with the account in its path.
        access_key: for `"AZURE"` the account.
        secret_key: for `"AZURE"` the account's key, for `"UNIT"` the secret RW.
        ca_bundle: a PEM file to verify an https endpoint with.
    """

    provider: str
    prefix: str
    bucket: str = ""
    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = ""
    ca_bundle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferItem:
    """What to do, and where.

    Attributes:
        operation: `"upload"`: all files of `directory` to `place`. `"download"`: everything of `place` into
            `directory`. `"copy"`: everything of `place` to `target`. `"sync"`: make `place` (or `target`, then from
            `place`) like `directory`. `"list"`: every object of `place`. `"delete"`: those.
        directory: absolute; for a download an empty one.
        place: at the provider.
        target: where a copy goes.
    """

    operation: str
    place: Place
    directory: str = ""
    target: Place | None = None

    @classmethod
    def from_arguments(cls) -> Self:
        """The job that `arguments` of another process describe."""
        values = json.loads(sys.argv[1])
        places = {name: Place(**values[name]) for name in ("place", "target") if values[name] is not None}
        return cls(**{**values, **places})

    def arguments(self) -> list[str]:
        """The arguments to start a client with."""
        return [json.dumps(dataclasses.asdict(self))]

    @property
    def places(self) -> list[Place]:
        """All of its places."""
        return [self.place] if self.target is None else [self.place, self.target]

    def files(self) -> list[tuple[Path, str, int]]:
        """Path, key and bytes of each file to upload, in order of their names."""
        found = []
        for parent, _, names in os.walk(self.directory):
            for name in names:
                path = Path(parent, name)
                key = self.place.prefix + path.relative_to(self.directory).as_posix()
                found.append((path, key, path.stat().st_size))
        return sorted(found)

    def path_of(self, key: str) -> Path:
        """Where the object `key` is to be downloaded to; its directory is made."""
        path = Path(self.directory, key.removeprefix(self.place.prefix))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Report wall and CPU seconds of the block, as one line of JSON on the standard output.

    Yields:
        What else to report.
    """
    figures: dict[str, float] = {}
    wall, cpu = time.perf_counter(), _cpu()
    yield figures
    figures |= {"wall": time.perf_counter() - wall, "cpu": _cpu() - cpu}
    sys.stdout.write(json.dumps(figures) + "\n")


def _cpu() -> float:
    """Of this process and of those it has started and seen end."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
