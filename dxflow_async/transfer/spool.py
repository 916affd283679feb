"""Entries that wait for their counterpart, on disk: memory is that of a few pages, however many there are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator

from dxflow_async.providers.base import Entry

__all__ = ["Spool"]

_TABLE = """
    CREATE TABLE waiting (side INTEGER, name BLOB, entry TEXT, PRIMARY KEY (side, name)) WITHOUT ROWID
"""


class Spool:
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

    def put(self, side: int, name: bytes, entry: Entry) -> None:
        """An entry has no counterpart so far."""
        self._buffer[side, name] = entry
        if len(self._buffer) >= self.MAX_BUFFERED:
            self._flush()

    def take(self, side: int, name: bytes) -> Entry | None:
        """The entry of that name, which waits no longer; None when there is none."""
        entry = self._buffer.pop((side, name), None)
        if entry is not None:
            return entry
        sql = "DELETE FROM waiting WHERE side = ? AND name = ? RETURNING entry"
        rows = self._database.execute(sql, (side, name)).fetchall()
        return _entry(rows[0][0]) if rows else None

    def pages(self, side: int, size: int, *, reverse: bool = False) -> Iterator[list[Entry]]:
        """All entries of a side in the order of their names, or the reverse; none may be put or taken meanwhile."""
        self._flush()
        order, sign = ("DESC", "<") if reverse else ("ASC", ">")
        first = f"SELECT name, entry FROM waiting WHERE side = ? ORDER BY name {order} LIMIT ?"  # noqa: S608
        after = f"SELECT name, entry FROM waiting WHERE side = ? AND name {sign} ? ORDER BY name {order} LIMIT ?"  # noqa: S608
        rows = self._database.execute(first, (side, size)).fetchall()
        while rows:
            yield [_entry(text) for _, text in rows]
            rows = self._database.execute(after, (side, rows[-1][0], size)).fetchall()

    def close(self) -> None:
        """Removes all."""
        self._buffer.clear()
        self._database.close()

    def _flush(self) -> None:
        rows: Iterable[tuple[int, bytes, str]] = (
            (side, name, _text(entry)) for (side, name), entry in self._buffer.items()
        )
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?)", rows)
        self._database.execute("COMMIT")
        self._buffer.clear()


def _text(entry: Entry) -> str:
    """What a listing says of an entry; its metadata is of no use here."""
    values = (entry.key, entry.size, entry.modified, entry.directory, entry.etag, entry.crc32c, entry.content_type)
    return json.dumps((*values, None, entry.unreadable, entry.mtime, entry.mode))


def _entry(text: str) -> Entry:
    entry = Entry(*json.loads(text))
    entry.metadata = {}
    return entry
