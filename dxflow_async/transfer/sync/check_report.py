"""The outcome of comparing two directories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dxflow_async.models import SyncAction, SyncPlan

__all__ = ["CheckReport", "Difference"]

_KINDS: dict[str, Literal["missing", "extra", "unreadable", "differing"]] = {
    "new": "missing",
    "not at the source": "extra",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A path that is not the same in two directories, `a` and `b`.

    Attributes:
        kind: `"differing"`, `"missing"` (only in `a`), `"extra"` (only in `b`) or `"unreadable"`.
        path: relative to the two directories; ends in a slash for a directory.
        size: in bytes, of the one in `a`; of an extra one, that in `b`.
        reason: why, such as `"size differs"`.
    """

    kind: Literal["differing", "missing", "extra", "unreadable"]
    path: str
    size: int
    reason: str


class CheckReport(Sequence[Difference]):
    """The differences of two directories, in the order in which they were found; extra ones come last.

    Attributes:
        same: how many objects are equal.

    Example:
        >>> report = CheckReport(SyncPlan([SyncAction("copy", "a", 3, "size differs")]))
        >>> report.ok, report.differing[0].path
        (False, 'a')
    """

    def __init__(self, plan: SyncPlan) -> None:
        self._plan = plan
        self.same = plan.unchanged

    @property
    def ok(self) -> bool:
        """Whether the two directories are the same."""
        return not len(self)

    @property
    def differing(self) -> list[Difference]:
        """The paths that both have, with different content."""
        return self._of("differing")

    @property
    def missing(self) -> list[Difference]:
        """The paths that only the first directory has."""
        return self._of("missing")

    @property
    def extra(self) -> list[Difference]:
        """The paths that only the second directory has."""
        return self._of("extra")

    @property
    def unreadable(self) -> list[Difference]:
        """The paths that could not be compared."""
        return self._of("unreadable")

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain JSON types."""
        rows = [{name: getattr(each, name) for name in Difference.__slots__} for each in self]
        return {"ok": self.ok, "same": self.same, "differences": rows}

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [_difference(each) for each in self._plan[index]]
        return _difference(self._plan[index])

    def __iter__(self) -> Iterator[Difference]:
        return map(_difference, self._plan)

    def __repr__(self) -> str:
        return f"<CheckReport same={self.same} differences={len(self)}>"

    def _of(self, kind: str) -> list[Difference]:
        return [each for each in self if each.kind == kind]


def _difference(action: SyncAction) -> Difference:
    if action.kind == "skip":
        return Difference("unreadable", action.path, action.size, action.reason)
    kind = _KINDS.get(action.reason, "differing")
    reason = {"missing": "only in the first", "extra": "only in the second"}.get(kind, action.reason)
    return Difference(kind, action.path, action.size, reason)
