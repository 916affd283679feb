"""A job's file: SQLite, for its owner only, of which one process at a time may go on with the job. All of it blocks.

`<id>.sqlite3` holds what was asked, what became of each item, and the uploads under way with the parts they have;
`<id>.lock` the number of the process that works on it. The lock ends with the process, however that ends.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, closing, suppress
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Self

from dxflow_async.durability import SyncedDirectories, sync_path
from dxflow_async.exceptions import ConfigurationError, JobBusyError
from dxflow_async.models import JobInfo
from dxflow_async.providers.contract import Part, PartReceipt
from dxflow_async.transfer.journal.database import (
    SCHEMA_VERSION,
    DamagedJobFile,
    connect,
    execute_many,
    reading,
    stored_text,
    text,
    text_or_none,
)
from dxflow_async.transfer.journal.lock import JobLock
from dxflow_async.transfer.journal.records import AreaId, BegunUpload, ItemId, JobSpec

__all__ = [
    "SCHEMA_VERSION",
    "AreaId",
    "BegunUpload",
    "DamagedJobFile",
    "ItemId",
    "JobFile",
    "JobSpec",
    "Row",
    "directory_of",
    "job_ids",
    "known_uploads",
    "new_id",
]

_MAX_JOBS = 200
"""Kept; of those beyond, the oldest that have left nothing behind are forgotten."""

_UNFINISHED = ".new"
"""Ends the name of a file that is being made."""

_SET_ASIDE = ".damaged"
"""Ends the name of a file that is damaged, once it was set aside."""

_PAGE = 1000
_LATEST = 1e11
"""Seconds since the epoch, in the year 5138: no job began later."""


class Row(NamedTuple):
    """One change of the file: the statement's number, and what goes into it."""

    statement: int
    values: tuple[Any, ...]


PLANNED, ENDED, BEGUN, PART, UPLOAD_ENDED, PLAN_ENDED, CREATING, CREATED, GONE = range(9)

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
)

_FORGET_PARTS = "DELETE FROM parts WHERE source = ? AND destination = ?"
_KEEP_OTHER = """
    INSERT OR IGNORE INTO orphans
    SELECT key, id FROM uploads WHERE source = ? AND destination = ? AND NOT (key = ? AND id = ?)
"""
_FORGET_UPLOAD = "DELETE FROM uploads WHERE key = ? AND id = ?"


def directory_of(home: Path) -> Path:
    """Where the jobs of a home directory are kept."""
    return home / "jobs"


