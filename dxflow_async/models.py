"""The values that cross the public boundary: frozen, slotted, typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from dxflow_async.exceptions import StorageError

__all__ = ["Item", "Progress", "TransferReport", "TransferResult"]


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
