"""Tokens of listings that a service gives out, and names that it should have grouped by directory.

A service that ignores a token sends the same page again, with the same token, with one of an earlier page, or with a
new one. A service that ignores the delimiter names everything below a directory, perhaps on several pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from dxflow_async.providers.common.confirm import contradiction
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.http import Call

__all__ = ["PageToken", "first_name", "grouped"]


class PageToken(str):
    """The token of the next page, with what shows that a listing runs in a circle.

    Attributes:
        number: how many pages there were.
        earlier: the token after an earlier page, the last whose number was a power of two. A listing that runs in a
            circle comes to it again, however long the circle is (Brent's algorithm).
        first: the first name of the page before; empty if it had none.
        directory: the directory that the page before ended with, if its names were grouped here; otherwise empty.
    """

    __slots__ = ("directory", "earlier", "first", "number")

    number: int
    earlier: str
    first: str
    directory: str

    @classmethod
    def after(
        cls, call: Call, token: str, before: str | None, entries: Sequence[Entry], *, directory: str = ""
    ) -> Self:
        """Returns the token of the page that follows.

        Args:
            call: the listing, for errors.
            token: what the page names.
            before: the token that requested the page; None for the first page.
            entries: of the page.
            directory: as the attribute.

        Raises:
            ServiceError: the listing runs in a circle.
        """
        known = before if isinstance(before, PageToken) else None
        earlier = "" if known is None else known.earlier
        number = 1 if known is None else known.number
        if token == before:
            raise contradiction(call, "the page names itself as the next page")
        if token == earlier:
            raise contradiction(call, "the page names an earlier page as the next one")
        first = first_name(entries)
        if known is not None and first and first == known.first:
            raise contradiction(call, f"the page before began with {first.partition(chr(0))[0]!r:.200}, too")
        found = cls(token)
        found.number = number + 1
        found.earlier = (before or "") if number & (number - 1) == 0 else earlier
        found.first = first or ("" if known is None else known.first)
        found.directory = directory
        return found


def first_name(entries: Sequence[Entry]) -> str:
    """Returns what identifies the first entry of a page; an empty text if it has none."""
    return _identity(entries[0]) if entries else ""


def grouped(entries: Sequence[Entry], prefix: str, before: str = "") -> tuple[Sequence[Entry], str]:
    """Groups the names of a page that lie below directories, where the service did not.

    Args:
        entries: the page, in the order of the bytes of its keys.
        prefix: the prefix of the listing, with the bucket.
        before: the directory that the previous page ended with.

    Returns:
        The entries, and the directory that the page ended with; it is empty if the service had grouped them all.
    """
    start = len(prefix)
    if not before and all(entry.key.find("/", start, -1) < 0 for entry in entries):
        return entries, ""
    found: dict[str, Entry] = {}
    last = before
    for entry in entries:
        at = entry.key.find("/", start)
        if at < 0:
            found.setdefault(_identity(entry), entry)
        elif (last := entry.key[: at + 1]) != before:
            found.setdefault(last, Entry(last, directory=True))
    return sorted(found.values(), key=lambda entry: entry.key.encode()), last


def _identity(entry: Entry) -> str:
    return f"{entry.key}\0{entry.version or ''}"
