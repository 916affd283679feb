"""The SQLite database of a job file: its schema, migrations, and which errors mean that it is damaged. Blocks."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dxflow_async.exceptions import ConfigurationError, DxflowError

__all__ = ["SCHEMA_VERSION", "DamagedJobFile", "connect", "translated_errors"]

# Each step brings a file to the next version. An empty file has version 0.
_STEPS = (
    """
CREATE TABLE job (operation TEXT NOT NULL, asked TEXT NOT NULL, began REAL NOT NULL,
    planned INTEGER NOT NULL DEFAULT 0);
CREATE TABLE runs (mark TEXT NOT NULL, pid INTEGER NOT NULL, began REAL NOT NULL);
CREATE TABLE items (source TEXT, destination TEXT, state TEXT NOT NULL, version TEXT, size INTEGER NOT NULL DEFAULT 0,
    reason TEXT, PRIMARY KEY (source, destination)) WITHOUT ROWID
""",
    # Large items resume in the middle.
    """
CREATE TABLE uploads (source TEXT, destination TEXT, key TEXT NOT NULL, id TEXT NOT NULL, version TEXT,
    size INTEGER NOT NULL, part_size INTEGER NOT NULL, PRIMARY KEY (source, destination)) WITHOUT ROWID;
CREATE TABLE parts (source TEXT, destination TEXT, number INTEGER, offset INTEGER NOT NULL, size INTEGER NOT NULL,
    etag TEXT, crc32c INTEGER, verified INTEGER NOT NULL, PRIMARY KEY (source, destination, number)) WITHOUT ROWID
""",
    # From this version on, names that are not UTF-8 are BLOBs. Uploads that could not be removed outlive their item,
    # and so do the keys of uploads whose creation was never answered.
    """
CREATE TABLE orphans (key TEXT, id TEXT, PRIMARY KEY (key, id)) WITHOUT ROWID;
CREATE TABLE creations (key TEXT, began REAL, PRIMARY KEY (key, began)) WITHOUT ROWID
""",
)

SCHEMA_VERSION = len(_STEPS)
"""The version that this program writes into a file's `user_version`."""

_MAX_VERSION = 1000
"""No version of this program will ever write a higher number: such a number is damage."""

_BUSY_SECONDS = 10.0

# https://www.sqlite.org/rescode.html: the disk or another process causes these, not the content of the file.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}


class DamagedJobFile(ConfigurationError):  # noqa: N818 - users see and catch it as a ConfigurationError
    """The content of a job file cannot be understood. The file is to be set aside."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(
            f"{path} is damaged, or not a job file ({' '.join(str(reason).split())}): set it aside with "
            f"`dxflow-async jobs clean {path.stem} --yes`, then make the call again"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return ConfigurationError, self.args


def connect(
    path: Path, *, new: bool = False, migrate: bool = True, check: bool = False, durable: bool = True
) -> sqlite3.Connection:
    """Opens a database that any thread may use, one at a time. Transactions are begun by hand.

    Args:
        path: an existing file.
        new: the file has no schema yet.
        migrate: bring an older schema up to date.
        check: read every page of the file, which takes about a second for a million items.
        durable: a transaction that has ended is on disk.

    Raises:
        ConfigurationError: a newer version of this program wrote the file, or it is in use.
        DamagedJobFile: the content of the file cannot be understood.
    """
    if not os.access(path, os.R_OK | os.W_OK):
        raise DamagedJobFile(path, "it cannot be read and written")
    with translated_errors(path):
        uri = f"file:{quote(os.fsencode(path))}?mode=rw"  # "rw" does not create the file
        database = sqlite3.connect(uri, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True)
        try:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if SCHEMA_VERSION < version <= _MAX_VERSION:
                raise ConfigurationError(
                    f"{path} is of version {version}, and this program knows {SCHEMA_VERSION} at most; "
                    "use the newer program that wrote it, or remove the file"
                )
            if not (new or 0 < version <= _MAX_VERSION):
                raise DamagedJobFile(path, f"its version is {version}")
            if check:
                (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise DamagedJobFile(path, found)
            if migrate:
                _migrate(database, version, durable=durable)
        except BaseException:
            database.close()
            raise
        return database


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Translates errors that its block raises while it reads a job file.

    Raises:
        DamagedJobFile: the database is damaged, or holds values that no version of this program writes.
        ConfigurationError: the file cannot be used at the moment.
    """
    try:
        yield
    except DxflowError:
        raise
    except (sqlite3.Error, OSError) as error:
        code = getattr(error, "sqlite_errorcode", None)
        passing = isinstance(error, (OSError, sqlite3.ProgrammingError))
        if passing or (code is not None and code & 0xFF in _PASSING):
            raise ConfigurationError(
                f"{path} cannot be used now: {error}; check the disk and its permissions"
            ) from error
        raise DamagedJobFile(path, error) from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise DamagedJobFile(path, f"{type(error).__name__}: {error}") from error


def _migrate(database: sqlite3.Connection, version: int, *, durable: bool) -> None:
    # Both modes keep what a killed process wrote. NORMAL may lose the last moments when the machine loses its power.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    if version < SCHEMA_VERSION:
        steps = ";".join(_STEPS[version:])
        database.executescript(f"BEGIN IMMEDIATE;{steps};PRAGMA user_version = {SCHEMA_VERSION};COMMIT")
