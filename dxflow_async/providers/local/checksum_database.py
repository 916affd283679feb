"""Checksums of files on file systems without extended attributes, in one SQLite database of the home directory.

A row has the path of a file, the version of the file that the checksum is of, and the checksum. The version is the
device, the inode, the size and the time. The path counts too, because some file systems number their files anew each
time they are mounted, and others soon give the number of a removed file to a new one.

A written file costs no transaction: its row waits in memory, where reads find it, until a thread writes it together
with others. Rows that wait when the process is killed are lost, and their files have no checksum. Several processes
may use the database. The rollback journal is used because a write-ahead log does not work on network file systems,
where home directories of clusters are.

No error reaches a transfer. While another process locks the database, checksums are neither found nor written. A
database that is damaged, cannot be written, or has another version stays as it is and is not used by this session.

Source: https://www.sqlite.org/wal.html (section 1), https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from dxflow_async.concurrency.descriptors import OUT_OF_DESCRIPTORS, wait_for_descriptors

__all__ = ["ChecksumDatabase"]

_log = logging.getLogger("dxflow_async.providers.local")

_VERSION = 1
"""Of the schema, in the file's `user_version`."""

# A replaced row gets a new number, so the lowest numbers are those of the oldest checksums.
_SCHEMA = """
CREATE TABLE checksums (number INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, version TEXT NOT NULL,
    crc32c INTEGER NOT NULL)
"""

_MAX_ROWS = 1_000_000
"""Some 150 MB. The oldest checksums are removed first."""

_BATCH = 1000
"""Rows that are written at once, without a wait for more."""

_MAX_WAITING = 20_000
"""Rows that wait in memory. Further ones are not kept: the database is locked, or its disk very slow."""

_DELAY = 0.5
"""Seconds after which rows are written even if they are few."""

_BUSY_SECONDS = 1.0
"""A batch of another process takes a hundredth of it."""

_REST = 10.0
"""Seconds without reads after the database could not be used for `_BUSY_SECONDS`."""

_DESCRIPTORS = 4
"""What SQLite needs for a transaction: the database, its journal and their directory, and one to spare."""

_Row = tuple[str, int]


