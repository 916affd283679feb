"""The reports of transfers and the plans of syncs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from dxflow_async.compressed_sequence import CompressedSequence
from dxflow_async.exceptions import ConfigurationError, StorageError
from dxflow_async.result_tables import Table, mapped, size_text
from dxflow_async.security.redaction import printable
from dxflow_async.timeline import Timeline

__all__ = ["SyncAction", "SyncPlan", "TransferReport", "TransferResult", "joined_timeline"]


@dataclass(frozen=True, slots=True)
class TransferResult:
    """The result of one item.

    Attributes:
        source: where the bytes came from.
        destination: where they went.
        bytes: how many were transferred.
        seconds: from the first contact to the last byte.
        attempts: 1 if nothing was retried.
        checksum: `"crc32c:<base64>"` of the transferred bytes.
        verified: whether it was compared with the other side's own checksum, or read back between local directories.
        skipped: why the item was skipped, else None.
        error: why it failed, else None.
        deleted: nothing was transferred: a sync deleted an item that existed only at the destination.
        unverified: why the bytes that were transferred are not `verified`; None if they are, or if there were none.
        unreadable: whether it was skipped because of what the source is, such as a pipe or a broken symbolic link.
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
    unverified: str | None = None
    unreadable: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as plain JSON types."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["error"] = None if self.error is None else str(self.error)
        return values


