from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import AuthenticationError, ConfigurationError, NetworkError, SessionClosedError
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import create_app
from tests.servers import SeaweedFS, free_port
from tests.sessions import settings_for, tasks

PAIR = ("you@example.com", "right password")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home of the test's own."""
    return Settings(home=tmp_path / "home")


def sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for each in Path("/proc/self/fd").iterdir():
        try:
            count += os.readlink(each).startswith("socket:")
        except FileNotFoundError:
            continue
    return count


def disk_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("dxflow")]


async def test_direct_session_needs_no_account(tmp_path: Path) -> None:
    """Without an account it works with the cloud itself: the first segment of a path is the bucket."""
    with SeaweedFS.start(tmp_path / "weed") as weed:
        weed.create_bucket("bucket-one")
        async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
            assert session.secrets is None
            storage = session.get_storage_manager()
            assert session.get_storage_manager() is storage
            assert [item.path for item in await storage.list()] == ["/bucket-one/"]
    assert not (tmp_path / "home").exists()


async def test_first_sign_in_creates_the_account(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """The embedded hub makes the account, and says so, once."""
    for expected in (1, 0):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "dxflow_async.session"):
            async with AsyncSession(*PAIR, settings=settings) as session:
                assert session.secrets is not None
        assert sum("was created" in record.message for record in caplog.records) == expected


async def test_wrong_password_is_refused_and_leaves_nothing(settings: Settings) -> None:
    """A wrong password is an AuthenticationError; the hub that was started for it is stopped again."""
    async with AsyncSession(*PAIR, settings=settings):
        pass
    before, running = sockets(), tasks()
    session = AsyncSession(PAIR[0], "wrong password", settings=settings)
    with pytest.raises(AuthenticationError, match=r"you@example\.com"):
        async with session:
            pass
    assert session.closed
    assert sockets() == before
    assert tasks() == running


async def test_signing_in_again_uses_the_same_hub(settings: Settings) -> None:
    """After a failed sign-in another try starts no second hub."""
    async with AsyncSession(*PAIR, settings=settings):
        pass
    before = sockets()
    session = AsyncSession(PAIR[0], "wrong password", settings=settings)
    for _ in range(2):
        with pytest.raises(AuthenticationError):
            await session.sign_in()
    await session.aclose()
    assert sockets() == before


async def test_secrets_stand_for_the_account(settings: Settings) -> None:
    """What one sign-in gave opens the next session; something else does not."""
    async with AsyncSession(*PAIR, settings=settings) as session:
        secrets = session.secrets
    assert secrets is not None
    async with AsyncSession(secrets=secrets, settings=settings) as session:
        assert session.secrets == secrets
    secrets["user"]["secret"] = "forged"
    with pytest.raises(AuthenticationError):
        async with AsyncSession(secrets=secrets, settings=settings):
            pass


def signed_in_at(home: Path) -> int:
    """How many sign-ins a hub has."""
    with closing(sqlite3.connect(home / "hub.sqlite3")) as database:
        (count,) = database.execute("SELECT count(*) FROM sign_ins").fetchone()
    return int(count)


async def test_a_session_ends_its_own_sign_in(settings: Settings, tmp_path: Path) -> None:
    """What a session signed in ends with it, but for secrets that were asked for, and those that it was given."""
    hub = Server(create_app(tmp_path / "elsewhere"), Listening())
    url, home = await hub.start(), tmp_path / "elsewhere"
    for where, database in ((None, settings.home), (url, home)):
        for _ in range(2):
            async with AsyncSession(*PAIR, hub=where, settings=settings):
                assert signed_in_at(database) == 1
            assert signed_in_at(database) == 0
        async with AsyncSession(*PAIR, hub=where, settings=settings) as session:
            secrets = session.secrets
        assert secrets is not None
        async with AsyncSession(secrets=secrets, hub=where, settings=settings):
            pass
        assert signed_in_at(database) == 1
    await hub.aclose()


async def test_a_hub_that_is_gone_holds_up_no_close(settings: Settings, tmp_path: Path) -> None:
    """A session closes whole though its hub cannot be told."""
    hub = Server(create_app(tmp_path / "elsewhere"), Listening())
    session = AsyncSession(*PAIR, hub=await hub.start(), settings=settings)
    await session.sign_in()
    await hub.aclose()
    async with asyncio.timeout(5):
        await session.aclose()
    assert session._resources.http.client.closed


