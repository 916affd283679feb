"""The life of a job file: created, opened again, closed, set aside, removed. Blocks.

`<id>.sqlite3` holds the call that was made, the state of each item, and unfinished uploads with their stored parts.
`<id>.lock` holds the number of the process that works on the job. The lock ends with that process, however it ends, so
one process at a time resumes a job. Both files are readable by their owner only.

A new file is written under another name and renamed once it is complete: a killed process leaves a whole file or none.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

from dxflow_async.concurrency.descriptors import wait_for_descriptors
from dxflow_async.durability import SyncedDirectories, sync_path
from dxflow_async.exceptions import ConfigurationError, JobBusyError, JobNotFoundError
from dxflow_async.models import JobInfo
from dxflow_async.transfer.journal.lock import JobLock
from dxflow_async.transfer.journal.queries import JobQueries, job_info, upload_ids
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.journal.schema import DamagedJobFile, connect, translated_errors

__all__ = ["JobFile", "directory_of", "job_ids", "known_uploads", "new_id"]

_DESCRIPTORS = 6
"""SQLite takes a lack of descriptors for another error. It opens three files, the lock is one, and a sync opens one."""

_MAX_JOBS = 200
"""Jobs that are kept. Of more, the oldest are removed, if they left nothing behind."""

_UNFINISHED = ".new"
"""The suffix of a file that is being created."""

_SET_ASIDE = ".damaged"
"""The suffix of a damaged file that was set aside."""


def directory_of(home: Path) -> Path:
    """Returns the directory with the job files of a home directory."""
    return home / "jobs"


def job_ids(home: Path) -> list[str]:
    """Returns the ids of all jobs, oldest first."""
    with suppress(FileNotFoundError):
        return sorted(path.stem for path in directory_of(home).glob("*.sqlite3"))
    return []


class JobFile(JobQueries):
    """An open job file. Only this process may change it.

    Args:
        home: the home directory.
        job_id: the job.

    Attributes:
        id: the job's id.
    """

    def __init__(self, home: Path, job_id: str) -> None:
        self.id = job_id
        self._path = directory_of(home) / f"{job_id}.sqlite3"
        self._lock = JobLock(self._path.with_suffix(".lock"))
        self._open = False
        self._owners = set()
        self._left = None

    @classmethod
    def create(cls, home: Path, spec: JobSpec, owner_id: str, began: float, *, durable: bool = True) -> Self:
        """Creates a job file and opens it.

        Args:
            home: the home directory.
            spec: the call.
            owner_id: names the temporary files of this call.
            began: seconds since the epoch.
            durable: the file is on disk when this returns, and so is what is written to it later.

        Raises:
            OSError, sqlite3.Error: the file cannot be written.
        """
        wait_for_descriptors(_DESCRIPTORS)
        directory_of(home).mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_unfinished(home)
        _remove_oldest(home)
        job = cls(home, new_id())
        job._lock.take(job.id)
        try:
            job._make((spec.operation, spec.to_json(), began), owner_id, durable=durable)
            job._database = connect(job._path, durable=durable)
        except BaseException:
            job._lock.give()
            raise
        job._open = True
        return job

    @classmethod
    def open(cls, home: Path, job_id: str, owner_id: str, *, check: bool = True, durable: bool = True) -> Self:
        """Opens the file of a job that is to be resumed.

        Args:
            home, job_id: the job.
            owner_id: names the temporary files of this call.
            check: read the whole file, which takes about a second for a million items.
            durable: what is written to it is on disk when `write` returns.

        Raises:
            JobNotFoundError: there is no such job.
            ConfigurationError: a newer version of this program wrote its file.
            DamagedJobFile: the file cannot be understood.
            JobBusyError: another process, which the error names, works on the job.
        """
        job = cls(home, job_id)
        _check_exists(job._path, job_id)
        with job.reading():
            job._lock.take(job_id)
        try:
            _check_exists(job._path, job_id)  # the process that held the lock may have finished the job
            job._database = connect(job._path, check=check, durable=durable)
            try:
                with job.reading():
                    job._begin_run(owner_id)
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
        """Returns what is known of a job, also while another process works on it. The file is only read.

        Raises:
            ConfigurationError, DamagedJobFile: as `open`.
        """
        path = directory_of(home) / f"{job_id}.sqlite3"
        _check_exists(path, job_id)
        with closing(connect(path, migrate=False)) as database, translated_errors(path):
            return job_info(database, job_id, JobLock(path.with_suffix(".lock")).holder())

    @staticmethod
    def lies_idle(home: Path, job_id: str) -> bool:
        """Returns whether a job exists and no process works on it."""
        path = directory_of(home) / f"{job_id}.sqlite3"
        try:
            return os.path.lexists(path) and JobLock(path.with_suffix(".lock")).holder() is None
        except OSError:
            return True

    @staticmethod
    def set_aside(home: Path, job_id: str, *, dry_run: bool) -> Path:
        """Renames a damaged job file so that it is no longer a job, and returns the new path.

        Raises:
            JobBusyError: another process works on the job.
            ConfigurationError: the file cannot be renamed.
        """
        path = directory_of(home) / f"{job_id}.sqlite3"
        aside, lock = path.with_suffix(_SET_ASIDE), JobLock(path.with_suffix(".lock"))
        while os.path.lexists(aside):
            aside = path.with_suffix(f".{secrets.token_hex(3)}{_SET_ASIDE}")
        if dry_run:
            return aside
        with translated_errors(path):
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

    def close(self) -> None:
        """Closes the file, so that other processes may resume the job. A second call does nothing."""
        if self._open:
            self._open = False
            self._database.close()
            self._lock.give()

    def remove(self) -> None:
        """Closes and removes the file, and what killed processes have left for whoever resumes it: it is finished."""
        self.forget_killed_calls()
        self._database.close()
        self._open = False
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(f"{self._path}{suffix}")
        self._lock.give()

    def _make(self, values: tuple[Any, ...], owner_id: str, *, durable: bool) -> None:
        unfinished = self._path.with_suffix(_UNFINISHED)
        os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(connect(unfinished, new=True)) as self._database:
            self._database.execute("PRAGMA synchronous = OFF")  # the whole file is synced below
            self._database.execute("INSERT INTO job (operation, asked, began) VALUES (?, ?, ?)", values)
            self._begin_run(owner_id)
        if not durable:
            os.rename(unfinished, self._path)
            return
        sync_path(unfinished)
        os.rename(unfinished, self._path)
        for directory in SyncedDirectories().to_sync(str(self._path.parent.absolute())):
            sync_path(directory)

    def _begin_run(self, owner_id: str) -> None:
        self._owners.add(owner_id)
        self._database.execute("INSERT INTO runs VALUES (?, ?, ?)", (owner_id, os.getpid(), time.time()))


def known_uploads(home: Path, *, but_of: str) -> set[str]:
    """Returns the ids of the uploads that other jobs of a home directory have begun. Damaged files are skipped.

    Args:
        home: the home directory.
        but_of: the job that is left out.

    Raises:
        ConfigurationError: a job file cannot be read now.
    """
    found: set[str] = set()
    for job_id in job_ids(home):
        path = directory_of(home) / f"{job_id}.sqlite3"
        if job_id != but_of and path.is_file():
            with suppress(DamagedJobFile), closing(connect(path, migrate=False)) as database, translated_errors(path):
                found |= upload_ids(database)
    return found


def new_id() -> str:
    """Returns an id for a new job: the time and a random number. Ids sort by time."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def _check_exists(path: Path, job_id: str) -> None:
    # An id is a name and never a path.
    if os.sep in job_id or "\0" in job_id or not os.path.lexists(path):
        raise JobNotFoundError(f"job = {job_id!r} does not exist; `dxflow-async jobs list` shows the jobs that do")
    if not path.is_file():
        raise DamagedJobFile(path, "it is not a regular file")


def _remove_unfinished(home: Path) -> None:
    """Removes files whose process ended while it created them."""
    for path in directory_of(home).glob(f"*{_UNFINISHED}*"):
        job_id = path.name.partition(".")[0]
        with suppress(OSError):
            if JobLock(path.with_name(f"{job_id}.lock")).holder() is None:
                path.unlink(missing_ok=True)


def _remove_oldest(home: Path) -> None:
    """Removes the oldest of too many jobs. Damaged ones stay: `jobs clean` reports them."""
    for job_id in job_ids(home)[: 1 - _MAX_JOBS]:
        with suppress(ConfigurationError, JobBusyError, OSError):
            job = JobFile.open(home, job_id, "", check=False)
            try:
                if not (job.uploads() or job.orphans() or job.creations()):
                    job.remove()
            finally:
                job.close()
