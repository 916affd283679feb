"""Which items a call takes: by their names, a list of names, their age and their size. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from dxflow_async.config.quantities import parse_size
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.transfer.run_options import CallOptions, RunOptions
from dxflow_async.transfer.sync.filters import NameFilter

if TYPE_CHECKING:
    from dxflow_async.providers.contract import Entry

__all__ = ["Selection", "SelectionOptions", "selected", "split_options"]

Time = float | datetime
"""Seconds since the epoch, or a `datetime`, which is local time if it has no time zone."""

_CONDITIONS = ("files", "newer", "older", "larger", "smaller")


class SelectionOptions(CallOptions, total=False):
    """The options that select items beside `include` and `exclude`, with those of `CallOptions`.

    Only objects and files meet a condition on age or size, and only if their listing tells their age or size. Empty
    directories are then left out.

    Attributes:
        files: the names to take, relative to the source directory. The name of a directory takes everything in it. A
            name that does not exist is a failed item.
        newer: take only what was stored or changed at this time or later, in seconds since the epoch or as a datetime.
        older: take only what was stored or changed before this time.
        larger: take only what has at least this size, in bytes or as a text such as `"1GiB"`.
        smaller: take only what has less than this size.
    """

    files: Iterable[str] | None
    newer: Time | None
    older: Time | None
    larger: int | str | None
    smaller: int | str | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The items that a call takes.

    Attributes:
        include, exclude: patterns of names, as for `NameFilter`.
        files: names to take; None: all.
        newer, older: seconds since the epoch; None: any age.
        larger, smaller: bytes; None: any size.

    Raises:
        ConfigurationError: a pattern, a name, a time or a size is invalid.

    Example:
        >>> selection = Selection.of(include="*.csv", larger="1KiB")
        >>> selection.admits("a.csv", Entry("a.csv", size=2000)), selection.admits("b.csv", Entry("b.csv", size=3))
        (True, False)
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    files: tuple[str, ...] | None = None
    newer: float | None = None
    older: float | None = None
    larger: int | None = None
    smaller: int | None = None
    names: NameFilter = field(init=False, repr=False, compare=False)
    _wanted: frozenset[str] = field(init=False, repr=False, compare=False)
    _seen: set[str] = field(init=False, repr=False, compare=False, default_factory=set)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", NameFilter(self.include, self.exclude))
        object.__setattr__(self, "_wanted", frozenset(map(_clean, self.files or ())))

    @classmethod
    def of(
        cls,
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        files: str | Iterable[str] | None = None,
        newer: Time | None = None,
        older: Time | None = None,
        larger: int | str | None = None,
        smaller: int | str | None = None,
    ) -> Self:
        """Makes a selection from the arguments of a call."""
        return cls(
            _texts(include),
            _texts(exclude),
            None if files is None else _texts(files),
            _time("newer", newer),
            _time("older", older),
            _size("larger", larger),
            _size("smaller", smaller),
        )

    @classmethod
    def from_json(cls, arguments: Mapping[str, Any]) -> Self:
        """Restores a selection from the arguments of a job."""
        return cls.of(
            arguments.get("include") or (),
            arguments.get("exclude") or (),
            *(arguments.get(name) for name in _CONDITIONS),
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the conditions that are set, in plain JSON types."""
        given: dict[str, Any] = {name: getattr(self, name) for name in ("include", "exclude", *_CONDITIONS)}
        return {name: [*value] if isinstance(value, tuple) else value for name, value in given.items() if value}

    @property
    def takes_all(self) -> bool:
        """Whether nothing is left out."""
        return self.files is None and not self.include and not self.exclude and not self.has_conditions

    @property
    def has_conditions(self) -> bool:
        """Whether age or size matters."""
        return not (self.newer is self.older is self.larger is self.smaller is None)

    def admits_name(self, name: str) -> bool:
        """Returns whether a name may be taken. A directory's name ends in a slash."""
        return self.names.admits(name) and (self.files is None or self._is_listed(name))

    def admits(self, name: str, entry: Entry) -> bool:
        """Returns whether an entry is taken."""
        return self.admits_name(name) and self.admits_entry(entry)

    def admits_entry(self, entry: Entry) -> bool:
        """Returns whether the age and the size of an entry are right. One that cannot be read is taken, and fails."""
        if not self.has_conditions or entry.unreadable is not None:
            return True
        return not entry.directory and self.admits_values(entry.mtime or entry.modified, entry.size)

    def admits_values(self, changed: float, size: int) -> bool:
        """Returns whether an age and a size are right. A time of 0 is unknown, and no condition admits it."""
        if not changed and not (self.newer is self.older is None):
            return False
        return (
            (self.newer is None or changed >= self.newer)
            and (self.older is None or changed < self.older)
            and (self.larger is None or size >= self.larger)
            and (self.smaller is None or size < self.smaller)
        )

    def missing(self) -> list[str]:
        """Returns the names of `files` that no call of `admits` or `admits_name` has found, in their order."""
        return [name for name in dict.fromkeys(map(_clean, self.files or ())) if name not in self._seen]

    def _is_listed(self, name: str) -> bool:
        name = name.removesuffix("/")
        end = len(name)
        while end > 0:
            if name[:end] in self._wanted:
                self._seen.add(name[:end])
                return True
            end = name.rfind("/", 0, end)
        return False


def split_options(options: SelectionOptions) -> tuple[dict[str, Any], CallOptions]:
    """Splits the options of a call into those of `Selection.of` and how it runs."""
    chosen: dict[str, Any] = {name: value for name, value in options.items() if name in _CONDITIONS}
    where: Any = {name: value for name, value in options.items() if name not in _CONDITIONS}
    return chosen, where


def _clean(name: str) -> str:
    cleaned = "/".join(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in cleaned.split("/") or not cleaned:
        raise ConfigurationError(
            f"files: {name!r} is not allowed; write names relative to the source directory, such as raw/a.csv"
        )
    return cleaned


def _texts(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(os.fspath(each) for each in given)


def _time(name: str, value: Time | None) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    if isinstance(value, datetime):
        return value.timestamp()
    raise ConfigurationError(f"{name} = {value!r} is not allowed; it must be seconds since the epoch or a datetime")


def _size(name: str, value: int | str | None) -> int | None:
    try:
        found = parse_size(value) if isinstance(value, str) else value
    except ValueError:
        found = -1
    if found is not None and (isinstance(found, bool) or not isinstance(found, int) or found < 0):
        raise ConfigurationError(f"{name} = {value!r} is not allowed; write bytes, or a size such as 1GiB")
    return found


def selected(
    include: str | Iterable[str], exclude: str | Iterable[str], options: SelectionOptions
) -> tuple[Selection | None, RunOptions]:
    """Returns which items a call takes (None: all), and how it runs."""
    chosen, where = split_options(options)
    selection = Selection.of(include, exclude, **chosen)
    return None if selection.takes_all else selection, RunOptions.of(**where)
