"""A unit's storage: every call, at real unit servers, and what happens when one does not answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.compute.manager import AsyncComputeManager
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    NetworkError,
    NotFoundError,
    ServiceError,
    StorageError,
    UnsafePathError,
)
from dxflow_async.server.common.unit_secrets import UnitSecrets
from tests.compute.registered_units import ACCOUNT, register
from tests.server.running_hub import SECRETS, RunningUnit
from tests.servers import free_port
from tests.sessions import MiB, part_files, tasks


async def chunks(*data: bytes) -> AsyncIterator[bytes]:
    for each in data:
        yield each


def fill(root: Path, tree: dict[str, bytes]) -> None:
    for name, data in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def names(root: Path) -> list[str]:
    """All that is below, but for what a unit keeps of finished uploads."""
    found = (str(path.relative_to(root)) for path in root.rglob("*"))
    return sorted(name for name in found if not name.startswith(".dx-uploads"))


def content(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in names(root) if (root / name).is_file()}


async def test_list_is_what_the_unit_sends(compute: AsyncComputeManager, served: RunningUnit) -> None:
    """Item by item, in the server's own order, not sorted again."""
    fill(served.root, {f"{name}/x": b"" for name in ("zeta", "alpha", "mid")} | {"b.dat": b"12", "a.dat": b"1"})
    storage = (await register(compute, "mine", served.url)).storage
    sent = (await served.request("GET", "/storage/items/?path=/")).tree
    for listed in (await storage.list(), await storage.ls("/volume/"), await storage.list("", return_info=True)):
        assert [(i.name, i.directory, i.size) for i in listed] == [
            (each["name"], each["directory"], each["size"]) for each in sent
        ]
    assert [item.directory for item in listed] == [True] * 3 + [False] * 2
    assert sorted(item.name for item in listed) != [item.name for item in listed]


async def test_list_of_one_file_and_of_nothing(demo: AsyncComputeUnit, volume: Path) -> None:
    """A file is listed alone; an empty directory has nothing; what is not there is told, whatever its slash."""
    fill(volume, {"dir/a": b"123"})
    (volume / "empty").mkdir()
    (found,) = await demo.storage.list("/dir/a")
    assert (found.name, found.path, found.size) == ("a", "/dir/a", 3)
    assert await demo.storage.list("/empty") == []
    for path in ("/none", "/none/", "/dir/a/"):
        with pytest.raises(NotFoundError):
            await demo.storage.list(path)


async def test_list_recursive(demo: AsyncComputeUnit, volume: Path) -> None:
    """Everything below, with whole paths."""
    fill(volume, {"dir/sub/a": b"1", "dir/b": b"2"})
    listed = await demo.storage.list("/dir", recursive=True)
    assert [item.path for item in listed] == ["/dir/b", "/dir/sub/a"]
    assert [item.path async for item in demo.storage.scan("/", recursive=True)] == ["/dir/b", "/dir/sub/a"]


async def test_volume_is_the_root(demo: AsyncComputeUnit, volume: Path) -> None:
    """`/volume/x` is `/x`; a directory that really has that name is reached, too, and told so that it is."""
    await demo.storage.write("/volume/a", chunks(b"root"))
    await demo.storage.write("/volume/volume/b", chunks(b"inner"))
    assert content(volume) == {"a": b"root", "volume/b": b"inner"}
    (found,) = await demo.storage.list("/volume/volume/")
    assert found.path == "/volume/volume/b"
    assert b"".join([chunk async for chunk in demo.storage.read(found.path)]) == b"inner"


async def test_a_file_goes_there_and_back(demo: AsyncComputeUnit, volume: Path, tmp_path: Path) -> None:
    """In parts, compared on both ways, with nothing left beside it."""
    data = os.urandom(23 * MiB + 5)
    (tmp_path / "large").write_bytes(data)
    (up,) = await demo.storage.upload(tmp_path / "large", "/in/")
    assert (up.destination, up.bytes, up.verified) == ("unit:/Demo/in/large", len(data), True)
    assert content(volume) == {"in/large": data}
    (down,) = await demo.storage.download("/in/large", tmp_path / "back")
    assert (down.source, down.verified) == ("unit:/Demo/in/large", True)
    assert (tmp_path / "back" / "large").read_bytes() == data
    assert part_files(tmp_path) == []


