"""The command `wait`, and `sync --watch` from a place that does not tell when files are complete."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.called_command import Command
from tests.python_processes import RunningScript, clean_environment
from tests.servers.engine_thread import engine_on_a_thread


@contextmanager
def growing(path: Path) -> Iterator[Callable[[], None]]:
    """Makes a file grow every 50 ms; yields what ends that."""
    ended = threading.Event()

    def grow() -> None:
        while not ended.wait(0.05):
            with path.open("ab") as file:
                file.write(b"x")

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield ended.set
    finally:
        ended.set()
        thread.join()


def until(condition: Callable[[], bool], script: RunningScript) -> None:
    """Waits until a condition is met while a script runs."""
    end = time.monotonic() + 60
    while not condition():
        assert script.running
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_is_stable_is_printed(command: Command, tmp_path: Path) -> None:
    """The item is printed like one of `ls`, or as a JSON object; a directory counts with everything in it."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.csv").write_text("12345")
    outcome = command("wait", f"{tmp_path}/results/a.csv", "--stable", "100ms")
    assert (outcome.status, outcome.stdout.split()[:2]) == (0, ["-", "5"])
    outcome = command("wait", f"{tmp_path}/results/", "--stable", "0.1s", "--json")
    found = json.loads(outcome.stdout)
    assert (outcome.status, found["type"], found["directory"]) == (0, "item", True)


def test_the_end_of_the_time(command: Command, tmp_path: Path) -> None:
    """After `--timeout` the status is 1, and the message says why; wrong durations are status 2."""
    outcome = command("wait", f"{tmp_path}/never", "--stable", "100ms", "--timeout", "200ms")
    assert (outcome.status, "it does not exist" in outcome.stderr) == (1, True)
    outcome = command("wait", f"{tmp_path}/never", "--stable", "100ms", "--timeout", "200ms", "--json")
    assert json.loads(outcome.stdout)["type"] == "error"
    assert command("wait", f"{tmp_path}/never", "--stable", "soon").status == 2
    assert command("wait", f"{tmp_path}/never", "--timeout", "later").status == 2


def test_a_file_that_grows_is_waited_for(command: Command, tmp_path: Path) -> None:
    """A file that does not stop growing is not printed."""
    path = tmp_path / "log"
    path.write_text("x")
    with growing(path):
        outcome = command("wait", str(path), "--stable", "2s", "--timeout", "700ms")
    assert (outcome.status, "it changed" in outcome.stderr) == (1, True)


def test_only_stable_files_are_taken_while_watching(tmp_path: Path) -> None:
    """A file that grows is not copied before it has stopped; others are meanwhile."""
    with engine_on_a_thread(tmp_path / "volume") as server:
        source, target, home = server.root / "run", tmp_path / "target", tmp_path / "home"
        source.mkdir()
        (source / "done").write_text("done")
        (source / "log").write_text("x")
        home.mkdir()
        key = server.write_key(tmp_path / "key.pem")
        (home / "config.toml").write_text(f'[units.lab]\nengine = "{server.url}"\nkey = "{key}"\n')
        watch = ("--watch", "--interval", "1s", "--stable", "500ms")
        module = ("dxflow_async.cli", "sync", "unit:/lab/run/", str(target), *watch)
        with (
            growing(source / "log") as end,
            RunningScript("", clean_environment(home), module=module, strict=False) as script,
        ):
            until((target / "done").exists, script)
            assert not (target / "log").exists()
            end()
            until((target / "log").exists, script)
            assert (target / "log").read_bytes() == (source / "log").read_bytes()
            script.interrupt()
            assert script.wait().status == 130
