"""The file of a job: whose it is, who may work on it, what it holds, and which versions of it are understood."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dxflow_async.exceptions import ConfigurationError, JobBusyError, JobNotFoundError
from dxflow_async.providers.contract import Part, PartReceipt
from dxflow_async.transfer.journal import jobfile, schema
from dxflow_async.transfer.journal.jobfile import JobFile, directory_of, job_ids
from dxflow_async.transfer.journal.queries import BEGUN, ENDED, PART, PLANNED, UPLOAD_ENDED, Row
from dxflow_async.transfer.journal.records import AreaId, ItemId, JobSpec

ASKED = JobSpec("upload", "here", "/bucket/there", {"metadata": {}}, (None, AreaId("aws:/", "private", "AWS at host")))
ENDS = ItemId("/here/a", "aws:/bucket/there/a")


def create(home: Path) -> JobFile:
    """A new job."""
    return JobFile.create(home, ASKED, "0123abcd", time.time())


def path_of(home: Path, job_id: str) -> Path:
    """A job's file."""
    return directory_of(home) / f"{job_id}.sqlite3"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Items, uploads and parts come back, in another run too; an upload that ended takes its parts along."""
    job = create(tmp_path)
    receipt = PartReceipt(Part(2, 10, 10), "etag", 7, verified=True)
    job.write(
        [
            Row(PLANNED, ENDS),
            Row(ENDED, (*ENDS, "done", "v1", 3, None)),
            Row(BEGUN, (*ENDS, "bucket/there/a", "id", "v1", 25, 10)),
            Row(PART, (*ENDS, 2, 10, 10, "etag", 7, 1)),
        ]
    )
    job.close()
    job = JobFile.open(tmp_path, job.id, "4567abcd")
    assert job.spec == ASKED
    assert job.earlier_owners == {"0123abcd"}
    assert job.state_of(ENDS) == ("done", "v1")
    begun = job.upload_of(ENDS)
    assert begun is not None
    assert (begun.id, begun.size, begun.part_size, begun.receipts) == ("id", 25, 10, (receipt,))
    assert job.items(None) == [ENDS]
    assert job.items(ENDS) == []
    job.write([Row(UPLOAD_ENDED, ENDS), Row(BEGUN, (*ENDS, "bucket/there/a", "other", "v2", 25, 10))])
    again = job.upload_of(ENDS)
    assert again is not None
    assert (again.id, again.receipts) == ("other", ())
    job.remove()
    assert list(directory_of(tmp_path).iterdir()) == []


def test_a_session_does_not_take_its_own_files_for_left_ones(tmp_path: Path) -> None:
    """A session that goes on with a job of its own sweeps what others left, and never what it is writing."""
    created = JobFile.create(tmp_path, ASKED, "0123abcd", 1.0)
    created.close()
    JobFile.open(tmp_path, created.id, "4567abcd").close()
    job = JobFile.open(tmp_path, created.id, "0123abcd")
    assert job.earlier_owners == {"4567abcd"}
    job.close()


def test_a_batch_is_all_or_nothing(tmp_path: Path) -> None:
    """Of rows of which one cannot be written none is."""
    job = create(tmp_path)
    with pytest.raises(sqlite3.Error):
        job.write([Row(PLANNED, ENDS), Row(ENDED, (*ENDS, None, None, None, None))])
    assert job.state_of(ENDS) is None
    job.close()


def test_many_rows_at_once_are_all_kept(tmp_path: Path) -> None:
    """However many rows are written together, each is there, the last of two with one key, and odd names as well."""
    job = create(tmp_path)
    ends = [ItemId(f"/here/\udcff{number}" if number % 50 == 7 else f"/here/{number}", "x") for number in range(150)]
    job.write([Row(PLANNED, each) for each in ends])
    assert job.items(None) == sorted(ends)
    versions = [*(f"v{number}" for number in range(150)), "last"]
    rows = zip([*ends, ends[3]], versions, strict=True)
    job.write([Row(ENDED, (*each, "done", version, 1, None)) for each, version in rows])
    expected = {**dict(zip(ends, versions, strict=False)), ends[3]: "last"}
    assert {each: job.state_of(each) for each in ends} == {each: ("done", expected[each]) for each in ends}
    job.close()


def test_it_is_for_its_owner_only(tmp_path: Path) -> None:
    """Nobody else may read a job's files, nor their directory."""
    job = create(tmp_path)
    job.write([Row(PLANNED, ENDS)])
    assert directory_of(tmp_path).stat().st_mode & 0o077 == 0
    files = list(directory_of(tmp_path).iterdir())
    assert len(files) >= 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    job.close()


