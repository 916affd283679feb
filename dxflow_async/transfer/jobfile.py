"""A job's file: SQLite, for its owner only, of which one process at a time may go on with the job. All of it blocks.

`<id>.sqlite3` holds what was asked, what became of each item, and the uploads under way with the parts they have;
`<id>.lock` the number of the process that works on it. The lock ends with the process, however that ends.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from dxflow_async.durability import SyncedDirectories, sync_path
from dxflow_async.exceptions import ConfigurationError, JobBusyError
from dxflow_async.models import JobInfo
from dxflow_async.providers.base import Part, Receipt
from dxflow_async.transfer.joblock import JobLock

__all__ = ["Asked", "BegunUpload", "Ends", "JobFile", "Row", "Where", "directory_of", "job_ids", "new_id"]

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
)

SCHEMA_VERSION = len(_STEPS)
"""Kept in the file's `user_version`."""

_MAX_JOBS = 200
"""Kept; of those beyond, the oldest that have left nothing behind are forgotten."""

_UNFINISHED = ".new"
"""Ends the name of a file that is being made."""

_BUSY_SECONDS = 10.0
_PAGE = 1000


class Ends(NamedTuple):
    """An item: where it comes from, and where it goes, as results show it; local paths are absolute."""

    source: str
    destination: str


class Where(NamedTuple):
    """A storage area: what locations in it start with, its storage type, and which service or directory it is."""

    location: str
    storage_type: str
    place: str


class Row(NamedTuple):
    """One change of the file: the statement's number, and what goes into it."""

    statement: int
    values: tuple[Any, ...]


PLANNED, ENDED, BEGUN, PART, UPLOAD_ENDED, PLAN_ENDED = range(6)

