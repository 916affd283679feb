"""`sync --watch`, as a process: it goes on as files change."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.called_command import Command
from tests.python_processes import RunningScript, clean_environment


def _until(condition: Callable[[], bool], script: RunningScript) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert script.running
        assert time.monotonic() < end
        time.sleep(0.05)


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def test_changes_are_synced_until_ctrl_c(tmp_path: Path) -> None:
    """New, changed and deleted files follow; an obstacle at the destination ends nothing; Ctrl-C is status 130."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_text("one")
    module = ("dxflow_async.cli", "sync", str(source), str(target), "--watch", "--delete", "--json")
    with RunningScript("", clean_environment(tmp_path / "home"), module=module, strict=False) as script:
        _until(lambda: _text(target / "a") == "one", script)
        (source / "sub" / "b").write_text("two")
        _until(lambda: _text(target / "sub" / "b") == "two", script)
        (source / "a").write_text("three three")
        _until(lambda: _text(target / "a") == "three three", script)
        (source / "a").unlink()
        _until(lambda: not (target / "a").exists(), script)
        script.interrupt()
        outcome = script.wait()
    assert (outcome.status, "Traceback" in outcome.stderr) == (130, False)
    assert {json.loads(line)["type"] for line in outcome.stdout.splitlines()} == {"result", "report", "error"}


def test_an_interval_needs_no_notifications(tmp_path: Path) -> None:
    """It looks again after the interval, as it has to for remote sources, and renews the page of `--report`."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "a").write_text("one")
    page = tmp_path / "page.html"
    module = (
        "dxflow_async.cli",
        "sync",
        str(source),
        str(target),
        "--watch",
        "--interval",
        "1s",
        "--report",
        str(page),
    )
    with RunningScript("", clean_environment(tmp_path / "home"), module=module, strict=False) as script:
        _until(lambda: _text(target / "a") == "one", script)
        _until(page.exists, script)
        page.unlink()
        (source / "b").write_text("two")
        _until(lambda: _text(target / "b") == "two", script)
        _until(page.exists, script)
        script.terminate()
        assert script.wait().status == 143


def test_what_cannot_be_watched(command: Command) -> None:
    """A remote source without an interval, a source that does not exist, and options that exclude each other."""
    outcome = command("sync", "aws:/bucket/a", "there", "--watch")
    assert (outcome.status, "--interval" in outcome.stderr) == (2, True)
    assert command("sync", "nowhere", "there", "--watch").status == 3
    assert command("sync", "a", "b", "--watch", "--dry-run").status == 2
    assert command("sync", "a", "b", "--interval", "3s").status == 2
