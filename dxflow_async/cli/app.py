"""The commands by name. Each command is imported only when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cyclopts import App, CycloptsError, Parameter

from dxflow_async.cli.json_lines import wants_json
from dxflow_async.cli.standard_streams import STREAM
from dxflow_async.cli.status import STATUSES, USAGE, report_end, reported
from dxflow_async.cli.summaries import HEADLINE, SUMMARIES
from dxflow_async.exceptions import ConfigurationError

__all__ = ["run_app"]


class _Command(NamedTuple):
    """A command: the module in this package, and the function or group of commands there."""

    module: str
    name: str


_COMMANDS = {
    "cp": _Command("transfer", "cp"),
    "mv": _Command("transfer", "mv"),
    "sync": _Command("transfer", "sync"),
    "check": _Command("check", "check"),
    "ls": _Command("listing", "ls"),
    "du": _Command("listing", "du"),
    "stat": _Command("listing", "stat"),
    "wait": _Command("waiting", "wait"),
    "cat": _Command("reading", "cat"),
    "tail": _Command("reading", "tail"),
    "rm": _Command("deleting", "rm"),
    "mkdir": _Command("making", "mkdir"),
    "presign": _Command("making", "presign"),
    "jobs": _Command("jobs", "jobs"),
    "login": _Command("account", "login"),
    "logout": _Command("account", "logout"),
    "whoami": _Command("account", "whoami"),
    "units": _Command("units", "units"),
    "providers": _Command("providers", "providers"),
    "remotes": _Command("remotes", "remotes"),
    "config": _Command("config", "config"),
    "ui": _Command("ui", "ui"),
    "hub": _Command("hub", "hub"),
    "unit": _Command("unit", "unit"),
    "demo": _Command("demo", "demo"),
    "completion": _Command("completion", "completion"),
}


def run_app(arguments: Sequence[str]) -> int:
    """Parses the arguments and runs their command; returns its exit status."""
    app = make_app()
    given = [STREAM if each == "-" else each for each in arguments]
    if given[:1] == ["help"]:
        given = [*given[1:], "--help"]  # of no known command

    def call() -> int:
        return app(given) or 0

    json = wants_json(given)
    if any(each[:1] == "-" and each[1:].isdecimal() for each in given):
        from dxflow_async.cli.usage_errors import number_option

        if (text := number_option(given)) is not None:
            return report_end(ConfigurationError(text), USAGE, json=json)
    try:
        return reported(call, json=json)
    except CycloptsError as error:
        from dxflow_async.cli.usage_errors import usage_error_text

        return report_end(ConfigurationError(usage_error_text(error, STREAM)), USAGE, json=json)


def make_app() -> App:
    """Returns the program with all its commands, none of which is imported yet."""
    app = App(
        name="dxflow-async",
        help=f"{HEADLINE}\n\n{STATUSES}",
        version=_version,
        version_flags=("--version", "-V"),
        help_flags=("--help",),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
        help_format="plaintext",
        default_parameter=Parameter(negative=()),
    )
    for name, (module, function) in _COMMANDS.items():
        app.command(f"dxflow_async.cli.{module}:{function}", name=name, help=SUMMARIES[name])
    return app


def _version() -> str:
    from importlib.metadata import version

    return version("dxflow-async")
