"""Everything works in a process that may open few files, beside libraries that open files of their own too."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import AsyncSession, ConfigurationError, Settings, StorageError
from dxflow_async.concurrency.descriptors import Descriptors, patiently, raise_limit
from tests.python_processes import clean_environment, run_script
from tests.servers import Azurite, SeaweedFS
from tests.sessions import settings_for

SCRIPT = """
import asyncio, filecmp, os, resource
from pathlib import Path

resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS + HELD, DESCRIPTORS + HELD))
held = [os.open(os.devnull, os.O_RDONLY) for _ in range(HELD)]

from dxflow_async import AsyncSession

def same(left, right):
    names = sorted(str(path.relative_to(left)) for path in left.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(right)) for path in right.rglob("*") if path.is_file()), right
    assert filecmp.cmpfiles(left, right, names, shallow=False)[0] == names, right

async def main(base, cloud, container):
    source = base / "source"
    for number in range(100):
        directory = source / f"d{number % 50}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"f{number}").write_bytes(b"x" * 1000)
    (source / "large").write_bytes(os.urandom(16 << 20))
    async with AsyncSession("you@example.com", "password") as session:
        storage = session.get_storage_manager()
        await storage.upload(f"{source}/", f"/{cloud}/up/")
        pairs = [(str(path), f"/{cloud}/many/{path.name}") for path in source.rglob("f*")]
        await storage.upload_many(pairs)
        await storage.download_many([(there, f"{base}/many/{Path(there).name}") for _, there in pairs])
        assert len(list((base / "many").iterdir())) == 100
        chunks = [chunk async for chunk in storage.read(f"/{cloud}/up/large")]
        assert b"".join(chunks) == (source / "large").read_bytes()
        await asyncio.gather(
            storage.download(f"/{cloud}/up/", str(base / "down")),
            session.copy(f"aws:/{cloud}/up/", f"azure:/{container}/copied/"),
            session.sync(str(source), str(base / "synced")),
        )
        same(source, base / "down")
        same(source, base / "synced")
        (source / "large").unlink()
        await session.copy(f"azure:/{container}/copied/", "unit:/Demo/copied/")
        await session.copy("unit:/Demo/copied/", str(base / "of unit"))
        same(base / "down", base / "of unit")
        await session.sync(str(source), f"aws:/{cloud}/up", delete=True)
        assert len([entry async for entry in storage.scan("AWS", f"/{cloud}/up/")]) == 100
        if PROCESSES:
            await session.copy(f"{source}/", f"aws:/{cloud}/several/", processes=2)
        await storage.delete(f"/{cloud}/up/")
        assert [entry async for entry in storage.scan("AWS", f"/{cloud}/up/")] == []
    print("done")

