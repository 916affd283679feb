"""One table of odd names at every place: each verb keeps them apart, and what a place cannot keep is a failed item."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AzureSettings, GCPSettings, Settings, TransferError, UnsafePathError
from dxflow_async.models import TransferReport
from dxflow_async.storage.area_storage import AsyncAreaStorage
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.providers.http_source.file_server import FileServer
from tests.servers import Azurite, GCSServer
from tests.servers.ssh import SSHServer
from tests.storage.odd_file_names import KEPT_EVERYWHERE, NOT_IN_XML, REFUSED_AT_AZURE, UNENCODABLE

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_factories=["asyncio"])]

PLACES = ("AWS", "GCP", "AZURE", "SFTP", "UNIT", "LOCAL")


@dataclass
class World:
    """A session that reaches every place, and a tree of files with odd names."""

    session: AsyncSession
    tops: dict[str, str]
    tree: Path
    s3: S3Server


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """An SSH server."""
    with SSHServer.start(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture
async def world(
    azurite: Azurite,
    container: str,
    gcs: GCSServer,
    gcs_bucket: str,
    ssh: SSHServer,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> AsyncIterator[World]:
    """Every place, with the tree."""
    tree = tmp_path / "tree"
    place = request.node.callspec.params.get("place") if hasattr(request.node, "callspec") else None
    write_tree(tree, [] if place == "AZURE" else NOT_IN_XML)
    area = ssh.root / tmp_path.name
    area.mkdir()
    tops = {
        "AWS": "aws:/bucket/top",
        "GCP": f"gcp:/{gcs_bucket}/top",
        "AZURE": f"azure:/{container}/top",
        "SFTP": "lab:/top",
        "UNIT": "unit:/Demo/top",
        "LOCAL": str(tmp_path / "top"),
    }
    async with S3Server() as s3:
        settings = Settings(
            home=tmp_path / "home",
            aws=aws_settings(s3),
            azure=AzureSettings(endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key),
            gcp=GCPSettings(endpoint=gcs.endpoint),
            max_bandwidth=1 << 20 if "killed" in request.node.name else None,
        )
        lab = {"lab": ssh.settings(path=str(area))}
        async with AsyncSession("me@example.com", "correct horse", settings=settings, remotes=lab) as session:
            yield World(session, tops, tree, s3)


def write_tree(tree: Path, more: list[str]) -> None:
    """Writes a file of each name, whose content tells the name."""
    for name in (*map(os.fsencode, (*KEPT_EVERYWHERE, *REFUSED_AT_AZURE, *more)), *UNENCODABLE):
        path = os.path.join(os.fsencode(tree), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"bytes of " + name)


def content_of(directory: str | Path) -> dict[bytes, bytes]:
    """The files below a directory and their bytes."""
    top, found = os.fsencode(directory), {}
    for where, _, names in os.walk(top):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, top)] = file.read()
    return found


async def transfer(call: object) -> TransferReport:
    """Returns the report of a call, whose failed items are all names that the place cannot keep."""
    try:
        report = await call  # type: ignore[misc]
    except TransferError as error:
        for result in error.report.failed:
            assert isinstance(result.error, UnsafePathError), result
            assert "rename it" in str(result.error)
        return error.report
    assert isinstance(report, TransferReport)
    return report


def kept_at(place: str) -> set[bytes]:
    """The names that a place keeps."""
    names = {os.fsencode(name) for name in (*KEPT_EVERYWHERE, *REFUSED_AT_AZURE)} | set(UNENCODABLE)
    if place == "AZURE":
        names -= set(map(os.fsencode, REFUSED_AT_AZURE))
    else:
        names |= set(map(os.fsencode, NOT_IN_XML))
    if place not in ("SFTP", "LOCAL"):
        names -= set(UNENCODABLE)
    return names


@pytest.mark.parametrize("place", PLACES)
async def test_round_trip(world: World, place: str, tmp_path: Path) -> None:
    """What is uploaded comes back byte for byte under the same names, and a sync finds nothing to do."""
    top, session, kept = world.tops[place], world.session, kept_at(place)
    expected = {name: b"bytes of " + name for name in kept}
    report = await transfer(session.copy(f"{world.tree}/", f"{top}/first/"))
    assert len(report) - len(report.failed) == len(kept)
    assert len(report.failed) == len(content_of(world.tree)) - len(kept)
    await session.copy(f"{top}/first/", f"{top}/second/")
    await session.copy(f"{top}/second/", f"{tmp_path}/back/")
    assert content_of(tmp_path / "back") == expected
    again = await transfer(session.sync(str(world.tree), f"{top}/first"))
    assert [result.source for result in again if result.error is None] == []
    assert [result for result in await session.sync(f"{top}/first", str(tmp_path / "back")) if result.bytes] == []


@pytest.mark.parametrize("place", ["AWS", "GCP", "AZURE", "SFTP", "UNIT"])
async def test_listed_looked_up_presigned_and_deleted(world: World, place: str) -> None:
    """Each name is listed, found by `stat`, read, presigned where that exists, and deleted alone."""
    session, top = world.session, world.tops[place]
    await transfer(session.copy(f"{world.tree}/", f"{top}/"))
    remote, _, path = top.partition(":")
    area, path = await area_of(session, remote, path)
    listed = {os.fsencode(item.path[len(path) + 1 :]): item async for item in area.scan(f"{path}/")}
    assert set(listed) == kept_at(place)
    for name, item in listed.items():
        expected = b"bytes of " + name
        assert item.size == len(expected)
        assert (await area.stat(item.path)).size == len(expected)
        assert b"".join([chunk async for chunk in area.read(item.path)]) == expected
        if place == "AWS":
            url = await area.presign(item.path)
            assert await asyncio.to_thread(_fetch, url) == expected
    last = max(listed)
    for name in sorted(listed)[:-1]:
        await area.delete(listed[name].path)
    assert [item.path async for item in area.scan(f"{path}/") if not item.directory] == [listed[last].path]


@pytest.mark.parametrize("place", PLACES)
async def test_from_a_web_server(world: World, place: str, tmp_path: Path) -> None:
    """A URL that ends in an escaped name gives the file that name, which is kept or refused as from a disk."""
    session, top = world.session, world.tops[place]
    names = [name for name in content_of(world.tree) if b"/" not in name]
    async with FileServer() as server:
        for name in names:
            server.put(f"/top/{os.fsdecode(name)}", b"bytes of " + name)
        for name in names:
            url = server.url_of(f"/top/{os.fsdecode(name)}")
            report = await transfer(session.copy(url, f"{top}/"))
            assert [bool(result.error) for result in report] == [name not in kept_at(place)], name
    await session.copy(f"{top}/", f"{tmp_path}/back/")
    expected = {name: b"bytes of " + name for name in kept_at(place) if b"/" not in name}
    assert content_of(tmp_path / "back") == expected


@pytest.mark.parametrize("place", PLACES[:-1])
async def test_killed_and_resumed(world: World, place: str, tmp_path: Path) -> None:
    """A copy whose process was killed is resumed from its journal, and ends with every name in its place.

    A copy of the journal, taken while the call runs, is what the disk has after a kill.
    """
    session, top = world.session, world.tops[place]
    (world.tree / "~large").write_bytes(bytes(1 << 20))
    jobs = tmp_path / "home/jobs"
    running = asyncio.ensure_future(transfer(session.copy(f"{world.tree}/", f"{top}/")))
    while not (found := list(jobs.glob("*.sqlite3")) if jobs.exists() else []):
        assert not running.done()
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    with closing(sqlite3.connect(found[0])) as journal, closing(sqlite3.connect(tmp_path / "killed")) as copy:
        journal.backup(copy)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for file in jobs.iterdir():
        file.unlink()
    os.rename(tmp_path / "killed", found[0])
    assert len(await transfer(session.resume(found[0].stem))) > 0
    (world.tree / "~large").unlink()
    await session.delete(f"{top}/~large")
    await session.copy(f"{top}/", f"{tmp_path}/back/")
    assert content_of(tmp_path / "back") == {name: b"bytes of " + name for name in kept_at(place)}


LONG_KEYS = [
    "k" * 1024,
    "/".join(["d" * 199] * 5 + ["e" * 24]),
    "\u00e9" * 512,
    "/".join(["%20" * 66] * 5 + ["+" * 29]),
]
"""Keys of 1,024 bytes, the most that object storage keeps."""


async def test_keys_of_1024_bytes(world: World, tmp_path: Path) -> None:
    """They are listed, looked up, read, copied between services, synced, moved and deleted; a disk refuses some."""
    session, storage = world.session, world.session.get_storage_manager()
    for key in LONG_KEYS:
        assert len(key.encode()) == 1024
        world.s3.store(key, key[:5].encode())
    google = world.tops["GCP"].removesuffix("/top")
    assert (await session.copy("aws:/bucket/", f"{google}/")).ok
    assert len(await session.sync("aws:/bucket", google)) == 0
    listed = {
        item.path.partition("/")[2].partition("/")[2]: item async for item in storage.scan("GCP", f"{google[4:]}/")
    }
    assert set(listed) == set(LONG_KEYS)
    for key, item in listed.items():
        assert (await storage.stat(item.path, provider="GCP")).size == item.size
        assert b"".join([chunk async for chunk in storage.read(item.path, provider="GCP")]) == key[:5].encode()
    azure = world.tops["AZURE"].removesuffix("/top")
    assert (await session.move(f"{google}/", f"{azure}/")).ok
    assert [item async for item in storage.scan("GCP", f"{google[4:]}/")] == []
    with pytest.raises(TransferError) as refused:
        await session.copy(f"{azure}/", f"{tmp_path}/disk/")
    for result in refused.value.report.failed:
        assert isinstance(result.error, UnsafePathError)
        assert result.source.partition("/")[2].partition("/")[2] in (LONG_KEYS[0], LONG_KEYS[2])
    assert set(content_of(tmp_path / "disk")) == {os.fsencode(LONG_KEYS[1]), os.fsencode(LONG_KEYS[3])}
    await storage.delete("/bucket/", provider="AWS")
    assert world.s3.objects() == {}


async def area_of(session: AsyncSession, remote: str, path: str) -> tuple[AsyncAreaStorage, str]:
    """The storage of a remote or a unit, and the path in it."""
    if remote == "unit":
        unit, _, rest = path.lstrip("/").partition("/")
        return (await session.get_compute_manager().get_unit(unit)).storage, f"/{rest}"
    return session.get_storage_manager().at(remote), path


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as response:
        data: bytes = response.read()
    return data


KEYS_ONLY = ["dir/", "dir/inner/", "both", "both/below", "deep/er", "deep/er/", "slash//slash", "dot/./dot", "a/../b"]
"""Keys of non-empty objects, which object storage keeps and disks cannot hold side by side."""


async def test_keys_that_only_object_storage_has(world: World) -> None:
    """They are copied from S3 to Google and back, synced, moved and deleted, and none is lost or skipped."""
    session, there = world.session, f"{world.tops['GCP']}/keys"
    storage = session.get_storage_manager()
    for key in KEYS_ONLY:
        world.s3.store(f"keys/{key}", key.encode())
    stored = {f"keys/{key}": key.encode() for key in KEYS_ONLY}
    assert {item.path: item.size async for item in storage.scan("AWS", "/bucket/keys/")} == {
        f"/bucket/keys/{key}": len(key) for key in KEYS_ONLY
    }
    assert (await session.copy("aws:/bucket/keys/", f"{there}/")).ok
    assert (await session.copy(f"{there}/", "aws:/bucket/back/")).ok
    stored |= {f"back/{key}": key.encode() for key in KEYS_ONLY}
    assert world.s3.objects() == stored
    assert len(await session.sync("aws:/bucket/keys", there)) == 0
    await session.move("aws:/bucket/back/", "aws:/bucket/moved/")
    assert {key for key in world.s3.objects() if not key.startswith("keys/")} == {f"moved/{key}" for key in KEYS_ONLY}
    await storage.delete("/bucket/moved/dir/inner/")
    await storage.delete("/bucket/moved/")
    assert set(world.s3.objects()) == {f"keys/{key}" for key in KEYS_ONLY}


async def test_keys_that_a_disk_cannot_hold(world: World, tmp_path: Path) -> None:
    """Towards a disk each such key is a failed item with its reason; the others arrive, and a move keeps the failed."""
    session = world.session
    for key in KEYS_ONLY:
        world.s3.store(f"keys/{key}", key.encode())
    with pytest.raises(TransferError) as failed:
        await session.move("aws:/bucket/keys/", f"{tmp_path}/disk/")
    report = failed.value.report
    lost = {result.source.partition("keys/")[2] for result in report.failed}
    assert {"dir/", "dir/inner/", "deep/er/", "slash//slash", "dot/./dot", "a/../b"} <= lost
    assert len(lost & {"both", "both/below"}) == 1
    assert set(world.s3.objects()) == {f"keys/{key}" for key in lost}
    arrived = {os.fsdecode(name): data for name, data in content_of(tmp_path / "disk").items()}
    assert arrived == {key: key.encode() for key in KEYS_ONLY if key not in lost}
