"""Pipes, sockets, devices and links, as what was named and in the way of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import NotFoundError, StorageError, TransferError, UnsafePathError, UnsupportedError
from dxflow_async.models import TransferReport
from tests.servers import SeaweedFS
from tests.sessions import part_files, settings_for
from tests.storage.tested_accounts import Account

SPECIAL = ["pipe", "socket", "link to a pipe", "link to a device"]


def make_special(kind: str, path: Path) -> None:
    """Something that is neither a file nor a directory, nor a link to one."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "link to a pipe":
        os.mkfifo(path.with_name(f"{path.name}-pipe"))
        path.symlink_to(f"{path.name}-pipe")
    elif kind == "link to a device":
        path.symlink_to("/dev/null")
    elif kind == "link to an open file":
        path.symlink_to("/proc/self/fd/1")
    elif kind == "link to nothing":
        path.symlink_to("nowhere")
    elif kind == "link into a loop":
        path.symlink_to(path.name)
    else:
        raise AssertionError(kind)


def tree_below(top: Path) -> dict[str, str]:
    """What there is, links not followed: their target, a file's text, or what else it is."""
    found = {}
    for directory, below, files in os.walk(top):
        for name in [*files, *(each for each in below if os.path.islink(os.path.join(directory, each)))]:
            path = Path(directory) / name
            mode = path.lstat().st_mode
            text = f"-> {path.readlink()}" if stat.S_ISLNK(mode) else stat.filemode(mode)[0]
            found[str(path.relative_to(top))] = path.read_text() if stat.S_ISREG(mode) else text
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty directory."""
    path = tmp_path / "place"
    path.mkdir()
    return path


@pytest.fixture
async def session(tmp_path: Path) -> AsyncSession:
    """A session for places on this machine."""
    return AsyncSession(settings=Settings(home=tmp_path / "home"))


# As sources


@pytest.mark.parametrize("kind", ["pipe", "link to a device"])
@pytest.mark.parametrize("move", [False, True])
async def test_a_named_special_file_is_a_failure(
    cloud: Account, place: Path, weed: SeaweedFS, tmp_path: Path, kind: str, *, move: bool
) -> None:
    """Nothing is stored, and nothing is called a success; the source stays."""
    make_special(kind, place / "special")
    before = tree_below(place)
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        goal = f"aws:{cloud / 'special'}"
        with pytest.raises(UnsupportedError, match="not a regular file"):
            await (session.move if move else session.copy)(str(place / "special"), goal)
    assert not await cloud.storage.exists(cloud / "special")
    assert tree_below(place) == before


@pytest.mark.parametrize("kind", SPECIAL)
async def test_a_named_special_file_is_not_uploaded(cloud: Account, place: Path, kind: str) -> None:
    """By upload and upload_many; with a pattern, what else matches is."""
    make_special(kind, place / "special")
    (place / "fine").write_text("fine")
    with pytest.raises(UnsupportedError, match="not a regular file"):
        await cloud.storage.upload(place / "special", cloud / "special")
    with pytest.raises(TransferError, match="not a regular file"):
        await cloud.storage.upload_many([(str(place / "special"), cloud / "special")])
    with pytest.raises(TransferError, match="not a regular file"):
        await cloud.storage.upload(f"{place}/[fs]*[el]", cloud / "dir/")
    assert [item.path async for item in cloud.storage.scan(path=cloud / "")] == [cloud / "dir/fine"]


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe"])
async def test_a_special_file_is_moved_by_a_rename_only(
    session: AsyncSession, place: Path, other_disk: Path, kind: str
) -> None:
    """On its own disk it gets another name; to another disk it cannot go, and stays."""
    make_special(kind, place / "special")
    kept = tree_below(place)["special"]
    await session.move(str(place / "special"), str(place / "moved"))
    assert tree_below(place)["moved"] == kept
    with pytest.raises(UnsupportedError, match="not a regular file"):
        await session.move(str(place / "moved"), str(other_disk / "moved"))
    assert tree_below(place)["moved"] == kept
    assert tree_below(other_disk) == {}
    await session.aclose()


@pytest.mark.parametrize("kind", ["pipe", "link to nothing"])
async def test_a_special_file_is_no_directory_to_sync(session: AsyncSession, place: Path, kind: str) -> None:
    """A sync from it, or to it, is an error, and it stays."""
    make_special(kind, place / "special")
    (place / "real").mkdir()
    (place / "real" / "file").write_text("1")
    before = tree_below(place)
    with pytest.raises(NotFoundError):
        await session.sync(str(place / "special"), str(place / "to"))
    with pytest.raises(StorageError):
        await session.sync(str(place / "real"), str(place / "special"))
    assert tree_below(place) == before
    await session.aclose()


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="there is no /proc")
async def test_a_file_that_hides_its_size_is_never_stored_empty(cloud: Account, place: Path) -> None:
    """A file of /proc says that it has no bytes, and has some: it fails; one that is empty is stored."""
    (place / "empty").touch()
    (place / "link").symlink_to("/proc/self/status")
    for name in ("/proc/self/status", str(place / "link")):
        with pytest.raises(StorageError, match="its size is not known"):
            await cloud.storage.upload(name, cloud / "stored")
        with pytest.raises(StorageError, match="its size is not known"):
            await cloud.storage.upload_many([(name, cloud / "stored")])
    with pytest.raises(TransferError, match="its size is not known") as raised:
        await cloud.storage.upload(f"{place}/", cloud / "tree/")
    assert len(raised.value.report.failed) == 1
    assert [item.path async for item in cloud.storage.scan(path=cloud / "")] == [cloud / "tree/empty"]


# As destinations


REFUSED = [*SPECIAL, "link to an open file", "link to nothing", "link into a loop"]


@pytest.mark.parametrize("kind", ["pipe", "link to a device", "link to nothing"])
@pytest.mark.parametrize("verb", ["copy", "move", "download", "download_many"])
async def test_a_named_special_file_is_not_replaced(
    cloud: Account, place: Path, weed: SeaweedFS, tmp_path: Path, kind: str, verb: str
) -> None:
    """It is refused before anything is done, and both ends stay as they are."""
    bucket, _, prefix = cloud.bucket.partition("/")
    weed.client.put_object(Bucket=bucket, Key=f"{prefix}/special", Body=b"new")
    make_special(kind, place / "special")
    before = tree_below(place)
    source, goal = cloud / "special", str(place / "special")
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        storage = session.get_storage_manager()
        calls: dict[str, Callable[[], Awaitable[TransferReport]]] = {
            "copy": lambda: session.copy(f"aws:{source}", goal),
            "move": lambda: session.move(f"aws:{source}", goal),
            "download": lambda: storage.download(source, goal),
            "download_many": lambda: storage.download_many([(source, goal)]),
        }
        with pytest.raises(StorageError) as raised:
            await calls[verb]()
    error = raised.value.report[0].error if isinstance(raised.value, TransferError) else raised.value
    assert isinstance(error, UnsafePathError)
    assert str(place / "special") in str(error)
    assert tree_below(place) == before
    assert await cloud.storage.exists(cloud / "special")
    assert part_files(place) == []


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("move", [False, True])
async def test_a_named_special_file_is_not_replaced_from_this_machine(
    session: AsyncSession, place: Path, kind: str, *, move: bool
) -> None:
    """Not by a copy, and not by a rename either."""
    (place / "file").write_text("new")
    make_special(kind, place / "special")
    before = tree_below(place)
    with pytest.raises(UnsafePathError, match=r"refused: it is|cannot be followed"):
        await (session.move if move else session.copy)(str(place / "file"), str(place / "special"))
    assert tree_below(place) == before
    await session.aclose()


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("size", [3, 11 << 20])
async def test_what_a_named_link_leads_to_is_replaced(
    cloud: Account, place: Path, weed: SeaweedFS, tmp_path: Path, size: int, *, move: bool
) -> None:
    """The link stays; large or small, copied or renamed, from this machine or from a cloud, over several links."""
    (place / "deep").mkdir()
    (place / "deep" / "target").write_text("old")
    (place / "link").symlink_to("second")
    (place / "second").symlink_to("deep/target")
    bucket, _, prefix = cloud.bucket.partition("/")
    weed.client.put_object(Bucket=bucket, Key=f"{prefix}/link", Body=b"a" * size)
    (place / "file").write_text("b" * size)
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        for source, letter in [(str(place / "file"), "b"), (f"aws:{cloud / 'link'}", "a")]:
            (result,) = await (session.move if move else session.copy)(source, str(place / "link"))
            assert result.destination == str(place / "link")
            assert (place / "link").readlink() == Path("second")
            assert (place / "second").readlink() == Path("deep/target")
            assert (place / "deep" / "target").read_text() == letter * size
    assert part_files(place) == []


async def test_a_download_to_a_link_replaces_what_it_leads_to(cloud: Account, place: Path, weed: SeaweedFS) -> None:
    """Where the object's own name is a link there; in a directory that was named, the link is in the way."""
    bucket, _, prefix = cloud.bucket.partition("/")
    weed.client.put_object(Bucket=bucket, Key=f"{prefix}/name", Body=b"new")
    (place / "target").write_text("old")
    (place / "name").symlink_to("target")
    with pytest.raises(TransferError, match="a symbolic link has that name"):
        await cloud.storage.download(cloud / "name", f"{place}/")
    assert tree_below(place) == {"target": "old", "name": "-> target"}
    await cloud.storage.download(cloud / "name", place / "name")
    assert tree_below(place) == {"target": "new", "name": "-> target"}


