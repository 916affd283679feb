"""The values of the public API: frozen, slotted, typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from dxflow_async.exceptions import StorageError
from dxflow_async.reports import SyncAction, SyncPlan, TransferReport, TransferResult
from dxflow_async.result_tables import ResultList, mapped, size_text

__all__ = [
    "DeleteResult",
    "Item",
    "ItemList",
    "JobInfo",
    "JobList",
    "Leftover",
    "Phase",
    "Progress",
    "Rate",
    "SyncAction",
    "SyncPlan",
    "TransferReport",
    "TransferResult",
    "Unit",
]


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a listing.

    Attributes:
        name: the last component of the path.
        path: the whole remote path, starting with `/`.
        directory: whether it is a directory (or a common prefix).
        size: in bytes; 0 for directories.
        modification: seconds since the epoch; 0.0 if the provider has none.
        etag: the provider's version tag, unquoted.
        checksum: `"crc32c:<base64>"`, if the provider reports it.
        content_type: the media type, from `stat` only.
        metadata: the user's own metadata, from `stat` only.
        version: identifies the version, where the bucket keeps versions: from `stat` and from listings of versions.
        latest: False for older versions, in listings of versions.
        unreadable: why its bytes cannot be read, such as `"not a regular file"`; None if they can.
    """

    name: str
    path: str
    directory: bool = False
    size: int = 0
    modification: float = 0.0
    etag: str | None = None
    checksum: str | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    version: str | None = None
    latest: bool = True
    unreadable: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the item as plain JSON types."""
        return mapped(self, self.__slots__)


class ItemList(ResultList[Item]):
    """A listing: a list of `Item` that notebooks show as a table, and that becomes a data frame.

    Example:
        >>> items = ItemList([Item("a", "/b/a", size=3)])
        >>> items[0].name, items.to_dict()["items"][0]["size"]
        ('a', 3)
    """

    __slots__ = ()

    def _columns(self) -> Mapping[str, str]:
        return _ITEM_COLUMNS

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        return (item.to_dict() for item in self)

    def _heading(self) -> Sequence[tuple[str, str]]:
        return [*super()._heading(), ("size", size_text(sum(item.size for item in self)))]


_ITEM_COLUMNS = {
    "name": "text",
    "path": "text",
    "directory": "bool",
    "size": "int",
    "modification": "time",
    "etag": "text",
    "checksum": "text",
    "content_type": "text",
    "metadata": "map",
}


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A call of several items, or of a large one, that is running, was interrupted or partly failed.

    Attributes:
        id: the argument for `resume`.
        operation: `"upload"`, `"download"`, `"copy"`, `"move"`, `"sync"`, `"upload_many"` or `"download_many"`.
        source, destination: as they were given; None if each item has its own.
        began: seconds since the epoch.
        pid: the process that works on it; None: it was interrupted, or some items failed.
        done: how many items are finished.
        failed: how many items failed.
        waiting: how many items are known to be waiting; the others are found when it is resumed.
        bytes: transferred by the finished items.
        failures: the reasons of up to 100 failed items.
        uploads: the destinations of unfinished multipart uploads, which it continues.
    """

    id: str
    operation: str
    source: str | None
    destination: str | None
    began: float
    pid: int | None
    done: int
    failed: int
    waiting: int
    bytes: int
    failures: Mapping[str, str] = field(default_factory=dict, hash=False)
    uploads: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the job as plain JSON types."""
        return mapped(self, self.__slots__)

    def _repr_html_(self) -> str:
        """Returns the job as an HTML table of one row."""
        return JobList([self])._repr_html_()


class JobList(ResultList[JobInfo]):
    """A list of `JobInfo` that notebooks show as a table, and that becomes a data frame."""

    __slots__ = ()

    def _columns(self) -> Mapping[str, str]:
        return _JOB_COLUMNS

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        return (job.to_dict() for job in self)


_JOB_COLUMNS = {
    "id": "text",
    "operation": "text",
    "source": "text",
    "destination": "text",
    "began": "time",
    "pid": "id",
    "done": "int",
    "failed": "int",
    "waiting": "int",
    "bytes": "int",
    "failures": "map",
    "uploads": "texts",
}


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """The outcome of deleting objects.

    Attributes:
        asked: the number of objects whose deletion was requested; objects that did not exist are among them.
        deleted: the number of objects that are gone.
        error: the error that `delete` would raise; None if everything was deleted. A `TransferError` has each failure
            in its report.
    """

    asked: int
    deleted: int
    error: StorageError | None = None


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that a job left behind and nobody works on.

    Attributes:
        job_id: the job.
        kind: `"upload"` (an unfinished multipart upload), `"file"` (temporary), `"job"` (the record itself) or
            `"damaged"` (a record that cannot be read, kept under another name).
        place: where it is; for a damaged record, its other name.
    """

    job_id: str
    kind: Literal["upload", "file", "job", "damaged"]
    place: str


