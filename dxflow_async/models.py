"""The values that cross the public boundary: frozen, slotted, typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dxflow_async.exceptions import StorageError
from dxflow_async.packed import Packed

__all__ = ["Item", "Progress", "SyncAction", "SyncPlan", "TransferReport", "TransferResult", "Unit"]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in a listing.

    Attributes:
        name: the last component of the path.
        path: the whole remote path, starting with `/`.
        directory: whether it is a directory (or a common prefix).
        size: bytes; 0 for directories.
        modification: seconds since the epoch; 0.0 where the provider tells none.
        etag: the provider's version tag, unquoted.
        checksum: `"crc32c:<base64>"` where the provider reports it.
        content_type: the media type, from `stat` only.
        metadata: the user's own metadata, from `stat` only.
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


@dataclass(frozen=True, slots=True)
class TransferResult:
    """What became of one item.

    Attributes:
        source: where the bytes came from.
        destination: where they went.
        bytes: how many moved.
        seconds: from first contact to last byte.
        attempts: 1 when nothing had to be tried again.
        checksum: `"crc32c:<base64>"` of the bytes moved.
        verified: whether the other side's own checksum was compared with it.
        skipped: why the item was left alone, else None.
        error: why it failed, else None.
        deleted: nothing moved: a sync deleted what is at the destination only.
    """

    source: str
    destination: str
    bytes: int = 0
    seconds: float = 0.0
    attempts: int = 1
    checksum: str | None = None
    verified: bool = False
    skipped: str | None = None
    error: StorageError | None = None
    deleted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON types."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["error"] = None if self.error is None else str(self.error)
        return values


class TransferReport(Packed[TransferResult]):
    """Every item's result, in the order the items ended, and their sums. A million results take some 30 MB.

    Attributes:
        seconds: how long the call took.
        bytes: moved by the items that worked.
        retries: attempts beyond the first, over all items.
        verified: how many items were compared with the other side's own checksum.

    Example:
        >>> report = TransferReport([TransferResult("a", "/b/a", bytes=3, verified=True)], 0.5)
        >>> report.bytes, report.goodput, report.ok
        (3, 6.0, True)
    """

    __slots__ = ("_failed", "bytes", "retries", "seconds", "verified")

    def __init__(self, results: Iterable[TransferResult] = (), seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.bytes = 0
        self.retries = 0
        self.verified = 0
        self._failed: list[TransferResult] = []
        super().__init__(results)

    @property
    def failed(self) -> list[TransferResult]:
        """The items that failed."""
        return list(self._failed)

    @property
    def skipped(self) -> list[TransferResult]:
        """The items that were left alone."""
        return [result for result in self if result.skipped is not None]

    @property
    def deleted(self) -> list[TransferResult]:
        """What a sync deleted at the destination."""
        return [result for result in self if result.deleted]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self._failed

    @property
    def goodput(self) -> float:
        """Bytes a second over the whole call."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types."""
        return {
            "bytes": self.bytes,
            "seconds": self.seconds,
            "goodput": self.goodput,
            "retries": self.retries,
            "items": [result.to_dict() for result in self],
        }

    def append(self, item: TransferResult) -> None:
        """Puts one more result at the end."""
        super().append(item)
        if item.error is None:
            self.bytes += item.bytes
        else:
            self._failed.append(item)
        self.retries += item.attempts - 1
        self.verified += item.verified

    def __repr__(self) -> str:
        return (
            f"<TransferReport items={len(self)} failed={len(self._failed)} "
            f"bytes={self.bytes} seconds={self.seconds:.2f}>"
        )

    def _row(self, item: TransferResult) -> Sequence[Any] | None:
        return None if item.error is not None else [getattr(item, name) for name in TransferResult.__slots__]

    def _item(self, row: Sequence[Any]) -> TransferResult:
        return TransferResult(*row)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a call is. Totals are None until the plan is complete.

    `seconds` is since the call began; sizes are bytes.
    """

    files_done: int
    files_total: int | None
    bytes_done: int
    bytes_total: int | None
    failed: int
    retries: int
    seconds: float

    @property
    def goodput(self) -> float:
        """Bytes a second since the call began."""
        return self.bytes_done / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class SyncAction:
    """One thing that a sync would do.

    Attributes:
        kind: `"copy"`, `"delete"`, or `"skip"` for what it would have to leave alone.
        path: below the two directories; a directory's ends in a slash.
        size: bytes, of what is copied or deleted.
        reason: why.
    """

    kind: Literal["copy", "delete", "skip"]
    path: str
    size: int
    reason: str


class SyncPlan(Packed[SyncAction]):
    """What a sync would do, in the order it would. A million actions take some 10 MB.

    Attributes:
        unchanged: how many items are the same on both sides.
        copies, deletes: how many items would be copied, and deleted.
        bytes: how many would be copied.

    Example:
        >>> plan = SyncPlan([SyncAction("copy", "a", 3, "new"), SyncAction("delete", "b", 5, "not at the source")])
        >>> len(plan), plan.copies, plan.deletes, plan.bytes, plan[-1].path
        (2, 1, 1, 3, 'b')
    """

    __slots__ = ("bytes", "copies", "deletes", "unchanged")

    def __init__(self, actions: Iterable[SyncAction] = ()) -> None:
        self.bytes = 0
        self.copies = 0
        self.deletes = 0
        self.unchanged = 0
        super().__init__(actions)

    @property
    def skips(self) -> int:
        """How many items would be left alone."""
        return len(self) - self.copies - self.deletes

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON types."""
        return {
            "copies": self.copies,
            "deletes": self.deletes,
            "skips": self.skips,
            "unchanged": self.unchanged,
            "bytes": self.bytes,
            "actions": [{name: getattr(each, name) for name in SyncAction.__slots__} for each in self],
        }

    def append(self, item: SyncAction) -> None:
        """Puts one more action at the end."""
        super().append(item)
        if item.kind == "copy":
            self.copies += 1
            self.bytes += item.size
        self.deletes += item.kind == "delete"

    def __repr__(self) -> str:
        return f"<SyncPlan copies={self.copies} deletes={self.deletes} skips={self.skips} unchanged={self.unchanged}>"

    def _row(self, item: SyncAction) -> Sequence[Any]:
        return item.kind, item.path, item.size, item.reason

    def _item(self, row: Sequence[Any]) -> SyncAction:
        return SyncAction(*row)


@dataclass(frozen=True, slots=True)
class Unit:
    """A compute unit, as its hub describes it. Its secrets show in no repr.

    Attributes:
        pointer: names it to the hub.
        name: as its owner called it.
        status: `"READY"`, `"STOPPED"`, `"TERMINATED"`, or another word of the hub's.
        ip: host, or host:port.
        protocol: `"HTTP"` or `"HTTPS"`.
        cluster_type: what it runs on: `provider:name`.
        cpu: how many processors.
        memory, disk: GB.
        rw_secret: does everything with the unit.
        ro_secret: may list and download.
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
        """Where it is served."""
        return f"{self.protocol.lower()}://{self.ip}"
