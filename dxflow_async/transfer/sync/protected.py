"""Names of the source that could not be looked at: a sync leaves them alone at the destination."""

from __future__ import annotations

from dxflow_async.paths import fold_name
from dxflow_async.providers.contract import Entry

__all__ = ["Protected", "is_failure", "is_unresolved"]

_UNRESOLVED = "ENOENT"


def is_failure(entry: Entry) -> bool:
    """Whether an entry is unreadable because looking at it failed, not because of what it is."""
    return entry.read_error is not None and not is_unresolved(entry)


def is_unresolved(entry: Entry) -> bool:
    """Whether an entry is a link whose target is not there: it may be back tomorrow, with all that is below it."""
    return entry.read_error == _UNRESOLVED


class Protected:
    """Unreadable entries of the source, by their names.

    What lies behind such a name is not known: it may be a directory that the destination has a copy of. So a name is
    covered with all below it, and however it is spelled: upper and lower case, and the ways to write one letter, are
    not told apart, because some destinations do not.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, name: str, entry: Entry) -> None:
        """Covers a name, with or without the slash of a directory."""
        self._entries[fold_name(name.removesuffix("/"))] = entry

    def covers(self, name: str) -> Entry | None:
        """The entry that a name belongs to, or lies below; None for a name that is not covered."""
        if not self._entries:
            return None
        name = fold_name(name.removesuffix("/"))
        end = len(name)
        while end > 0:
            entry = self._entries.get(name[:end])
            if entry is not None:
                return entry
            end = name.rfind("/", 0, end)
        return None
