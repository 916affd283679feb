"""Whatever a user may type or set: a message of one line, a status, JSON where it was asked for; never a traceback."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dxflow_async.cli.summaries import EXAMPLES, SUMMARIES
from tests.cli.called_command import Command
from tests.ordinary_rights import ordinary_rights
from tests.python_processes import clean_environment

_GROUPS = {name.split()[0] for name in EXAMPLES if " " in name}
_COMMANDS = [name for name in EXAMPLES if name not in _GROUPS and name != "hub user"]
_LONG_RUNNING = {"hub serve", "unit serve", "ui", "wait", "demo"}


def _checked(outcome: object, arguments: tuple[str, ...]) -> None:
    status, out, error = outcome.status, outcome.stdout, outcome.stderr  # type: ignore[attr-defined]
    assert "Traceback" not in error + out, (arguments, error)
    assert status in (0, 1, 2, 3, 4, 5, 6), (arguments, status)
    if status == 2:
        assert error, arguments
        assert all(line.startswith("dxflow-async: ") for line in error.splitlines()), (arguments, error)
    if status and "--json" in arguments:
        assert any(json.loads(line)["type"] == "error" for line in out.splitlines()), (arguments, out)


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_fails_in_json(command: Command, name: str) -> None:
    """An unknown option, the first of all failures, is one JSON line and one line for people, with advice."""
    outcome = command(*name.split(), "--jsom", "--json")
    assert outcome.status == 2
    (line,) = outcome.stdout.splitlines()
    assert (json.loads(line)["type"], json.loads(line)["status"]) == ("error", 2)
    _checked(outcome, ("--json",))
    assert "--jsom" in outcome.stderr or "--root is missing" in outcome.stderr
    assert f"dxflow-async help {name}" in outcome.stderr


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("cp a b --exlude x", "did you mean --exclude?"),
        ("lss a", "did you mean ls?"),
        ("jobs lst", "did you mean list?"),
        ("--foo", "unknown option: --foo; options are written after the command"),
        ("-v ls", "unknown option: -v; options are written after the command"),
        ("jobs --foo", "unknown option: --foo; options are written after the command"),
        ("config set part_sise 8MiB", "did you mean part_size?"),
        ("config set part-size 1", "part_size"),
        ("remotes test azrue", "did you mean azure?"),
        ("ls azrue:/x", "azure:/x"),
        ("remotes add x2 --type local --rot /tmp", "did you mean --root?"),
        ("cp a b --concurrency many", "--concurrency"),
        ("sync a b --compare time", "--compare"),
        ("cp", "SOURCE"),
        ("cp a", "a source and a destination"),
        ("sync a", "dst"),
        ("tail", "place"),
    ],
)
def test_the_nearest_name_is_suggested(command: Command, line: str, word: str) -> None:
    """Options, commands, settings and remotes are suggested in one way."""
    outcome = command(*shlex.split(line))
    assert outcome.status == 2
    assert word.lower() in outcome.stderr.lower()
    _checked(outcome, tuple(shlex.split(line)))


@pytest.mark.parametrize("name", ["mkdir", "config test", "stat", "rm", "cat", "ls", "du"])
def test_a_wrong_place_is_told_before_anything_is_done(command: Command, tmp_path: Path, name: str) -> None:
    """One line, though the place before it could be used or would fail."""
    outcome = command(*name.split(), "made/", "")
    assert outcome.status == 2
    _checked(outcome, (name, "made/", ""))
    assert not (tmp_path / "made").exists()


_WORDS = (
    "", "-", "--", "a", "a/", "../..", "aws:", "aws:/", "aws:/b", "s3://", "s3:///x", "unit:", "unit:/", "unit:/x/y",
     "x:", "x:/y", "https://", "https:///", "http://[", "sftp://", "file://x", "*", "[", "**", "a\x00b", "\udcff",
     "ü" * 300,
     "-x", "--json", "--newer", "--include", "--endpoint", "://", ":", "/dev/null", "/dev/null/x", "~", "%00",
     "--files-from", "--expires", "--part-size", "0", "-1", "1e99", "--profile", "--direct", "aws:/b/../c",
     "local:",
)  # fmt: skip
_ODD = st.sampled_from(_WORDS)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([name for name in _COMMANDS if name not in _LONG_RUNNING]),
    arguments=st.lists(_ODD, max_size=4),
    as_json=st.booleans(),
)
def test_odd_arguments(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str, arguments: list[str], as_json: bool
) -> None:
    """Random words end with a status of the table."""
    for variable in ("AWS_ENDPOINT_URL", "DXFLOW_AWS_ENDPOINT"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "DXFLOW_MAX_ATTEMPTS"):
        monkeypatch.setenv(variable, "1")
    given_ = (*name.split(), *(["--json"] if as_json else []), *arguments)
    outcome = command(*given_)
    if "--" not in arguments:
        _checked(outcome, given_)
    else:
        assert "Traceback" not in outcome.stderr


def _run(arguments: list[str], environment: dict[str, str], **streams: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "dxflow_async", *arguments]
    return subprocess.run(line, env=environment, text=True, check=False, stderr=subprocess.PIPE, **streams)  # type: ignore[call-overload, no-any-return]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("line", ["--help", "ls .", "ls . --json", "cat file", "config show"])
def test_a_full_disk_behind_standard_output(tmp_path: Path, line: str) -> None:
    """It is status 1 and one line; nothing is printed after it."""
    (tmp_path / "file").write_bytes(bytes(200_000))
    with open("/dev/full", "wb") as full:
        done = _run(line.split(), clean_environment(tmp_path), stdout=full, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize(
    ("variables", "status"),
    [
        ({"HOME": "", "DXFLOW_HOME": ""}, 0),
        ({"DXFLOW_HOME": "/dev/null/x"}, 2),
        ({"DXFLOW_MAX_CONCURRENCY": "many"}, 2),
        ({"DXFLOW_PART_SIZE": "-1"}, 2),
        ({"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}, 0),
        ({"TERM": "", "COLUMNS": "x", "NO_COLOR": "1"}, 0),
        ({"TZ": "Nowhere/Nothing", "LANG": "xx"}, 0),
        ({"HTTPS_PROXY": "://"}, None),
    ],
)
def test_odd_environments(tmp_path: Path, variables: dict[str, str], status: int | None) -> None:
    """A variable that is wrong is named; the others do not matter to this machine's disk."""
    (tmp_path / "ü").write_bytes(b"x")
    done = _run(["du", "."], {**clean_environment(tmp_path), **variables}, stdout=subprocess.PIPE, cwd=tmp_path)
    assert "Traceback" not in done.stderr
    assert status in (done.returncode, None), done.stderr
    if status == 2:
        assert any(each in done.stderr for each in (*variables, "/dev/null/x"))


