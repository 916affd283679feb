"""Exit statuses of several failures, `config test`, and what -v and -vv log."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.called_command import Command
from tests.servers.weed import SeaweedFS


@pytest.fixture(autouse=True)
def _log_levels_as_before() -> Iterator[None]:
    """A command sets the levels of its process; the next test's are as before."""
    loggers = [logging.getLogger(name) for name in ("dxflow_async", "dxflow_async.items")]
    before = [each.level for each in loggers]
    yield
    for each, level in zip(loggers, before, strict=True):
        each.setLevel(level)


@pytest.fixture
def places(configured: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Locations by what is wrong with them: one whose keys are wrong, one whose server is gone, one without a fault."""
    bucket = configured.create_bucket(f"statuses-{uuid4().hex[:12]}")
    configured.client.put_object(Bucket=bucket, Key="fine", Body=b"fine")
    monkeypatch.setenv("DXFLOW_MAX_ATTEMPTS", "1")
    for name, endpoint in (("denied", configured.endpoint), ("gone", "http://127.0.0.1:9")):
        settings = {"TYPE": "s3", "ENDPOINT": endpoint, "ACCESS_KEY": configured.access_key, "SECRET_KEY": "hush"}
        for key, value in settings.items():
            monkeypatch.setenv(f"DXFLOW_REMOTE_{name.upper()}_{key}", value)
    return {
        "fine": f"aws:/{bucket}/fine",
        "missing": f"aws:/{bucket}/missing",
        "denied": f"denied:/{bucket}/fine",
        "gone": f"gone:/{bucket}/fine",
    }


@pytest.mark.parametrize("name", ["stat", "ls", "du", "cat", "rm", "config test"])
def test_failures_of_one_kind_keep_their_status(command: Command, places: dict[str, str], name: str) -> None:
    """Not found is 3, denied 4, the network 5, whatever else was done; two kinds are 1. Each JSON line has its own."""
    for kinds, status in (
        ("missing missing", 3),
        ("denied denied", 4),
        ("gone gone", 5),
        ("fine missing", 3),
        ("missing gone", 1),
        ("denied missing", 1),
    ):
        outcome = command(*name.split(), "--json", *(places[kind] for kind in kinds.split()))
        rows = [row for row in map(json.loads, outcome.stdout.splitlines()) if row["type"] == "error"]
        expected = [{"missing": 3, "denied": 4, "gone": 5}[kind] for kind in kinds.split() if kind != "fine"]
        assert (outcome.status, [row["status"] for row in rows]) == (status, expected), kinds
        assert "hush" not in outcome.stdout + outcome.stderr


def test_the_items_of_a_copy_share_a_status(command: Command, places: dict[str, str]) -> None:
    """The same counts for the items of one call, also if others were copied."""
    for kinds, status in (("missing missing", 3), ("denied", 4), ("gone", 5), ("fine missing", 3), ("fine", 0)):
        sources = (f"{places[kind]}{'-too' * number}" for number, kind in enumerate(kinds.split()))
        assert command("cp", *sources, "there/", "-q").status == status, kinds


def test_the_settings_are_tested(
    command: Command, places: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a place only the settings; each place that answers is named; a broken file is 2, and nothing is asked."""
    alone = command("config", "test")
    assert (alone.status, alone.stdout.startswith("the settings are valid: ")) == (0, True)
    several = command("config", "test", places["fine"], places["gone"], ".")
    assert several.status == 5
    assert [line.split(", in ")[0] for line in several.stdout.splitlines()] == [
        f"{places['fine']} answers: 4 bytes", ". answers: a directory"
    ]  # fmt: skip
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text("[")
    for arguments in ((), (places["gone"],)):
        broken = command("config", "test", *arguments, "--json")
        (row,) = map(json.loads, broken.stdout.splitlines())
        assert (broken.status, row["error"], row["status"]) == (2, "ConfigurationError", 2)
        assert str(home / "config.toml") in row["message"]
    (home / "config.toml").write_text("")
    monkeypatch.setenv("DXFLOW_PART_SIZE", "many")
    assert command("config", "test").status == 2


@pytest.mark.parametrize("name", ["show", "resume", "clean"])
def test_a_job_that_is_not_there_is_not_found(command: Command, name: str) -> None:
    """It is 3, as an object that does not exist, for people and as JSON."""
    outcome = command("jobs", name, "20260101-000000-abcdef", "--json")
    (row,) = map(json.loads, outcome.stdout.splitlines())
    assert (outcome.status, row["status"], row["error"]) == (3, 3, "JobNotFoundError")
    assert "jobs list" in outcome.stderr


def test_more_is_logged_with_vv(
    command: Command,
    places: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """-v logs a line for each item, and -vv also what is tried again, why, and when; none has a secret."""
    monkeypatch.setenv("DXFLOW_MAX_ATTEMPTS", "2")
    (tmp_path / "file").write_bytes(b"x")
    signed = "http://127.0.0.1:9/file?X-Amz-Signature=hush"
    assert command("cp", "-v", places["fine"], "there/").status == 0
    assert [" -> " in line for line in caplog.messages] == [True]
    for flag, retries in (("-v", False), ("-vv", True)):
        for source, goal in (("file", places["gone"]), (places["gone"], "there/"), (signed, "there/")):
            caplog.clear()
            outcome = command("cp", flag, source, goal)
            assert outcome.status == 5
            items = [each.getMessage() for each in caplog.records if each.name == "dxflow_async.items"]
            assert [line.count("failed") for line in items] == ([1] if source == "file" else []), items
            again = [line for line in caplog.messages if "attempt 2 follows in" in line]
            assert bool(again) == retries
            assert all("127.0.0.1:9 refused the connection" in line for line in again)
            assert "hush" not in caplog.text + outcome.stdout + outcome.stderr


@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_a_directory_beside_a_file_is_a_failure(command: Command, tmp_path: Path, json_flag: tuple[str, ...]) -> None:
    """The files are printed, so the status is 1, wherever the directory stands; where nothing was done, it is 2."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_bytes(b"bytes")
    lines = [("cat", "file", "directory"), ("cat", "directory", "file"), ("tail", "[df]*"), ("cat", "[df]*")]
    for words in (*lines, *([] if json_flag else [("cp", "file", "directory", "-"), ("cp", "directory", "file", "-")])):
        outcome = command(*words, *json_flag)
        assert (outcome.status, outcome.stderr.count(" is a directory")) == (1, 1), words
        assert outcome.stdout.count(b64encode(b"bytes").decode() if json_flag else "bytes") == 1
    for words in (("cat", "directory"), ("cat", "directory", "directory"), ("tail", "directory")):
        assert command(*words, *json_flag).status == 2, words
    assert command("cat", "directory", "none", *json_flag).status == 1


def test_more_than_three_equal_failures_are_told_once(command: Command, places: dict[str, str], tmp_path: Path) -> None:
    """They are counted on one line, whatever the ids of their requests; others are told as they are."""
    for number in range(4):
        (tmp_path / f"file-{number}").write_bytes(b"x")
    files = [f"file-{number}" for number in range(4)]
    missing = command("cp", "none-1", "none-2", "none-3", "none-4", *files[:1], "there/")
    assert missing.stderr.count("there is no such file") == 1
    reason = "there is no such file, and nothing matches it; check the path"
    assert missing.stderr.splitlines()[-2:] == [
        "dxflow-async: 4 of 5 items failed",
        f"  4 x LOCAL read of \u2026 failed: {reason} (such as none-1)",
    ]
    nowhere = places["fine"].replace("statuses-", "no-such-statuses-").removesuffix("fine")
    refused = command("cp", *files, "none-1", nowhere)
    assert refused.status == 1
    assert (refused.stderr.count("does not exist (404"), refused.stderr.count("none-1")) == (1, 1)
    assert "  4 x AWS write of \u2026 failed" in refused.stderr


def test_a_call_that_cannot_go_on_is_no_job(command: Command) -> None:
    """Where no source exists, or each name is refused, and nothing was done, there is nothing to resume."""
    for words in (("cp", "none-1", "none-2", "there/"), ("mv", "none-1", "none-2", "there/")):
        assert command(*words).status == 3
    assert command("jobs", "list").stdout == ""


def test_a_call_that_did_something_is_a_job(command: Command, tmp_path: Path) -> None:
    """Its missing sources may come, and what it did is not done again."""
    (tmp_path / "file").write_bytes(b"x")
    assert command("cp", "file", "none-1", "there/").status == 3
    assert "1 done, 1 failed" in command("jobs", "list").stdout


@pytest.mark.parametrize(
    "line",
    ["ls tree", "ls -r tree", "du tree", "rm -r tree", "rm -rn tree", "cp tree there", "cp -n tree there",
     "sync -n tree there", "check tree empty", "mv tree there"],
)  # fmt: skip
def test_a_selection_of_nothing_is_told(command: Command, tmp_path: Path, line: str) -> None:
    """It is one line on standard error that names the options, and the status is 0; --quiet leaves it out."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"x")
    told = "dxflow-async: nothing was selected: nothing there meets --include and --files-from\n"
    (tmp_path / "names").touch()
    words = (*line.split(), "--include", "*.csv")
    outcome = command(*words, "--files-from", "names")
    assert (outcome.status, outcome.stderr) == (0, told)
    assert command(*words).stderr == told.replace(" and --files-from", "")
    if line.split(maxsplit=1)[0] not in ("ls", "du"):
        assert command(*words, "--quiet").stderr == ""
    assert "nothing was selected" not in command(*line.split(), "--include", "f*").stderr
