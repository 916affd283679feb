"""What is written into a job file and read from it. Blocks.

Local names are bytes, which Python shows as text with surrogates where they are not UTF-8. SQLite's text is UTF-8 only,
so such a name is stored as a BLOB with its surrogates encoded, which gives back any `str` unchanged. Other names stay
text: that costs nothing, and files of earlier versions need no conversion.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from dxflow_async.exceptions import DxflowError
from dxflow_async.models import JobInfo
from dxflow_async.providers.contract import Part, PartReceipt
from dxflow_async.transfer.journal.records import BegunUpload, ItemId, JobSpec
from dxflow_async.transfer.journal.schema import translated_errors

__all__ = [
    "BEGUN",
    "CREATED",
    "CREATING",
    "ENDED",
    "GONE",
    "PART",
    "PLANNED",
    "PLAN_ENDED",
    "UPLOAD_ENDED",
    "WORKER",
    "JobQueries",
    "Row",
    "job_info",
    "upload_ids",
]

PLANNED, ENDED, BEGUN, PART, UPLOAD_ENDED, PLAN_ENDED, CREATING, CREATED, GONE, WORKER = range(10)
"""Numbers of the statements below."""

_STATEMENTS = (
    "INSERT OR IGNORE INTO items (source, destination, state) VALUES (?, ?, 'planned')",
    "INSERT OR REPLACE INTO items (source, destination, state, version, size, reason) VALUES (?, ?, ?, ?, ?, ?)",
    "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)",
    "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    "DELETE FROM uploads WHERE source = ? AND destination = ?",
    "UPDATE job SET planned = 1",
    "INSERT OR REPLACE INTO creations VALUES (?, ?)",
    "DELETE FROM creations WHERE key = ?",
    "DELETE FROM orphans WHERE key = ? AND id = ?",
    "INSERT INTO runs VALUES (?, ?, ?)",
)

_FORGET_PARTS = "DELETE FROM parts WHERE source = ? AND destination = ?"
_KEEP_OTHER = """
    INSERT OR IGNORE INTO orphans
    SELECT key, id FROM uploads WHERE source = ? AND destination = ? AND NOT (key = ? AND id = ?)
"""
_FORGET_UPLOAD = "DELETE FROM uploads WHERE key = ? AND id = ?"

_PAGE = 1000

_TOGETHER = 64
"""Rows that are inserted in one step. SQLite before 3.32 takes 999 values in a statement, and a row has up to eight."""

_LARGEST_INTEGER = (1 << 63) - 1
_LATEST = 1e11
"""Seconds since the epoch, in the year 5138: no job began later."""


class Row(NamedTuple):
    """One change of a job file: the number of its statement, and the statement's values."""

    statement: int
    values: tuple[Any, ...]


