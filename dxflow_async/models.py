"""The values that cross the public boundary: frozen, slotted, typed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, overload

from dxflow_async.exceptions import StorageError

__all__ = ["Item", "Progress", "SyncAction", "SyncPlan", "TransferReport", "TransferResult"]


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


class TransferReport(Sequence[TransferResult]):
    """Every item's result, in the order the items ended, and their sums.

    Example:
        >>> report = TransferReport([TransferResult("a", "/b/a", bytes=3, verified=True)], 0.5)
        >>> report.bytes, report.goodput, report.ok
        (3, 6.0, True)
    """

    __slots__ = ("_results", "seconds")

    def __init__(self, results: Sequence[TransferResult], seconds: float) -> None:
        self._results = results
        self.seconds = seconds

    @overload
    def __getitem__(self, index: int) -> TransferResult: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TransferResult]: ...
    def __getitem__(self, index: int | slice) -> TransferResult | Sequence[TransferResult]:
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[TransferResult]:
        return iter(self._results)

    @property
    def bytes(self) -> int:
        """The bytes moved by items that worked."""
        return sum(result.bytes for result in self._results if result.error is None)

    @property
    def retries(self) -> int:
        """Attempts beyond the first, over all items."""
        return sum(result.attempts - 1 for result in self._results)

    @property
    def failed(self) -> list[TransferResult]:
        """The items that failed."""
        return [result for result in self._results if result.error is not None]

    @property
    def skipped(self) -> list[TransferResult]:
        """The items that were left alone."""
        return [result for result in self._results if result.skipped is not None]

    @property
    def deleted(self) -> list[TransferResult]:
        """What a sync deleted at the destination."""
        return [result for result in self._results if result.deleted]

    @property
    def verified(self) -> int:
        """How many items were compared with the other side's own checksum."""
        return sum(result.verified for result in self._results)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(result.error is None for result in self._results)

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
            "items": [result.to_dict() for result in self._results],
        }

    def __repr__(self) -> str:
        return (
            f"<TransferReport items={len(self)} failed={len(self.failed)} "
            f"bytes={self.bytes} seconds={self.seconds:.2f}>"
        )


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


class SyncPlan(Sequence[SyncAction]):
    """What a sync would do, in the order it would. A million actions take some 10 MB.

    Attributes:
        unchanged: how many items are the same on both sides.

    Example:
        >>> plan = SyncPlan([SyncAction("copy", "a", 3, "new"), SyncAction("delete", "b", 5, "not at the source")])
        >>> len(plan), plan.copies, plan.deletes, plan.bytes, plan[-1].path
        (2, 1, 1, 3, 'b')
    """

    _GROUP = 1000

    __slots__ = ("_groups", "_last", "_length", "_unpacked", "bytes", "copies", "deletes", "unchanged")

    def __init__(self, actions: Iterable[SyncAction] = ()) -> None:
        self.bytes = 0
        self.copies = 0
        self.deletes = 0
        self.unchanged = 0
        self._groups: list[bytes] = []
        self._last: list[SyncAction] = []
        self._length = 0
        self._unpacked: tuple[int, list[SyncAction]] = (-1, [])
        for action in actions:
            self.append(action)

    @overload
    def __getitem__(self, index: int) -> SyncAction: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[SyncAction]: ...
    def __getitem__(self, index: int | slice) -> SyncAction | Sequence[SyncAction]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._length))]
        position = range(self._length)[index]
        return self._group(position // self._GROUP)[position % self._GROUP]

    def __len__(self) -> int:
        return self._length

    @property
    def skips(self) -> int:
        """How many items would be left alone."""
        return self._length - self.copies - self.deletes

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

    def __repr__(self) -> str:
        return f"<SyncPlan copies={self.copies} deletes={self.deletes} skips={self.skips} unchanged={self.unchanged}>"

    def append(self, action: SyncAction) -> None:
        """Puts one more action at the end."""
        self._length += 1
        self._last.append(action)
        if action.kind == "copy":
            self.copies += 1
            self.bytes += action.size
        self.deletes += action.kind == "delete"
        if len(self._last) == self._GROUP:
            rows = [(each.kind, each.path, each.size, each.reason) for each in self._last]
            self._groups.append(zlib.compress(json.dumps(rows).encode(), 1))
            self._last = []

    def _group(self, number: int) -> list[SyncAction]:
        if number == len(self._groups):
            return self._last
        if self._unpacked[0] != number:
            rows = json.loads(zlib.decompress(self._groups[number]))
            self._unpacked = number, [SyncAction(*row) for row in rows]
        return self._unpacked[1]