def test_a_configuration_that_cannot_be_read(command: Command, home: Path) -> None:
    """It is status 2 and names the file."""
    home.mkdir()
    file = home / "config.toml"
    file.write_text("part_size = '16MiB'\n")
    file.chmod(0)
    with ordinary_rights():
        outcome = command("ls", ".")
    assert (outcome.status, str(file) in outcome.stderr) == (2, True)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"[", b"part_size = 3\n", b"nothing = 1\n", b"[remotes.x]\ntype = 'q'\n"]
)
def test_a_configuration_that_is_wrong(command: Command, home: Path, content: bytes) -> None:
    """Whatever is in the file is one line that names it."""
    home.mkdir()
    (home / "config.toml").write_bytes(content)
    for name in ("ls", "config show", "remotes list"):
        _checked(command(*name.split()), (name,))
    assert "config.toml" in command("cp", "a", "x:/b").stderr


def test_a_directory_in_place_of_the_configuration(command: Command, home: Path) -> None:
    """It is named, too."""
    (home / "config.toml").mkdir(parents=True)
    outcome = command("ls", ".")
    assert (outcome.status, "config.toml" in outcome.stderr) == (2, True)


def test_every_command_is_in_the_examples() -> None:
    """So that the tests here know of all of them."""
    assert {name.split()[0] for name in EXAMPLES} == set(SUMMARIES)
