"""A bucket that takes every name, and a session with it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import AsyncSession
from dxflow_async.concurrency.threads import Threads
from tests.security.visible_text import Everything
from tests.servers import MotoServer
from tests.sessions import settings_for


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """One server for the tests of a file: it keeps any key as it is."""
    with MotoServer.start(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def threads() -> Iterator[Threads]:
    """One disk thread."""
    threads = Threads(1)
    yield threads
    threads.close()


@pytest.fixture
def odd_bucket(moto: MotoServer) -> str:
    """A bucket there, of the test's own."""
    return moto.create_bucket(f"odd-{uuid4().hex[:12]}")


@pytest.fixture
async def session(moto: MotoServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session that works with it."""
    async with AsyncSession(settings=settings_for(moto, tmp_path / "home", max_attempts=2)) as session:
        yield session


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    """An empty directory, with a secret beside it that is to stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    path = tmp_path / "destination"
    path.mkdir()
    return path


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What is logged, by whomever, at debug level."""
    handler, root = Everything(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(before)
