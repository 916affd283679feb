"""Writes down the help of every command, so that `--help` prints a file and imports no parser of arguments.

`python -m tests.help_texts` renews `dxflow_async/cli/help`, which a test compares with the commands.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from cyclopts import App
from docstring_parser import parse

from dxflow_async.cli.app import make_app
from dxflow_async.cli.help_pages import DIRECTORY, page_name
from dxflow_async.cli.status import STATUSES
from dxflow_async.cli.summaries import EXAMPLES, HEADLINE, SUMMARIES

__all__ = ["help_pages"]

_WIDTH = 80
_COLUMN = 26
_TITLES = {
    "Choice": "Which items",
    "Writing": "What is written",
    "Pace": "How fast",
    "Output": "Output",
    "Shown": "Output",
    "Account": "Account",
    "OnWorkers": "Where it runs",
}
_PLACES = {"LOCATIONS": "PLACE...", "LOCATION": "PLACE", "PLACES": "SOURCE... DESTINATION"}
_VALUES = {"int": "NUMBER", "float": "NUMBER", "Path": "PATH", "str": "TEXT"}


def help_pages() -> dict[str, str]:
    """Returns each page by the name of its file."""
    app = make_app()
    pages = {page_name(()): _main()}
    for name in SUMMARIES:
        for path, command in _commands((name,), app[name]):
            pages[page_name(path)] = _page(path, command)
    return pages


def _commands(path: tuple[str, ...], command: App) -> Iterator[tuple[tuple[str, ...], App]]:
    yield path, command
    for name in _subcommands(command):
        yield from _commands((*path, name), command[name])


def _subcommands(command: App) -> list[str]:
    return [name for name in command if not name.startswith("-")]


def _main() -> str:
    rows = [(name, summary) for name, summary in SUMMARIES.items()]
    rows += [("help COMMAND", "Explain a command, as COMMAND --help does."), ("--version, -V", "Print the version.")]
    return _joined("Usage: dxflow-async COMMAND ...", _wrapped(HEADLINE), _table("Commands:", rows), _wrapped(STATUSES))


def _page(path: tuple[str, ...], command: App) -> str:
    line = " ".join(("dxflow-async", *path))
    examples = "\n".join(("Examples:", *(f"  dxflow-async {each}" for each in EXAMPLES[" ".join(path)])))
    names = _subcommands(command)
    if names:
        rows = [(name, _summary(command[name])) for name in names]
        text = SUMMARIES[path[0]] if len(path) == 1 else command.help
        return _joined(
            f"Usage: {line} COMMAND ...", _wrapped(text), _table("Commands:", rows), examples, _wrapped(STATUSES)
        )
    function = command.default_command
    assert function is not None
    documented = parse(inspect.getdoc(function) or "")
    texts = [documented.short_description or "", *(documented.long_description or "").split("\n\n")]
    usage, arguments, options = _parameters(command, {each.arg_name: each.description for each in documented.params})
    return _joined(
        "\n".join(textwrap.wrap(f"Usage: {line} {usage}", _WIDTH, subsequent_indent="    ", break_on_hyphens=False)),
        *(_wrapped(text) for text in texts if text),
        _table("Arguments:", arguments),
        *(_table(f"{title}:", rows) for title, rows in options.items()),
        examples,
        _wrapped(STATUSES),
    )


def _parameters(
    command: App, texts: dict[str, str | None]
) -> tuple[str, list[tuple[str, str]], dict[str, list[tuple[str, str]]]]:
    """Returns the arguments of the usage line, and the rows of the arguments and of each group of options."""
    usage: list[str] = []
    arguments: list[tuple[str, str]] = []
    options: dict[str, list[tuple[str, str]]] = {"Options": []}
    title = "Options"
    for each in command.assemble_argument_collection():
        if each.names == ("*",):
            title = _TITLES[each.hint.__name__]
            group = {one.arg_name: one.description for one in parse(inspect.getdoc(each.hint) or "").params}
            continue
        field = each.field_info.name
        text = (group if each.keys and each.names[0] != "--[KEYWORD]" else texts).get(field) or ""
        if each.names[0] == "--[KEYWORD]":
            usage.append("[--SETTING TEXT ...]")
            continue
        if each.index is not None or each.names[0] == each.names[0].upper():
            shown = field.upper().replace("_", "-")
            several = each.index is not None and str(each.hint).startswith("tuple")
            shown = _PLACES.get(shown, f"{shown}..." if several else shown)
            usage.append(shown if each.required or " " in shown else f"[{shown}]")
            arguments.append((shown, text))
            continue
        flag = each.hint is bool or each.parameter.count
        value = "" if flag else f" {_value(each.hint)}"
        names = sorted((name for name in each.names), key=len)
        if each.required:
            usage.insert(0, f"{names[-1]}{value}")
        default = each.field_info.default
        plain = default not in (None, "", (), False, inspect.Parameter.empty)
        text += f" [default: {default}]" if plain else ""
        options.setdefault(title if each.keys else "Options", []).append((", ".join(names) + value, text))
    return " ".join((*(["[OPTIONS]"] if any(options.values()) else []), *usage)), arguments, options


def _value(hint: Any) -> str:
    choices = [each for each in get_args(hint) if isinstance(each, str)]
    if choices:
        return "|".join(choices)
    text = getattr(hint, "__name__", str(hint))
    return next((value for name, value in _VALUES.items() if name in text or name in str(hint)), "TEXT")


def _summary(command: App) -> str:
    function = command.default_command
    text = command.help if function is None else inspect.getdoc(function) or ""
    return (text.split("\n\n")[0]).replace("\n", " ")


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines: list[str] = []
    for name, text in rows:
        wrapped = textwrap.wrap(" ".join(text.split()), _WIDTH - _COLUMN, break_on_hyphens=False)
        start = f"  {name}"
        if len(start) > _COLUMN - 2:
            lines.append(start)
            start = ""
        lines += [f"{start if number == 0 else '':<{_COLUMN}}{line}" for number, line in enumerate(wrapped or [""])]
    return "\n".join((title, *(line.rstrip() for line in lines))) if lines else ""


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(" ".join(text.split()), _WIDTH, break_on_hyphens=False))


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    for old in DIRECTORY.glob("*.txt"):
        old.unlink()
    for file, page in help_pages().items():
        (DIRECTORY / file).write_text(page, "utf-8")
