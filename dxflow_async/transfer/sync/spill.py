"""Entries that wait for their counterpart, on disk: memory is that of a few pages, however many there are."""

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
    """Entries by side (0, 1) and name, in a temporary database that goes when it is closed; its calls block.

    Names are bytes, so that their order is that of keys. Up to `MAX_BUFFERED` entries are in memory.
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
        """An entry has no counterpart so far."""
        with self._lock:
            self._buffer[side, name] = entry
            if len(self._buffer) >= self.MAX_BUFFERED:
                self._flush()

    def take(self, side: int, name: bytes) -> Entry | None:
        """The entry of that name, which waits no longer; None when there is none."""
        sql = "DELETE FROM waiting WHERE side = ? AND name = ? RETURNING entry"
        with self._lock:
            entry = self._buffer.pop((side, name), None)
            if entry is not None:
                return entry
            rows = self._database.execute(sql, (side, name)).fetchall()
        return _entry(rows[0][0]) if rows else None

    def pages(self, side: int, size: int, *, reverse: bool = False, below: bytes = b"") -> Iterator[list[Entry]]:
        """All entries of a side in the order of their names, or the reverse.

        Args:
            side: of which none may be put or taken meanwhile.
            size: entries in a page.
            reverse: the last name first.
            below: what their names start with.
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
        """Whether an entry of a side waits whose name starts like that."""
        with self._lock:
            self._flush()
            among, bounds = _among(side, below)
            return bool(self._database.execute(f"SELECT 1 FROM waiting WHERE {among} LIMIT 1", bounds).fetchall())  # noqa: S608

    def drop(self, side: int, below: bytes) -> None:
        """The entries of a side whose names start like that wait no longer."""
        with self._lock:
            self._flush()
            among, bounds = _among(side, below)
            self._database.execute(f"DELETE FROM waiting WHERE {among}", bounds)  # noqa: S608

    def close(self) -> None:
        """Removes all."""
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
    """A condition for the entries of a side, or those whose names start with `below` (its last byte is no 255)."""
    if not below:
        return "side = ?", (side,)
    return "side = ? AND name >= ? AND name < ?", (side, below, below[:-1] + bytes([below[-1] + 1]))


def _text(entry: Entry) -> str:
    """What a listing says of an entry; its metadata is of no use here."""
    values = (entry.key, entry.size, entry.modified, entry.directory, entry.etag, entry.crc32c, entry.content_type)
    return json.dumps((*values, None, entry.unreadable, entry.mtime, entry.read_error, entry.mode))


def _entry(text: str) -> Entry:
    entry = Entry(*json.loads(text))
    entry.metadata = {}
    return entry
