"""`cp` and `mv`."""

from __future__ import annotations

import json
import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cli.called_command import Command
from tests.servers.weed import SeaweedFS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a directory."""
    tree = tmp_path / "my-data"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_bytes(b"aaa")
    (tree / "sub" / "ü b.txt").write_bytes(b"bb")
    return tree


def test_a_tree_goes_up_and_comes_down(signed_in: Command, tree: Path, tmp_path: Path) -> None:
    """`cp DIR aws:/x/` makes x/DIR; `cp aws:/x/ DIR` brings what is in it."""
    up = signed_in("cp", "./my-data", "aws:/bucket/prefix/")
    assert (up.status, up.stdout.partition(" in ")[0]) == (0, "2 items, 5 bytes")
    down = signed_in("cp", "aws:/bucket/prefix/my-data/", "back")
    assert down.status == 0
    assert (tmp_path / "back" / "sub" / "ü b.txt").read_bytes() == b"bb"
    assert tree.exists()


def test_a_file_gets_the_name_that_is_written(signed_in: Command, tree: Path, tmp_path: Path) -> None:
    """As `cp` does: both ways, unless the destination is a directory."""
    assert tree.exists()
    assert signed_in("cp", "my-data/a.txt", "aws:/bucket/other.txt").status == 0
    assert signed_in("cp", "aws:/bucket/other.txt", "third.txt").status == 0
    assert (tmp_path / "third.txt").read_bytes() == b"aaa"
    (tmp_path / "there").mkdir()
    assert signed_in("cp", "aws:/bucket/other.txt", "there").status == 0
    assert signed_in("cp", "aws:/bucket/other.txt", "new/").status == 0
    assert (tmp_path / "there" / "other.txt").read_bytes() == (tmp_path / "new" / "other.txt").read_bytes() == b"aaa"


def test_a_directory_without_its_slash_is_the_directory_itself(signed_in: Command, tree: Path, tmp_path: Path) -> None:
    """`cp aws:/x/DIR out` makes it `out`, and puts it into `out` where that is a directory already."""
    assert tree.exists()
    signed_in("cp", "my-data", "aws:/bucket/")
    assert signed_in("cp", "aws:/bucket/my-data", "out").status == 0
    assert (tmp_path / "out" / "a.txt").exists()
    assert signed_in("cp", "aws:/bucket/my-data", "out").status == 0
    assert (tmp_path / "out" / "my-data" / "a.txt").exists()


def test_within_a_provider_cp_copies_and_mv_moves(signed_in: Command, tree: Path) -> None:
    """The source stays, or goes."""
    assert tree.exists()
    signed_in("cp", "my-data/a.txt", "aws:/bucket/a")
    assert signed_in("cp", "aws:/bucket/a", "aws:/bucket/b").status == 0
    assert signed_in("mv", "aws:/bucket/a", "aws:/bucket/c").status == 0
    listed = signed_in("ls", "aws:/bucket/").stdout
    assert [line.split()[-1] for line in listed.splitlines()] == ["b", "c"]


PLACES = {
    "local": "there/",
    "aws": "aws:/bucket/",
    "azure": "azure:/container/",
    "gcp": "gcp:/bucket/",
    "unit": "unit:/Demo/",
}


# Each place is the source once and the destination once; tests/storage/test_transfer_service.py has every ordered pair.
@pytest.mark.parametrize(("one", "other"), [*pairwise([*PLACES, "local"]), ("unit", "unit")])
def test_cp_and_mv_between_any_two_places(signed_in: Command, tree: Path, tmp_path: Path, one: str, other: str) -> None:
    """A place of each kind is read and written; `mv` takes what it has moved away."""
    start, goal = f"{PLACES[one]}start/", f"{PLACES[other]}goal/"
    assert signed_in("cp", "my-data/", start).status == 0
    assert signed_in("cp", f"{start}sub", goal).status == 0
    assert signed_in("mv", f"{start}a.txt", f"{goal}b.txt").status == 0
    assert signed_in("cp", goal, "back").status == 0
    assert sorted(path.name for path in (tmp_path / "back").rglob("*")) == ["b.txt", "sub", "ü b.txt"]
    assert signed_in("cp", start, "left").status == 0
    assert sorted(path.name for path in (tmp_path / "left").rglob("*")) == ["sub", "ü b.txt"]
    assert tree.exists()


def test_sync_says_what_it_would_do_and_does_it(signed_in: Command, tree: Path, tmp_path: Path) -> None:
    """A dry run prints a line an action and changes nothing; the second run has nothing to do."""
    assert signed_in("sync", "my-data", "aws:/bucket/x", "--exclude", "*.md").status == 0
    (tree / "new").write_bytes(b"new")
    (tree / "notes.md").write_bytes(b"not copied")
    (tree / "sub" / "ü b.txt").unlink()
    options = ("my-data", "aws:/bucket/x", "--delete", "--exclude", "*.md", "--exclude", "*.tmp")
    dry = signed_in("sync", *options, "--dry-run")
    assert dry.stdout.splitlines() == [
        "copy              3 new (new)",
        "delete            2 sub/ü b.txt (not at the source)",
        "1 to copy, 3 bytes; 1 to delete; 0 to skip; 2 unchanged",
    ]
    *actions, plan = map(json.loads, signed_in("sync", *options, "--dry-run", "--json").stdout.splitlines())
    assert (plan["type"], plan["copies"], plan["deletes"]) == ("plan", 1, 1)
    assert [(each["kind"], each["path"]) for each in actions] == [("copy", "new"), ("delete", "sub/ü b.txt")]
    assert signed_in("sync", *options, "--dry-run", "--quiet").stdout == ""
    done = signed_in("sync", *options)
    assert (done.status, done.stdout.startswith("1 item, 3 bytes"), "1 deleted" in done.stdout) == (0, True, True)
    again = json.loads(signed_in("sync", *options, "--json").stdout)
    assert (again["type"], again["items"]) == ("report", 0)
    assert signed_in("sync", "aws:/bucket/x", "back", "--compare", "checksum").status == 0
    assert sorted(path.name for path in (tmp_path / "back").rglob("*")) == ["a.txt", "new", "sub"]


def test_json_is_a_line_for_each_item_and_one_with_the_sums(signed_in: Command, tree: Path) -> None:
    """Standard output is JSON lines and nothing else."""
    assert tree.exists()
    *items, report = map(json.loads, signed_in("cp", "my-data", "aws:/bucket/", "--json").stdout.splitlines())
    assert (report["type"], report["bytes"], report["items"]) == ("report", 5, 2)
    assert {item["state"] for item in items} == {"done"}
    assert sorted(item["destination"] for item in items) == [
        "aws:/bucket/my-data/a.txt",
        "aws:/bucket/my-data/sub/ü b.txt",
    ]


def test_quiet_prints_nothing(signed_in: Command, tree: Path) -> None:
    """On standard output; the log's warnings are no output of the transfer."""
    assert tree.exists()
    assert signed_in("cp", "my-data", "aws:/bucket/", "--quiet").stdout == ""


