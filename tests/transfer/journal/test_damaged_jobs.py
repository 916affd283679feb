"""Names of any bytes in the file of a job, and files that are damaged in any way."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.transfer.journal.jobfile import JobFile, directory_of, job_ids, known_uploads
from dxflow_async.transfer.journal.queries import (
    BEGUN,
    CREATED,
    CREATING,
    ENDED,
    GONE,
    PART,
    PLANNED,
    UPLOAD_ENDED,
    Row,
)
from dxflow_async.transfer.journal.records import ItemId, JobSpec
from dxflow_async.transfer.journal.schema import SCHEMA_VERSION, DamagedJobFile

PAGE = 4096
ASKED = JobSpec("copy", "/here/\udcff", "/there", {"into": True})
ODD = ["plain", "caf\u00e9", "caf\udce9", "\udcff\udcfe", "lone\ud800", "\udced\udcb3\udcbf", "a\nb", "\U0001f680"]


def create(home: Path) -> JobFile:
    """A new job."""
    return JobFile.create(home, ASKED, "0123abcd", 1.0)


def path_of(home: Path, job_id: str) -> Path:
    """A job's file."""
    return directory_of(home) / f"{job_id}.sqlite3"


def read_all(job: JobFile) -> None:
    """Whatever there is to be read."""
    assert job.spec
    assert job.earlier_owners is not None
    assert job.complete in (True, False)
    assert job.ended_any() in (True, False)
    ends = job.items(None)
    while ends:
        for each in ends:
            job.state_of(each)
            job.upload_of(each)
        ends = job.items(ends[-1])
    job.uploads()
    job.orphans()
    job.creations()


def filled(home: Path) -> Path:
    """A job's file of some pages, without any other file beside it."""
    job = create(home)
    for number in range(40):
        ends = ItemId(f"/here/{number}", f"aws:/bucket/{number}")
        rows = [Row(PLANNED, ends), Row(ENDED, (*ends, "done", f"v{number}", 7, None))]
        rows += [Row(BEGUN, (*ends, f"bucket/{number}", f"id-{number}", "v", 50, 10))]
        rows += [Row(PART, (*ends, part, part * 10, 10, "etag" * 9, 7, 1)) for part in range(1, 5)]
        job.write(rows)
    job.close()
    path = path_of(home, job.id)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def test_any_name_comes_back(tmp_path: Path) -> None:
    """Names are kept as they are, whatever their bytes, as items, keys, ids and in what was asked."""
    job = create(tmp_path)
    pairs = [ItemId(f"/here/{name}", f"/there/{name}") for name in ODD]
    job.write([Row(PLANNED, ends) for ends in pairs])
    job.write([Row(ENDED, (*ends, "done", f"v{ends.source}", 1, f"why {ends.source}")) for ends in pairs])
    job.write([Row(BEGUN, (*ends, ends.destination, f"id {ends.source}", "v", 20, 10)) for ends in pairs])
    job.write([Row(PART, (*ends, 1, 0, 10, f"etag {ends.source}", 1, 1)) for ends in pairs])
    job.close()
    job = JobFile.open(tmp_path, job.id, "4567abcd")
    assert job.spec == ASKED
    assert set(job.items(None)) == set(pairs)
    for ends in pairs:
        assert job.state_of(ends) == ("done", f"v{ends.source}")
        begun = job.upload_of(ends)
        assert begun is not None
        assert (begun.key, begun.id) == (ends.destination, f"id {ends.source}")
        assert begun.receipts[0].etag == f"etag {ends.source}"
    job.write([Row(UPLOAD_ENDED, ends) for ends in pairs])
    assert job.uploads() == []
    job.close()
    assert JobFile.info(tmp_path, job.id).done == len(ODD)
    JobFile.open(tmp_path, job.id, "0").remove()


