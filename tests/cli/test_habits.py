"""What other tools have and this one does not: the message says what does the same."""

from __future__ import annotations

import re

import pytest

from dxflow_async.cli.elsewhere import COMMANDS, OPTIONS, OPTIONS_OF
from dxflow_async.cli.help_pages import DIRECTORY
from dxflow_async.cli.summaries import SUMMARIES
from tests.cli.called_command import Command

_OF_EACH = [(command, option) for command, options in OPTIONS_OF.items() for option in options if option != "-1"]


@pytest.mark.parametrize(("name", "option"), _OF_EACH)
def test_an_option_of_one_command(command: Command, name: str, option: str) -> None:
    """Each is unknown to its command, and answered with its own advice, alone and among letters."""
    written = [option] if option.startswith("--") else [option, f"{option}xyz"]
    for word in written:
        outcome = command(name, word)
        assert (outcome.status, OPTIONS_OF[name][option] in outcome.stderr) == (2, True), outcome.stderr
        assert outcome.stderr.count("\n") == 1
        assert "not a recognized" not in outcome.stderr


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_of_several_commands(command: Command, option: str) -> None:
    """It is answered wherever no command has it."""
    assert OPTIONS[option] in command("wait", option, "x").stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_of_another_tool(command: Command, name: str) -> None:
    """It is no command here, and the message says what is."""
    outcome = command(name, "x", "-y")
    assert (outcome.status, COMMANDS[name] in outcome.stderr) == (2, True)


def test_advice_names_commands_and_options_that_there_are() -> None:
    """Every long option and every command that advice begins with is in the help."""
    pages = "".join(path.read_text("utf-8") for path in DIRECTORY.glob("*.txt"))
    known = {*re.findall(r"--[a-z][a-z-]*", pages)} | {"--version"}
    advice = [*COMMANDS.values(), *OPTIONS.values(), *(text for own in OPTIONS_OF.values() for text in own.values())]
    assert {option for text in advice for option in re.findall(r"--[a-z][a-z-]*", text)} <= known
    started = [text.split()[0] for text in COMMANDS.values() if " " in text]
    others = {"the", "nothing", "buckets", "storage", "leave", "dxflow-async"}
    assert {word.rstrip(":,") for word in started} <= {*SUMMARIES} | others


@pytest.mark.parametrize(
    ("line", "advice"),
    [("ls -1 .", "a line of its own"), ("tail -20 a", "-n 20 prints so many lines"), ("cp -3 a b", "help cp")],
)
def test_a_number_is_an_option(command: Command, line: str, advice: str) -> None:
    """It is no place of that name, unless it is the value of an option or stands behind --."""
    outcome = command(*line.split())
    assert (outcome.status, "unknown option: -" in outcome.stderr, advice in outcome.stderr) == (2, True, True)
    assert command("tail", "-n", "-1", "a").stderr.startswith("dxflow-async: --lines = -1 is not allowed")
    assert command("ls", "--", "-1").status == 3


def test_h_asks_for_help_where_it_means_nothing_else(command: Command) -> None:
    """`cp -h` and `-h` print help; of `ls` and `du` it prints sizes for people; among other arguments it is unknown."""
    for words in ((), ("cp",), ("jobs",), ("jobs", "list")):
        page = command(*words, "-h")
        assert (page.status, page.stdout) == (0, command(*words, "--help").stdout)
    assert not command("ls", "-h").stdout.startswith("Usage")
    assert "--help explains" in command("cp", "a", "-h", "b").stderr