def test_equal_failures_are_told_once(signed_in: Command, tmp_path: Path) -> None:
    """Status 1, and one line with their number; what worked stays done; the JSON has all."""
    deep = tmp_path / "tree" / "/".join(["d" * 200] * 5) / ("e" * 100)
    deep.mkdir(parents=True)
    for number in range(25):
        (deep / f"too-long-{number}").write_bytes(b"")
    (tmp_path / "tree" / "fine").write_bytes(b"fine")
    outcome = signed_in("cp", "tree/", "aws:/bucket/", "--json")
    assert outcome.status == 1
    lines = [line for line in outcome.stderr.splitlines() if line.startswith("  ")]
    assert sum(int(line.split(" x ")[0]) for line in lines) == 25
    assert len(lines) <= 2
    assert all("refused" in line for line in lines)
    assert "Traceback" not in outcome.stderr
    items = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert sum(item["type"] == "result" and item["state"] == "failed" for item in items) == 25
    assert signed_in("cat", "aws:/bucket/fine").stdout == "fine"


@pytest.mark.parametrize(
    "arguments",
    [
        ("cp", "aws:a", "b"),
        ("cp", "a"),
        ("cp", "a", "aws:/b", "--no-such-option"),
        ("mv", "a", ""),
        ("sync", "a"),
        ("sync", "a", "b", "--compare", "md5"),
        ("sync", "a", "b", "--include", "../x"),
        ("no-such-command",),
    ],
)
def test_wrong_usage_is_status_2(command: Command, arguments: tuple[str, ...]) -> None:
    """With a message and no traceback."""
    outcome = command(*arguments)
    assert outcome.status == 2
    assert outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_wrong_setting_is_status_2(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named."""
    monkeypatch.setenv("DXFLOW_PART_SIZE", "small")
    outcome = command("cp", "a", "aws:/b")
    assert outcome.status == 2
    assert "DXFLOW_PART_SIZE" in outcome.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("cp", "none", "aws:/bucket/"),
        ("cp", "aws:/bucket/none", "."),
        ("mv", "none", "other"),
        ("sync", "none", "aws:/bucket/x"),
        ("sync", "aws:/bucket/none/", "x", "--delete", "--dry-run"),
    ],
)
def test_a_source_that_is_not_there_is_status_3(signed_in: Command, arguments: tuple[str, ...]) -> None:
    """It is named."""
    outcome = signed_in(*arguments)
    assert outcome.status == 3
    assert "none" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("name", ["cp", "mv", "sync"])
@pytest.mark.parametrize("goal", ["b2://bucket/x/", "asw:/bucket/x", "ftp://host/x?sig=SECRET", "report:2024"])
def test_a_place_that_is_none_is_status_2(command: Command, tmp_path: Path, name: str, goal: str) -> None:
    """As a destination and as a source; no directory is made of it, and what was to be moved stays."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("1")
    for arguments in ((name, "data", goal), (name, goal, "data")):
        outcome = command(*arguments)
        assert (outcome.status, outcome.stdout) == (2, "")
        assert "not a known place" in outcome.stderr
        assert "SECRET" not in outcome.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"data", "home"}
    assert (tmp_path / "data" / "file").read_text() == "1"


