"""The progress bar: on a terminal only, and only when it is wanted."""

from __future__ import annotations

import contextlib
import os
import pty
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dxflow_async.blocking.progress import progress_bar
from dxflow_async.blocking.session import Session
from dxflow_async.models import Progress


class Terminal:
    """A pseudo-terminal; `close` returns what was shown on it."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w")
        self._shown = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        # The end of a terminal is an error on Linux, an end of file elsewhere.
        with contextlib.suppress(OSError):
            while chunk := os.read(self._master, 4096):
                self._shown += chunk

    def attach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Makes it standard error (in the test itself: pytest sets that anew after the fixtures)."""
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr("sys.stderr", self.stream)

    def close(self) -> str:
        """Ends it."""
        self.stream.close()
        self._reader.join()
        os.close(self._master)
        return self._shown.decode()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal, not attached yet."""
    terminal = Terminal()
    yield terminal
    if not terminal.stream.closed:
        terminal.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of a million bytes."""
    path = tmp_path / "source"
    path.write_bytes(bytes(1_000_000))
    return path


def test_a_transfer_shows_a_bar_on_a_terminal(
    session: Session, source: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With files and bytes, up and down."""
    terminal.attach(monkeypatch)
    storage = session.get_storage_manager()
    storage.upload(source, "/bucket/")
    storage.download("/bucket/source", source.parent / "back")
    shown = terminal.close()
    assert "upload" in shown
    assert "download" in shown
    assert "1 of 1 file" in shown
    assert "1.0 MB of 1.0 MB" in shown


def test_no_bar_when_it_is_turned_off(
    home: Path, source: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Session(progress=False)` prints nothing."""
    terminal.attach(monkeypatch)
    assert home
    with Session("your@email.com", "your_password", progress=False) as session:
        session.get_storage_manager().upload(source, "/bucket/")
    assert terminal.close() == ""


def test_no_bar_when_the_caller_has_its_own(
    session: Session, source: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`on_progress` takes the bar's place."""
    terminal.attach(monkeypatch)
    events: list[Progress] = []
    session.get_storage_manager().upload(source, "/bucket/", on_progress=events.append)
    assert events
    assert terminal.close() == ""


def test_nothing_is_printed_where_there_is_no_terminal(
    session: Session, source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Transfers into a pipe or a log file are silent."""
    storage = session.get_storage_manager()
    storage.upload(source, "/bucket/")
    storage.download("/bucket/source", source.parent / "back")
    assert capfd.readouterr() == ("", "")


def test_one_bar_at_a_time(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one would overwrite the first; it is left out, and the next is shown again."""
    terminal.attach(monkeypatch)
    with progress_bar("first") as first, progress_bar("second") as second:
        assert first is not None
        assert second is None
    with progress_bar("third") as third:
        assert third is not None
    assert "second" not in terminal.close()