def test_the_second_is_told_who_is_first(tmp_path: Path) -> None:
    """Another process is refused with the number of the one that works on the job, until that one ends: kill -9 too."""
    job = create(tmp_path)
    job.close()
    code = (
        "import sys, time; from pathlib import Path; from dxflow_async.transfer.journal.jobfile import JobFile; "
        "job = JobFile.open(Path(sys.argv[1]), sys.argv[2], 'ffff0000'); print('works', flush=True); time.sleep(600)"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), job.id], stdout=subprocess.PIPE, start_new_session=True
    )
    assert first.stdout is not None
    with first, first.stdout:
        assert first.stdout.readline() == b"works\n"
        with pytest.raises(JobBusyError, match=str(first.pid)) as refused:
            JobFile.open(tmp_path, job.id, "0")
        assert refused.value.pid == first.pid
        assert JobFile.info(tmp_path, job.id).pid == first.pid
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert JobFile.info(tmp_path, job.id).pid is None
    JobFile.open(tmp_path, job.id, "0").remove()


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A file that a newer program wrote is not touched, and the error says what to do."""
    job = create(tmp_path)
    job.close()
    path = path_of(tmp_path, job.id)
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    database.close()
    for use in (lambda: JobFile.open(tmp_path, job.id, "0"), lambda: JobFile.info(tmp_path, job.id)):
        with pytest.raises(ConfigurationError, match=rf"version {schema.SCHEMA_VERSION + 1}.*newer program"):
            use()
    assert path.exists()


def test_an_older_version_is_brought_up(tmp_path: Path) -> None:
    """A file of version 1, which knew items only, is understood, and knows uploads from then on."""
    directory_of(tmp_path).mkdir()
    path = path_of(tmp_path, "20260101-000000-abcdef")
    database = sqlite3.connect(path)
    database.executescript(
        "CREATE TABLE job (operation TEXT NOT NULL, asked TEXT NOT NULL, began REAL NOT NULL,"
        " planned INTEGER NOT NULL DEFAULT 0);"
        "CREATE TABLE runs (mark TEXT NOT NULL, pid INTEGER NOT NULL, began REAL NOT NULL);"
        "CREATE TABLE items (source TEXT, destination TEXT, state TEXT NOT NULL, version TEXT,"
        " size INTEGER NOT NULL DEFAULT 0, reason TEXT, PRIMARY KEY (source, destination)) WITHOUT ROWID;"
        "PRAGMA user_version = 1"
    )
    database.execute("INSERT INTO job VALUES ('upload', ?, 5, 0)", (ASKED.to_json(),))
    database.execute("INSERT INTO items VALUES (?, ?, 'done', 'v1', 3, NULL)", ENDS)
    database.commit()
    database.close()
    assert JobFile.info(tmp_path, path.stem).done == 1
    job = JobFile.open(tmp_path, path.stem, "0")
    assert job.state_of(ENDS) == ("done", "v1")
    job.write([Row(BEGUN, (*ENDS, "bucket/there/a", "id", "v1", 25, 10))])
    assert len(job.uploads()) == 1
    job.close()
    assert JobFile.info(tmp_path, path.stem).uploads == ["aws:/bucket/there/a"]


@pytest.mark.parametrize("data", [b"", b"no database at all, but some text that is long enough" * 50])
def test_another_file_is_refused(data: bytes, tmp_path: Path) -> None:
    """What is no job's file is said to be none."""
    directory_of(tmp_path).mkdir()
    path_of(tmp_path, "x").write_bytes(data)
    with pytest.raises(ConfigurationError, match="not a job file"):
        JobFile.info(tmp_path, "x")
    with pytest.raises(ConfigurationError, match="not a job file"):
        JobFile.open(tmp_path, "x", "0")
    assert path_of(tmp_path, "x").read_bytes() == data


@pytest.mark.parametrize("job_id", ["unknown", "../jobs/unknown", "/etc/passwd"])
def test_an_unknown_id_is_refused(job_id: str, tmp_path: Path) -> None:
    """An id is a name, not a path; of one that is not there the error says where to look."""
    with pytest.raises(JobNotFoundError, match="jobs list"):
        JobFile.open(tmp_path, job_id, "0")


def test_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files do not pile up: beyond a number, the oldest go, but for those that have begun an upload."""
    monkeypatch.setattr(jobfile, "_MAX_JOBS", 3)
    ids = iter(f"2026010{number}-000000-abcdef" for number in range(9))
    monkeypatch.setattr(jobfile, "new_id", lambda: next(ids))
    for number in range(6):
        job = create(tmp_path)
        if number == 1:
            job.write([Row(BEGUN, (*ENDS, "bucket/there/a", "id", "v1", 25, 10))])
        job.close()
    assert [int(each[7]) for each in job_ids(tmp_path)] == [1, 3, 4, 5]


@pytest.mark.parametrize("last", ["os.rename", "schema._migrate"])
def test_a_process_that_ends_while_it_makes_one(tmp_path: Path, last: str) -> None:
    """There is no job of half a file, and the next one removes what was begun."""
    script = f"""
import os, signal, time
from pathlib import Path
from dxflow_async.transfer.journal import jobfile, schema
from dxflow_async.transfer.journal.records import JobSpec

{last} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
jobfile.JobFile.create(Path({str(tmp_path)!r}), JobSpec("upload", "here", "there"), "0123abcd", time.time())
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert job_ids(tmp_path) == []
    assert list(directory_of(tmp_path).glob("*.new"))
    job = create(tmp_path)
    assert job_ids(tmp_path) == [job.id]
    assert list(directory_of(tmp_path).glob("*.new*")) == []
    job.remove()
