"""What is raced over: each row makes fresh ground for a contestant, and checks what it has done there."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from benchmarks.clients.job import TransferItem
from benchmarks.contestants import CONTESTANTS, OURS, Contestant
from benchmarks.data import Dataset
from benchmarks.launch import Outcome, launch
from benchmarks.stores import S3Store, Store

__all__ = ["Copy", "Download", "FirstSync", "Ground", "Listing", "Row", "SecondSync", "Upload", "stock"]

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a contestant gets.

    Attributes:
        job: to do.
        check: looks at what it has done there.
    """

    job: TransferItem
    check: Callable[[Outcome], None]


class Row(ABC):
    """One row of a table.

    Args:
        name: of the row.
        title: what it is, for the table.
        stores: what serves it.
        without: names of contestants that cannot do it.
    """

    def __init__(self, name: str, title: str, stores: Sequence[Store], without: Collection[str] = ()) -> None:
        self.name = name
        self.title = title
        self.stores = stores
        self.without = without

    @abstractmethod
    def ready(self, contestant: Contestant) -> AbstractContextManager[Ground]:
        """Fresh ground, which goes afterwards.

        Raises:
            ValueError: by `check`: the contestant did something else; says what.
        """


def stock(store: Store, dataset: Dataset) -> str:
    """Put a dataset on a server, in a bucket of its own.

    Raises:
        ValueError: something else arrived.
    """
    bucket = f"source-{dataset.name}"
    store.create(bucket)
    job = TransferItem(operation="upload", directory=str(dataset.directory), place=store.place(bucket))
    launch(CONTESTANTS[OURS], job, dataset.directory.parent)
    dataset.check_sizes(store.listing(bucket))
    return bucket


@contextmanager
def _bucket(store: Store, start: str) -> Iterator[str]:
    bucket = f"{start}-{next(_numbers)}"
    store.create(bucket)
    try:
        yield bucket
    finally:
        store.delete(bucket)


class Upload(Row):
    """A dataset to a new bucket."""

    def __init__(self, store: Store, dataset: Dataset, without: Collection[str] = ()) -> None:
        super().__init__(f"{dataset.name}-up", f"{dataset.title} up", [store], without)
        self._store = store
        self._dataset = dataset

    @contextmanager
    def ready(self, contestant: Contestant) -> Iterator[Ground]:
        with _bucket(self._store, "upload") as bucket:
            job = TransferItem(
                operation="upload", directory=str(self._dataset.directory), place=self._store.place(bucket)
            )
            yield Ground(job, lambda _: self._dataset.check_sizes(self._store.listing(bucket)))


class Download(Row):
    """What was stocked of a dataset, to a new directory below `directory`."""

    def __init__(
        self, store: Store, dataset: Dataset, bucket: str, directory: Path, without: Collection[str] = ()
    ) -> None:
        super().__init__(f"{dataset.name}-down", f"{dataset.title} down", [store], without)
        self._place = store.place(bucket)
        self._dataset = dataset
        self._target = directory / "downloaded"

    @contextmanager
    def ready(self, contestant: Contestant) -> Iterator[Ground]:
        self._target.mkdir()
        try:
            job = TransferItem(operation="download", directory=str(self._target), place=self._place)
            yield Ground(job, lambda _: self._dataset.check(self._target))
        finally:
            shutil.rmtree(self._target)


class Copy(Row):
    """What was stocked of a dataset at one provider, to a new bucket at another one."""

    def __init__(self, source: Store, bucket: str, target: Store, dataset: Dataset) -> None:
        self._source = source.place(bucket)
        self._target = target
        self._dataset = dataset
        name, title = f"{source.provider}-{target.provider}-{dataset.name}", f"{source.provider} to {target.provider}"
        super().__init__(name.lower(), f"{dataset.title}, {title}", [source, target])

    @contextmanager
    def ready(self, contestant: Contestant) -> Iterator[Ground]:
        with _bucket(self._target, "copy") as bucket:
            job = TransferItem(operation="copy", place=self._source, target=self._target.place(bucket))
            yield Ground(job, lambda _: self._dataset.check_sizes(self._target.listing(bucket)))


class FirstSync(Row):
    """A dataset to a place where nothing is yet."""

    def __init__(self, store: S3Store, dataset: Dataset) -> None:
        super().__init__("first", f"{dataset.title}, first", [store])
        self._store = store
        self._dataset = dataset

    @contextmanager
    def ready(self, contestant: Contestant) -> Iterator[Ground]:
        with _bucket(self._store, "first") as bucket:
            job = TransferItem(
                operation="sync", directory=str(self._dataset.directory), place=self._store.place(bucket)
            )
            yield Ground(job, lambda _: self._dataset.check_sizes(self._store.listing(bucket)))


class SecondSync(Row):
    """A dataset to where the same contestant has synced it before."""

    def __init__(self, store: S3Store, dataset: Dataset) -> None:
        super().__init__("second", f"{dataset.title}, nothing changed", [store])
        self._store = store
        self._dataset = dataset
        self._buckets: dict[str, str] = {}

    @contextmanager
    def ready(self, contestant: Contestant) -> Iterator[Ground]:
        bucket = self._buckets.get(contestant.name) or f"second-{next(_numbers)}"
        job = TransferItem(operation="sync", directory=str(self._dataset.directory), place=self._store.place(bucket))
        if contestant.name not in self._buckets:
            self._store.create(bucket)
            launch(contestant, job, self._dataset.directory.parent)
            self._buckets[contestant.name] = bucket
        before = self._store.state(bucket)
        self._dataset.check_sizes(self._store.listing(bucket))

        def check(_: Outcome) -> None:
            if self._store.state(bucket) != before:
                raise ValueError("something was stored, or deleted, though nothing had changed")

        yield Ground(job, check)


class Listing(Row):
    """All objects of a bucket."""

    def __init__(self, store: Store, bucket: str, dataset: Dataset) -> None:
        super().__init__("recursive", f"{len(dataset.sizes):,} objects, recursive", [store])
        self._place = store.place(bucket)
        self._objects = len(dataset.sizes)

    @contextmanager
    def ready(self, contestant: Contestant) -> Iterator[Ground]:
        def check(outcome: Outcome) -> None:
            found = outcome.own.get("items", outcome.lines)
            if found != self._objects:
                raise ValueError(f"{found} objects were listed, of {self._objects}")

        yield Ground(TransferItem(operation="list", place=self._place), check)