class TransferReport(CompressedSequence[TransferResult], Table):
    """The results of all items, in the order in which they ended, and their sums. A million results take some 30 MB.

    Attributes:
        seconds: the duration of the call.
        bytes: transferred by the items that succeeded.
        retries: attempts beyond the first, over all items.
        verified: how many items are `verified`.
        unverified: how many items were transferred without that, by the reason.
        concurrency: how many requests may be in flight, as the call found it, to the service that the session is
            busiest with; 0 between disks.
        job_id: the argument for `resume`; None if nothing is left to do, or no job was recorded.
        compared_by_age: how many items a sync considered unchanged by their size, and because the destination is not
            older than the source: the destination stores no modification time to compare.
        timeline: what happened when; None if the call did not record it.
        notices: say which service a remote was, if only the configuration of a cloud's SDK did, such as `AWS_PROFILE`.

    Example:
        >>> report = TransferReport([TransferResult("a", "/b/a", bytes=3, verified=True)], 0.5)
        >>> report.bytes, report.goodput, report.ok
        (3, 6.0, True)
    """

    __slots__ = (
        "_again",
        "_deleted",
        "_failed",
        "_skipped",
        "_unreadable",
        "bytes",
        "compared_by_age",
        "concurrency",
        "job_id",
        "notices",
        "retries",
        "seconds",
        "timeline",
        "unverified",
        "verified",
    )

    def __init__(self, results: Iterable[TransferResult] = (), seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.bytes = 0
        self.retries = 0
        self.verified = 0
        self.unverified: dict[str, int] = {}
        self.concurrency = 0
        self.job_id: str | None = None
        self.compared_by_age = 0
        self.notices: tuple[str, ...] = ()
        self.timeline: Timeline | None = None
        self._failed: list[TransferResult] = []
        self._skipped = self._deleted = self._unreadable = 0
        self._again: Callable[[], Any] | None = None
        super().__init__(results)

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        # The retry function belongs to a session, which is not copied.
        names = {name for cls in type(self).__mro__ for name in getattr(cls, "__slots__", ())}
        return None, {name: None if name == "_again" else getattr(self, name) for name in names if hasattr(self, name)}

    @property
    def failed(self) -> list[TransferResult]:
        """The items that failed."""
        return list(self._failed)

    @property
    def skipped(self) -> list[TransferResult]:
        """The items that were skipped."""
        return [result for result in self if result.skipped is not None]

    @property
    def unreadable(self) -> list[TransferResult]:
        """The items that were skipped because of what their sources are, such as pipes and broken symbolic links."""
        return [result for result in self if result.unreadable] if self._unreadable else []

    @property
    def deleted(self) -> list[TransferResult]:
        """The items that a sync deleted at the destination."""
        return [result for result in self if result.deleted]

    @property
    def counts(self) -> dict[str, int]:
        """How many items failed, were skipped, and were deleted by a sync."""
        return {"failed": len(self._failed), "skipped": self._skipped, "deleted": self._deleted}

    def skip_reasons(self) -> dict[str, int]:
        """Returns how many items were skipped, by the reason; the most frequent first."""
        if not self._skipped:
            return {}
        return dict(Counter(each.skipped for each in self if each.skipped is not None).most_common())

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self._failed

    @property
    def verification(self) -> str:
        """A summary of the verification, such as `"all verified"` or `"2 verified, 1 not (the reason)"`.

        Example:
            >>> TransferReport([TransferResult("a", "/b/a", verified=True)]).verification
            'all verified'
        """
        missing = sum(self.unverified.values())
        if not missing:
            return "all verified" if self.verified else "nothing to verify"
        reasons = ", ".join(f"{count} not: {reason}" for reason, count in self.unverified.items())
        return f"{self.verified} verified, {reasons}"

    @property
    def goodput(self) -> float:
        """Bytes a second over the whole call."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0

    def failure_groups(self) -> list[tuple[str, list[TransferResult]]]:
        """Returns the failed items by what went wrong, the most frequent first.

        Returns:
            Pairs of a reason, in which `…` stands for the names of the item and the request's id is left out, and the
            items.
        """
        groups: dict[str, list[TransferResult]] = {}
        for result in self._failed:
            assert result.error is not None
            text = str(result.error)
            names = (result.error.path, result.source, result.destination)
            for name in sorted({*names, *map(printable, names)}, key=len, reverse=True):
                text = text.replace(name, "…") if name else text
            if result.error.request_id is not None:
                text = text.replace(f" (request {result.error.request_id:.100})", "")
            groups.setdefault(text, []).append(result)
        return sorted(groups.items(), key=lambda each: -len(each[1]))

    def retry_failed(self) -> Any:
        """Repeats the failed items only, and returns their report.

        Await it for a report of an `AsyncSession`; for one of a `Session`, it blocks.

        Raises:
            ConfigurationError: the failed items are not recorded: the setting `journal` is off, or the report was
                copied.
            TransferError: an item failed again.
        """
        if self._again is None:
            raise ConfigurationError("this report cannot be tried again: the call kept no journal; make the call again")
        return self._again()

    @property
    def again(self) -> Callable[[], Any] | None:
        """The function that `retry_failed` calls."""
        return self._again

    def may_retry(self, again: Callable[[], Any] | None) -> None:
        """Sets the function that `retry_failed` calls.

        Args:
            again: the function, which transfers the failed items again; None: nothing can be retried.
        """
        self._again = again

    def retry_through(self, call: Callable[[Callable[[], Any]], Any]) -> None:
        """Lets `retry_failed`, if it can retry at all, call `call(again)` instead of `again()`.

        Args:
            call: the function; it is given `again`, and its result is returned.
        """
        if self._again is not None:
            self._again = partial(call, self._again)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain JSON types."""
        return {
            "job_id": self.job_id,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "goodput": self.goodput,
            "concurrency": self.concurrency,
            "skipped": self._skipped,
            "failed": len(self._failed),
            "deleted": self._deleted,
            "retries": self.retries,
            "verified": self.verified,
            "unverified": dict(self.unverified),
            "compared_by_age": self.compared_by_age,
            "notices": list(self.notices),
            "timeline": None if self.timeline is None else self.timeline.to_dict(),
            "items": [result.to_dict() for result in self],
        }

    def to_html(self) -> str:
        """Returns the report as one HTML page with charts, which needs no network and no script.

        The page shows goodput, items a second, concurrency and latency over time, the sizes and durations of items, the
        slowest ones, retries, failures by reason, and the settings that applied. It holds no secret. Without a
        `timeline`, the charts over time are missing.

        Returns:
            The page, as text to write in UTF-8.

        Example:
            >>> page = TransferReport([TransferResult("a", "/b/a", bytes=3)], 0.5).to_html()
            >>> page.startswith("<!DOCTYPE html>"), "<script" in page
            (True, False)
        """
        from dxflow_async.pages.transfer_page import transfer_page

        return transfer_page(self)

    def note(self, item: TransferResult) -> None:
        """Appends the result of an item that has just ended, and records it in the timeline.

        Args:
            item: the result.
        """
        self.append(item)
        if self.timeline is not None and item.error is None and item.skipped is None and not item.deleted:
            self.timeline.add(item.source, item.destination, item.bytes, item.seconds, item.attempts)

    def append(self, item: TransferResult) -> None:
        """Appends a result.

        Args:
            item: the result.
        """
        super().append(item)
        if item.error is None:
            self.bytes += item.bytes
        else:
            self._failed.append(item)
        self.retries += item.attempts - 1
        self.verified += item.verified
        if item.unverified is not None:
            self.unverified[item.unverified] = self.unverified.get(item.unverified, 0) + 1
        self._skipped += item.skipped is not None
        self._deleted += item.deleted
        self._unreadable += item.unreadable

    def __repr__(self) -> str:
        return (
            f"<TransferReport items={len(self)} bytes={self.bytes} skipped={self._skipped} "
            f"failed={len(self._failed)} deleted={self._deleted} retries={self.retries} verified={self.verified} "
            f"seconds={self.seconds:.2f} goodput={self.goodput:.0f} concurrency={self.concurrency}>"
        )

    def _columns(self) -> Mapping[str, str]:
        return _RESULT_COLUMNS

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        return (result.to_dict() for result in self)

    def _heading(self) -> Sequence[tuple[str, str]]:
        counts = [("items", len(self)), ("skipped", self._skipped), ("failed", len(self._failed))]
        counts += [("deleted", self._deleted), ("retries", self.retries), ("verified", self.verified)]
        return [
            ("bytes", size_text(self.bytes)),
            *((name, str(count)) for name, count in counts),
            ("seconds", f"{self.seconds:.2f}"),
            ("goodput", f"{size_text(self.goodput)}/s"),
            ("concurrency", str(self.concurrency)),
            ("verification", self.verification),
        ]

    def _row(self, item: TransferResult) -> Sequence[Any] | None:
        return None if item.error is not None else [getattr(item, name) for name in TransferResult.__slots__]

    def _item(self, row: Sequence[Any]) -> TransferResult:
        return TransferResult(*row)


def joined_timeline(reports: Iterable[TransferReport]) -> Timeline | None:
    """Returns the record of calls that followed one another; None if none of them has one."""
    whole: Timeline | None = None
    for report in reports:
        if report.timeline is None:
            continue
        if whole is None:
            first = report.timeline
            names = ("operation", "source", "destination", "settings", "began")
            whole = Timeline(**{name: getattr(first, name) for name in names})
        whole.extend(report.timeline)
    return whole


_RESULT_COLUMNS = {
    "source": "text",
    "destination": "text",
    "bytes": "int",
    "seconds": "float",
    "attempts": "int",
    "checksum": "text",
    "verified": "bool",
    "skipped": "text",
    "error": "text",
    "deleted": "bool",
    "unverified": "text",
}


@dataclass(frozen=True, slots=True)
class SyncAction:
    """One action of a sync.

    Attributes:
        kind: `"copy"`, `"delete"`, or `"skip"` for an item that it would have to skip.
        path: relative to the two directories; ends in a slash for a directory.
        size: bytes that are copied or deleted.
        reason: why.
    """

    kind: Literal["copy", "delete", "skip"]
    path: str
    size: int
    reason: str


class SyncPlan(CompressedSequence[SyncAction], Table):
    """The actions of a sync, in their order. A million actions take some 10 MB.

    Attributes:
        unchanged: how many items are the same on both sides.
        copies, deletes: how many items would be copied and deleted.
        bytes: how many bytes would be copied.
        compared_by_age: how many unchanged items were decided by size and age, as in `TransferReport`.

    Example:
        >>> plan = SyncPlan([SyncAction("copy", "a", 3, "new"), SyncAction("delete", "b", 5, "not at the source")])
        >>> len(plan), plan.copies, plan.deletes, plan.bytes, plan[-1].path
        (2, 1, 1, 3, 'b')
    """

    __slots__ = ("bytes", "compared_by_age", "copies", "deletes", "unchanged")

    def __init__(self, actions: Iterable[SyncAction] = ()) -> None:
        self.bytes = 0
        self.copies = 0
        self.deletes = 0
        self.unchanged = 0
        self.compared_by_age = 0
        super().__init__(actions)

    @property
    def skips(self) -> int:
        """How many items would be skipped."""
        return len(self) - self.copies - self.deletes

    def to_dict(self) -> dict[str, Any]:
        """Returns the plan as plain JSON types."""
        return {
            "copies": self.copies,
            "deletes": self.deletes,
            "skips": self.skips,
            "unchanged": self.unchanged,
            "compared_by_age": self.compared_by_age,
            "bytes": self.bytes,
            "actions": list(self._rows()),
        }

    def append(self, item: SyncAction) -> None:
        """Appends an action.

        Args:
            item: the action.
        """
        super().append(item)
        if item.kind == "copy":
            self.copies += 1
            self.bytes += item.size
        self.deletes += item.kind == "delete"

    def __repr__(self) -> str:
        return (
            f"<SyncPlan copies={self.copies} deletes={self.deletes} skips={self.skips} unchanged={self.unchanged} "
            f"bytes={self.bytes}>"
        )

    def _columns(self) -> Mapping[str, str]:
        return {"kind": "text", "path": "text", "size": "int", "reason": "text"}

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        return (mapped(action, SyncAction.__slots__) for action in self)

    def _heading(self) -> Sequence[tuple[str, str]]:
        counts = [("copies", self.copies), ("deletes", self.deletes), ("skips", self.skips)]
        counts.append(("unchanged", self.unchanged))
        return [*((name, str(count)) for name, count in counts), ("bytes", size_text(self.bytes))]

    def _row(self, item: SyncAction) -> Sequence[Any]:
        return item.kind, item.path, item.size, item.reason

    def _item(self, row: Sequence[Any]) -> SyncAction:
        return SyncAction(*row)