class JobQueries:
    """The statements of one open job file. The reading ones raise `DamagedJobFile` where values make no sense."""

    _path: Path
    _database: sqlite3.Connection
    _owners: set[str]
    """The owner ids of this call and of its workers."""
    _left: set[str] | None
    """The owner ids of workers that an earlier process did not write down; None: nobody has looked."""

    @property
    def spec(self) -> JobSpec:
        """What the job is to do."""
        with self.reading():
            return JobSpec.from_json(_text(self._database.execute("SELECT asked FROM job").fetchone()[0]))

    @property
    def earlier_owners(self) -> set[str]:
        """The owner ids of earlier calls of the job, which name the temporary files they left.

        Workers of a process that was killed are waited for.
        """
        earlier = self._owners_in_file() - self._owners
        if self._left is None:
            from dxflow_async.transfer.executor.killed_calls import workers_left_by

            self._left = workers_left_by(earlier)
        return earlier | self._left

    def forget_killed_calls(self) -> None:
        """Removes the channels of earlier processes that were killed, which nobody needs any more."""
        with suppress(DxflowError):
            earlier = self._owners_in_file() - self._owners
            if earlier:
                from dxflow_async.transfer.executor.killed_calls import remove_channels_of

                remove_channels_of(earlier)

    def _owners_in_file(self) -> set[str]:
        with self.reading():
            return {_text(mark) for (mark,) in self._database.execute("SELECT mark FROM runs").fetchall()}

    @property
    def complete(self) -> bool:
        """Whether the file holds all items that the call was given."""
        with self.reading():
            return bool(self._database.execute("SELECT planned FROM job").fetchone()[0])

    def write(self, rows: Iterable[Row]) -> None:
        """Writes all rows in one transaction, or none of them."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for statement, group in groupby(rows, key=lambda row: row.statement):
                values = [row.values for row in group]
                if statement == WORKER:
                    self._owners |= {str(owner_id) for owner_id, *_ in values}
                if statement == BEGUN:  # an upload that it replaces could not be removed
                    _execute_many(self._database, _KEEP_OTHER, [each[:4] for each in values])
                _execute_many(self._database, _STATEMENTS[statement], values)
                if statement in (BEGUN, UPLOAD_ENDED):
                    _execute_many(self._database, _FORGET_PARTS, [each[:2] for each in values])
                elif statement == GONE:
                    _execute_many(self._database, _FORGET_UPLOAD, values)
            self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    def state_of(self, item: ItemId) -> tuple[str, str | None] | None:
        """Returns an item's state and the version of its source; None if the file does not know the item."""
        query = "SELECT state, version FROM items WHERE source = ? AND destination = ?"
        with self.reading():
            row = self._database.execute(query, _stored(item)).fetchone()
            return None if row is None else (_text(row[0]), _text_or_none(row[1]))

    def ended_any(self) -> bool:
        """Returns whether any item is done."""
        with self.reading():
            return self._database.execute("SELECT 1 FROM items WHERE state = 'done'").fetchone() is not None

    def ended_any_below(self, directory: str) -> bool:
        """Returns whether any item is done whose source lies in a directory; `directory` ends in a slash."""
        query = "SELECT 1 FROM items WHERE source > ? AND source < ? AND state = 'done' LIMIT 1"
        start, end = (each.encode("utf-8", "surrogatepass") for each in (directory, f"{directory[:-1]}0"))
        ranges: list[tuple[str | bytes, str | bytes]] = [(start, end)]  # names that are stored as bytes
        if isinstance(_stored_text(directory), str):
            ranges.append((directory, end.decode()))
        with self.reading():
            return any(self._database.execute(query, each).fetchone() is not None for each in ranges)

    def items(self, after: ItemId | None) -> list[ItemId]:
        """Returns the next page of all items, in the order of their names."""
        query = "SELECT source, destination FROM items WHERE (source, destination) > (?, ?) ORDER BY 1, 2 LIMIT ?"
        with self.reading():
            rows = self._database.execute(query, (*_stored(after or ("", "")), _PAGE)).fetchall()
            return [_item_id(*row) for row in rows]

    def upload_of(self, item: ItemId) -> BegunUpload | None:
        """Returns the upload that was begun for an item."""
        query = "SELECT key, id, version, size, part_size FROM uploads WHERE source = ? AND destination = ?"
        with self.reading():
            row = self._database.execute(query, _stored(item)).fetchone()
            return None if row is None else self._begun(item, *row)

    def uploads(self) -> list[tuple[ItemId, BegunUpload]]:
        """Returns all unfinished uploads: at most as many as there were workers."""
        query = "SELECT source, destination, key, id, version, size, part_size FROM uploads"
        with self.reading():
            found = [(_item_id(*row[:2]), row[2:]) for row in self._database.execute(query).fetchall()]
            return [(item, self._begun(item, *row)) for item, row in found]

    def orphans(self) -> list[tuple[str, str]]:
        """Returns keys and ids of uploads that could not be removed, and that no item resumes."""
        with self.reading():
            rows = self._database.execute("SELECT key, id FROM orphans").fetchall()
            return [(_text(key), _text(upload_id)) for key, upload_id in rows]

    def creations(self) -> dict[str, list[float]]:
        """Returns keys whose upload may exist although its creation was never answered, and when it was requested."""
        found: dict[str, list[float]] = {}
        with self.reading():
            for key, began in self._database.execute("SELECT key, began FROM creations").fetchall():
                found.setdefault(_text(key), []).append(float(began))
        return found

    def reading(self) -> AbstractContextManager[None]:
        """Translates errors that its block raises into errors that name the file."""
        return translated_errors(self._path)

    def _begun(self, item: ItemId, key: object, upload_id: object, version: object, *sizes: object) -> BegunUpload:
        size, part_size = map(_number, sizes)
        if not part_size:
            raise ValueError("parts without a size")
        receipts = self._receipts(item)
        return BegunUpload(_text(key), _text(upload_id), _text_or_none(version), size, part_size, receipts)

    def _receipts(self, item: ItemId) -> tuple[PartReceipt, ...]:
        query = "SELECT number, offset, size, etag, crc32c, verified FROM parts WHERE source = ? AND destination = ?"
        rows = self._database.execute(f"{query} ORDER BY number", _stored(item)).fetchall()
        return tuple(
            PartReceipt(
                Part(*map(_number, row[:3])),
                _text_or_none(row[3]),
                None if row[4] is None else _number(row[4]),
                verified=bool(row[5]),
            )
            for row in rows
        )