async def test_directories_go_there_and_back(demo: AsyncComputeUnit, volume: Path, tmp_path: Path) -> None:
    """With all that is in them, empty directories too."""
    tree = {"a": b"1", "sub/ü b": b"2", "sub/deep/c": b""}
    fill(tmp_path / "tree", tree)
    (tmp_path / "tree" / "empty").mkdir()
    await demo.storage.upload(tmp_path / "tree", "/in/")
    assert content(volume / "in" / "tree") == tree
    assert (volume / "in" / "tree" / "empty").is_dir()
    await demo.storage.download("/in/tree/", tmp_path / "back")
    assert content(tmp_path / "back") == tree
    assert (tmp_path / "back" / "empty").is_dir()


async def test_create_dir(demo: AsyncComputeUnit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a local directory must be there; with it, which is the default, it is made."""
    monkeypatch.chdir(tmp_path)
    await demo.storage.write("/a", chunks(b"1"))
    for destination in (tmp_path / "new", tmp_path / "new" / "a"):
        with pytest.raises(NotFoundError, match=r"no local directory .*new; make it"):
            await demo.storage.download("/a", destination, create_dir=False)
    assert not (tmp_path / "new").exists()
    await demo.storage.download("/a", tmp_path / "new")
    await demo.storage.download("/a", tmp_path / "new" / "a", create_dir=False)
    await demo.storage.download("/a", "a", False)
    await demo.storage.download("/a")
    assert (tmp_path / "new" / "a").read_bytes() == (tmp_path / "a").read_bytes() == b"1"


async def test_many_at_once(demo: AsyncComputeUnit, volume: Path, tmp_path: Path) -> None:
    """Pairs of names of their own, both ways."""
    fill(tmp_path / "from", {f"{number}": str(number).encode() for number in range(50)})
    pairs = [(str(tmp_path / "from" / f"{number}"), f"/to/{number}.dat") for number in range(50)]
    assert len(await demo.storage.upload_many(pairs)) == 50
    assert content(volume / "to") == {f"{number}.dat": str(number).encode() for number in range(50)}
    await demo.storage.download_many((dst, f"{tmp_path}/back/{number}") for number, (_, dst) in enumerate(pairs))
    assert content(tmp_path / "back") == content(tmp_path / "from")


async def test_write_read_stat(demo: AsyncComputeUnit, volume: Path) -> None:
    """A stream of unknown length is stored; ranges of it are read; it is told with its checksum."""
    data = os.urandom(12 * MiB)
    (written,) = await demo.storage.write("/a/b", chunks(data[: 7 * MiB], data[7 * MiB :]))
    assert content(volume) == {"a/b": data}
    ranges = [chunk async for chunk in demo.storage.read("/a/b", 3, 6 * MiB)]
    assert b"".join(ranges) == data[3 : 6 * MiB]
    found = await demo.storage.stat("/a/b")
    assert (found.size, found.checksum, found.directory) == (len(data), written.checksum, False)
    assert (await demo.storage.stat("/a")).directory
    assert (await demo.storage.stat("/")).directory
    for path in ("/none", "/a/b/", "/a/b/c"):
        assert not await demo.storage.exists(path)
    assert await demo.storage.exists("/a/")


async def test_mkdir(demo: AsyncComputeUnit, volume: Path) -> None:
    """Makes a directory and those above it; again is no error; where a file is, it is."""
    await demo.storage.mkdir("/a/b")
    await demo.storage.mkdir("/a/b/")
    await demo.storage.mkdir("/")
    assert (volume / "a" / "b").is_dir()
    assert names(volume) == ["a", "a/b"]
    await demo.storage.write("/file", chunks(b"1"))
    with pytest.raises(StorageError, match="/file"):
        await demo.storage.mkdir("/file")
    with pytest.raises(UnsafePathError):
        await demo.storage.mkdir("/../x")


async def test_delete(demo: AsyncComputeUnit, volume: Path) -> None:
    """A file, a directory with or without its slash, several; one that is not there is no error."""
    fill(volume, {f"{name}/deep/x": b"1" for name in "abcd"} | {"f": b"", "g": b"", "h": b""})
    assert await demo.storage.delete("/f") == 1
    assert await demo.storage.delete("/a") == 1
    assert await demo.storage.delete("/volume/b/") == 1
    assert await demo.storage.delete(["/g", "/c/", "/none"]) == 3
    assert await demo.storage.delete("/none") == 1
    assert content(volume) == {"d/deep/x": b"1", "h": b""}
    with pytest.raises(ConfigurationError, match="path = ''"):
        await demo.storage.delete("")
    assert await demo.storage.delete("/") == 2
    assert names(volume) == []


async def test_copy_and_move(demo: AsyncComputeUnit, volume: Path) -> None:
    """Files and directories, within the unit; a move leaves nothing behind."""
    fill(volume, {"a/x": b"1", "a/sub/y": b"2"})
    await demo.storage.copy("/a/x", "/b/z")
    await demo.storage.copy("/a", "/c")
    await demo.storage.move("/a", "/d/")
    await demo.storage.move("/volume/d/a/x", "/x")
    assert content(volume) == {"b/z": b"1", "c/x": b"1", "c/sub/y": b"2", "d/a/sub/y": b"2", "x": b"1"}
    with pytest.raises(UnsafePathError):
        await demo.storage.copy("/c", "/c/inner")


@pytest.mark.parametrize("written", ["unit:/Demo", "unit:/Demo/", "UNIT:/Demo/volume/"])
async def test_a_location_of_the_whole_unit(session: AsyncSession, volume: Path, tmp_path: Path, written: str) -> None:
    """With or without its slash it means what is on the unit."""
    fill(tmp_path / "tree", {"a": b"1", "b/c": b"2"})
    await session.copy(f"{tmp_path}/tree/", written)
    assert content(volume) == {"a": b"1", "b/c": b"2"}
    await session.copy(written, tmp_path / "back")
    assert content(tmp_path / "back") == {"a": b"1", "b/c": b"2"}
    plan = await session.sync(written, tmp_path / "back", dry_run=True)
    assert (len(plan), plan.unchanged) == (0, 2)


async def test_between_two_units(
    session: AsyncSession, compute: AsyncComputeManager, volume: Path, served: RunningUnit
) -> None:
    """From one unit to the other, compared with the checksum that the first one keeps."""
    await register(compute, "other one", served.url)
    data = os.urandom(11 * MiB)
    await (await compute.get_unit("Demo")).storage.write("/a/b", chunks(data))
    (result,) = await session.copy("unit:/Demo/a/b", "unit:/other one/c/")
    assert (result.destination, result.verified) == ("unit:/other one/c/b", True)
    await session.move("unit:/Demo/a", "unit:/other one/c/")
    assert content(served.root) == {"c/b": data, "c/a/b": data}
    assert content(volume) == {}


@pytest.mark.parametrize("location", ["unit:/", "unit://", "unit:Demo/x"])
async def test_locations_that_name_no_unit(session: AsyncSession, location: str) -> None:
    """The message says how one is written."""
    with pytest.raises(ConfigurationError, match="unit:/"):
        await session.copy(location, "x")


async def test_one_provider_a_unit(session: AsyncSession, compute: AsyncComputeManager) -> None:
    """However often and from wherever a unit is used, it is asked once what it can do."""
    one, other = await compute.get_unit("Demo"), await compute.get_unit("Demo")
    areas = await asyncio.gather(
        one.storage._find(),
        other.storage._find(),
        session._resolver.unit_area("Demo"),
        session._resolver.unit_area("Demo"),
    )
    assert len({id(area.provider) for area in areas}) == 1


async def test_a_stopped_unit(demo: AsyncComputeUnit, volume: Path, tmp_path: Path) -> None:
    """Its storage says at once that it is stopped and what to do, stores nothing, and works again once started."""
    fill(volume, {"a": b"1"})
    await demo.stop()
    (tmp_path / "x").write_bytes(b"1")
    for call in (
        demo.storage.ls(),
        demo.storage.stat("/a"),
        demo.storage.upload(tmp_path / "x", "/x"),
        demo.storage.download("/a", tmp_path / "back"),
        demo.storage.delete("/a"),
    ):
        with pytest.raises(StorageError, match=r"stopped.*start the unit") as caught:
            await call
        assert caught.value.code == "unit_stopped"
    await demo.start()
    assert content(volume) == {"a": b"1"}
    assert [item.name for item in await demo.storage.ls()] == ["a"]


async def test_a_terminated_unit(demo: AsyncComputeUnit) -> None:
    """Its storage does not answer any more."""
    await demo.storage.ls()
    await demo.terminate()
    with pytest.raises(ServiceError, match="unit_stopped"):
        await demo.storage.ls()


async def test_a_wrong_secret(compute: AsyncComputeManager, served: RunningUnit) -> None:
    """A unit that was registered with other secrets refuses; neither secret is in the message."""
    wrong = UnitSecrets.generate()
    mine = await register(compute, "mine", served.url, wrong)
    with pytest.raises(AccessDeniedError, match="secret") as caught:
        await mine.storage.ls()
    assert caught.value.status == 401
    assert wrong.rw not in str(caught.value)
    assert SECRETS.rw not in str(caught.value)


async def test_a_secret_that_only_reads(compute: AsyncComputeManager, served: RunningUnit, tmp_path: Path) -> None:
    """With the secret RO in the place of RW it lists and downloads, and everything else is refused."""
    fill(served.root, {"a": b"1"})
    mine = await register(compute, "mine", served.url, UnitSecrets(SECRETS.ro, "other" * 4))
    assert [item.name for item in await mine.storage.ls()] == ["a"]
    await mine.storage.download("/a", tmp_path)
    assert (tmp_path / "a").read_bytes() == b"1"
    for call in (
        mine.storage.upload(tmp_path / "a", "/b"),
        mine.storage.delete("/a"),
        mine.storage.mkdir("/c"),
        mine.storage.move("/a", "/d"),
        mine.storage.copy("/a", "/e"),
    ):
        with pytest.raises(StorageError, match="RW") as caught:
            await call
        assert caught.value.status == 403
    assert content(served.root) == {"a": b"1"}


async def test_a_unit_that_is_down(settings: Settings, tmp_path: Path) -> None:
    """Connection refused is a NetworkError that names the address, after as many tries as are allowed."""
    async with AsyncSession(*ACCOUNT, settings=replace(settings, max_attempts=2)) as session:
        compute = session.get_compute_manager()
        mine = await register(compute, "mine", f"http://127.0.0.1:{free_port()}")
        for call in (mine.storage.ls(), session.copy("unit:/mine/a", tmp_path / "a")):
            with pytest.raises(NetworkError, match=r"UNIT .* of /mine/.* refused"):
                await call
        assert mine.status == "READY"


async def test_a_unit_that_is_down_delays_no_other(compute: AsyncComputeManager) -> None:
    """While one is tried again and again, the others answer."""
    down = await register(compute, "down", f"http://127.0.0.1:{free_port()}")
    trying = asyncio.ensure_future(down.storage.ls())
    await asyncio.sleep(0.05)
    assert await (await compute.get_unit("Demo")).storage.ls() == []
    assert not trying.done()
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying


async def test_nothing_is_left(settings: Settings, tmp_path: Path) -> None:
    """After the session no task is left, and on the unit there is the file and no part of it."""
    before = tasks()
    (tmp_path / "large").write_bytes(bytes(11 * MiB))
    async with AsyncSession(*ACCOUNT, settings=settings) as session:
        await session.copy(tmp_path / "large", "unit:/Demo/large")
    assert tasks() == before
    volume = settings.home / "units" / "Demo"
    assert content(volume).keys() == {"large"}
