"""What a sync does: the options of the call, and the rules that they make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from dxflow_async.config.quantities import to_seconds
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.selection import Selection, SelectionOptions
from dxflow_async.transfer.sync.compare import Compare, Comparison

__all__ = ["Rules", "SyncOptions"]


class SyncOptions(SelectionOptions, total=False):
    """The options of `AsyncSession.sync` and `Session.sync`, with those of `SelectionOptions`.

    A file of the source that a condition leaves out is neither copied, nor is what the destination has of it deleted.

    Attributes:
        delete: whether to delete what only `dst` has; by default False. It is deleted at the end, and only when both
            listings were complete and every copy succeeded; a file in the place of a directory, or the reverse, is
            deleted before the copy. What cannot be read at `src` protects its name, and everything below it.
        compare: when two items count as the same. `"size+mtime"` (the default): equal size and time, or equal
            checksums where both sides tell them for free; where `dst` keeps no times, an item of equal size that is not
            older. S3's listings tell no such time, so it costs a request for each item of equal size, except for files
            up to 64 KiB whose MD5 is the listed etag: they are the same. A stored date alone proves nothing, since an
            older file may have been renamed to that name. `"checksum"`: equal checksums; files and objects stored
            without one are read for it. `"size"`: equal size.
        include: glob patterns, or regular expressions with `re:` before them; when there are any, only matching names
            are synced.
        exclude: patterns of names that are neither copied nor deleted. `*.csv` matches in every directory,
            `raw/*.csv` from the top, `**` any number of directories, and `re:run-[0-9]+/.*` the whole path; a matching
            directory includes everything in it.
        stable: for how long a file of the source must not have changed, in seconds or as text such as `"30s"`. The
            source is listed, and again after that time. Only what both listings show alike is copied; the rest is left
            to the next sync. By default nothing is waited for.
        storage_type: the area of remotes, `"private"` (the default) or `"public"`.
        on_progress: called with a `Progress` at most ten times a second.
    """

    delete: bool
    compare: Compare
    include: str | Iterable[str]
    exclude: str | Iterable[str]
    stable: float | str
    storage_type: str
    on_progress: OnProgress | None


@dataclass(frozen=True, slots=True)
class Rules:
    """What a sync does.

    Attributes:
        compare: how two entries are compared.
        include, exclude: the names that the sync touches. Other names are neither copied nor deleted.
        delete: delete what only the destination has.
        files, newer, older, larger, smaller: as in `Selection`.
        stable: seconds for which a file of the source must not have changed.

    Raises:
        ConfigurationError: the comparison or a pattern is invalid.
    """

    compare: Compare
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    delete: bool = False
    files: Sequence[str] | None = None
    newer: float | None = None
    older: float | None = None
    larger: int | None = None
    smaller: int | None = None
    stable: float = 0.0

    @classmethod
    def of(
        cls,
        compare: Compare,
        include: str | Iterable[str],
        exclude: str | Iterable[str],
        *,
        delete: bool = False,
        stable: float | str = 0.0,
        **conditions: Any,
    ) -> Self:
        """Makes rules from the arguments of a call: those of `Selection.of`, the comparison, `delete` and `stable`."""
        chosen = Selection.of(include, exclude, **conditions)
        return cls(
            compare,
            chosen.include,
            chosen.exclude,
            delete,
            chosen.files,
            chosen.newer,
            chosen.older,
            chosen.larger,
            chosen.smaller,
            to_seconds("stable", stable),
        )

    def __post_init__(self) -> None:
        assert self.comparison
        assert self.selection()

    def to_json(self) -> dict[str, Any]:
        """Returns the rules in plain JSON types; `Rules(**rules.to_json())` are the same."""
        given = {"include": [*self.include], "exclude": [*self.exclude], **self.selection().to_json()}
        waits = {"stable": self.stable} if self.stable else {}
        return {"compare": self.compare, "delete": self.delete, **waits, **given}

    @property
    def comparison(self) -> Comparison:
        """How two entries are compared."""
        return Comparison(self.compare)

    def selection(self) -> Selection:
        """Returns the items that the sync touches, none of which was found yet."""
        return Selection.of(self.include, self.exclude, self.files, self.newer, self.older, self.larger, self.smaller)