asyncio.run(main(Path(os.environ["BASE"]), os.environ["CLOUD"], os.environ["CONTAINER"]))
"""


@pytest.mark.parametrize(
    ("descriptors", "held", "processes"),
    [
        pytest.param(64, 0, True, marks=pytest.mark.long),
        pytest.param(40, 0, False),
        pytest.param(48, 300, True, marks=pytest.mark.long, id="an application holds most"),
    ],
)
def test_everything_works_with_few_descriptors(
    weed: SeaweedFS,
    bucket: str,
    azurite: Azurite,
    container: str,
    tmp_path: Path,
    descriptors: int,
    held: int,
    processes: bool,
) -> None:
    """Many small files and a large one move to, from and between services, a unit and disks; the journal is on."""
    script = SCRIPT
    for name, value in (("DESCRIPTORS", descriptors), ("HELD", held), ("PROCESSES", processes)):
        script = script.replace(name, str(value))
    environment = clean_environment(
        tmp_path / "home",
        BASE=str(tmp_path),
        CLOUD=f"{bucket}/{uuid4().hex[:8]}",
        CONTAINER=container,
        DXFLOW_PART_SIZE=str(5 << 20),
        DXFLOW_AWS_ENDPOINT=weed.endpoint,
        DXFLOW_AWS_ACCESS_KEY=weed.access_key,
        DXFLOW_AWS_SECRET_KEY=weed.secret_key,
        DXFLOW_AZURE_ENDPOINT=azurite.endpoint,
        DXFLOW_AZURE_ACCOUNT=azurite.account,
        DXFLOW_AZURE_ACCOUNT_KEY=azurite.account_key,
    )
    outcome = run_script(script, environment)
    assert outcome.stdout.endswith("done\n"), outcome.stderr
    assert "Too many open files" not in outcome.stderr


@contextlib.contextmanager
def few_descriptors(left: int) -> Iterator[list[int]]:
    """Leaves this process so many descriptors, by opening the others; yields those, to be closed earlier."""
    gc.collect()  # or files that others have left open are closed in between
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + left + 40, limits[1]))
    taken: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(left):
            os.close(taken.pop())
        yield taken
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_too_few_descriptors_are_refused_at_once(tmp_path: Path) -> None:
    """A session that could not move a single file is not made; the error says what to do."""
    with few_descriptors(2), pytest.raises(ConfigurationError, match="ulimit -n 256"):
        AsyncSession(settings=Settings(home=tmp_path))


async def test_descriptors_that_others_take_are_waited_for(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """When everything is taken in the middle of a session, files and connections wait until others close theirs."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(40):
        (source / f"{number}").write_bytes(b"x" * 100)
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home", journal=False)) as session:
        storage = session.get_storage_manager()
        await storage.upload(str(source / "0"), f"/{bucket}/first")
        with few_descriptors(0) as taken:
            upload = asyncio.ensure_future(storage.upload(f"{source}/", f"/{bucket}/few/"))
            await asyncio.sleep(0.3)
            assert not upload.done()
            while taken:
                os.close(taken.pop())
            report = await upload
            assert report.ok
            assert len(report) == 40


async def test_descriptors_that_nobody_closes_fail_the_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none becomes free, the item fails in the end, and the error names the limit."""
    monkeypatch.setattr("dxflow_async.concurrency.descriptors._WAITS", (0.001,))
    monkeypatch.setattr("dxflow_async.transfer.engine._WAITS", (0.001,))
    (tmp_path / "file").write_bytes(b"x")
    settings = Settings(home=tmp_path / "home", journal=False, max_attempts=2)
    async with AsyncSession(settings=settings) as session:
        await session.copy(str(tmp_path / "file"), str(tmp_path / "copy"))
        with few_descriptors(0), pytest.raises(StorageError, match=r"too many files open.*ulimit") as caught:
            await session.copy(str(tmp_path / "file"), str(tmp_path / "other"))
    assert caught.value.code in (None, "EMFILE")
    assert not (tmp_path / "other").exists()


def test_only_a_lack_of_descriptors_is_waited_for() -> None:
    """Any other error is raised at once."""
    calls: list[int] = []

    def opened(code: int) -> None:
        calls.append(code)
        raise OSError(code, os.strerror(code))

    with pytest.raises(OSError, match="Permission denied"):
        patiently(opened, errno.EACCES)
    assert calls == [errno.EACCES]


def test_shares_stay_within_what_is_free() -> None:
    """Connections, files of workers and files that wait for the disk fit together, whatever the limit is."""
    for left in (18, 40, 200, 900):
        with few_descriptors(left):
            shares = Descriptors.free()
        files = 2 * shares.workers
        assert shares.connections + files + shares.finishing <= left
        assert min(shares.workers, shares.finishing) >= 1


def test_descriptors_above_the_limit_take_nothing_from_it() -> None:
    """A limit that was lowered leaves higher descriptors open; what is below it is still free."""
    high = [os.open(os.devnull, os.O_RDONLY) for _ in range(400)]
    for descriptor in high[:360]:
        os.close(descriptor)
    try:
        with few_descriptors(40):
            assert Descriptors.free().workers >= 1
    finally:
        for descriptor in high[360:]:
            os.close(descriptor)


def test_the_soft_limit_is_raised_for_the_command_line_only(tmp_path: Path) -> None:
    """Commands raise it towards the hard limit, and a session leaves its process's limit as it is."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, limits[1]))
        AsyncSession(settings=Settings(home=tmp_path))
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 512
        raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(4096, limits[1]), limits[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
