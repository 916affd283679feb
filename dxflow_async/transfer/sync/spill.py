"""Keeps entries that wait for their counterpart on disk: memory stays that of a few pages, however many wait."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator

from dxflow_async.providers.contract import Entry

__all__ = ["Spill"]

_TABLE = """
    CREATE TABLE waiting (side INTEGER, name BLOB, entry TEXT, PRIMARY KEY (side, name)) WITHOUT ROWID
"""


class Spill:
    """Entries by side and name, in a temporary database that is removed when it is closed. Its methods block.

    Names are bytes, so that they sort as keys do. Up to `MAX_BUFFERED` entries are in memory.
    """

    MAX_BUFFERED = 5000

    def __init__(self) -> None:
        # An empty name makes a private file, which SQLite keeps in its page cache while it is small.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(_TABLE)
        self._buffer: dict[tuple[int, bytes], Entry] = {}
        self._lock = threading.RLock()

    def put(self, side: int, name: bytes, entry: Entry) -> None:
        """Adds an entry."""
        with self._lock:
            self._buffer[side, name] = entry
            if len(self._buffer) >= self.MAX_BUFFERED:
                self._flush()

    def take(self, side: int, name: bytes) -> Entry | None:
        """Removes and returns the entry of a name; None if there is none."""
        sql = "DELETE FROM waiting WHERE side = ? AND name = ? RETURNING entry"
        with self._lock:
            entry = self._buffer.pop((side, name), None)
            if entry is not None:
                return entry
            rows = self._database.execute(sql, (side, name)).fetchall()
        return _entry(rows[0][0]) if rows else None

    def pages(self, side: int, size: int, *, reverse: bool = False, below: bytes = b"") -> Iterator[list[Entry]]:
        """Yields all entries of a side in the order of their names.

        Args:
            side: the side. No entry of it may be added or taken meanwhile.
            size: entries per page.
            reverse: the last name comes first.
            below: only names that start with it.
        """
        order, sign = ("DESC", "<") if reverse else ("ASC", ">")
        among, bounds = _among(side, below)
        first = f"SELECT name, entry FROM waiting WHERE {among} ORDER BY name {order} LIMIT ?"  # noqa: S608
        after = f"SELECT name, entry FROM waiting WHERE {among} AND name {sign} ? ORDER BY name {order} LIMIT ?"  # noqa: S608
        with self._lock:
            self._flush()
            rows = self._database.execute(first, (*bounds, size)).fetchall()
        while rows:
            yield [_entry(text) for _, text in rows]
            with self._lock:
                rows = self._database.execute(after, (*bounds, rows[-1][0], size)).fetchall()

    def has(self, side: int, below: bytes) -> bool:
        """Returns whether a side has an entry whose name starts with `below`."""
        with self._lock:
            self._flush()
            among, bounds = _among(side, below)
            return bool(self._database.execute(f"SELECT 1 FROM waiting WHERE {among} LIMIT 1", bounds).fetchall())  # noqa: S608

    def drop(self, side: int, below: bytes) -> None:
        """Removes the entries of a side whose names start with `below`."""
        with self._lock:
            self._flush()
            among, bounds = _among(side, below)
            self._database.execute(f"DELETE FROM waiting WHERE {among}", bounds)  # noqa: S608

    def close(self) -> None:
        """Removes all entries."""
        self._buffer.clear()
        self._database.close()

    def _flush(self) -> None:
        rows: Iterable[tuple[int, bytes, str]] = (
            (side, name, _text(entry)) for (side, name), entry in self._buffer.items()
        )
        if not self._buffer:
            return
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?)", rows)
        self._database.execute("COMMIT")
        self._buffer.clear()


def _among(side: int, below: bytes) -> tuple[str, tuple[int | bytes, ...]]:
    """Returns an SQL condition for the names of a side that start with `below`, whose last byte is not 255."""
    if not below:
        return "side = ?", (side,)
    return "side = ? AND name >= ? AND name < ?", (side, below, below[:-1] + bytes([below[-1] + 1]))


def _text(entry: Entry) -> str:
    """Returns an entry as text, without its metadata, which a sync does not use."""
    values = (entry.key, entry.size, entry.modified, entry.directory, entry.etag, entry.crc32c, entry.content_type)
    kept = (*values, None, entry.unreadable, entry.mtime, entry.read_error, entry.mode)
    return json.dumps((kept, entry.tag_count) if entry.tag_count else (kept,))


def _entry(text: str) -> Entry:
    values, *tag_count = json.loads(text)
    entry = Entry(*values)
    entry.metadata = {}
    entry.tag_count = tag_count[0] if tag_count else 0
    return entry
