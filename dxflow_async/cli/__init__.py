"""The command `dxflow-async`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dxflow_async.cli.help_pages import find_page, print_page
from dxflow_async.cli.quick_listing import list_quickly
from dxflow_async.cli.standard_streams import open_closed_streams
from dxflow_async.concurrency.descriptors import raise_limit

__all__ = ["main"]

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the arguments without the program's name; by default those of the process.

    Returns:
        The exit status: 0 success, 1 failure, 2 wrong arguments or settings, 3 not found, 130 Ctrl-C, 143 SIGTERM.
    """
    open_closed_streams()
    raise_limit()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if (page := find_page(given)) is not None:
            return print_page(page)
        if (status := list_quickly(given)) is not None:
            return status
        from dxflow_async.cli.app import run_app

        return run_app(given)
    except KeyboardInterrupt:
        return _INTERRUPTED
