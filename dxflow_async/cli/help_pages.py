"""The help of the commands: text files, so that it comes at once. `tests/help_texts.py` writes them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dxflow_async.cli.standard_streams import give_up_output

__all__ = ["DIRECTORY", "find_page", "page_name", "print_page"]

DIRECTORY = Path(__file__).with_name("help")


_LONGEST = 40
"""More characters than any command has."""


def page_name(path: Sequence[str]) -> str:
    """Returns the file name of the help of a command.

    Example:
        >>> page_name(("jobs", "list")), page_name(())
        ('jobs-list.txt', 'dxflow-async.txt')
    """
    return f"{'-'.join(path) or 'dxflow-async'}.txt"


def find_page(arguments: Sequence[str]) -> str | None:
    """Returns the help that a command line asks for; None if it does not ask, or names no command.

    Without arguments it asks for the list of commands.
    """
    options = [*arguments]
    if "--" in options:
        options = options[: options.index("--")]
    if options[:1] == ["help"]:
        options = [*options[1:], "--help"]
    path: list[str] = []
    for word in options:
        if (
            not (word.isascii() and word.isidentifier() and len(word) < _LONGEST)
            or not (DIRECTORY / page_name([*path, word])).is_file()
        ):
            break
        path.append(word)
    if options[len(path) :] == ["-h"] and "-h, --human" not in (DIRECTORY / page_name(path)).read_text("utf-8"):
        options[-1] = "--help"
    group = not path or any(DIRECTORY.glob(f"{'-'.join(path)}-*.txt"))
    asked = "--help" in options or (group and len(path) == len(options))
    known = bool(path) or not options or options[0] == "--help"
    if not (asked and known) or (group and options[len(path) : len(path) + 1] not in ([], ["--help"])):
        return None
    return (DIRECTORY / page_name(path)).read_text("utf-8")


def print_page(page: str) -> int:
    """Prints a page; returns the exit status."""
    try:
        sys.stdout.write(page)
        sys.stdout.flush()
    except OSError as error:
        give_up_output()
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"dxflow-async: standard output cannot be written: {error.strerror}\n")
        return 1
    return 0