Phase = Literal["listing", "comparing", "moving", "deleting"]
"""What a call does now."""

_SMALL = 256 << 10
"""Files that are smaller on average, in bytes, are better measured in files a second."""


class Rate(NamedTuple):
    """How fast a call is now, over the last few seconds.

    Attributes:
        bytes: bytes a second.
        items: items a second.
    """

    bytes: float = 0.0
    items: float = 0.0


_STILL = Rate()


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a call.

    Attributes:
        files_done, bytes_done: items that ended, and bytes that moved; also called `items` and `bytes`.
        files_total, bytes_total: all of the call; None until they are known. For local directories they are an estimate
            until everything is planned.
        failed: items that failed.
        retries: attempts that failed and were repeated.
        seconds: since the start of the call.
        concurrency: how many requests may be in flight to the service that the session is busiest with; 0 between
            disks.
        phase: what the call does now: `"listing"`, `"comparing"`, `"moving"` or `"deleting"`.
        rate: bytes and items a second, over the last few seconds.
        waiting_for: what the call waits for, such as `"127.0.0.1:9000 refuses; try 4 of 10 in 2 s"`; None for nothing.
        deleted: items that a sync has deleted.

    Example:
        >>> progress = Progress(3, 10, 2048, 8192, 0, 0, 2.0, rate=Rate(1024.0, 1.5))
        >>> progress.fraction, progress.items, progress.bytes, progress.eta
        (0.25, 3, 2048, 6.0)
    """

    files_done: int
    files_total: int | None
    bytes_done: int
    bytes_total: int | None
    failed: int
    retries: int
    seconds: float
    concurrency: int = 0
    phase: Phase = "moving"
    rate: Rate = _STILL
    waiting_for: str | None = None
    deleted: int = 0

    @property
    def items(self) -> int:
        """The items that ended."""
        return self.files_done

    @property
    def items_total(self) -> int | None:
        """All items of the call; None until their number is known."""
        return self.files_total

    @property
    def bytes(self) -> int:
        """The bytes that moved."""
        return self.bytes_done

    @property
    def fraction(self) -> float | None:
        """How much is done, from 0 to 1; None until the totals are known."""
        done, total = (self.bytes_done, self.bytes_total) if self.bytes_total else (self.files_done, self.files_total)
        return None if total is None else min(max(done / total, 0.0), 1.0) if total else 1.0

    @property
    def small_files(self) -> bool:
        """Whether files a second tell more than bytes a second."""
        size, count = (
            (self.bytes_done, self.files_done) if self.bytes_total is None else (self.bytes_total, self.files_total)
        )
        return size < _SMALL * (count or 0)

    @property
    def eta(self) -> float | None:
        """The seconds that are left, by the rate of the last seconds; None while they cannot be told."""
        if self.files_total is None or self.bytes_total is None:
            return None
        left, rate = self.bytes_total - self.bytes_done, self.rate.bytes
        if self.small_files:
            left, rate = self.files_total - self.files_done, self.rate.items
        return 0.0 if left <= 0 else left / rate if rate > 0 else None

    @property
    def goodput(self) -> float:
        """Bytes a second since the call began."""
        return self.bytes_done / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Unit:
    """A compute unit, as its hub describes it. Its secrets do not appear in the repr.

    Attributes:
        pointer: its identifier at the hub.
        name: given by its owner.
        status: `"READY"`, `"STOPPED"`, `"TERMINATED"`, or another word of the hub.
        ip: host, or host:port.
        protocol: `"HTTP"` or `"HTTPS"`.
        cluster_type: where it runs: `provider:name`.
        cpu: number of processors.
        memory, disk: in GB.
        rw_secret: permits everything on the unit.
        ro_secret: permits listing and downloading.
    """

    pointer: str
    name: str
    status: str
    ip: str
    protocol: str
    cluster_type: str
    cpu: float = 0
    memory: float = 0
    disk: float = 0
    rw_secret: str = field(default="", repr=False)
    ro_secret: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """The URL at which it is served."""
        return f"{self.protocol.lower()}://{self.ip}"
