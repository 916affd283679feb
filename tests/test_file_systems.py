"""File systems that have no size, or refuse permission bits and times: what is stored there is stored all the same."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings, file_systems
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import StorageError
from dxflow_async.file_systems import free_space, set_mode, set_time
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.local.provider import LocalProvider
from tests.providers.in_memory_bodies import body
from tests.providers.local.limitless_memory import KINDS, limitless
from tests.providers.local.refused_attributes import refuse_modes_and_times
from tests.sessions import MiB

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
