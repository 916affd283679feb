"""`ls` of a local directory takes a shorter way, and prints the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dxflow_async.cli.quick_listing import list_quickly
from dxflow_async.config.settings import config_path
from tests.cli.called_command import Command


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with everything that a directory may have."""
    tree = tmp_path / "tree"
    (tree / "sub" / "deep").mkdir(parents=True)
    for name in ("a.csv", "B", "\u00e9", "e\u0301", "two\nlines", "\x1b[31m", "sub/b.txt", "sub/deep/c"):
        (tree / name).write_bytes(b"x" * len(name))
    (tree / "empty").mkdir()
    (tree / os.fsdecode(b"not-utf8-\xe9")).write_bytes(b"")
    os.mkfifo(tree / "pipe")
    (tree / "link").symlink_to("a.csv")
    (tree / "to-directory").symlink_to("sub")
    (tree / "broken").symlink_to("nowhere")
    (tree / "loop").symlink_to("loop")
    os.utime(tree / "a.csv", (0, 0))
    return tree


@pytest.mark.parametrize(
    "options", ["", "-h", "--total", "-h --total", "--json", "--json --total", "-l", "-r", "-r -h"]
)
@pytest.mark.parametrize("place", ["tree", "tree/", "./tree/sub", "tree/to-directory", "tree/../tree", ""])
def test_both_ways_print_the_same(
    command: Command, tree: Path, monkeypatch: pytest.MonkeyPatch, options: str, place: str
) -> None:
    """To the letter, as text and as JSON, whatever is in the directory."""
    assert tree.exists()
    arguments = ["ls", *options.split(), *([place] if place else [])]
    quick = command(*arguments)
    monkeypatch.setattr("dxflow_async.cli.list_quickly", lambda _: None)
    assert quick == command(*arguments)
    assert quick.status == 0


def test_what_it_does_not_know_is_left_to_the_command(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Other options, other places, patterns, several places, and everything that would be an error."""
    monkeypatch.chdir(tree.parent)
    for line in (
        "ls --include *.csv tree", "ls aws:/b/", "ls tree/*.csv", "ls tree tree", "ls none", "ls tree/a.csv", "ls -x .",
        "ls tree/empty", "ls --profile x .", "ls https://host/", "ls C:", "du tree", "ls -", "ls -- .", "ls -lh .",
    ):  # fmt: skip
        assert list_quickly(line.split()) is None, line
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "variables"),
    [
        ("[", {}),
        ("part_sise = 3", {}),
        ("part_size = 'much'", {}),
        ("", {"DXFLOW_PART_SIZE": "much"}),
        ("[remotes.x]\ntype = 's4'", {"DXFLOW_REMOTE_X_KEYS": "1"}),
        ("", {"DXFLOW_PART_SISE": "1"}),
        ("part_size = '16MiB'", {}),
        ("[remotes.lab]\ntype = 's3'\naccess_key = 'A'\nsecret_key = 'readable'", {}),
    ],
)
def test_both_ways_report_the_settings_alike(
    command: Command,
    tree: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    content: str,
    variables: dict[str, str],
) -> None:
    """Whatever is wrong with them, in the file or in the environment, is an error or a warning of both."""
    home.mkdir()
    (home / "config.toml").write_text(content)
    (home / "config.toml").chmod(0o644)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for arguments in (("ls", str(tree)), ("ls", "--json", str(tree)), ("ls", str(tree / "none"))):
        outcomes = []
        caplog.clear()
        for quick in (True, False):
            monkeypatch.setattr("dxflow_async.config.environment._told", set())
            monkeypatch.setattr("dxflow_async.cli.list_quickly", list_quickly if quick else lambda _: None)
            outcomes.append(command(*arguments))
        assert outcomes[0] == outcomes[1]
        wrong = not any(word in content for word in ("16MiB", "readable")) and "DXFLOW_PART_SISE" not in variables
        assert outcomes[0].status == (2 if wrong else 3 if "none" in arguments[-1] else 0)
        assert caplog.text.count("others may read it") == 2 * ("readable" in content)
        assert caplog.text.count("DXFLOW_PART_SISE") == 2 * ("DXFLOW_PART_SISE" in variables)


def test_the_configuration_is_found_where_other_commands_find_it(
    command: Command, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the platform's directory too, where `DXFLOW_HOME` is not set, and where it begins with `~` or is no place."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for variables in ({}, {"XDG_DATA_HOME": str(tmp_path / "data")}, {"DXFLOW_HOME": "~/ours"}):
        with monkeypatch.context() as patch:
            patch.delenv("DXFLOW_HOME")
            for name, value in variables.items():
                patch.setenv(name, value)
            assert command("ls", str(tree)).status == 0
            path = config_path()
            path.parent.mkdir(parents=True)
            path.write_text("[")
            outcome = command("ls", str(tree))
            assert (outcome.status, str(path) in outcome.stderr, outcome.stdout) == (2, True, "")
            path.unlink()
    (tmp_path / "file").touch()
    monkeypatch.setenv("DXFLOW_HOME", str(tmp_path / "file" / "x"))
    assert command("ls", str(tree)).status == 2
