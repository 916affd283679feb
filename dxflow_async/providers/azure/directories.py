"""Real directories in listings: those of accounts with a hierarchical namespace.

There a recursive listing has each directory, before what is in it. Whether anything is in one is known only when the
listing has gone past it, which may be some pages later.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dxflow_async.providers.contract import Entry

__all__ = ["Cursor", "Directory", "Namespace", "SortedPage", "sort_out"]


@dataclass(slots=True)
class Namespace:
    """What is known of an account's directories, which is found out as they are seen.

    Attributes:
        has_directories: whether some are real, be it that an empty blob stands for one.
        typed: whether the service tells files and directories apart: the namespace is a hierarchical one.
    """

    has_directories: bool = False
    typed: bool = False

    def note(self, *, typed: bool) -> None:
        """A directory was seen, or, where the service is `typed`, anything."""
        self.has_directories = True
        self.typed = self.typed or typed

    def directory_name(self, name: str) -> str:
        """What a hierarchical namespace calls a directory; elsewhere the slash is part of a blob's name."""
        return name.removesuffix("/") if self.typed and name.endswith("/") else name


class Directory(NamedTuple):
    """A directory of which more may be listed, and whether something was."""

    entry: Entry
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a listing goes on.

    Attributes:
        marker: asks for the next page.
        number: of pages so far.
        earlier: the marker after an earlier page: the last whose number was a power of two. A listing that goes in a
            circle comes to it again, however long the circle is (Brent's algorithm).
        pending: directories of which more may be listed.
    """

    marker: str
    number: int = 1
    earlier: str = ""
    pending: tuple[Directory, ...] = ()

    def repeats(self, marker: str | None) -> bool:
        """Whether a page says to go on where an earlier one did."""
        return marker is not None and marker in (self.marker, self.earlier)

    def next(self, marker: str, pending: tuple[Directory, ...]) -> Cursor:
        """Where it goes on after one more page."""
        earlier = self.marker if self.number & (self.number - 1) == 0 else self.earlier
        return Cursor(marker, self.number + 1, earlier, pending)


class SortedPage(NamedTuple):
    """A page of a recursive listing.

    Attributes:
        entries: without the directories that something is in.
        directories: those, each once all in it was listed, and after those in it.
        pending: directories of which more may be listed.
    """

    entries: Sequence[Entry]
    directories: Sequence[Entry] = ()
    pending: tuple[Directory, ...] = ()


def sort_out(
    entries: Sequence[Entry], keys: Collection[str], pending: Sequence[Directory], *, last: bool
) -> SortedPage:
    """What a page of a recursive listing tells of its directories.

    Args:
        entries: of the page, in the order of their keys' bytes.
        keys: those of them that are real directories.
        pending: what the page before left open.
        last: whether no page follows.
    """
    if not keys and not pending:
        return SortedPage(entries)
    found: list[Entry] = []
    full: list[Entry] = []
    waiting = list(pending)

    def end(directory: Directory) -> None:
        (full if directory.filled else found).append(directory.entry)

    for entry in entries:
        key, data = entry.key, entry.key.encode()
        still: list[Directory] = []
        for directory in reversed(waiting):  # the innermost first
            top = directory.entry.key
            if key.startswith(top):
                still.append(directory if directory.filled else Directory(directory.entry, filled=True))
            elif data > top.encode():
                end(directory)
            else:
                still.append(directory)
        waiting = still[::-1]
        if key in keys:
            waiting.append(Directory(entry))
        else:
            found.append(entry)
    if last:
        for directory in reversed(waiting):
            end(directory)
        waiting = []
    return SortedPage(sorted(found, key=lambda each: each.key.encode()), full, tuple(waiting))
