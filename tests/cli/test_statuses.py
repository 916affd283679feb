"""Exit statuses of several failures, `config test`, and what -v and -vv log."""

from __future__ import annotations

import json
import logging
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