def test_a_name_with_a_colon_that_is_there_is_a_file(command: Command, tmp_path: Path) -> None:
    """So is one with ./ in front, also when it is to be made."""
    (tmp_path / "a:").mkdir()
    (tmp_path / "report:2024.csv").write_text("1")
    assert command("cp", "report:2024.csv", "a:/copy").status == 0
    assert command("cp", "report:*.csv", "./b:/copy").status == 0
    assert command("mv", "a:/copy", "report:2024.csv").status == 0
    assert sorted(path.name for path in tmp_path.rglob("*:*")) == ["a:", "b:", "report:2024.csv"]
    assert (tmp_path / "b:" / "copy").read_text() == "1"


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_a_directory_becomes_no_pipe_and_no_file(command: Command, tmp_path: Path, quiet: tuple[str, ...]) -> None:
    """A directory cannot become a pipe or a file; an error is never quiet."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("1")
    (tmp_path / "tree" / "in").mkdir(parents=True)
    for source, goal, status in [("tree", "pipe", 2), ("tree/", "file", 1)]:
        outcome = command("cp", source, goal, *quiet)
        assert (outcome.status, outcome.stdout) == (status, "")
        assert re.search("is a directory|regular file|not a directory", outcome.stderr)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["file", "pipe", "tree"]
    assert (tmp_path / "pipe").is_fifo()


def test_without_an_account_it_works_with_s3_itself(
    command: Command, configured: SeaweedFS, tree: Path, tmp_path: Path
) -> None:
    """Direct mode: the first segment is the bucket of a real S3 server."""
    assert tree.exists()
    bucket = configured.create_bucket("direct-mode")
    up = command("cp", "my-data/", f"aws:/{bucket}/")
    assert (up.status, "2 verified" in up.stdout) == (0, True)
    listed = configured.client.list_objects_v2(Bucket=bucket)
    assert [each["Key"] for each in listed["Contents"]] == ["a.txt", "sub/ü b.txt"]
    assert command("cp", f"aws:/{bucket}/", "back").status == 0
    assert (tmp_path / "back" / "sub" / "ü b.txt").read_bytes() == b"bb"
