"""Copies between local directories are compared with what was written, before they get their names."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, Settings, TransferReport
from dxflow_async.exceptions import ChecksumMismatchError, TransferError
from dxflow_async.providers.local.files import TemporaryFile
from dxflow_async.providers.local.kind import LocalSettings
from dxflow_async.providers.local.upload import LocalUpload
from dxflow_async.streams import Buffer
from tests.sessions import MiB

DATA = {"empty": b"", "small": bytes(range(256)) * 9, "whole": os.urandom(2 * MiB + 3), "parts": os.urandom(21 * MiB)}
OLD = b"what was there before"

Verb = Callable[[AsyncSession, Path, Path], Coroutine[Any, Any, TransferReport]]


async def copy(session: AsyncSession, source: Path, target: Path) -> TransferReport:
    """Copies one file that is named."""
    return await session.copy(source / "name", target / "name")


async def copy_tree(session: AsyncSession, source: Path, target: Path) -> TransferReport:
    """Copies a directory."""
    return await session.copy(f"{source}/", f"{target}/")


async def move(session: AsyncSession, source: Path, target: Path) -> TransferReport:
    """Moves one file to another file system."""
    return await session.move(source / "name", target / "name")


async def sync(session: AsyncSession, source: Path, target: Path) -> TransferReport:
    """Makes a directory equal to another one."""
    return await session.sync(f"{source}/", f"{target}/")


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with a local store."""
    store = LocalSettings(root=tmp_path / "store")
    settings = Settings(home=tmp_path / "home", part_size=5 * MiB, max_attempts=1, remotes={"store": store})
    async with AsyncSession(settings=settings) as opened:
        yield opened


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The directory that is copied."""
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, which is another file system."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=shm) as name:
        yield Path(name)


@pytest.fixture
def damage(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes what is written differ in one bit from what was given to the system."""

    def begin() -> None:
        write = os.pwritev

        def damaged(descriptor: int, buffers: Sequence[Buffer], offset: int) -> int:
            data = bytearray(b"".join(buffers))
            data[-1] ^= 1
            return write(descriptor, [data], offset)

        monkeypatch.setattr("os.pwritev", damaged)

    return begin


@pytest.mark.parametrize("verb", [copy, copy_tree, move, sync])
@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
async def test_all_are_verified(session: AsyncSession, source: Path, elsewhere: Path, verb: Verb, data: bytes) -> None:
    """Whatever the size and the verb, the report says that everything is verified, and the bytes are the same."""
    (source / "name").write_bytes(data)
    report = await verb(session, source, elsewhere)
    assert (report.verification, report[0].verified) == ("all verified", True)
    assert (elsewhere / "name").read_bytes() == data


@pytest.mark.parametrize("in_memory", [True, False], ids=["memory", "disk"])
@pytest.mark.parametrize(
    ("size", "verb"),
    [
        *(("small", verb) for verb in (copy, copy_tree, move, sync)),
        ("whole", copy),
        ("whole", sync),
        ("parts", move),
    ],
)
async def test_a_damaged_copy_gets_no_name(
    session: AsyncSession,
    source: Path,
    elsewhere: Path,
    damage: Callable[[], None],
    verb: Verb,
    size: str,
    in_memory: bool,
) -> None:
    """A byte that differs from what was written fails the item; the old target, and the source of a move, stay."""
    start, goal = (source, elsewhere) if in_memory else (elsewhere, source)
    (start / "name").write_bytes(DATA[size])
    (goal / "name").write_bytes(OLD)
    damage()
    with pytest.raises(TransferError) as caught:
        await verb(session, start, goal)
    assert isinstance(caught.value.report.failed[0].error, ChecksumMismatchError)
    assert ((goal / "name").read_bytes(), os.listdir(goal)) == (OLD, ["name"])
    assert (start / "name").read_bytes() == DATA[size]


def noted(call: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """Wraps a function so that its name is noted when it is called."""

    def watched(*arguments: Any) -> Any:
        names.append(call.__name__)
        return call(*arguments)

    return watched


async def test_sizes_take_all_ways(
    session: AsyncSession, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sizes of these tests are written in one go, as a stream, and in parts."""
    ways: list[str] = []
    for cls, name in ((TemporaryFile, "write_new"), (TemporaryFile, "compare_and_complete"), (LocalUpload, "finish")):
        monkeypatch.setattr(cls, name, noted(getattr(cls, name), ways))
    for size in ("small", "whole", "parts"):
        (source / "name").write_bytes(DATA[size])
        await session.copy(source / "name", tmp_path / size)
    assert ways == ["write_new", "compare_and_complete", "finish"]


async def test_transfers_with_a_store_are_not_read_back(
    session: AsyncSession, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one side reports checksums, they are compared, and nothing is read again."""

    def fail(*_: object) -> None:
        raise AssertionError("it was read back")

    monkeypatch.setattr(TemporaryFile, "check_written", fail)
    for size in ("small", "whole", "parts"):
        (source / "name").write_bytes(DATA[size])
        assert (await session.copy(source / "name", "store:/b/name")).ok
        assert (await session.copy("store:/b/name", source / "back")).ok


@pytest.mark.parametrize("size", ["small", "whole"])
async def test_a_damaged_copy_within_a_store(
    session: AsyncSession, tmp_path: Path, damage: Callable[[], None], size: str
) -> None:
    """A copy within a store is compared the same way, also of a file that has no checksum."""
    files = tmp_path / "store" / "b"
    files.mkdir(parents=True)
    (files / "name").write_bytes(DATA[size])
    assert (await session.copy("store:/b/name", "store:/b/copied")).verification == "all verified"
    assert (files / "copied").read_bytes() == DATA[size]
    (files / "copied").write_bytes(OLD)
    damage()
    with pytest.raises(TransferError, match="other bytes than were written"):
        await session.copy("store:/b/name", "store:/b/copied")
    assert ((files / "copied").read_bytes(), sorted(os.listdir(files))) == (OLD, ["copied", "name"])
