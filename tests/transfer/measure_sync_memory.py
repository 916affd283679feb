"""`python -m tests.transfer.measure_sync_memory COUNT CASE JOURNAL`: syncs two directories, in a process of its own.

JOURNAL is `journal`, or anything else for none. It prints, as JSON, what was done, and by how many KiB the peak of
resident memory grew. The directories make their listings as they are asked for, a page at a time, as a service does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import NotFoundError, StorageError
from dxflow_async.providers.contract import Body, Entry, Features, ObjectOptions, Page, Provider, Reader, Upload
from dxflow_async.transfer.context import Place
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.planning.destination import RemoteDestination
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.sync.rules import Rules
from dxflow_async.transfer.sync.sync import Sync

__all__ = ["CASES"]

_PAGE = 1000

CASES: dict[str, tuple[int, str]] = {"same": (7, "data"), "other sizes": (8, "data"), "other names": (7, "other")}
"""The size of the destination's objects, and the end of their names; those of the source are as in the first case."""


class Numbered(Provider):
    """A place of numbered objects, which can be listed, copied and deleted, and counts that.

    Args:
        count: how many there are in a directory.
        case: what the directory `there/` differs in from every other one.
    """

    name = "NUMBERED"
    features = Features(copy=True, mtime=True, mtime_listed=True, endpoint="here")

    def __init__(self, count: int, case: str) -> None:
        self.copied = self.deleted = 0
        self._count, self._case = count, CASES[case]

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        size, end = self._case if prefix == "there/" else CASES["same"]
        start = cursor or 0
        stop = min(start + _PAGE, self._count)
        entries = [
            Entry(f"{prefix}directory-{number // 5000:04}/object-{number:07}.{end}", size, 1e9, mtime=1e9)
            for number in range(start, stop)
        ]
        return Page(entries, stop if stop < self._count else None)

    async def copy(self, source: Entry, key: str, options: ObjectOptions) -> Entry:
        self.copied += 1
        return Entry(key, source.size, mtime=source.mtime)

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        self.deleted += len(keys)
        return {}

    async def stat(self, key: str) -> Entry:
        raise NotFoundError(key)

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None, listed: Entry | None = None
    ) -> Reader:
        raise NotFoundError(key)

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        raise NotFoundError(key)

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        raise NotFoundError(key)


async def _sync(count: int, case: str, home: Path, *, journal: bool) -> dict[str, int]:
    place, resources = Numbered(count, case), Resources(Settings(home=home, journal=journal))
    rules = Rules("size+mtime", delete=True)
    source, target = (
        Place(place, "here/", "numbered:/here/"),
        RemoteDestination(Place(place, "there/", "numbered:/there/")),
    )
    try:
        call = resources.begin(JobSpec("sync", "here", "there"), None)
        report = await Sync(resources, source, target, ObjectOptions(), rules).run(call)
    finally:
        await resources.aclose()
    return {"items": len(report), "copied": place.copied, "deleted": place.deleted}


def _peak() -> int:
    # What getrusage tells begins with the peak of the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    total, which, recorded = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "journal"
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_sync(1, which, Path(directory), journal=recorded))
        before = _peak()
        found = asyncio.run(_sync(total, which, Path(directory), journal=recorded))
    sys.stdout.write(json.dumps({**found, "grown": _peak() - before}) + "\n")