def job_info(database: sqlite3.Connection, job_id: str, pid: int | None) -> JobInfo:
    """Returns what a job file of any version tells about its job.

    Args:
        database: the file, which is only read.
        job_id: the job.
        pid: the process that works on it.
    """
    asked, began = database.execute("SELECT asked, began FROM job").fetchone()
    if not 0 <= began < _LATEST:
        raise ValueError(f"it began at {began}")
    states = dict.fromkeys(("planned", "done", "skipped", "failed"), 0)
    moved = 0
    for state, count, size in database.execute("SELECT state, COUNT(*), TOTAL(size) FROM items GROUP BY state"):
        states[state] = count
        moved += int(size)
    failures = database.execute("SELECT source, reason FROM items WHERE state = 'failed' LIMIT 100").fetchall()
    uploads = []
    if _has_uploads(database):
        uploads = database.execute("SELECT destination FROM uploads").fetchall()
    spec = JobSpec.from_json(_text(asked))
    return JobInfo(
        id=job_id,
        operation=spec.operation,
        source=spec.source,
        destination=spec.destination,
        began=began,
        pid=pid,
        done=states["done"] + states["skipped"],
        failed=states["failed"],
        waiting=states["planned"],
        bytes=_number(moved),
        failures={_text(source): _text(reason) for source, reason in failures},
        uploads=[_text(destination) for (destination,) in uploads],
    )


def upload_ids(database: sqlite3.Connection) -> set[str]:
    """Returns the ids of all uploads that a job file of any version holds."""
    if not _has_uploads(database):
        return set()
    return {_text(row[0]) for row in database.execute("SELECT id FROM uploads").fetchall()}


def _has_uploads(database: sqlite3.Connection) -> bool:
    """Returns whether the file is of a version that stores uploads."""
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = 'uploads'").fetchone() is not None


def _execute_many(database: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Runs an idempotent statement for each row, whatever text and numbers the rows hold."""
    try:
        _execute_each(database, statement, rows)
    except (UnicodeEncodeError, OverflowError):
        _execute_each(database, statement, [tuple(map(_storable, row)) for row in rows])


def _execute_each(database: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Runs a statement for each row; many rows that are inserted are one step.

    With each step, SQLite's thread gives the interpreter away and takes it from the event loop again.
    """
    head, keyword, places = statement.partition(" VALUES ")
    whole = len(rows) // _TOGETHER * _TOGETHER if keyword else 0
    if whole:
        together = f"{head}{keyword}{', '.join([places] * _TOGETHER)}"
        for start in range(0, whole, _TOGETHER):
            database.execute(together, [value for row in rows[start : start + _TOGETHER] for value in row])
    database.executemany(statement, rows[whole:])


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _stored_text(value)
    if isinstance(value, int):
        return max(-_LARGEST_INTEGER, min(value, _LARGEST_INTEGER))
    return value


def _stored(item: tuple[str, str]) -> tuple[str | bytes, str | bytes]:
    return _stored_text(item[0]), _stored_text(item[1])


def _stored_text(value: str) -> str | bytes:
    """Returns a text as it is stored: as bytes if it is not UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value


def _text(value: object) -> str:
    """Returns a text as it was before it was stored.

    Raises:
        ValueError: the value is not a text.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogatepass")
    raise ValueError(f"{value!r:.80} where a text belongs")


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _item_id(source: object, destination: object) -> ItemId:
    return ItemId(_text(source), _text(destination))


def _number(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r:.80} where a number belongs")
    return value
