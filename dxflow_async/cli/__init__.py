"""The command `dxflow-async`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: without the program's name; those of the process by default.

    Returns:
        The exit status: 0 it worked, 1 something failed, 2 the arguments or the settings are wrong, 130 Ctrl-C.
    """
    try:
        from dxflow_async.cli.app import run_app

        return run_app(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED
