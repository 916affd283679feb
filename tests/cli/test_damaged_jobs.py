"""Damaged jobs and odd names, as a user of the command meets them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.called_command import Command
from tests.python_processes import clean_environment, run_script

BAD = os.fsdecode(b"caf\xe9")


@pytest.fixture
def broken_off(command: Command, home: Path, tmp_path: Path) -> Callable[[str], str]:
    """Makes a job of which an item failed; its id."""

    def make(name: str) -> str:
        (tmp_path / name / BAD).mkdir(parents=True, exist_ok=True)
        for each in ("one", "two", BAD):
            path = tmp_path / name / f"{BAD}-files" / each
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
        (tmp_path / f"{name}-goal" / "one" / "in the way").mkdir(parents=True, exist_ok=True)
        before = set((home / "jobs").glob("*.sqlite3"))
        assert command("cp", f"{name}/{BAD}-files/", f"{name}-goal/").status == 1
        (made,) = set((home / "jobs").glob("*.sqlite3")) - before
        return made.stem

    return make


def test_a_damaged_job_hides_no_other(
    command: Command, home: Path, broken_off: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Each command names it and goes on with the others; `clean` sets it aside, and the call can be made again."""
    bad, good = broken_off("first"), broken_off("second")
    path = home / "jobs" / f"{bad}.sqlite3"
    data = bytearray(path.read_bytes())
    data[4096:8192] = bytes(4096)
    path.write_bytes(data)
    listed = command("jobs", "list")
    assert listed.status == 0
    assert listed.stdout.startswith(good)
    assert str(path) in caplog.text
    assert f"jobs clean {bad}" in caplog.text
    assert command("jobs", "show", good).status == 0
    for name in ("show", "resume"):
        outcome = command("jobs", name, bad)
        assert outcome.status == 2
        assert str(path) in outcome.stderr
        assert "Traceback" not in outcome.stderr
    would = command("jobs", "clean")
    assert f"would set aside damaged job {bad}" in would.stdout
    assert f"would remove job    {good}" in would.stdout
    assert path.exists()
    done = command("jobs", "clean", bad, "--yes")
    assert done.status == 0
    assert f"set aside damaged job {bad} as {home}/jobs/{bad}.damaged" in done.stdout
    assert not path.exists()
    caplog.clear()
    assert command("jobs", "list").status == 0
    assert caplog.text == ""
    assert broken_off("first") != bad
    assert command("jobs", "clean", "--yes").status == 0
    assert [each.suffix for each in (home / "jobs").iterdir()] == [".damaged"]


def test_a_directory_in_place_of_a_job(
    command: Command, home: Path, broken_off: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is named, hides no other, and is set aside with all that is in it."""
    good = broken_off("first")
    (home / "jobs" / "odd.sqlite3" / "inner").mkdir(parents=True)
    listed = command("jobs", "list")
    assert listed.stdout.startswith(good)
    assert "odd.sqlite3" in caplog.text
    assert command("jobs", "clean", "--yes").status == 0
    assert (home / "jobs" / "odd.damaged" / "inner").is_dir()


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "C.UTF-8"},
    ],
    ids=["ascii output", "C", "ascii everywhere", "UTF-8"],
)
def test_odd_names_can_be_printed(variables: dict[str, str], tmp_path: Path) -> None:
    """Whatever the terminal takes, names that are not UTF-8 are shown with escapes, as text and as JSON."""
    script = r"""
        import os
        from dxflow_async.cli import main
        bad, home = os.fsdecode(b"caf\xe9"), os.environ["DXFLOW_HOME"]
        source = os.path.join(home, "source" + bad)
        os.makedirs(source)
        for name in (bad, "plain", os.fsdecode("\u00fc".encode())):
            open(os.path.join(source, name), "w").close()
        os.makedirs(os.path.join(home, "goal", bad, "in the way"))
        assert main(["sync", source, os.path.join(home, "planned"), "--dry-run"]) == 0
        assert main(["cp", source + "/", os.path.join(home, bad) + "/", "--json"]) == 0
        assert main(["cp", source + "/", os.path.join(home, "goal") + "/"]) == 1
        assert main(["jobs", "list"]) == main(["jobs", "list", "--json"]) == 0
        (job,) = [name.partition(".")[0] for name in os.listdir(os.path.join(home, "jobs"))]
        assert main(["jobs", "show", job]) == main(["jobs", "show", job, "--json"]) == 0
        assert main(["jobs", "resume", job]) == 1
        assert main(["jobs", "clean", "--yes"]) == 0
    """
    outcome = run_script(script, clean_environment(tmp_path / "home", **variables))
    assert outcome.status == 0, outcome.stderr
    assert "Traceback" not in outcome.stderr
    lines = outcome.stdout.splitlines()
    assert any("caf\\udce9" in line and line.startswith("copy") for line in lines)
    results = [json.loads(line) for line in lines if '"type": "result"' in line]
    assert any(each["source"].endswith(BAD) for each in results)
