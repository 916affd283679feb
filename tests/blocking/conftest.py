"""Sessions with a home of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dxflow_async.blocking.portal import Portal
from dxflow_async.blocking.session import Session
from dxflow_async.blocking.storage import StorageManager


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`DXFLOW_HOME`; no other setting of ours is in the environment."""
    for name in list(os.environ):
        if name.startswith(("DXFLOW_", "AWS_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("DXFLOW_HOME", str(home))
    return home


@pytest.fixture(params=["uvloop", "asyncio"])
def on_each_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The facade uses uvloop where it is installed, and asyncio's own loop elsewhere: the test runs on both."""
    if request.param == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)


@pytest.fixture
def session(home: Path) -> Iterator[Session]:
    """A session at the embedded hub; its storage is below `home`."""
    assert home
    with Session("your@email.com", "your_password") as session:
        yield session


@pytest.fixture
def storage(session: Session) -> StorageManager:
    """The session's storage."""
    return session.get_storage_manager()


@pytest.fixture
def portal() -> Iterator[Portal]:
    """A portal, closed at the end."""
    portal = Portal()
    yield portal
    portal.close()