class ChecksumDatabase:
    """Keeps the CRC32C of files by path and version. Any thread may use it; all methods but `keep` block.

    Args:
        path: of the database, which is made with its directory when the first checksum is written.
        max_rows: the most checksums to keep.
    """

    def __init__(self, path: Path, max_rows: int = _MAX_ROWS) -> None:
        self._path = path
        self._max_rows = max_rows
        self._waiting: dict[bytes, _Row] = {}
        self._changed = threading.Condition()  # guards the waiting rows and the writer
        self._writer: threading.Thread | None = None
        self._closing = False
        self._using = threading.Lock()  # guards the connection; taken before the other lock
        self._connection: sqlite3.Connection | None = None
        self._reads = self._writes = True
        self._rests_until = 0.0

    def keep(self, path: str, status: os.stat_result, crc32c: int) -> None:
        """Keeps the checksum of a file. Does not block; another thread writes it soon, or `close`."""
        self._put(os.fsencode(path), (_version_of(status), crc32c))

    def kept(self, path: str, status: os.stat_result) -> int | None:
        """Returns the checksum of a file; None if none is kept of this version of it."""
        row = self._find(os.fsencode(path))
        return row[1] if row is not None and row[0] == _version_of(status) else None

    def renamed(self, path: str, new_path: str) -> None:
        """Keeps the checksums of a file or a directory, which was renamed, under its new path."""
        old, new = os.fsencode(path), os.fsencode(new_path)
        row = self._find(old)
        if row is not None:
            self._put(new, row)
        elif os.path.isdir(new_path) and self._flush():
            self._rename_below(old, new)

    def close(self) -> None:
        """Writes the rows that wait, and closes the database. A later use opens it again."""
        with self._changed:
            writer, self._closing = self._writer, True
            self._changed.notify()
        if writer is not None:
            writer.join()
        self._flush()
        with self._using:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
        with self._changed:
            self._closing = False
            self._waiting.clear()

    # Rows that wait

    def _put(self, name: bytes, row: _Row) -> None:
        with self._changed:
            if not self._writes or len(self._waiting) >= _MAX_WAITING:
                return
            self._waiting[name] = row
            if self._writer is None and not self._closing:
                writer = threading.Thread(target=self._write_waiting, name="dxflow-checksums", daemon=True)
                try:
                    writer.start()
                except RuntimeError:  # no memory for a thread; the next row tries again, or `close` writes them
                    return
                self._writer = writer
            elif len(self._waiting) == _BATCH:
                self._changed.notify()

    def _write_waiting(self) -> None:
        """Writes rows until none waits."""
        written = True
        while True:
            with self._changed:
                self._changed.wait_for(self._is_enough if written else self._is_closing, _DELAY)
                if self._closing or not self._waiting:
                    self._writer = None
                    return
            written = self._flush()

    def _is_enough(self) -> bool:
        return self._closing or len(self._waiting) >= _BATCH

    def _is_closing(self) -> bool:
        return self._closing

    # The database

    def _flush(self) -> bool:
        """Writes the rows that wait; returns whether none of them is left."""
        with self._using:
            with self._changed:
                batch = dict(self._waiting)
            if not batch:
                return True
            try:
                wait_for_descriptors(_DESCRIPTORS)
                connection = self._open(make=True)
                assert connection is not None
                self._write(connection, batch)
            except (sqlite3.Error, OSError) as error:
                if self._passes(error):
                    return False
                self._writes = False
                _warn(self._path, error)
            with self._changed:
                if not self._writes:
                    self._waiting.clear()
                for name, row in batch.items():
                    if self._waiting.get(name) is row:
                        del self._waiting[name]
        return True

    def _write(self, connection: sqlite3.Connection, batch: dict[bytes, _Row]) -> None:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT OR REPLACE INTO checksums (path, version, crc32c) VALUES (?, ?, ?)",
                ((name, *row) for name, row in batch.items()),
            )
            sql = "SELECT (SELECT max(number) FROM checksums) - (SELECT min(number) FROM checksums) + 1"
            (most,) = connection.execute(sql).fetchone()  # counting takes long, and is seldom needed
            if most > self._max_rows:
                connection.execute(
                    "DELETE FROM checksums WHERE number IN (SELECT number FROM checksums ORDER BY number "
                    "LIMIT max(0, (SELECT count(*) FROM checksums) - ?))",
                    (self._max_rows,),
                )

    def _find(self, name: bytes) -> _Row | None:
        row = self._waiting.get(name)
        if row is not None or not self._may_read():
            return row
        with self._using:
            if not self._may_read():
                return None
            try:
                connection = self._open()
                if connection is None:
                    return None
                found = connection.execute("SELECT version, crc32c FROM checksums WHERE path = ?", (name,)).fetchone()
            except (sqlite3.Error, OSError) as error:
                self._read_failed(error)
                return None
        return found if found is not None and isinstance(found[1], int) and 0 <= found[1] < 1 << 32 else None

    def _may_read(self) -> bool:
        return self._reads and monotonic() >= self._rests_until

    def _read_failed(self, error: sqlite3.Error | OSError) -> None:
        if not self._passes(error):
            self._reads = False
            _warn(self._path, error)

    def _rename_below(self, old: bytes, new: bytes) -> None:
        with self._using:
            if not self._may_read():
                return
            try:
                connection = self._open()
                if connection is not None:
                    connection.execute(
                        "UPDATE OR REPLACE checksums SET path = CAST(? || substr(path, ?) AS BLOB) "
                        "WHERE path > ? AND path < ?",
                        (new, len(old) + 1, old + b"/", old + b"0"),  # "0" comes after "/"
                    )
            except (sqlite3.Error, OSError) as error:
                self._read_failed(error)

    def _open(self, *, make: bool = False) -> sqlite3.Connection | None:
        """Returns the open database; None if there is none yet and it is not to be made."""
        if self._connection is not None:
            return self._connection
        if make:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        elif not self._path.exists():
            return None
        wait_for_descriptors(_DESCRIPTORS)
        uri = f"file:{quote(os.fsencode(self._path))}?mode=rw"
        connection = sqlite3.connect(
            uri, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True
        )
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if not version and make:
                version = _make_schema(connection)
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"it is of version {version}, and this program knows {_VERSION}")
            if version:
                connection.execute("PRAGMA synchronous = NORMAL")
                self._connection = connection
        finally:
            if self._connection is None:
                connection.close()
        return self._connection

    def _passes(self, error: sqlite3.Error | OSError) -> bool:
        """Returns whether a lock or a lack of descriptors is the cause; then no read follows for a while."""
        if isinstance(error, OSError):
            passes = error.errno in OUT_OF_DESCRIPTORS
        else:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # Python's own errors have none
            passes = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        if passes:
            self._rests_until = monotonic() + _REST
        return passes


def _version_of(status: os.stat_result) -> str:
    # As text, because numbers of inodes may need 64 bits without a sign, which SQLite does not have.
    return f"{status.st_dev:x}-{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"


def _make_schema(connection: sqlite3.Connection) -> int:
    """Makes the table, unless another process was faster; returns the version."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not version:
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            version = _VERSION
    return int(version)


def _warn(path: Path, error: Exception) -> None:
    _log.warning("%s cannot be used, so no checksums are kept: %s; if it is damaged, remove it", path, error)