def new_id() -> str:
    """A job's id: when it began, and chance. They sort by time."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def job_ids(home: Path) -> list[str]:
    """The jobs that are there, oldest first."""
    with suppress(FileNotFoundError):
        return sorted(path.stem for path in directory_of(home).glob("*.sqlite3"))
    return []


class JobFile:
    """An open job; this process alone may change it.

    Args:
        home: the home directory.
        job_id: names the job.

    Attributes:
        id: the job's.
    """

    def __init__(self, home: Path, job_id: str) -> None:
        self.id = job_id
        self._path = directory_of(home) / f"{job_id}.sqlite3"
        self._lock = JobLock(self._path.with_suffix(".lock"))
        self._database: sqlite3.Connection
        self._open = False

    @classmethod
    def create(cls, home: Path, asked: JobSpec, mark: str, began: float, *, durable: bool = True) -> Self:
        """A new one; `durable`: on disk, as is what is written to it later, when that returns.

        Raises:
            OSError, sqlite3.Error: it cannot be written.
        """
        directory_of(home).mkdir(mode=0o700, parents=True, exist_ok=True)
        _forget_unfinished(home)
        _forget_oldest(home)
        job = cls(home, new_id())
        job._lock.take(job.id)
        try:
            job._make((asked.operation, asked.to_json(), began), mark, durable=durable)
            job._database = connect(job._path, durable=durable)
        except BaseException:
            job._lock.give()
            raise
        job._open = True
        return job

    @classmethod
    def open(cls, home: Path, job_id: str, mark: str, *, check: bool = True, durable: bool = True) -> Self:
        """One that is to go on.

        Args:
            home, job_id: which one.
            mark: of the session that goes on with it.
            check: whether all of the file is looked at, which takes about a second for a million items.

        Raises:
            ConfigurationError: there is none of that id, or a newer version of this program wrote it.
            DamagedJobFile: it cannot be understood.
            JobBusyError: another process, which it names, works on it.
        """
        job = cls(home, job_id)
        _check_there(job._path, job_id)
        with job.reading():
            job._lock.take(job_id)
        try:
            _check_there(job._path, job_id)  # whoever held it may have ended the job
            job._database = connect(job._path, check=check, durable=durable)
            try:
                with job.reading():
                    job._begin_run(mark)
            except BaseException:
                job._database.close()
                raise
        except BaseException:
            job._lock.give()
            raise
        job._open = True
        return job

    @staticmethod
    def info(home: Path, job_id: str) -> JobInfo:
        """What is known of a job, also while another process works on it; the file is only read.

        Raises:
            ConfigurationError, DamagedJobFile: as `open`.
        """
        path = directory_of(home) / f"{job_id}.sqlite3"
        _check_there(path, job_id)
        with closing(connect(path, migrate=False)) as database, reading(path):
            return _info(database, job_id, JobLock(path.with_suffix(".lock")).holder())

    @staticmethod
    def lies_idle(home: Path, job_id: str) -> bool:
        """Whether a job is there that no process works on."""
        path = directory_of(home) / f"{job_id}.sqlite3"
        try:
            return os.path.lexists(path) and JobLock(path.with_suffix(".lock")).holder() is None
        except OSError:
            return True

    @staticmethod
    def set_aside(home: Path, job_id: str, *, dry_run: bool) -> Path:
        """Gives the file of a damaged job a name under which it is no job's any more, which is returned.

        Raises:
            JobBusyError: another process works on the job.
            ConfigurationError: it cannot be renamed.
        """
        path = directory_of(home) / f"{job_id}.sqlite3"
        aside, lock = path.with_suffix(_SET_ASIDE), JobLock(path.with_suffix(".lock"))
        while os.path.lexists(aside):
            aside = path.with_suffix(f".{secrets.token_hex(3)}{_SET_ASIDE}")
        if dry_run:
            return aside
        with reading(path):
            lock.take(job_id)
            try:
                os.rename(path, aside)
                with suppress(FileNotFoundError):
                    os.rename(f"{path}-wal", f"{aside}-wal")
                with suppress(FileNotFoundError):
                    os.unlink(f"{path}-shm")
            finally:
                lock.give()
        return aside

    @property
    def asked(self) -> JobSpec:
        """What the job is to do."""
        with self.reading():
            return JobSpec.from_json(text(self._database.execute("SELECT asked FROM job").fetchone()[0]))

    @property
    def marks(self) -> set[str]:
        """Of the other sessions that worked on it: what they left on a disk bears them.

        A session that goes on with a job of its own is writing under the same mark, and has left nothing.
        """
        with self.reading():
            rows = self._database.execute("SELECT mark FROM runs ORDER BY rowid").fetchall()
            *earlier, current = [text(mark) for (mark,) in rows]
            return set(earlier) - {current}

    @property
    def complete(self) -> bool:
        """Whether all items are known that it was asked for."""
        with self.reading():
            return bool(self._database.execute("SELECT planned FROM job").fetchone()[0])

    def write(self, rows: Iterable[Row]) -> None:
        """All of it, or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for statement, group in groupby(rows, key=lambda row: row.statement):
                values = [row.values for row in group]
                if statement == BEGUN:  # in the place of one that could not be removed
                    execute_many(self._database, _KEEP_OTHER, [each[:4] for each in values])
                execute_many(self._database, _STATEMENTS[statement], values)
                if statement in (BEGUN, UPLOAD_ENDED):
                    execute_many(self._database, _FORGET_PARTS, [each[:2] for each in values])
                elif statement == GONE:
                    execute_many(self._database, _FORGET_UPLOAD, values)
            self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    def state_of(self, ends: ItemId) -> tuple[str, str | None] | None:
        """What became of an item, and the version of the source; None when nothing is known of it."""
        query = "SELECT state, version FROM items WHERE source = ? AND destination = ?"
        with self.reading():
            row = self._database.execute(query, _stored(ends)).fetchone()
            return None if row is None else (text(row[0]), text_or_none(row[1]))

    def ended_any(self) -> bool:
        """Whether an item has ended well."""
        with self.reading():
            return self._database.execute("SELECT 1 FROM items WHERE state = 'done'").fetchone() is not None

    def ended_any_below(self, directory: str) -> bool:
        """Whether an item has ended well whose source is in a directory, given with its slash."""
        query = "SELECT 1 FROM items WHERE source > ? AND source < ? AND state = 'done' LIMIT 1"
        start, end = (each.encode("utf-8", "surrogatepass") for each in (directory, f"{directory[:-1]}0"))
        ranges: list[tuple[str | bytes, str | bytes]] = [(start, end)]  # of the names that are stored as bytes
        if isinstance(stored_text(directory), str):
            ranges.append((directory, end.decode()))
        with self.reading():
            return any(self._database.execute(query, each).fetchone() is not None for each in ranges)

    def items(self, after: ItemId | None) -> list[ItemId]:
        """A page of all items, in the order of their names."""
        query = "SELECT source, destination FROM items WHERE (source, destination) > (?, ?) ORDER BY 1, 2 LIMIT ?"
        with self.reading():
            rows = self._database.execute(query, (*_stored(after or ("", "")), _PAGE)).fetchall()
            return [_ends(*row) for row in rows]

    def upload_of(self, ends: ItemId) -> BegunUpload | None:
        """The upload that an item has begun."""
        query = "SELECT key, id, version, size, part_size FROM uploads WHERE source = ? AND destination = ?"
        with self.reading():
            row = self._database.execute(query, _stored(ends)).fetchone()
            return None if row is None else self._begun(ends, *row)

    def uploads(self) -> list[tuple[ItemId, BegunUpload]]:
        """All uploads under way: at most as many as there were workers."""
        query = "SELECT source, destination, key, id, version, size, part_size FROM uploads"
        with self.reading():
            found = [(_ends(*row[:2]), row[2:]) for row in self._database.execute(query).fetchall()]
            return [(ends, self._begun(ends, *row)) for ends, row in found]

    def orphans(self) -> list[tuple[str, str]]:
        """Keys and ids of uploads that could not be removed, and that no item goes on with."""
        with self.reading():
            rows = self._database.execute("SELECT key, id FROM orphans").fetchall()
            return [(text(key), text(upload_id)) for key, upload_id in rows]

    def creations(self) -> dict[str, list[float]]:
        """Keys for which an upload may have been begun that nobody was told of, and when that was asked for."""
        found: dict[str, list[float]] = {}
        with self.reading():
            for key, began in self._database.execute("SELECT key, began FROM creations").fetchall():
                found.setdefault(text(key), []).append(float(began))
        return found

    def reading(self) -> AbstractContextManager[None]:
        """What goes wrong in its block is said of the file; raises as `open`."""
        return reading(self._path)

    def close(self) -> None:
        """Lets others go on with it; a second call does nothing."""
        if self._open:
            self._open = False
            self._database.close()
            self._lock.give()

    def remove(self) -> None:
        """The job is over."""
        self._database.close()
        self._open = False
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(f"{self._path}{suffix}")
        self._lock.give()

    def _make(self, values: tuple[Any, ...], mark: str, *, durable: bool) -> None:
        """The file is there with what was asked and by whom, or not at all."""
        unfinished = self._path.with_suffix(_UNFINISHED)
        os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(connect(unfinished, new=True)) as self._database:
            self._database.execute("PRAGMA synchronous = OFF")  # the whole file is synced
            self._database.execute("INSERT INTO job (operation, asked, began) VALUES (?, ?, ?)", values)
            self._begin_run(mark)
        if not durable:
            os.rename(unfinished, self._path)
            return
        sync_path(unfinished)
        os.rename(unfinished, self._path)
        for directory in SyncedDirectories().to_sync(str(self._path.parent.absolute())):
            sync_path(directory)

    def _begin_run(self, mark: str) -> None:
        self._database.execute("INSERT INTO runs VALUES (?, ?, ?)", (mark, os.getpid(), time.time()))

    def _begun(self, ends: ItemId, key: object, upload_id: object, version: object, *sizes: object) -> BegunUpload:
        size, part_size = map(_number, sizes)
        if not part_size:
            raise ValueError("parts without a size")
        receipts = self._receipts(ends)
        return BegunUpload(text(key), text(upload_id), text_or_none(version), size, part_size, receipts)

    def _receipts(self, ends: ItemId) -> tuple[PartReceipt, ...]:
        query = "SELECT number, offset, size, etag, crc32c, verified FROM parts WHERE source = ? AND destination = ?"
        rows = self._database.execute(f"{query} ORDER BY number", _stored(ends)).fetchall()
        return tuple(
            PartReceipt(
                Part(*map(_number, row[:3])),
                text_or_none(row[3]),
                None if row[4] is None else _number(row[4]),
                verified=bool(row[5]),
            )
            for row in rows
        )