def test_pages_of_odd_names_are_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page each item comes once, whether its name is text or bytes."""
    monkeypatch.setattr("dxflow_async.transfer.journal.queries._PAGE", 3)
    job = create(tmp_path)
    pairs = {ItemId(f"/here/{name}{number}", f"/there/{name}") for name in ODD for number in range(3)}
    job.write([Row(PLANNED, ends) for ends in pairs])
    found: list[ItemId] = []
    while page := job.items(found[-1] if found else None):
        found += page
    assert len(found) == len(pairs)
    assert set(found) == pairs
    job.remove()


def test_what_was_done_below_a_directory(tmp_path: Path) -> None:
    """A directory is known to have been moved from by what is in it, not by itself nor by others of a like name."""
    job = create(tmp_path)
    sources = ["/a/b/c", "/a/\udcff/c", "/a/b.c/d", "/e/", "/f\udcff/g"]
    job.write([Row(ENDED, (source, "/x", "done", None, 0, None)) for source in sources])
    job.write([Row(ENDED, ("/h/i", "/x", "failed", None, 0, "why"))])
    for directory in ("/a/", "/a/b/", "/a/\udcff/", "/f\udcff/", "/"):
        assert job.ended_any_below(directory), directory
    for directory in ("/e/", "/h/", "/a/b/c/", "/a/b", "/f/", "/a/\udcfe/"):
        assert not job.ended_any_below(directory.rstrip("/") + "/") or directory == "/a/b", directory
    job.remove()


def test_numbers_that_are_too_large_end_no_journal(tmp_path: Path) -> None:
    """A size beyond what SQLite holds is kept as the largest there is."""
    job = create(tmp_path)
    job.write([Row(ENDED, (str(number), "/x", "done", "v", 1 << 80, None)) for number in range(3)])
    assert job.state_of(ItemId("1", "/x")) == ("done", "v")
    job.close()
    assert JobFile.info(tmp_path, job.id).done == 3


def test_uploads_are_struck_when_they_are_gone(tmp_path: Path) -> None:
    """One that another took the place of is known until it is removed; so are keys whose creation was not answered."""
    job, ends = create(tmp_path), ItemId("/here/a", "aws:/b/a")
    job.write([Row(BEGUN, (*ends, "b/a", "first", "v", 20, 10)), Row(PART, (*ends, 1, 0, 10, "etag", 1, 1))])
    job.write([Row(BEGUN, (*ends, "b/a", "second", "v", 20, 10)), Row(CREATING, ("b/c", 5.0))])
    begun = job.upload_of(ends)
    assert begun is not None
    assert (begun.id, begun.receipts) == ("second", ())
    assert job.orphans() == [("b/a", "first")]
    job.write([Row(BEGUN, (*ends, "b/a", "second", "v", 20, 10)), Row(UPLOAD_ENDED, ends)])
    assert job.orphans() == [("b/a", "first")]
    job.write([Row(CREATING, ("b/c", 7.0)), Row(CREATING, ("b/c", 7.0))])
    assert job.creations() == {"b/c": [5.0, 7.0]}
    job.write([Row(GONE, ("b/a", "first")), Row(CREATED, ("b/c",))])
    assert (job.uploads(), job.orphans(), job.creations()) == ([], [], {})
    job.remove()


def test_uploads_of_other_jobs(tmp_path: Path) -> None:
    """Those of all jobs but one are known, also while one of them is damaged."""
    first, second = filled(tmp_path), create(tmp_path)
    second.write([Row(BEGUN, ("a", "b", "key", "own", "v", 20, 10))])
    second.close()
    path_of(tmp_path, "damaged").write_bytes(b"nothing")
    assert "own" not in known_uploads(tmp_path, but_of=second.id)
    assert len(known_uploads(tmp_path, but_of=second.id)) == 40
    assert known_uploads(tmp_path, but_of=first.stem) == {"own"}


def test_a_file_of_version_two_goes_on(tmp_path: Path) -> None:
    """A job that was begun before names could be bytes has its uploads still, and takes such names from then on."""
    path = filled(tmp_path)
    with closing(sqlite3.connect(path)) as database:
        database.executescript("DROP TABLE orphans; DROP TABLE creations; PRAGMA user_version = 2")
    assert SCHEMA_VERSION > 2
    assert len(JobFile.info(tmp_path, path.stem).uploads) == 40
    job = JobFile.open(tmp_path, path.stem, "0")
    assert len(job.uploads()) == 40
    assert job.uploads()[0][1].receipts
    job.write([Row(PLANNED, ("\udcff", "x")), Row(CREATING, ("\udcff", 1.0))])
    assert ItemId("\udcff", "x") in job.items(None)
    job.close()


def cut(path: Path) -> None:
    """Loses the second half."""
    os.truncate(path, path.stat().st_size // 2)


def zeroed(path: Path) -> None:
    """A page in its midst is zeros."""
    data = bytearray(path.read_bytes())
    data[PAGE : 2 * PAGE] = bytes(PAGE)
    path.write_bytes(data)


def swapped(path: Path) -> None:
    """Two pages have changed places."""
    data = path.read_bytes()
    path.write_bytes(data[:PAGE] + data[2 * PAGE : 3 * PAGE] + data[PAGE : 2 * PAGE] + data[3 * PAGE :])


def directory(path: Path) -> None:
    """A directory has its name."""
    path.unlink()
    (path / "below").mkdir(parents=True)


def dangling(path: Path) -> None:
    """A link to nothing has its name."""
    path.unlink()
    path.symlink_to("nowhere")


def executed(statement: str) -> Callable[[Path], None]:
    """A row is what it cannot be."""

    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute(statement)
            database.commit()

    return change


DAMAGES = {
    "cut": cut,
    "zeroed": zeroed,
    "swapped": swapped,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"not a database, but some text\n" * 500),
    "directory": directory,
    "dangling": dangling,
    "not json": executed("UPDATE job SET asked = '{'"),
    "other json": executed("UPDATE job SET asked = '[1, 2]'"),
    "wrong arguments": executed("UPDATE job SET asked = json_set(asked, '$.arguments', 5)"),
    "wrong operation": executed("UPDATE job SET asked = json_set(asked, '$.operation', 'explode')"),
    "no text": executed("UPDATE job SET asked = 5"),
    "no job": executed("DELETE FROM job"),
    "no table": executed("DROP TABLE items"),
    "no time": executed("UPDATE job SET began = 'yesterday'"),
    "endless time": executed("UPDATE job SET began = 9e999"),
    "wild version": executed("PRAGMA user_version = 16777219"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_named_and_set_aside(name: str, tmp_path: Path) -> None:
    """Whatever is wrong with it, the error names the file and what to do; set aside, it is no job any more."""
    path = filled(tmp_path)
    other = create(tmp_path)
    other.close()
    DAMAGES[name](path)

    def use() -> None:
        JobFile.info(tmp_path, path.stem)
        job = JobFile.open(tmp_path, path.stem, "0")
        try:
            read_all(job)
        finally:
            job.close()

    with pytest.raises(DamagedJobFile) as found:
        use()
    assert str(path) in str(found.value)
    assert f"jobs clean {path.stem} --yes" in str(found.value)
    aside = JobFile.set_aside(tmp_path, path.stem, dry_run=True)
    assert os.path.lexists(path)
    assert JobFile.set_aside(tmp_path, path.stem, dry_run=False) == aside
    assert os.path.lexists(aside)
    assert job_ids(tmp_path) == [other.id]
    assert not list(directory_of(tmp_path).glob(f"{path.stem}.lock"))


def test_flipped_bits_are_damage_at_most(tmp_path: Path) -> None:
    """Whichever bits change, a file is read, or its errors are ours."""
    path, draw = filled(tmp_path), random.Random(13)
    good = path.read_bytes()
    damaged = 0
    for _ in range(250):
        data = bytearray(good)
        for _ in range(draw.choice((1, 3, 40))):
            data[draw.randrange(draw.choice((100, len(data))))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        try:
            JobFile.info(tmp_path, path.stem)
            job = JobFile.open(tmp_path, path.stem, "0")
            try:
                read_all(job)
            finally:
                job.close()
        except ConfigurationError:
            damaged += 1
    assert damaged > 50


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's file is named, too, and no other job is hidden by it."""
    path = filled(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # which root always has
    with pytest.raises(DamagedJobFile, match="read and written"):
        JobFile.info(tmp_path, path.stem)


def test_damaged_ones_keep_no_old_job_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten past one that is damaged, which stays."""
    monkeypatch.setattr("dxflow_async.transfer.journal.jobfile._MAX_JOBS", 3)
    ids = iter(f"2026010{number}-000000-abcdef" for number in range(9))
    monkeypatch.setattr("dxflow_async.transfer.journal.jobfile.new_id", lambda: next(ids))
    for number in range(6):
        job = create(tmp_path)
        job.close()
        if number == 0:
            directory(path_of(tmp_path, job.id))
        elif number == 1:
            path_of(tmp_path, job.id).write_bytes(b"")
    assert [int(each[7]) for each in job_ids(tmp_path)] == [0, 1, 3, 4, 5]