async def test_another_account_of_the_home_has_its_own_demo(settings: Settings) -> None:
    """Whoever signs in second in one home gets neither the first one's unit nor its files."""
    units, source = [], settings.home.parent / "source"
    source.write_text("1")
    for email in ("you@example.com", "me@example.com"):
        async with AsyncSession(email, "pw", settings=settings) as session:
            unit = await session.get_compute_manager().get_unit("Demo")
            assert await unit.storage.list("/") == []
            await unit.storage.upload(source, f"/{email}")
            units.append(unit.detail)
    assert units[0].pointer != units[1].pointer
    assert units[0].rw_secret != units[1].rw_secret


async def test_hub_argument_is_used(settings: Settings, tmp_path: Path) -> None:
    """A hub that is given is signed in to; none is started here."""
    hub = Server(create_app(tmp_path / "elsewhere"), Listening())
    url = await hub.start()
    try:
        async with AsyncSession(*PAIR, hub=url, settings=settings) as session:
            assert session.secrets is not None
    finally:
        await hub.aclose()
    assert not (tmp_path / "home").exists()
    with pytest.raises(NetworkError, match="cannot be reached"):
        async with AsyncSession(*PAIR, hub=f"http://127.0.0.1:{free_port()}", settings=settings):
            pass


async def test_embedded_hub_can_be_forbidden(tmp_path: Path) -> None:
    """Without a hub, and none allowed here, the error names the settings."""
    with pytest.raises(ConfigurationError, match="DXFLOW_HUB"):
        async with AsyncSession(*PAIR, settings=Settings(home=tmp_path, embedded=False)):
            pass


@pytest.mark.parametrize("provider", ["AWS", "AZURE", "GCP"])
@pytest.mark.parametrize("storage_type", ["private", "public"])
async def test_stand_in_is_named_once(
    settings: Settings, caplog: pytest.LogCaptureFixture, provider: str, storage_type: str
) -> None:
    """Where a local directory stands in for a provider the log says which, and what would make it the real one."""
    with caplog.at_level(logging.WARNING, "dxflow_async.session"):
        async with AsyncSession(*PAIR, settings=settings) as session:
            for _ in range(3):
                assert await session.get_storage_manager().list(provider, storage_type=storage_type) == []
    said = [record.message for record in caplog.records if "is not configured" in record.message]
    assert len(said) == 1
    assert str(settings.storage_home / provider.lower() / storage_type) in said[0]
    assert ("only this machine can read" in said[0]) == (storage_type == "public")
    named = said[0].split("set ")[-1].replace(" or", ",").split(", ")
    section = getattr(settings, provider.lower())
    assert len(named) == 3
    assert all(hasattr(section, name.split(".")[-1]) for name in named)


@pytest.mark.parametrize(
    "arguments",
    [
        {"email": "you@example.com"},
        {"password": "alone"},
        {"email": "you@example.com", "password": "x", "secrets": {}},
        {"secrets": {"user": {}}},
    ],
)
def test_arguments_that_cannot_be(settings: Settings, arguments: dict[str, object]) -> None:
    """Half a pair, a pair with secrets, or secrets that are none: refused before any I/O."""
    with pytest.raises(ConfigurationError):
        AsyncSession(settings=settings, **arguments)  # type: ignore[arg-type]


async def test_closing_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    """Threads end, sockets are closed, no task is left; closing again does nothing, using it is an error."""
    threads, before, running = disk_threads(), sockets(), tasks()
    session = AsyncSession(*PAIR, settings=settings)
    (tmp_path / "file").write_bytes(b"x")
    await session.get_storage_manager().upload(tmp_path / "file", "/b/file")
    started = [thread for thread in disk_threads() if thread not in threads]
    assert started
    for _ in range(2):
        await session.aclose()
    for thread in started:
        thread.join(10)
    assert disk_threads() == threads
    assert sockets() == before
    assert tasks() == running
    with pytest.raises(SessionClosedError):
        await session.sign_in()


async def test_connections_are_closed_with_the_session(tmp_path: Path) -> None:
    """None of the pool's sockets stays open."""
    with SeaweedFS.start(tmp_path / "weed") as weed:
        weed.create_bucket("bucket-one")
        weed.client.close()
        before = sockets()
        async with AsyncSession(settings=settings_for(weed, tmp_path)) as session:
            storage = session.get_storage_manager()
            assert await storage.list(path="/bucket-one/") == []
            assert sockets() > before
        assert sockets() == before