def known_uploads(home: Path, *, but_of: str) -> set[str]:
    """The ids of the uploads that other jobs of a home directory have begun; those that are damaged tell none.

    Raises:
        ConfigurationError: a job's file cannot be read now.
    """
    found: set[str] = set()
    for job_id in job_ids(home):
        path = directory_of(home) / f"{job_id}.sqlite3"
        if job_id != but_of and path.is_file():
            with suppress(DamagedJobFile), closing(connect(path, migrate=False)) as database, reading(path):
                if _has_uploads(database):
                    found |= {text(row[0]) for row in database.execute("SELECT id FROM uploads").fetchall()}
    return found


def _stored(ends: tuple[str, str]) -> tuple[str | bytes, str | bytes]:
    return stored_text(ends[0]), stored_text(ends[1])


def _ends(source: object, destination: object) -> ItemId:
    return ItemId(text(source), text(destination))


def _number(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r:.80} where a number belongs")
    return value


def _forget_unfinished(home: Path) -> None:
    """Those whose process ended while it made them."""
    for path in directory_of(home).glob(f"*{_UNFINISHED}*"):
        job_id = path.name.partition(".")[0]
        with suppress(OSError):
            if JobLock(path.with_name(f"{job_id}.lock")).holder() is None:
                path.unlink(missing_ok=True)


