"""The help, whose texts are files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dxflow_async.cli.help_pages import DIRECTORY
from dxflow_async.cli.summaries import EXAMPLES
from tests.cli.called_command import Command
from tests.help_texts import help_pages
from tests.python_processes import clean_environment

_PAGES = {path.name: path.read_text("utf-8") for path in DIRECTORY.glob("*.txt")}


def test_the_pages_are_those_of_the_commands() -> None:
    """They name each option as the parser knows it; `python -m tests.help_texts` renews them."""
    assert help_pages() == _PAGES


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_page_ends_with_examples(command: Command, name: str) -> None:
    """Two or three, before the exit statuses, whichever way the help is asked for, and no line but theirs is long."""
    words = name.split()
    page = command(*words, "--help")
    assert (page.status, page.stderr) == (0, "")
    assert command("help", *words).stdout == page.stdout
    assert f"Usage: dxflow-async {name} " in page.stdout
    assert "Exit status:" in page.stdout.split("\nExamples:\n")[1]
    lines = page.stdout.splitlines()
    assert not [line for line in lines if len(line) > 80 and not line.startswith("  dxflow-async ")]
    assert "default: ()" not in page.stdout
    examples = [line for line in lines if line.startswith("  dxflow-async ")]
    assert len(examples) == len(EXAMPLES[name]) in (2, 3)


def test_help_wins_over_other_arguments(command: Command) -> None:
    """Behind arguments it is the help of that command; behind -- it is none; an unknown command has none."""
    assert command("cp", "a", "b", "--help").stdout == _PAGES["cp.txt"]
    assert command("jobs").stdout == _PAGES["jobs.txt"]
    assert command().stdout == command("help").stdout == _PAGES["dxflow-async.txt"]
    assert command("ls", "--", "--help").status == 3
    for words in (("nothing", "--help"), ("help", "nothing"), ("jobs", "nothing", "--help")):
        outcome = command(*words)
        assert (outcome.status, outcome.stdout) == (2, "")


def test_help_is_quick(tmp_path: Path) -> None:
    """It costs hardly more than an interpreter that does nothing: no parser, session or event loop is imported."""
    code = """
import sys
from dxflow_async.cli import main
assert main(["cp", "--help"]) == 0
print([name for name in ("cyclopts", "rich", "asyncio", "dxflow_async.session") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean_environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
