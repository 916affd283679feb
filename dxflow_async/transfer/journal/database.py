"""The database in a job's file: its schema, how names are stored, and which errors mean that it is damaged. It blocks.

Local names are bytes, which Python shows as text with surrogates where they are not UTF-8. SQLite's text is UTF-8 only,
so such a name is stored as a BLOB of its surrogates' own encoding, which gives any `str` back as it was. Other names
stay text: they cost nothing, and files of earlier versions need no conversion.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dxflow_async.exceptions import ConfigurationError, DxflowError

__all__ = [
    "SCHEMA_VERSION",
    "DamagedJobFile",
    "connect",
    "execute_many",
    "reading",
    "stored_text",
    "text",
    "text_or_none",
]

# What brings a file from each version to the next; an empty one has version 0.
_STEPS = (
    """
CREATE TABLE job (operation TEXT NOT NULL, asked TEXT NOT NULL, began REAL NOT NULL,
    planned INTEGER NOT NULL DEFAULT 0);
CREATE TABLE runs (mark TEXT NOT NULL, pid INTEGER NOT NULL, began REAL NOT NULL);
CREATE TABLE items (source TEXT, destination TEXT, state TEXT NOT NULL, version TEXT, size INTEGER NOT NULL DEFAULT 0,
    reason TEXT, PRIMARY KEY (source, destination)) WITHOUT ROWID
""",
    # Items that are large enough are gone on with in their midst.
    """
CREATE TABLE uploads (source TEXT, destination TEXT, key TEXT NOT NULL, id TEXT NOT NULL, version TEXT,
    size INTEGER NOT NULL, part_size INTEGER NOT NULL, PRIMARY KEY (source, destination)) WITHOUT ROWID;
CREATE TABLE parts (source TEXT, destination TEXT, number INTEGER, offset INTEGER NOT NULL, size INTEGER NOT NULL,
    etag TEXT, crc32c INTEGER, verified INTEGER NOT NULL, PRIMARY KEY (source, destination, number)) WITHOUT ROWID
""",
    # From this version on, names that are not UTF-8 are BLOBs. Uploads that could not be removed outlive their item,
    # and so do the keys of those whose creation was not answered.
    """
CREATE TABLE orphans (key TEXT, id TEXT, PRIMARY KEY (key, id)) WITHOUT ROWID;
CREATE TABLE creations (key TEXT, began REAL, PRIMARY KEY (key, began)) WITHOUT ROWID
""",
)

SCHEMA_VERSION = len(_STEPS)
"""Kept in the file's `user_version`."""

_MAX_VERSION = 1000
"""No version of this program will ever write a higher one: such a number is damage."""

_BUSY_SECONDS = 10.0
_LARGEST_INTEGER = (1 << 63) - 1

# https://www.sqlite.org/rescode.html: the disk or another process is at fault, not the file.
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
    """The file of a job cannot be understood: it is to be set aside."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(
            f"{path} is damaged, or no job's file ({reason}): set it aside with "
            f"`dxflow-async jobs clean {path.stem} --yes`, then make the call again"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return ConfigurationError, self.args


def connect(
    path: Path, *, new: bool = False, migrate: bool = True, check: bool = False, durable: bool = True
) -> sqlite3.Connection:
    """A connection for any thread, used by one at a time; transactions are begun by hand.

    Args:
        path: the file, which is there.
        new: it has no schema yet.
        migrate: bring an older schema up to date.
        check: look at each page of the file, which takes about a second for a million items.
        durable: what is written is on the disk when its transaction ends.

    Raises:
        ConfigurationError: a newer version of this program wrote the file, or it is in use.
        DamagedJobFile: its content cannot be understood.
    """
    if not os.access(path, os.R_OK | os.W_OK):
        raise DamagedJobFile(path, "it may not be read and written")
    with reading(path):
        uri = f"file:{quote(os.fsencode(path))}?mode=rw"  # which creates nothing
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
def reading(path: Path) -> Iterator[None]:
    """What goes wrong in its block is said of the file.

    Raises:
        DamagedJobFile: it was found damaged, or has rows that cannot be.
        ConfigurationError: it cannot be used at the moment.
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


def execute_many(database: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Runs a statement that may run twice for each row, whatever text and numbers there are in it."""
    try:
        database.executemany(statement, rows)
    except (UnicodeEncodeError, OverflowError):
        database.executemany(statement, [tuple(map(_storable, row)) for row in rows])


def text(value: object) -> str:
    """A text as it was before it was stored.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogatepass")
    raise ValueError(f"{value!r:.80} where a text belongs")


def text_or_none(value: object) -> str | None:
    """As `text`, of what may be missing."""
    return None if value is None else text(value)


def stored_text(value: str) -> str | bytes:
    """A text as it is stored."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return stored_text(value)
    if isinstance(value, int):
        return max(-_LARGEST_INTEGER, min(value, _LARGEST_INTEGER))
    return value


def _migrate(database: sqlite3.Connection, version: int, *, durable: bool) -> None:
    # What a killed process has written survives it either way; NORMAL may lose the last moments with the power.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    if version < SCHEMA_VERSION:
        steps = ";".join(_STEPS[version:])
        database.executescript(f"BEGIN IMMEDIATE;{steps};PRAGMA user_version = {SCHEMA_VERSION};COMMIT")
