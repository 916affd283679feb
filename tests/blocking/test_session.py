"""The blocking session."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dxflow_async.blocking.session import Session
from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import AuthenticationError, ConfigurationError, SessionClosedError
from dxflow_async.models import Progress

pytestmark = pytest.mark.usefixtures("on_each_loop")


def _portal_threads() -> int:
    return sum(thread.name == "dxflow-portal" for thread in threading.enumerate())


def test_a_wrong_password_raises_where_the_session_is_made(session: Session) -> None:
    """Signing in is part of the construction, and a failed one leaves no thread."""
    assert session.secrets
    before = _portal_threads()
    with pytest.raises(AuthenticationError):
        Session("your@email.com", "another_password")
    assert _portal_threads() == before


def test_arguments_that_cannot_be_raise_where_the_session_is_made(home: Path) -> None:
    """A ConfigurationError of the twin passes through, and leaves no thread."""
    assert home
    before = _portal_threads()
    with pytest.raises(ConfigurationError, match="password"):
        Session("your@email.com")
    assert _portal_threads() == before


def test_with_closes_the_session(home: Path) -> None:
    """At the end of the block it is closed, its thread has ended, and its managers know."""
    assert home
    with Session("your@email.com", "your_password") as session:
        storage = session.get_storage_manager()
        assert not session.closed
    assert session.closed
    for call in (session.get_storage_manager, storage.list, lambda: storage.stat("/a")):
        with pytest.raises(SessionClosedError):
            call()
    session.close()


def test_it_works_without_with(home: Path) -> None:
    """Made, used and closed by calls."""
    session = Session("your@email.com", "your_password", settings=Settings(home=home))
    assert session.settings.home == home
    assert session.get_storage_manager().list(return_info=True) == []
    session.close()


def test_secrets_open_another_session(session: Session, home: Path) -> None:
    """What one session's sign-in gave signs in the next one."""
    assert home
    with Session(secrets=session.secrets) as another:
        assert another.secrets == session.secrets


def test_a_manager_keeps_its_session_open(home: Path) -> None:
    """A session that only its manager holds works; when both are dropped it closes itself."""
    assert home
    storage = Session("your@email.com", "your_password").get_storage_manager()
    gc.collect()
    assert storage.list(return_info=True) == []
    thread = storage._portal._thread
    del storage
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def test_one_session_serves_16_threads_at_once(session: Session, tmp_path: Path) -> None:
    """Each thread writes, reads, lists and deletes its own, all at the same time."""
    start = threading.Barrier(16)

    def work(number: int) -> bytes:
        storage = session.get_storage_manager()
        start.wait()
        for turn in range(5):
            storage.write(f"/bucket/{number}/{turn}", b"%d " % number)
        content = b"".join(b"".join(storage.read(item.path)) for item in storage.scan(path=f"/bucket/{number}/"))
        storage.download(f"/bucket/{number}/", tmp_path / str(number))
        storage.delete(f"/bucket/{number}/")
        return content

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, range(16))) == [b"%d " % number * 5 for number in range(16)]
    assert session.get_storage_manager().list(path="/bucket/", return_info=True) == []


async def test_it_works_where_a_loop_is_running(home: Path) -> None:
    """As in a notebook: made, used and closed inside a coroutine."""
    assert home
    with Session("your@email.com", "your_password") as session:
        storage = session.get_storage_manager()
        storage.write("/bucket/name", b"bytes")
        assert b"".join(storage.read("/bucket/name")) == b"bytes"


def test_a_call_from_on_progress_is_an_error_not_a_deadlock(session: Session) -> None:
    """`on_progress` runs in the session's own thread; a blocking call there says so."""
    storage = session.get_storage_manager()
    with pytest.raises(RuntimeError, match="own thread"):
        storage.write("/bucket/name", b"bytes", on_progress=lambda _: storage.list())


def test_copy_move_and_sync_do_what_the_twin_does(session: Session, tmp_path: Path) -> None:
    """From anywhere to anywhere, in the calling thread's directory; a dry run returns the plan."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(b"1")
    assert session.copy(tmp_path / "a/x", "aws:/bucket/x").bytes == 1
    assert session.move("aws:/bucket/x", "gcp:/bucket/y").ok
    assert [item.name for item in session.get_storage_manager().scan("GCP", "/bucket/")] == ["y"]
    plan = session.sync(tmp_path / "a", "aws:/bucket/b", exclude=iter(["*.tmp"]), dry_run=True)
    assert [(action.kind, action.path) for action in plan] == [("copy", "x")]
    seen: list[Progress] = []
    assert len(session.sync(tmp_path / "a", "aws:/bucket/b", on_progress=seen.append)) == 1
    assert seen[-1].files_done == 1
    assert len(session.sync(tmp_path / "a", "aws:/bucket/b", compare="checksum", delete=True)) == 0
