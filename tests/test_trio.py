"""Under trio, which is not supported."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from dxflow_async import AsyncSession, ConfigurationError, Session, Settings
from dxflow_async.concurrency.event_loop import check_asyncio

MESSAGE = "made under trio, and AsyncSession needs asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a home of their own."""
    return Settings(home=tmp_path / "home")


def test_no_session_is_made_under_trio(settings: Settings) -> None:
    """The constructor says that asyncio is needed, before anything is opened."""

    async def main() -> None:
        async with AsyncSession(settings=settings):
            pass

    with pytest.raises(ConfigurationError, match=MESSAGE):
        trio.run(main)


async def _list(session: AsyncSession) -> Any:
    return await session.get_storage_manager().list(path="/")


async def _scan(session: AsyncSession) -> Any:
    return [item async for item in session.get_storage_manager().scan("/")]


async def _units(session: AsyncSession) -> Any:
    return await session.get_compute_manager().list()


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.copy("a", "b"),
        lambda session: session.move("a", "b"),
        lambda session: session.sync("a", "b"),
        lambda session: session.sign_in(),
        lambda session: session.jobs(),
        lambda session: session.resume("job"),
        lambda session: session.clean_jobs(),
        lambda session: session.__aenter__(),
        lambda session: session.aclose(),
        _list,
        _scan,
        _units,
    ],
)
def test_a_session_of_asyncio_is_not_used_under_trio(
    settings: Settings, call: Callable[[AsyncSession], Awaitable[Any]]
) -> None:
    """Every call on a session that was made elsewhere says the same, instead of an error of one of the loops."""
    session = AsyncSession(settings=settings)

    async def main() -> None:
        await call(session)

    with pytest.raises(ConfigurationError, match=MESSAGE):
        trio.run(main)
    asyncio.run(session.aclose())


def test_the_blocking_session_works_under_trio(settings: Settings, tmp_path: Path) -> None:
    """A blocking session has a loop of its own, whichever thread of trio calls it."""
    (tmp_path / "file").write_bytes(b"bytes")

    def copy(name: str) -> None:
        with Session("me@example.org", "correct horse", settings=settings, progress=False) as session:
            session.copy(tmp_path / "file", tmp_path / name)
            session.get_storage_manager().upload(str(tmp_path / "file"), f"/bucket/{name}")
            assert session.storage_at("aws:/bucket/")[0].exists(f"/bucket/{name}")
            assert [unit.name for unit in session.get_compute_manager().list(return_info=True)] == ["Demo"]

    async def main() -> None:
        copy("one")
        await trio.to_thread.run_sync(copy, "two")

    trio.run(main)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() == b"bytes"


async def test_asyncio_is_left_alone() -> None:
    """Trio being imported, or running in another thread, disturbs no task of asyncio."""
    check_asyncio()

    async def in_trio() -> None:
        with pytest.raises(ConfigurationError):
            check_asyncio()
        await trio.sleep(0.2)

    running = asyncio.create_task(asyncio.to_thread(trio.run, in_trio))
    await asyncio.sleep(0.05)
    assert not running.done()
    check_asyncio()
    await running
