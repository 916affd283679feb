"""The rows of `python -m benchmarks world`, and the servers that they need, each started when a row asks for it."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.cheap_stores import CheapStore, FarStore, NginxStore, OwnStore, find_nginx
from benchmarks.clients.job import TransferItem
from benchmarks.competition import scratch
from benchmarks.contestants import CONTESTANTS, NOT_DURABLE, OURS, Contestant, at_best
from benchmarks.data import DATASETS, Dataset, make
from benchmarks.launch import launch
from benchmarks.rows import Copy, Download, FirstSync, Ground, Listing, Row, SecondSync, Upload, stock
from benchmarks.stores import AzureStore, S3Store
from tests.servers import SeaweedFS

__all__ = ["GROUPS", "ROWS", "TARGETS", "World"]

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30
CAP = 20_000_000
"""Bytes per second of a capped connection."""

_NEAR, _FAR = 0.005, 0.04
_PEERS = [name for name in at_best() if name not in (OURS, NOT_DURABLE)]
_OBSTORES = [name for name in _PEERS if name.startswith("obstore")]
_NO_OBSTORE = (NOT_DURABLE, *_OBSTORES)
_ONLY_RCLONE = (NOT_DURABLE, *(name for name in _PEERS if not name.startswith("rclone")))
_ONLY_OURS = (NOT_DURABLE, *_PEERS)

_numbers = count(1)


class Delete(Row):
    """Objects of a bucket that was filled for it."""

    def __init__(self, near: S3Store, far: FarStore, dataset: Dataset) -> None:
        # All of obstore's settings are one here: it deletes as many at a time as it likes.
        super().__init__("delete", f"{len(dataset.sizes):,} deleted, 40 ms", [far], (NOT_DURABLE, *_OBSTORES[1:]))
        self._near = near
        self._far = far
        self._dataset = dataset

    @contextmanager
    def ready(self, contestant: Contestant) -> Iterator[Ground]:
        bucket = f"delete-{next(_numbers)}"
        self._near.create(bucket)
        try:
            fill = TransferItem(
                operation="upload", directory=str(self._dataset.directory), place=self._near.place(bucket)
            )
            launch(CONTESTANTS[OURS], fill, self._dataset.directory.parent)
            self._dataset.check_sizes(self._near.listing(bucket))

            def check(_: object) -> None:
                if left := self._near.listing(bucket):
                    raise ValueError(f"{len(left)} objects are left")

            yield Ground(TransferItem(operation="delete", place=self._far.place(bucket)), check)
        finally:
            self._near.delete(bucket)


class World:
    """The servers and the data, made when a row needs them.

    Attributes:
        directory: for all files.
        server: the name of the cheap server.
    """

    def __init__(self, scale: float, server: str | None, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._scale = scale
        self._stack = stack
        self._made: dict[str, Dataset] = {}
        self._nginx = find_nginx() if server != "own" else None
        self.server = "nginx" if self._nginx else "benchmarks.cheap_s3"
        if self._nginx is None and server != "own":
            sys.stderr.write(
                "nginx with its DAV module is not installed (Debian: nginx); a server of our own takes its place, "
                "which costs more and keeps no bytes\n"
            )
        self._cheap = cache(self._start_cheap)
        self._weed = cache(self._start_weed)
        self._far = cache(self._start_far)
        self._dataset = cache(self._make)
        self._stocked = cache(self._stock)

    @classmethod
    @contextmanager
    def running(cls, scale: float, server: str | None) -> Iterator[World]:
        """A world in a directory of its own, which goes in the end."""
        with scratch(int(16 * GiB * scale) + GiB) as directory, ExitStack() as stack:
            yield cls(scale, server, directory, stack)

    def row(self, name: str) -> Row:
        """Returns a row, with its servers running."""
        row = ROWS[name](self)
        row.name = name
        return row

    # Rows

    def small(self, number: int, round_trip: float, direction: str) -> Row:
        """Many objects of 16 KiB at the cheap server."""
        dataset, cheap = self._dataset("small", number), self._cheap(None)
        store = self._far(cheap, round_trip, None) if round_trip else cheap
        if direction == "up":
            row: Row = Upload(store, dataset, (NOT_DURABLE,) if round_trip else ())
        else:
            bucket, expected = self._stocked(cheap, dataset.name)
            row = Download(store, expected, bucket, self.directory, (NOT_DURABLE,) if round_trip else ())
        row.title += f", {round_trip * 1000:.0f} ms" if round_trip else ", direct"
        return row

    def large(self, number: int, rate: int | None, direction: str) -> Row:
        """Large objects over connections that are capped, or not."""
        dataset = self._dataset("large", number)
        without = (NOT_DURABLE,) if rate else _ONLY_OURS
        if direction == "up":
            row: Row = Upload(self._far(self._weed(), 0.0, float(rate or 1e12)), dataset, without)
        else:
            cheap = self._cheap(rate)
            bucket, expected = self._stocked(cheap, dataset.name)
            row = Download(cheap, expected, bucket, self.directory, without)
        row.title += f", {'20 MB/s a connection' if rate else 'uncapped'}"
        return row

    def mixed(self, direction: str) -> Row:
        """Objects of all sizes through 40 ms."""
        dataset, near = self._dataset("mix", 2000), self._weed()
        far = self._far(near, _FAR, None)
        if direction == "up":
            row: Row = Upload(far, dataset, (NOT_DURABLE,))
        else:
            row = Download(far, dataset, self._stocked(near, dataset.name)[0], self.directory, (NOT_DURABLE,))
        row.title += ", 40 ms"
        return row

    def sync(self, kind: Callable[..., Row]) -> Row:
        """A sync of many small files through 40 ms."""
        row = kind(self._far(self._weed(), _FAR, None), self._dataset("tiny", 20_000))
        row.without, row.title = _NO_OBSTORE, f"sync of {row.title}, 40 ms"
        return row

    def delete(self) -> Row:
        """A deletion of many objects through 40 ms."""
        near = self._weed()
        return Delete(near, self._far(near, _FAR, None), self._dataset("tiny", 20_000))

    def listing(self, round_trip: float) -> Row:
        """A recursive listing of many objects."""
        near, dataset = self._weed(), self._dataset("listed", 100_000)
        bucket, _ = self._stocked(near, dataset.name)
        store = self._far(near, round_trip, None) if round_trip else near
        row = Listing(store, bucket, dataset)
        row.without = (NOT_DURABLE,)
        row.title += f", {round_trip * 1000:.0f} ms" if round_trip else ", direct"
        return row

    def copy(self) -> Row:
        """A copy from one provider to another, both 40 ms away."""
        near, dataset = self._weed(), self._dataset("small", 5000)
        bucket, _ = self._stocked(near, dataset.name)
        azure = self._stack.enter_context(AzureStore.running(self.directory / "azure"))
        row = Copy(self._far(near, _FAR, None), bucket, self._far(azure, _FAR, None), dataset)
        row.without, row.title = _ONLY_RCLONE, f"{row.title}, 40 ms"
        return row

    # Servers and data

    def _start_cheap(self, rate: int | None) -> CheapStore:
        if self._nginx is not None:
            return self._stack.enter_context(NginxStore.running(self._nginx, self.directory, rate=rate))
        return self._stack.enter_context(OwnStore.running(self.directory, rate=rate))

    def _start_weed(self) -> S3Store:
        return S3Store(self._stack.enter_context(SeaweedFS.start(self.directory / "weed")))

    def _start_far(self, store: Any, round_trip: float, rate: float | None) -> FarStore:
        return self._stack.enter_context(FarStore.running(store, self.directory, round_trip, rate))

    def _make(self, kind: str, number: int) -> Dataset:
        name = f"{kind}-{number}"
        if kind == "mix":
            title, sizes = DATASETS["mix"](2 * self._scale)
        elif kind == "large":
            size = max(int(GiB * self._scale) // number, MiB)
            title, sizes = f"{number} x {size // MiB} MiB", [size] * number
        else:
            size, number = {"small": 16 * KiB, "tiny": 4 * KiB, "listed": KiB}[kind], max(int(number * self._scale), 20)
            title, sizes = f"{number:,} x {size // KiB} KiB", [size] * number
        random.Random(name).shuffle(sizes)
        dataset = make(name, title, sizes, self.directory / "source")
        self._made[name] = dataset
        return dataset

    def _stock(self, store: Any, name: str) -> tuple[str, Dataset]:
        dataset = self._made[name]
        return store.stock(dataset) if isinstance(store, CheapStore) else (stock(store, dataset), dataset)


def _rows() -> dict[str, Callable[[World], Row]]:
    rows: dict[str, Callable[[World], Row]] = {}
    for direction in ("up", "down"):
        for label, number, round_trip in (("5ms", 8000, _NEAR), ("40ms", 8000, _FAR), ("direct", 10_000, 0.0)):
            rows[f"small-{label}-{direction}"] = partial(
                World.small, number=number, round_trip=round_trip, direction=direction
            )
        for number, label in ((1, "one"), (4, "four")):
            rows[f"open-{label}-{direction}"] = partial(World.large, number=number, rate=None, direction=direction)
            rows[f"capped-{label}-{direction}"] = partial(World.large, number=number, rate=CAP, direction=direction)
        rows[f"mixed-{direction}"] = partial(World.mixed, direction=direction)
    return rows | {
        "sync-first": partial(World.sync, kind=FirstSync),
        "sync-unchanged": partial(World.sync, kind=SecondSync),
        "delete": World.delete,
        "list-direct": partial(World.listing, round_trip=0.0),
        "list-40ms": partial(World.listing, round_trip=_FAR),
        "copy": World.copy,
    }


ROWS = _rows()
"""What makes each row, by its name."""

GROUPS = {
    group: tuple(name for name in ROWS if name.startswith(start))
    for group, start in (("small", "small-"), ("capped", ("capped-", "open-")), ("mixed", "mixed-"), ("sync", "sync-"))
}
"""Names for several rows."""

TARGETS = {
    **{f"small-{label}-{way}": 1.1 for label in ("5ms", "40ms") for way in ("up", "down")},
    **{f"small-direct-{way}": 1.2 for way in ("up", "down")},
    **{f"capped-{label}-{way}": 1.0 for label in ("one", "four") for way in ("up", "down")},
    **{f"mixed-{way}": 1.1 for way in ("up", "down")},
    **dict.fromkeys(("sync-first", "sync-unchanged", "delete", "list-direct", "copy"), 1.0),
    "list-40ms": 1 / 1.3,
}
"""The most wall time of ours in each row, as a multiple of the best peer's."""