async def test_a_link_to_the_source_is_the_source(session: AsyncSession, place: Path) -> None:
    """What would replace itself is refused."""
    (place / "file").write_text("1")
    (place / "link").symlink_to("file")
    for call in (session.copy, session.move):
        with pytest.raises(UnsafePathError, match="the destination is the source"):
            await call(str(place / "file"), str(place / "link"))
    assert tree_below(place) == {"file": "1", "link": "-> file"}
    await session.aclose()


async def failed_items(call: Awaitable[TransferReport]) -> tuple[TransferReport, dict[str, type]]:
    """The report of a transfer that fails, and what its items fail of."""
    with pytest.raises(TransferError, match="and is not replaced") as raised:
        await call
    report = raised.value.report
    return report, {os.path.basename(result.destination): type(result.error) for result in report.failed}


@pytest.mark.parametrize("verb", ["copy", "move", "sync", "copy from a cloud", "move from a cloud", "download"])
async def test_in_a_tree_what_is_in_the_way_stays(
    cloud: Account, place: Path, weed: SeaweedFS, tmp_path: Path, verb: str
) -> None:
    """Links, pipes and sockets are failed items that say so; all else arrives, and no source of them goes."""
    source, goal, outside = place / "from", place / "to", place / "outside"
    for path in (source, goal, outside):
        path.mkdir()
    (outside / "precious").write_text("precious")
    names = ["fine", "link", "pipe", "socket"]
    for name in names:
        (source / name).write_text("new")
    await cloud.storage.upload(f"{source}/", cloud / "from/")
    (goal / "link").symlink_to("../outside/precious")
    os.mkfifo(goal / "pipe")
    make_special("socket", goal / "socket")
    async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
        start = f"aws:{cloud / 'from/'}" if "cloud" in verb else f"{source}/"
        if verb == "download":
            call = cloud.storage.download(cloud / "from/", goal)
        elif verb == "sync":
            call = session.sync(start, str(goal))
        else:
            call = (session.move if verb.startswith("move") else session.copy)(start, f"{goal}/")
        report, failed = await failed_items(call)
    assert failed == dict.fromkeys(("link", "pipe", "socket"), UnsafePathError)
    assert len(report) == 4
    assert tree_below(goal) == {"fine": "new", "link": "-> ../outside/precious", "pipe": "p", "socket": "s"}
    assert tree_below(outside) == {"precious": "precious"}
    left = ["link", "pipe", "socket"]
    assert sorted(tree_below(source)) == (left if verb == "move" else names)
    stored = [item.name async for item in cloud.storage.scan(path=cloud / "from/")]
    assert stored == (left if verb == "move from a cloud" else names)
    assert part_files(place) == []


async def test_a_resumed_job_leaves_what_is_in_the_way(session: AsyncSession, place: Path) -> None:
    """It fails again as long as that is there, and goes on when it is gone."""
    (place / "from").mkdir()
    (place / "to").mkdir()
    for name in ("a", "b"):
        (place / "from" / name).write_text(name)
    (place / "to" / "b").symlink_to("../from/a")
    _, failed = await failed_items(session.copy(f"{place}/from/", f"{place}/to/"))
    assert failed == {"b": UnsafePathError}
    (job,) = await session.jobs()
    await failed_items(session.resume(job.id))
    assert tree_below(place / "to") == {"a": "a", "b": "-> ../from/a"}
    (place / "to" / "b").unlink()
    await session.resume(job.id)
    assert tree_below(place / "to") == {"a": "a", "b": "b"}
    await session.aclose()
