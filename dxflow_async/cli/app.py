"""The commands by name. Each command is imported only when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from dxflow_async.cli.status import STATUSES, USAGE, reported

__all__ = ["run_app"]

_COMMANDS = {
    "cp": ("transfer:cp", "Copy files and directories between any two locations."),
    "mv": ("transfer:mv", "Move files and directories between any two locations."),
    "sync": ("transfer:sync", "Sync a directory: copy what is new or changed."),
    "ls": ("objects:ls", "List a directory or an object."),
    "cat": ("objects:cat", "Write an object's bytes to standard output."),
    "rm": (
        "objects:rm",
        "Delete objects. An object that does not exist is an error; the others are deleted all the same.",
    ),
    "presign": ("objects:presign", "Print a URL that downloads an object without an account, for a limited time."),
    "jobs": ("jobs:jobs", "List and resume running, interrupted and partly failed transfers, and clean up after them."),
    "login": ("account:login", "Sign in to a hub, and store the login."),
    "logout": ("account:logout", "Delete the stored login."),
    "units": ("units:units", "List, start, stop and register the account's compute units."),
    "providers": ("providers:providers", "The settings of providers that the account's hub keeps."),
    "remotes": ("remotes:remotes", "Named places to keep bytes: list, add, test and remove them."),
    "hub": ("hub:hub", "Run a hub of your own, and manage its accounts."),
    "unit": ("unit:unit", "Serve a directory as a compute unit's storage."),
    "demo": ("demo:demo", "Upload, list, download and compare a tree of unusual files."),
}


def run_app(arguments: Sequence[str]) -> int:
    """Parses the arguments and runs their command; returns its exit status."""
    app = App(
        name="dxflow-async",
        help="Move files between this machine and cloud storage. Locations are written aws:/bucket/key or ./path.\n\n"
        f"{STATUSES}",
        version=lambda: version("dxflow-async"),
        result_action="return_value",
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        help_format="plaintext",
    )
    for name, (target, summary) in _COMMANDS.items():
        app.command(f"dxflow_async.cli.{target}", name=name, help=f"{summary}\n\n{STATUSES}")

    def call() -> int:
        return app(arguments) or 0

    try:
        return reported(call)
    except CycloptsError:  # cyclopts has printed it
        return USAGE
