"""Permission bits between disks and units: a private file stays private, and one that is run can be run."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.compute.manager import AsyncComputeManager
from dxflow_async.exceptions import StorageError
from tests.compute.registered_units import ACCOUNT, register
from tests.faults.proxy import FaultProxy, Request
from tests.server.running_hub import RunningUnit

BITS = {"key": 0o600, "run": 0o755, "shared": 0o666, "fixed": 0o444}


@pytest.fixture(autouse=True)
def usual_mask() -> Iterator[None]:
    """New files are 0640."""
    mask = os.umask(0o027)
    yield
    os.umask(mask)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write(path: Path, bits: int, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(bits)
    return path


@pytest.mark.parametrize("verb", ["copy", "move"])
@pytest.mark.parametrize("size", [1, 12 << 20], ids=["whole", "parts"])
async def test_files(tmp_path: Path, session: AsyncSession, volume: Path, verb: str, size: int) -> None:
    """A new file has its source's bits in the unit and again on disk; one that is replaced keeps its own."""
    transfer = getattr(session, verb)
    for name, bits in BITS.items():
        await transfer(write(tmp_path / "disk" / name, bits, bytes(size)), "unit:/Demo/new/")
        assert mode(volume / "new" / name) == bits
        await transfer(f"unit:/Demo/new/{name}", f"{tmp_path}/back/")
        assert mode(tmp_path / "back" / name) == bits
    write(volume / "old", 0o604)
    await transfer(str(tmp_path / "back/run"), "unit:/Demo/old")
    assert (mode(volume / "old"), (volume / "old").stat().st_size) == (0o604, size)


@pytest.mark.parametrize("verb", ["copy", "move", "sync"])
@pytest.mark.parametrize("way", ["up", "down", "across"])
async def test_trees(
    tmp_path: Path,
    session: AsyncSession,
    compute: AsyncComputeManager,
    served: RunningUnit,
    volume: Path,
    verb: str,
    way: str,
) -> None:
    """Files and directories of a tree have the bits of their sources; directories that are there keep their own."""
    await register(compute, "other", served.url)
    await compute.get_unit(name="Demo")
    disk = tmp_path / "disk"
    roots = {"up": (disk, volume), "down": (volume, disk), "across": (volume, served.root)}
    places = {disk: str(disk), volume: "unit:/Demo", served.root: "unit:/other"}
    top, target = roots[way][0] / "top", roots[way][1] / "goal"
    bits = {"private": 0o700, "private/deep": 0o770, "open": 0o777, "old": 0o711, "empty": 0o705}
    for name, given in bits.items():
        (top / name).mkdir(parents=True, exist_ok=True)
        (top / name).chmod(given)
    files = {f"{name}/{file}": given for name in ("private/deep", "open", "old") for file, given in BITS.items()}
    for name, given in files.items():
        write(top / name, given)
    (target / "old").mkdir(parents=True)
    (target / "old").chmod(0o750)
    await getattr(session, verb)(f"{places[roots[way][0]]}/top/", f"{places[roots[way][1]]}/goal/")
    found = {name: mode(target / name) for name in (*bits, *files)}
    assert found == {**bits, **files, "old": 0o750}


async def test_usual_directories_take_no_requests(
    tmp_path: Path, session: AsyncSession, compute: AsyncComputeManager, served: RunningUnit
) -> None:
    """Directories with the bits of any new one are not made one by one, and those of a listing not looked at."""
    for number in range(20):
        write(tmp_path / f"disk/{number}/x", 0o644)
    (tmp_path / "disk/7").chmod(0o700)
    asked: list[str] = []

    async def note(request: Request) -> None:
        asked.append(f"{request.method} {request.target}")

    async with FaultProxy(served.url, gate=note).running() as proxy:
        await register(compute, "other", proxy.endpoint)
        await session.copy(f"{tmp_path}/disk/", "unit:/other/a/")
        made = [each for each in asked if each.startswith("PUT /storage/directory/") and "mode" in each]
        assert made == ["PUT /storage/directory/?path=/a/7&mode=0700"]
        await session.copy("unit:/other/a/", f"{tmp_path}/back/")
        assert len([each for each in asked if "/stat/" in each]) <= 2
    assert [mode(tmp_path / f"back/{number}") for number in (6, 7)] == [0o750, 0o700]


@pytest.mark.parametrize("failures", [1, 1000])
async def test_a_private_directory_that_is_not_made(
    tmp_path: Path, settings: Settings, served: RunningUnit, failures: int
) -> None:
    """It is asked for again; where that is in vain the call fails, and the items in it make none for everybody."""
    write(tmp_path / "disk/d/x", 0o644)
    (tmp_path / "disk/d").chmod(0o700)

    def applies(request: Request) -> bool:
        return "mode=0700" in request.target

    proxy = FaultProxy(served.url, ["slow_down"], rate=1.0, applies=applies, limit=failures, dialect="UNIT")
    async with proxy.running(), AsyncSession(*ACCOUNT, settings=replace(settings, max_attempts=2)) as session:
        await register(session.get_compute_manager(), "other", proxy.endpoint)
        if failures == 1:
            await session.copy(f"{tmp_path}/disk/", "unit:/other/a/")
            assert mode(served.root / "a/d") == 0o700
        else:
            with pytest.raises(StorageError):
                await session.copy(f"{tmp_path}/disk/", "unit:/other/a/")
            assert not (served.root / "a/d").exists()


async def test_the_mode_of_a_tree_is_that_of_now(tmp_path: Path, session: AsyncSession, volume: Path) -> None:
    """What an earlier listing told of a directory is not taken for it any more once it is copied by itself."""
    write(volume / "a/b/x", 0o600)
    await session.copy("unit:/Demo/a/", f"{tmp_path}/one/")
    (volume / "a/b").chmod(0o700)
    await session.copy("unit:/Demo/a/b/", f"{tmp_path}/two/")
    assert mode(tmp_path / "two") == 0o700


async def test_a_mode_alone_is_no_difference(tmp_path: Path, session: AsyncSession, volume: Path) -> None:
    """What was synced is not synced again where only its bits are others."""
    write(tmp_path / "d/x", 0o600)
    await session.sync(f"{tmp_path}/d/", "unit:/Demo/d/")
    (tmp_path / "d/x").chmod(0o644)
    assert len(await session.sync(f"{tmp_path}/d/", "unit:/Demo/d/")) == 0
    assert len(await session.sync("unit:/Demo/d/", f"{tmp_path}/d/")) == 0
    assert (mode(volume / "d/x"), mode(tmp_path / "d/x")) == (0o600, 0o644)