_STATEMENTS = (
    "INSERT OR IGNORE INTO items (source, destination, state) VALUES (?, ?, 'planned')",
    "INSERT OR REPLACE INTO items (source, destination, state, version, size, reason) VALUES (?, ?, ?, ?, ?, ?)",
    "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)",
    "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    "DELETE FROM uploads WHERE source = ? AND destination = ?",
    "UPDATE job SET planned = 1",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call was asked to do, in plain JSON types, without any secret.

    Attributes:
        operation: `"upload"`, `"copy"`, ...
        source, destination: as users wrote them; None where `pairs` name them.
        arguments: the others.
        places: where source and destination lie, None for this machine's disks: it goes on there only.
        account: the hub that the account is at; None: the clouds directly.
        directory: relative local paths start there.
    """

    operation: str
    source: str | None
    destination: str | None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[Where | None, Where | None] = (None, None)
    account: str | None = None
    directory: str = field(default_factory=os.getcwd)

    def to_json(self) -> str:
        """For the file."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` gave."""
        values = json.loads(text)
        start, end = (None if each is None else Where(*each) for each in values.pop("places"))
        return cls(**values, places=(start, end))


@dataclass(frozen=True, slots=True)
class BegunUpload:
    """An upload that is neither finished nor removed.

    Attributes:
        key, id: the provider's names of it.
        version: of the source.
        size, part_size: in bytes.
        receipts: of the parts that it has.
    """

    key: str
    id: str
    version: str | None
    size: int
    part_size: int
    receipts: Sequence[Receipt] = ()


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
    def create(cls, home: Path, asked: Asked, mark: str, began: float, *, durable: bool = True) -> Self:
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
            job._database = _connect(job._path, durable=durable)
        except BaseException:
            job._lock.give()
            raise
        job._open = True
        return job

    @classmethod
    def open(cls, home: Path, job_id: str, mark: str, *, durable: bool = True) -> Self:
        """One that is to go on; `durable` as for `create`.

        Raises:
            ConfigurationError: there is none of that id, or a newer version of this program wrote it.
            JobBusyError: another process, which it names, works on it.
        """
        job = cls(home, job_id)
        _check_there(job._path, job_id)
        job._lock.take(job_id)
        try:
            _check_there(job._path, job_id)  # whoever held it may have ended the job
            job._database = _connect(job._path, durable=durable)
            job._begin_run(mark)
        except BaseException:
            job._lock.give()
            raise
        job._open = True
        return job

    @staticmethod
    def info(home: Path, job_id: str) -> JobInfo:
        """What is known of a job, also while another process works on it; the file is only read.

        Raises:
            ConfigurationError: as `open`.
        """
        path = directory_of(home) / f"{job_id}.sqlite3"
        _check_there(path, job_id)
        with closing(_connect(path, migrate=False)) as database:
            return _info(database, job_id, JobLock(path.with_suffix(".lock")).holder())

    @staticmethod
    def lies_idle(home: Path, job_id: str) -> bool:
        """Whether a job is there that no process works on."""
        path = directory_of(home) / f"{job_id}.sqlite3"
        return path.is_file() and JobLock(path.with_suffix(".lock")).holder() is None

    @property
    def asked(self) -> Asked:
        """What the job is to do."""
        return Asked.from_json(self._database.execute("SELECT asked FROM job").fetchone()[0])

    @property
    def marks(self) -> set[str]:
        """Of the other sessions that worked on it: what they left on a disk bears them.

        A session that goes on with a job of its own is writing under the same mark, and has left nothing.
        """
        *earlier, current = [mark for (mark,) in self._database.execute("SELECT mark FROM runs ORDER BY rowid")]
        return set(earlier) - {current}

    @property
    def complete(self) -> bool:
        """Whether all items are known that it was asked for."""
        return bool(self._database.execute("SELECT planned FROM job").fetchone()[0])

    def write(self, rows: Iterable[Row]) -> None:
        """All of it, or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for statement, group in groupby(rows, key=lambda row: row.statement):
                values = [row.values for row in group]
                self._database.executemany(_STATEMENTS[statement], values)
                if statement == UPLOAD_ENDED:
                    self._database.executemany("DELETE FROM parts WHERE source = ? AND destination = ?", values)
            self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    def state_of(self, ends: Ends) -> tuple[str, str | None] | None:
        """What became of an item, and the version of the source; None when nothing is known of it."""
        text = "SELECT state, version FROM items WHERE source = ? AND destination = ?"
        found: tuple[str, str | None] | None = self._database.execute(text, ends).fetchone()
        return found

    def ended_any(self) -> bool:
        """Whether an item has ended well."""
        return self._database.execute("SELECT 1 FROM items WHERE state = 'done'").fetchone() is not None

    def items(self, after: Ends | None) -> list[Ends]:
        """A page of all items, in the order of their names."""
        text = "SELECT source, destination FROM items WHERE (source, destination) > (?, ?) ORDER BY 1, 2 LIMIT ?"
        rows = self._database.execute(text, (*(after or ("", "")), _PAGE)).fetchall()
        return [Ends(*row) for row in rows]

    def upload_of(self, ends: Ends) -> BegunUpload | None:
        """The upload that an item has begun."""
        text = "SELECT key, id, version, size, part_size FROM uploads WHERE source = ? AND destination = ?"
        row = self._database.execute(text, ends).fetchone()
        return None if row is None else self._begun(ends, *row)

    def uploads(self) -> list[tuple[Ends, BegunUpload]]:
        """All uploads under way: at most as many as there were workers."""
        rows = self._database.execute("SELECT source, destination, key, id, version, size, part_size FROM uploads")
        found = [(Ends(*row[:2]), row[2:]) for row in rows.fetchall()]
        return [(ends, self._begun(ends, *row)) for ends, row in found]

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
        with closing(_connect(unfinished, new=True)) as self._database:
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

    def _begun(
        self, ends: Ends, key: str, upload_id: str, version: str | None, size: int, part_size: int
    ) -> BegunUpload:
        return BegunUpload(key, upload_id, version, size, part_size, self._receipts(ends))

    def _receipts(self, ends: Ends) -> tuple[Receipt, ...]:
        text = "SELECT number, offset, size, etag, crc32c, verified FROM parts WHERE source = ? AND destination = ?"
        rows = self._database.execute(f"{text} ORDER BY number", ends)
        return tuple(Receipt(Part(*row[:3]), row[3], row[4], verified=bool(row[5])) for row in rows)


def _forget_unfinished(home: Path) -> None:
    """Those whose process ended while it made them."""
    for path in directory_of(home).glob(f"*{_UNFINISHED}*"):
        job_id = path.name.partition(".")[0]
        if JobLock(path.with_name(f"{job_id}.lock")).holder() is None:
            path.unlink(missing_ok=True)


def _forget_oldest(home: Path) -> None:
    for job_id in job_ids(home)[: 1 - _MAX_JOBS]:
        with suppress(ConfigurationError, JobBusyError):
            job = JobFile.open(home, job_id, "")
            if job.uploads():
                job.close()
            else:
                job.remove()


def _check_there(path: Path, job_id: str) -> None:
    # An id is a name, never a path.
    if os.sep in job_id or not path.is_file():
        raise ConfigurationError(f"job = {job_id!r} is not there; `dxflow-async jobs list` shows those that are")


def _connect(path: Path, *, new: bool = False, migrate: bool = True, durable: bool = True) -> sqlite3.Connection:
    """A connection for any thread, used by one at a time; transactions are begun by hand.

    Raises:
        ConfigurationError: a newer version of this program wrote the file, or it is none of ours.
    """
    uri = f"file:{quote(str(path))}?mode=rw"  # which creates nothing
    database = sqlite3.connect(uri, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True)
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise ConfigurationError(
                f"{path} is of version {version}, and this program knows {SCHEMA_VERSION} at most; "
                "use the newer program that wrote it, or remove the file"
            )
        if not version and not new:
            raise ConfigurationError(f"{path} is no job's file; remove it")
        if migrate:
            _migrate(database, version, durable=durable)
    except sqlite3.DatabaseError as error:
        database.close()
        raise ConfigurationError(f"{path} is no job's file ({error}); remove it") from error
    except BaseException:
        database.close()
        raise
    return database


def _migrate(database: sqlite3.Connection, version: int, *, durable: bool) -> None:
    # What a killed process has written survives it either way; NORMAL may lose the last moments with the power.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    if version < SCHEMA_VERSION:
        steps = ";".join(_STEPS[version:])
        database.executescript(f"BEGIN IMMEDIATE;{steps};PRAGMA user_version = {SCHEMA_VERSION};COMMIT")


def _info(database: sqlite3.Connection, job_id: str, pid: int | None) -> JobInfo:
    asked, began = database.execute("SELECT asked, began FROM job").fetchone()
    states = dict.fromkeys(("planned", "done", "skipped", "failed"), 0)
    moved = 0
    for state, count, size in database.execute("SELECT state, COUNT(*), SUM(size) FROM items GROUP BY state"):
        states[state] = count
        moved += size
    failures = database.execute("SELECT source, reason FROM items WHERE state = 'failed' LIMIT 100").fetchall()
    uploads = []
    if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'uploads'").fetchone():
        uploads = database.execute("SELECT destination FROM uploads").fetchall()
    known = Asked.from_json(asked)
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
        bytes=moved,
        failures=dict(failures),
        uploads=[destination for (destination,) in uploads],
    )
