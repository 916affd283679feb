"""Errors of the parser of arguments as messages of one line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, get_args

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from dxflow_async.cli.elsewhere import COMMANDS, OPTIONS, OPTIONS_OF

__all__ = ["number_option", "usage_error_text"]

_PLACES = {"LOCATION": "PLACE", "LOCATIONS": "PLACE"}
_KINDS = {int: "a whole number", float: "a number"}


def usage_error_text(error: CycloptsError, stream: str) -> str:
    """Returns the message of the parser as one line that says what to do.

    Args:
        error: the parser's error.
        stream: what stands for `-` in the arguments that the parser was given.
    """
    text = " ".join(_message(error).replace(stream, "-").split()).rstrip(".")
    command = " ".join(("dxflow-async help", *(error.command_chain or ())))
    return f"{text}{'' if text.endswith('?') else ';'} {command} explains it"


def number_option(arguments: Sequence[str]) -> str | None:
    """Returns the message about an option such as -1 or -20, which the parser would take for a place; None without one.

    Args:
        arguments: the command line.
    """
    for before, word in pairwise(arguments):
        if word == "--":
            return None
        if re.fullmatch(r"-[0-9]+", word) and before != "-n" and not before.startswith("--"):
            command = arguments[0]
            advice = OPTIONS_OF.get(command, {}).get("-1")
            said = f"{advice.format(number=word[1:])}; " if advice else ""
            return f"unknown option: {word}; {said}dxflow-async help {command} explains it"
    return None


def _message(error: CycloptsError) -> str:
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        return _missing(error, error.argument)
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"too many arguments: {shlex.join(error.unused_tokens)}"
    if isinstance(error, CoercionError) and error.token is not None:
        name = error.token.keyword or (_shown(error.argument) if error.argument is not None else "an argument")
        return f"{name} = {error.token.value!r} is not allowed; it must be {_allowed(error.target_type)}"
    text = " ".join(str(error).split()).rstrip(".")
    text = re.sub(r"\.? Available commands: .*", "", text)
    text = re.sub(
        r'^Unknown option: "?(-\w+)"?\. "?(-\w)"? is not a recognized option', r"Unknown option: \2 in \1", text
    )
    if isinstance(error, UnknownCommandError):
        # An option before the command is read as the name of one.
        text = re.sub(
            r'^Unknown command "(-[^"]+)"', r"Unknown option: \1; options are written after the command", text
        )
    if (advice := _advice(error)) is not None:
        text = f"{re.sub(r'[.]? Did you mean .*', '', text)}; {advice}"
    text = re.sub(r'\. Did you mean "?(.+?)"?\?', r"; did you mean \1?", text)
    return f"{text[:1].lower()}{text[1:]}"


def _advice(error: CycloptsError) -> str | None:
    """Returns what does the same as a command or an option that another tool has."""
    if isinstance(error, UnknownCommandError) and not error.command_chain:
        return COMMANDS.get((error.unused_tokens or [""])[0])
    if isinstance(error, UnknownOptionError):
        name = (error.token.keyword or error.token.value).partition("=")[0]
        own = OPTIONS_OF.get(" ".join(error.command_chain or ()), {})
        # Letters may stand together: -avz.
        names = [name] if name.startswith("--") else [f"-{letter}" for letter in name[1:]]
        return next((advice for each in names if (advice := own.get(each) or OPTIONS.get(each))), None)
    return None


def _missing(error: MissingArgumentError, argument: Any) -> str:
    given = error.keyword or next((each.keyword for each in reversed(argument.tokens) if each.keyword), None)
    return f"{given} needs a value" if given is not None else f"{_shown(argument)} is missing"


def _shown(argument: Any) -> str:
    """Returns the name of an argument as the help shows it."""
    if argument.index is None:
        return str(argument.name)
    name = str(argument.field_info.name).upper().replace("_", "-")
    return _PLACES.get(name, name)


def _allowed(kind: Any) -> str:
    choices = [str(each) for each in get_args(kind)]
    if choices:
        return " or ".join((", ".join(choices[:-1]), choices[-1])) if choices[1:] else choices[0]
    return _KINDS.get(kind, f"of type {getattr(kind, '__name__', kind)}")