def _forget_oldest(home: Path) -> None:
    """Those that are damaged stay: `jobs clean` tells of them."""
    for job_id in job_ids(home)[: 1 - _MAX_JOBS]:
        with suppress(ConfigurationError, JobBusyError, OSError):
            job = JobFile.open(home, job_id, "", check=False)
            try:
                if not (job.uploads() or job.orphans() or job.creations()):
                    job.remove()
            finally:
                job.close()


def _check_there(path: Path, job_id: str) -> None:
    # An id is a name, never a path.
    if os.sep in job_id or "\0" in job_id or not os.path.lexists(path):
        raise ConfigurationError(f"job = {job_id!r} is not there; `dxflow-async jobs list` shows those that are")
    if not path.is_file():
        raise DamagedJobFile(path, "it is not a regular file")


def _info(database: sqlite3.Connection, job_id: str, pid: int | None) -> JobInfo:
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
    known = JobSpec.from_json(text(asked))
    return JobInfo(
        id=job_id,
        operation=known.operation,
        source=known.source,
        destination=known.destination,
        began=began,
        pid=pid,
        done=states["done"] + states["skipped"],
        failed=states["failed"],
        waiting=states["planned"],
        bytes=_number(moved),
        failures={text(source): text(reason) for source, reason in failures},
        uploads=[text(destination) for (destination,) in uploads],
    )


def _has_uploads(database: sqlite3.Connection) -> bool:
    """Whether the file is of a version that knows them."""
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = 'uploads'").fetchone() is not None
