"""Whether a destination tells names apart is asked by a file; what a killed process left of that is removed."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings, TransferError, TransferReport
from dxflow_async.providers.local import root as tree
from dxflow_async.providers.local import temporary_files

Call = Callable[[AsyncSession, Path], Awaitable[TransferReport]]


async def by_copy(session: AsyncSession, top: Path) -> TransferReport:
    """A directory's content."""
    return await session.copy(f"{top}/from/one/", f"{top}/to/")


async def by_sync(session: AsyncSession, top: Path) -> TransferReport:
    """The same, compared."""
    report = await session.sync(f"{top}/from/one/", f"{top}/to/")
    assert isinstance(report, TransferReport)
    return report


async def by_glob(session: AsyncSession, top: Path) -> TransferReport:
    """Several directories."""
    return await session.copy(f"{top}/from/*/sub", f"{top}/to/")


def mark_of(home: Path) -> str:
    """That of the session that began the only job."""
    (path,) = (home / "jobs").glob("*.sqlite3")
    with closing(sqlite3.connect(path)) as database:
        return str(database.execute("SELECT mark FROM runs").fetchone()[0])


def plant(directory: Path, mark: str) -> None:
    """What a session leaves that is killed while it asks: first with one name, then with the other one."""
    name = temporary_files.temporary_name(mark)
    for each in (name, name + temporary_files.ACCENTED):
        (directory / each).touch()


def left(directory: Path) -> int:
    """How many such files are there."""
    return len(list(directory.rglob("*.dxpart*")))


def test_a_probe_bears_the_mark_of_its_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever name is asked with, it is known as a temporary one of that session's."""
    asked = []
    probe = tree._is_one

    def watched(directory: int, name: str, other: str) -> bool:
        asked.append(name)
        return probe(directory, name, other)

    monkeypatch.setattr(tree, "_is_one", watched)
    tree.Root(tmp_path).folds_names("", "0123abcd")
    assert asked
    assert all(temporary_files.is_temporary(name, {"0123abcd"}) for name in asked)


@pytest.mark.parametrize("call", [by_copy, by_sync, by_glob])
async def test_what_a_killed_probe_left_is_removed(tmp_path: Path, call: Call) -> None:
    """Also at the top of the destination, where no file of the job lies; what other sessions write is left."""
    for name in ("one/sub/a", "one/sub/b", "two/sub/c"):
        (tmp_path / "from" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / name).write_bytes(name.encode())
    obstacle = tmp_path / "to" / "sub" / "b" / "in the way"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    settings = Settings(home=tmp_path / "home")
    async with AsyncSession(settings=settings) as session:
        with pytest.raises(TransferError):
            await call(session, tmp_path)
    plant(tmp_path / "to", mark_of(tmp_path / "home"))
    plant(tmp_path / "to", "0123abcd")
    obstacle.unlink()
    obstacle.parent.rmdir()
    async with AsyncSession(settings=settings) as session:
        assert len([each for each in await session.clean_jobs() if each.kind == "file"]) == 2
        (job,) = await session.jobs()
        await session.resume(job.id)
        assert await session.jobs() == []
    assert left(tmp_path / "to") == 2
    assert (tmp_path / "to" / "sub" / "b").read_bytes() == b"one/sub/b"


async def test_a_file_that_is_just_made_is_in_no_listing(tmp_path: Path) -> None:
    """A temporary file of a session of this process is no file of the user's, also before its writer holds it."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        destination = tmp_path / "to"
        destination.mkdir()
        name = temporary_files.temporary_name(session._resources.threads.owner_id)
        (destination / name).touch()
        (tmp_path / "from").mkdir()
        report = await session.sync(f"{tmp_path}/from", str(destination), delete=True)
        assert (len(report), (destination / name).exists()) == (0, True)
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        report = await session.sync(f"{tmp_path}/from", str(destination), delete=True)
        assert (len(report), (destination / name).exists()) == (1, False)
