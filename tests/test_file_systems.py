"""File systems that have no size, or refuse permission bits and times: what is stored there is stored all the same."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings, file_systems
from dxflow_async.cli.config_file import put_setting
from dxflow_async.concurrency.file_locks import hold_alone
from dxflow_async.concurrency.threads import Threads
from dxflow_async.control.stored_login import Secrets, StoredLogin
from dxflow_async.exceptions import JobBusyError, StorageError
from dxflow_async.file_systems import free_space, set_mode, set_time
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.transfer.journal.lock import JobLock
from tests.providers.in_memory_bodies import body
from tests.providers.local.limitless_memory import KINDS, limitless
from tests.providers.local.refused_attributes import refuse_modes_and_times
from tests.sessions import MiB, part_files

SIZE = 2 * MiB + 7
REFUSALS = [errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL]


def make_tree(top: Path) -> dict[str, bytes]:
    """Makes small and large files, one of them with a mode and a time of its own; returns their bytes."""
    files = {"large": os.urandom(SIZE), "dir/small": b"small", "empty": b""}
    for name, data in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
    (top / "dir/small").chmod(0o640)
    os.utime(top / "dir/small", (1e9, 1e9))
    return files


def found(top: Path) -> dict[str, bytes]:
    """Returns the files in a directory."""
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
async def test_memory_without_a_limit(tmp_path: Path, kind: str, threads: Threads) -> None:
    """A file system of no size is not a full one: files of known sizes are stored there, whole and in parts."""
    files = make_tree(tmp_path / "from")
    with limitless(tmp_path / "memory", kind) as memory:
        top = os.open(memory, os.O_RDONLY)
        assert free_space(top) is None
        os.close(top)
        async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
            await session.copy(f"{tmp_path}/from/", f"{memory}/to/")
        assert found(memory / "to") == files
        upload = await LocalProvider(memory, threads).start_upload("parts", SIZE, ObjectOptions())
        await upload.abort()


@pytest.mark.parametrize("kind", KINDS)
async def test_unit_in_memory_without_a_limit(tmp_path: Path, kind: str) -> None:
    """A unit whose volume has no size takes files, too."""
    files = make_tree(tmp_path / "from")
    with limitless(tmp_path / "memory", kind) as memory:
        async with AsyncSession("me@example.com", "correct horse", settings=Settings(home=memory / "home")) as session:
            await session.copy(f"{tmp_path}/from/", "unit:/Demo/to/")
            await session.copy("unit:/Demo/to/", f"{tmp_path}/back/")
        assert found(tmp_path / "back") == files


@pytest.mark.parametrize("number", REFUSALS, ids=errno.errorcode.get)
async def test_modes_and_times_are_refused(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Files are stored without them, here and at a unit, which is told once a device and kind; syncs by size settle."""
    files = make_tree(tmp_path / "from")
    refuse_modes_and_times(monkeypatch, number)
    monkeypatch.setattr(file_systems, "_told", set())
    caplog.set_level(logging.WARNING, "dxflow_async.file_systems")
    here = f"{tmp_path}/from/"
    async with AsyncSession("me@example.com", "correct horse", settings=Settings(home=tmp_path / "home")) as session:
        await session.copy(here, f"{tmp_path}/to/")
        assert found(tmp_path / "to") == files
        assert len(await session.sync(here, f"{tmp_path}/to/", compare="size")) == 0
        await session.move(f"{tmp_path}/to/large", f"{tmp_path}/moved")
        await session.copy(here, "unit:/Demo/to/")
        await session.copy("unit:/Demo/to/", "unit:/Demo/copy/")
        await session.copy("unit:/Demo/copy/", f"{tmp_path}/back/")
    assert found(tmp_path / "back") == files
    told = [record.getMessage() for record in caplog.records if record.name == "dxflow_async.file_systems"]
    assert len(told) == len(set(told)) == 2


async def test_other_failures_of_modes_and_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: Threads
) -> None:
    """A disk that fails is not one that keeps no modes: the file does not get its name."""
    refuse_modes_and_times(monkeypatch, errno.EIO)
    with (tmp_path / "x").open("wb") as file:
        for change in (set_mode, set_time):
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                change(file.fileno(), 1)
    with pytest.raises(StorageError, match="LOCAL write"):
        await LocalProvider(tmp_path, threads).write("y", body(b"y"), ObjectOptions())
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP], ids=errno.errorcode.get)
async def test_syncs_are_refused(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot flush takes the hub's key, logins, the configuration and what a unit stores."""

    def refuse(_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    files = make_tree(tmp_path / "from")
    home = tmp_path / "home"
    async with AsyncSession("me@example.com", "correct horse", settings=Settings(home=home)) as session:
        await session.copy(f"{tmp_path}/from/", "unit:/Demo/to/")
        await session.copy("unit:/Demo/to/", f"{tmp_path}/back/")
    assert found(tmp_path / "back") == files
    StoredLogin("https://hub.example.org", Secrets("a", "b", "c", "d")).save(home)
    put_setting(home / "config.toml", "max_concurrency", 7)
    assert "max_concurrency = 7" in (home / "config.toml").read_text()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP], ids=errno.errorcode.get)
async def test_locks_are_refused(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit, jobs and local copies work on file systems without locks; what resumes is not taken for running."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    files = make_tree(tmp_path / "from")
    files["larger"] = os.urandom(11 * MiB)
    (tmp_path / "from/larger").write_bytes(files["larger"])
    settings = Settings(home=tmp_path / "home", part_size=5 * MiB)
    async with AsyncSession("me@example.com", "correct horse", settings=settings) as session:
        await session.copy(f"{tmp_path}/from/", f"{tmp_path}/to/")
        await session.copy(f"{tmp_path}/from/", "unit:/Demo/to/")
        await session.copy("unit:/Demo/to/", f"{tmp_path}/back/")
    assert found(tmp_path / "to") == found(tmp_path / "back") == files
    assert part_files(tmp_path) == []


def test_one_holder_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file system has no locks, one file is held once in a process at a time."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (tmp_path / "x").open("wb") as one, (tmp_path / "x").open("rb") as two, (tmp_path / "y").open("wb") as other:
        for _ in range(2):
            with (
                hold_alone(one.fileno()),
                hold_alone(other.fileno()),
                pytest.raises(BlockingIOError),
                hold_alone(two.fileno()),
            ):
                pass


def test_job_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, a job is that of the running process whose number is in the file; one that has ended holds nothing."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    first, second = JobLock(tmp_path / "lock"), JobLock(tmp_path / "lock")
    first.take("job")
    with pytest.raises(JobBusyError) as raised:
        second.take("job")
    assert raised.value.pid == second.holder() == os.getpid()
    first.give()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "lock").write_text(str(ended.pid))
    assert second.holder() is None
    second.take("job")
    second.give()
