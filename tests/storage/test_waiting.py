"""Waiting until a file or a directory stops changing, and taking only what is stable, at any place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from dxflow_async import AsyncSession, AzureSettings, GCPSettings, Settings
from dxflow_async.cli.places import Place
from dxflow_async.cli.reading import follow_file
from dxflow_async.exceptions import ConfigurationError, StallTimeoutError
from dxflow_async.providers.engine.settings import EngineSettings
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.servers.engine import EngineServer
from tests.servers.ssh import SSHServer
from tests.sessions import settings_for

PLACES = ("AWS", "GCP", "AZURE", "SFTP", "UNIT", "ENGINE", "LOCAL")


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """An SSH server."""
    with SSHServer.start(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture
async def top(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[AsyncSession, str]]:
    """A session, and the location of a directory at a place."""
    settings = Settings(home=tmp_path / "home")
    account: tuple[str, ...] = ()
    location = {"LOCAL": str(tmp_path / "top"), "UNIT": "unit:/Demo/top"}.get(place, "lab:/top")
    async with EngineServer(tmp_path / "volume").serve() as engine:
        if place == "AWS":
            weed: SeaweedFS = request.getfixturevalue("weed")
            settings = settings_for(weed, tmp_path / "home")
            location = f"aws:/{request.getfixturevalue('bucket')}/top"
        elif place == "GCP":
            gcs: GCSServer = request.getfixturevalue("gcs")
            settings = replace(settings, gcp=GCPSettings(endpoint=gcs.endpoint))
            location = f"gcp:/{request.getfixturevalue('gcs_bucket')}/top"
        elif place == "AZURE":
            azurite: Azurite = request.getfixturevalue("azurite")
            azure = AzureSettings(endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key)
            settings = replace(settings, azure=azure)
            location = f"azure:/{request.getfixturevalue('container')}/top"
        elif place == "SFTP":
            server: SSHServer = request.getfixturevalue("ssh")
            area = server.root / tmp_path.name
            area.mkdir()
            settings = replace(settings, remotes={"lab": server.settings(path=str(area))})
        elif place == "UNIT":
            account = ("you@example.com", "password")
        elif place == "ENGINE":
            lab = EngineSettings(address=engine.url, key=engine.write_key(tmp_path / "key.pem"))
            settings = replace(settings, remotes={"lab": lab})
        async with AsyncSession(*account, settings=settings) as session:
            yield session, location


@pytest.mark.server
@pytest.mark.parametrize("place", PLACES)
async def test_every_place_is_waited_at(place: str, top: tuple[AsyncSession, str], tmp_path: Path) -> None:
    """A file that is replaced meanwhile is waited for again; a directory counts with everything in it."""
    session, location = top
    assert place
    (tmp_path / "one").write_bytes(b"one")
    (tmp_path / "two").write_bytes(b"two, longer")
    await session.copy(tmp_path / "one", f"{location}/run/name")
    waiting = [
        asyncio.create_task(session.wait(f"{location}/run/{name}", stable=1.0, timeout=60)) for name in ("name", "")
    ]
    await asyncio.sleep(0.4)
    replaced = monotonic()
    await session.copy(tmp_path / "two", f"{location}/run/name")
    file, directory = await asyncio.gather(*waiting)
    assert monotonic() - replaced >= 1.0
    assert (file.size, file.directory, directory.directory) == (11, False, True)
    with pytest.raises(StallTimeoutError, match="it does not exist"):
        await session.wait(f"{location}/run/never", stable=0.1, timeout=0.2)


@pytest.mark.server
@pytest.mark.parametrize("place", PLACES)
async def test_every_place_is_synced_from_once_it_is_stable(
    place: str, top: tuple[AsyncSession, str], tmp_path: Path
) -> None:
    """What changes between two listings is left to the next sync; everything else is taken."""
    session, location = top
    assert place
    for name in ("still", "grows"):
        (tmp_path / name).write_bytes(b"x")
        await session.copy(tmp_path / name, f"{location}/synced/{name}")
    target = tmp_path / "target"

    enough = asyncio.Event()

    async def grow() -> None:
        while not enough.is_set():
            with (tmp_path / "grows").open("ab") as file:
                file.write(b"x")
            await session.copy(tmp_path / "grows", f"{location}/synced/grows")
            await asyncio.sleep(0.02)

    growing = asyncio.create_task(grow())
    report = await session.sync(f"{location}/synced/", target, stable=0.5)
    assert not growing.done()
    enough.set()
    await growing  # not cancelled: the service might store what was sent later
    assert report.failed == []
    assert os.listdir(target) == ["still"]
    await session.sync(f"{location}/synced/", target, stable=0.05)
    assert sorted(os.listdir(target)) == ["grows", "still"]


@pytest.mark.server
@pytest.mark.parametrize("place", PLACES)
async def test_every_place_is_followed(
    place: str, top: tuple[AsyncSession, str], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """`tail -f` prints what is appended to a file, by its size."""
    session, location = top
    assert place
    (tmp_path / "log").write_bytes(b"one\n")
    await session.copy(tmp_path / "log", f"{location}/log")
    storage, path = await session.storage_at(f"{location}/log")
    following = asyncio.create_task(follow_file(Place(f"{location}/log", storage, path), 4, json=False))
    (tmp_path / "log").write_bytes(b"one\ntwo\n")
    await session.copy(tmp_path / "log", f"{location}/log")
    printed = b""
    async with asyncio.timeout(30):
        while not printed and not following.done():
            await asyncio.sleep(0.05)
            printed = capfdbinary.readouterr().out
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    assert printed == b"two\n"


async def write_slowly(path: Path, steps: int) -> float:
    """Makes a file grow every 50 ms; returns when it was last written."""
    for _ in range(steps):
        with path.open("ab") as file:
            file.write(b"x" * 100)
        await asyncio.sleep(0.05)
    return monotonic()


@pytest.mark.parametrize("place", ["results/run.csv", "results/", "results"])
async def test_a_file_that_grows_is_waited_for(place: str, tmp_path: Path) -> None:
    """A file, or a directory with a file in it, is returned once it has not changed for a time."""
    (tmp_path / "results").mkdir()
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        writing = asyncio.create_task(write_slowly(tmp_path / "results" / "run.csv", 12))
        await asyncio.sleep(0)
        item = await session.wait(f"{tmp_path}/{place}", stable=0.4, timeout=60)
        assert writing.done()
        assert monotonic() - await writing > 0.2
        assert item.directory == (not place.endswith(".csv"))
        assert item.directory or item.size == 1200


async def test_what_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    """A file that appears later is waited for."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        waiting = asyncio.create_task(session.wait(f"{tmp_path}/later", stable="100ms"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        (tmp_path / "later").write_bytes(b"done")
        assert (await waiting).size == 4


async def test_the_time_is_bounded(tmp_path: Path) -> None:
    """After `timeout` a StallTimeoutError says what was seen last."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(StallTimeoutError, match="it does not exist") as raised:
            await session.wait(f"{tmp_path}/never", stable=0.1, timeout=0.3)
        assert not raised.value.retryable
        writing = asyncio.create_task(write_slowly(tmp_path / "grows", 40))
        await asyncio.sleep(0.1)
        with pytest.raises(StallTimeoutError, match=r"it changed \d s ago"):
            await session.wait(f"{tmp_path}/grows", stable=5, timeout="0.5s")
        writing.cancel()


async def test_durations_are_checked(tmp_path: Path) -> None:
    """A duration that is none is refused before anything is looked at."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(ConfigurationError, match="stable"):
            await session.wait(f"{tmp_path}/name", stable="soon")
