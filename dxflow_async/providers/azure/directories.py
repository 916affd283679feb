"""Real directories in listings of accounts with a hierarchical namespace.

A recursive listing of such an account lists each directory before its content. Whether a directory is empty is known
only when the listing has passed it, perhaps some pages later.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dxflow_async.providers.contract import Entry

__all__ = ["Cursor", "Directory", "Namespace", "SortedPage", "sort_out"]


@dataclass(slots=True)
class Namespace:
    """Remembers what listings and responses show of an account's directories.

    Attributes:
        has_directories: whether some directories are real, or an empty blob stands for one.
        typed: whether the service distinguishes files and directories, so that the namespace is hierarchical.
        flat: whether a listing had objects whose type the service does not tell.
    """

    has_directories: bool = False
    typed: bool = False
    flat: bool = False

    def note(self, *, typed: bool) -> None:
        """Records that a directory was seen or, if the service is `typed`, anything."""
        self.has_directories = True
        self.typed = self.typed or typed

    def directory_name(self, name: str) -> str:
        """Returns the blob name of a directory: without its slash in a hierarchical namespace."""
        return name.removesuffix("/") if self.typed and name.endswith("/") else name


class Directory(NamedTuple):
    """A directory of which more may be listed, and whether something was."""

    entry: Entry
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position in a listing.

    Attributes:
        marker: requests the next page.
        number: how many pages there were.
        earlier: the marker after an earlier page, the last whose number was a power of two. A listing that runs in a
            circle comes to it again, however long the circle is (Brent's algorithm).
        pending: directories of which more may be listed.
        partial: the listing began at a key, and may end before the last page.
        first: identifies the first entry of the page before.
        directory: as for `grouped`.
    """

    marker: str
    number: int = 1
    earlier: str = ""
    pending: tuple[Directory, ...] = ()
    partial: bool = False
    first: str = ""
    directory: str = ""

    def repeats(self, marker: str | None) -> bool:
        """Returns whether a page continues where an earlier one did."""
        return marker is not None and marker in (self.marker, self.earlier)

    def next(self, marker: str, pending: tuple[Directory, ...], first: str = "", directory: str = "") -> Cursor:
        """Returns the position after one more page."""
        earlier = self.marker if self.number & (self.number - 1) == 0 else self.earlier
        return Cursor(marker, self.number + 1, earlier, pending, self.partial, first or self.first, directory)


class SortedPage(NamedTuple):
    """A page of a recursive listing.

    Attributes:
        entries: without directories that are not empty.
        directories: those, each after everything in it was listed.
        pending: directories of which more may be listed.
    """

    entries: Sequence[Entry]
    directories: Sequence[Entry] = ()
    pending: tuple[Directory, ...] = ()


def sort_out(
    entries: Sequence[Entry], keys: Collection[str], pending: Sequence[Directory], *, last: bool
) -> SortedPage:
    """Separates the empty directories of a recursive page from those that have content.

    Args:
        entries: the page, in the order of the bytes of its keys.
        keys: the keys among them that are real directories.
        pending: the directories that the previous page left open.
        last: whether this is the last page.
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
        for directory in reversed(waiting):  # innermost first
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
