"""The hub's SQLite database: created for its owner only, shared by several processes, checked and migrated.

One connection serves all requests, with one writer at a time, in threads and never on the loop.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from dxflow_async.concurrency.exit_safe_executor import ExitSafeExecutor
from dxflow_async.concurrency.shielded import finish_or_undo
from dxflow_async.exceptions import ConfigurationError

__all__ = ["DATABASE_NAME", "SCHEMA_VERSION", "Store", "open_database"]

DATABASE_NAME = "hub.sqlite3"

BUSY_TIMEOUT = 10.0
"""Seconds to wait for another process that writes."""

# Each step brings a database to the next version. An empty file has version 0.
_STEPS = (
    """
CREATE TABLE accounts (pointer TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password TEXT NOT NULL,
    created REAL NOT NULL);
CREATE TABLE namespaces (pointer TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts, name TEXT NOT NULL,
    UNIQUE (account, name));
CREATE TABLE sign_ins (id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL REFERENCES accounts,
    namespace TEXT NOT NULL REFERENCES namespaces, user_digest BLOB NOT NULL, namespace_digest BLOB NOT NULL,
    created REAL NOT NULL);
CREATE INDEX sign_ins_by_account ON sign_ins (account);
CREATE TABLE failures (account TEXT NOT NULL REFERENCES accounts, peer TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX failures_by_account ON failures (account, peer, at)
""",
    # Failures count for unknown e-mails too, so the account column need not name an account.
    """
ALTER TABLE accounts ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
DROP TABLE failures;
CREATE TABLE failures (account TEXT NOT NULL, peer TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX failures_by_account ON failures (account, peer, at);
CREATE TABLE units (pointer TEXT PRIMARY KEY, account TEXT REFERENCES accounts, name TEXT NOT NULL,
    status TEXT NOT NULL, ip TEXT NOT NULL, protocol TEXT NOT NULL, secrets BLOB NOT NULL, type TEXT NOT NULL,
    created REAL NOT NULL);
CREATE INDEX units_by_account ON units (account, name);
CREATE TABLE providers (account TEXT NOT NULL REFERENCES accounts, provider TEXT NOT NULL, settings BLOB NOT NULL,
    PRIMARY KEY (account, provider))
""",
    # Secrets expire. A unit that the hub serves itself belongs to an account; the shared one is removed.
    """
ALTER TABLE sign_ins ADD COLUMN used REAL NOT NULL DEFAULT 0;
UPDATE sign_ins SET used = CAST(strftime('%s', 'now') AS REAL);
CREATE TABLE known_peers (account TEXT NOT NULL REFERENCES accounts, peer TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (account, peer));
ALTER TABLE units ADD COLUMN directory TEXT;
DELETE FROM units WHERE account IS NULL
""",
    # Old failures are found by time, and those of e-mails without an account by their order.
    """
ALTER TABLE failures ADD COLUMN unknown_order INTEGER;
UPDATE failures SET unknown_order = rowid WHERE instr(account, '@');
CREATE INDEX failures_by_time ON failures (at);
CREATE INDEX failures_by_unknown_order ON failures (unknown_order) WHERE unknown_order IS NOT NULL
""",
)

SCHEMA_VERSION = len(_STEPS)
"""The version that is kept in the file's `user_version`."""


def open_database(home: Path) -> sqlite3.Connection:
    """Opens the database for any thread that holds the owner's lock. Missing directories and files are created.

    Transactions are begun by hand. Blocks.

    Raises:
        ConfigurationError: the file cannot be used, or a newer version of this program wrote it.
    """
    path = home / DATABASE_NAME
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigurationError(f"the hub's database {path} cannot be opened: {error}; set home elsewhere") from error
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        _prepare_patiently(database, path)
    except sqlite3.Error as error:
        database.close()
        raise ConfigurationError(
            f"the hub's database {path} cannot be used: {error}; stop what holds it, or move it away"
        ) from error
    except BaseException:
        database.close()
        raise
    return database


def _prepare_patiently(database: sqlite3.Connection, path: Path) -> None:
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            return _prepare(database, path)
        except sqlite3.OperationalError as error:
            # SQLite does not wait when two connections switch to WAL at the same moment.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.005)


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"the hub's database {path} has version {version} and this program knows {SCHEMA_VERSION}; "
            "upgrade dxflow-async, or set home elsewhere"
        )
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA foreign_keys = ON")
    if version == SCHEMA_VERSION:
        return
    with database:
        database.execute("BEGIN IMMEDIATE")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        for step in _STEPS[version:]:
            for statement in step.split(";"):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


T = TypeVar("T")


class Store:
    """An open database. Use `open` to create one.

    Example:
        store = await Store.open(settings.home)
        accounts = Accounts(store)
        await store.aclose()
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._threads = ExitSafeExecutor(4, thread_name_prefix="dxflow-hub")

    @classmethod
    async def open(cls, home: Path) -> Self:
        """Opens the database in `home`. Both are created, for their owner only, if they are missing.

        Raises:
            ConfigurationError: the database cannot be used, or a newer version of this program wrote it.
        """
        return cls(await finish_or_undo(asyncio.to_thread(open_database, home), _close))

    async def aclose(self) -> None:
        """Waits for running calls and closes the database."""
        await asyncio.to_thread(self._close)

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Runs a call that uses `reading` or `transaction` in a thread, and returns its result."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Gives the connection for queries. Blocks."""
        with self._lock:
            yield self._database

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Gives the connection for changes, in a transaction. Blocks."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database

    def _close(self) -> None:
        self._threads.shutdown()
        self._database.close()


async def _close(database: sqlite3.Connection) -> None:
    """Closes a database that was opened while its caller was cancelled."""
    database.close()
