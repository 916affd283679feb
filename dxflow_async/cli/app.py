"""The commands by name; each is imported only when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from dxflow_async.cli.status import STATUSES, USAGE, reported

__all__ = ["run_app"]

_COMMANDS = {
    "cp": ("transfer:cp", "Copy files and directories, from anywhere to anywhere."),
    "mv": ("transfer:mv", "Move files and directories, from anywhere to anywhere."),
    "sync": ("transfer:sync", "Make a directory like another one."),
    "ls": ("objects:ls", "List what is at a place."),
    "cat": ("objects:cat", "Write an object's bytes to standard output."),
    "rm": ("objects:rm", "Delete objects; one that is not there is an error, and the others are deleted all the same."),
    "presign": ("objects:presign", "Print a URL that works without an account, for a while."),
    "jobs": ("jobs:jobs", "List transfers that have not come to their end, go on with one, remove what they left."),
    "login": ("account:login", "Sign in to a hub, for all commands to come."),
    "logout": ("account:logout", "Forget the stored login."),
    "units": ("units:units", "The compute units of the account."),
    "providers": ("providers:providers", "What the account has at its hub for each provider."),
    "remotes": ("remotes:remotes", "Named places to keep bytes: list, add, test and remove them."),
    "hub": ("hub:hub", "Run a hub of your own, and its accounts."),
    "unit": ("unit:unit", "Serve a directory as a compute unit's storage."),
    "demo": ("demo:demo", "Upload, list, download and compare a tree of odd files."),
}


def run_app(arguments: Sequence[str]) -> int:
    """Parses the arguments and runs the command they name; returns its exit status."""
    app = App(
        name="dxflow-async",
        help="Move files between this machine and cloud storage. Places are written aws:/bucket/key or ./path.\n\n"
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
    except CycloptsError:  # printed already
        return USAGE
