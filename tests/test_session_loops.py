"""A session in other event loops and threads than its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from dxflow_async import AsyncSession, Session, SessionClosedError, SessionLoopError, Settings
from tests.event_loops import LOOPS
from tests.one_bucket_server import CONTENT, OneBucketServer

MESSAGE = "belongs to another event loop: make one AsyncSession in each loop"

Call = Callable[[AsyncSession], Awaitable[Any]]


@pytest.fixture
def server() -> Iterator[OneBucketServer]:
    """A small service."""
    with OneBucketServer() as server:
        yield server


@pytest.fixture
def settings(server: OneBucketServer, tmp_path: Path) -> Settings:
    """Settings that lead to the service."""
    return Settings(home=tmp_path / "home", gcp=server.settings)


async def _use(session: AsyncSession) -> None:
    storage = session.get_storage_manager()
    assert [item.name for item in await storage.list("GCP", "/bucket-one/")] == ["x0", "x1", "x2"]
    assert b"".join([chunk async for chunk in storage.read("/bucket-one/x0", provider="GCP")]) == CONTENT


async def _pairs() -> AsyncIterator[tuple[str, str]]:
    yield "a", "/bucket-one/a"


async def _scan(session: AsyncSession) -> None:
    async for _ in session._storage.scan("GCP", "/bucket-one/"):
        pass


async def _read(session: AsyncSession) -> None:
    async for _ in session._storage.read("/bucket-one/a", provider="GCP"):
        pass


async def _in_context(session: AsyncSession) -> None:
    async with session:
        pass


CALLS: dict[str, Call] = {
    "enter": _in_context,
    "sign_in": lambda session: session.sign_in(),
    "copy": lambda session: session.copy("a", "b"),
    "move": lambda session: session.move("a", "b"),
    "sync": lambda session: session.sync("a", "b"),
    "dry_run": lambda session: session.sync("a", "b", dry_run=True),
    "storage_at": lambda session: session.storage_at("gcp:/bucket-one/x"),
    "jobs": lambda session: session.jobs(),
    "resume": lambda session: session.resume("0123abcd"),
    "clean_jobs": lambda session: session.clean_jobs(),
    "provider_settings": lambda session: session.provider_settings(),
    "list": lambda session: session._storage.list("GCP", "/bucket-one/"),
    "scan": _scan,
    "stat": lambda session: session._storage.stat("/bucket-one/x", "GCP"),
    "exists": lambda session: session._storage.exists("/bucket-one/x", "GCP"),
    "update_path_items": lambda session: session._storage.update_path_items("/bucket-one/", provider="GCP"),
    "update_all": lambda session: session._storage.update_all("GCP", "/bucket-one/"),
    "upload": lambda session: session._storage.upload("a", "/bucket-one/a", "GCP"),
    "download": lambda session: session._storage.download("/bucket-one/a", "a", "GCP"),
    "upload_many": lambda session: session._storage.upload_many(_pairs(), "GCP"),
    "download_many": lambda session: session._storage.download_many([("/bucket-one/a", "a")], "GCP"),
    "write": lambda session: session._storage.write("/bucket-one/a", _bytes(), "GCP"),
    "read": _read,
    "delete": lambda session: session._storage.delete("/bucket-one/a", "GCP"),
    "presign": lambda session: session._storage.presign("/bucket-one/a", provider="GCP"),
    "units": lambda session: session._compute.list(),
    "unit": lambda session: session._compute.get_unit("Demo"),
}


async def _error_of(call: Awaitable[Any]) -> str:
    try:
        async with asyncio.timeout(5):
            await call
    except SessionLoopError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - looked at by the test
        return repr(error)
    return "none"


async def _bytes() -> AsyncIterator[bytes]:
    yield b"bytes"


@pytest.mark.parametrize("loop", LOOPS)
def test_every_call_in_a_second_loop_says_what_to_do(settings: Settings, loop: str) -> None:
    """A session belongs to the loop of its first call; each call in a later one raises the same error at once."""
    session = AsyncSession(settings=settings)  # before any loop
    storage = session.get_storage_manager()
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_use(session))

    async def errors() -> dict[str, str]:
        return {name: await _error_of(call(session)) for name, call in CALLS.items()}

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        told = runner.run(errors())
    assert {name: error for name, error in told.items() if MESSAGE not in error} == {}

    async def obtained() -> None:
        for get in (session.get_storage_manager, session.get_compute_manager):
            with pytest.raises(SessionLoopError, match=MESSAGE):
                get()
        with pytest.raises(SessionClosedError):
            await storage.at("gcp").list("/bucket-one/")

    asyncio.run(obtained())
    asyncio.run(session.aclose())
    assert session.closed


# uvloop itself does not end while a connection of aiohttp's is open, so that one cannot be tried.
@pytest.mark.parametrize(
    ("loop", "transport"), [("asyncio", "fast"), ("asyncio", "aiohttp"), ("debug", "aiohttp"), ("uvloop", "fast")]
)
def test_closing_after_the_loop_has_ended_closes_the_connections(
    server: OneBucketServer, settings: Settings, loop: str, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """`aclose` in a later loop closes sockets and threads, and asyncio has nothing to say about it."""
    before = _disk_threads()
    session = AsyncSession(settings=replace(settings, transport=transport))
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_use(session))
    asyncio.run(session.aclose())
    asyncio.run(session.aclose())
    assert server.wait_until_closed() == 0
    deadline = monotonic() + 5
    while _disk_threads() - before and monotonic() < deadline:
        sleep(0.01)
    assert not _disk_threads() - before
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def _disk_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("dxflow-disk")}


def test_closing_from_another_thread_closes_in_the_sessions_own_loop(
    server: OneBucketServer, settings: Settings
) -> None:
    """While the session's loop runs elsewhere, it is that loop which closes the session."""
    session, ready, end = AsyncSession(settings=settings), threading.Event(), threading.Event()

    async def home() -> None:
        await _use(session)
        ready.set()
        await asyncio.to_thread(end.wait)
        assert session._resources.http.client.open_connections == 0

    thread = threading.Thread(target=asyncio.run, args=(home(),))
    thread.start()
    ready.wait()
    with pytest.raises(SessionLoopError):
        asyncio.run(_use(session))
    asyncio.run(session.aclose())
    assert server.wait_until_closed() == 0
    end.set()
    thread.join()


def test_closing_an_account_after_the_loop_has_ended(settings: Settings) -> None:
    """The embedded hub does not listen any more, and nothing hangs."""
    session = AsyncSession("me@example.org", "correct horse", settings=settings)
    asyncio.run(session.sign_in())
    asyncio.run(asyncio.wait_for(session.aclose(), 15))
    hub = session._account._embedded
    assert hub is not None
    for host, port in hub.addresses:

        async def connect(host: str = host, port: int = port) -> None:
            await asyncio.open_connection(host, port)

        with pytest.raises(ConnectionRefusedError):
            asyncio.run(connect())


def test_an_iterator_that_moves_to_another_loop(server: OneBucketServer, settings: Settings) -> None:
    """The rest of a read that began in one loop cannot be read in another one."""
    session = AsyncSession(settings=settings)
    chunks = session.get_storage_manager().read("/bucket-one/x0", provider="GCP")

    async def first() -> bytes:
        return await anext(chunks)

    loop = asyncio.new_event_loop()
    assert CONTENT.startswith(loop.run_until_complete(first()))
    for call in (first, chunks.aclose):
        with pytest.raises(SessionLoopError, match=MESSAGE):
            asyncio.run(call())
    loop.run_until_complete(chunks.aclose())
    loop.run_until_complete(session.aclose())
    loop.close()
    assert server.wait_until_closed() == 0


def test_one_blocking_session_serves_many_threads(settings: Settings) -> None:
    """A blocking session owns its loop: any number of threads call it at once, also one whose loop runs."""
    errors: list[BaseException] = []
    with Session(settings=settings, progress=False) as session:
        storage = session.get_storage_manager()

        def work() -> None:
            try:
                for _ in range(3):
                    assert b"".join(storage.read("/bucket-one/x0", provider="GCP")) == CONTENT
                    assert len(list(storage.scan("GCP", "/bucket-one/"))) == 3
            except BaseException as error:  # noqa: BLE001 - looked at below
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        async def inside() -> None:
            work()

        asyncio.run(inside())
        asyncio.run(inside())
    assert errors == []
