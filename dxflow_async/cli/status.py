"""Exit statuses, and messages on standard error."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable

from dxflow_async.blocking.tables import write_line
from dxflow_async.exceptions import ConfigurationError, DxflowError, NotFoundError, TransferError, UnitNotFoundError
from dxflow_async.security.redaction import printable

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "NOT_FOUND",
    "STATUSES",
    "USAGE",
    "complain",
    "report_failure",
    "reported",
    "status_of",
]

FAILED, USAGE, NOT_FOUND, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143

STATUSES = (
    "Exit status: 0 everything was done; 1 something failed; 2 wrong arguments or settings, nothing was done; "
    "3 there is no such file, object or unit; 130 Ctrl-C; 143 terminated."
)
"""The exit statuses, for the help."""

_MAX_ITEMS_SHOWN = 20


def reported(call: Callable[[], int]) -> int:
    """Returns the exit status of `call`. Its errors become messages on standard error and an exit status."""
    logging.basicConfig(format="dxflow-async: %(message)s")
    try:
        status = call()
        sys.stdout.flush()
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except asyncio.CancelledError:
        complain("terminated")
        return TERMINATED
    except BrokenPipeError:
        # The reader of our output has ended. The interpreter's own last flush would fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except ConfigurationError as error:
        complain(error)
        return USAGE
    except (DxflowError, OSError) as error:
        report_failure(error)
        return status_of(error)
    return status


def report_failure(error: Exception, most: int | None = _MAX_ITEMS_SHOWN) -> None:
    """Prints an error on standard error, with the items that failed.

    Args:
        error: the error.
        most: the number of failed items to print; None for all of them.
    """
    complain(error)
    if not isinstance(error, TransferError):
        return
    failed = error.report.failed
    for result in failed[:most]:
        write_line(f"  {printable(str(result.error))}", sys.stderr)
    if most is not None and len(failed) > most:
        write_line(f"  and {len(failed) - most} more", sys.stderr)


def status_of(error: Exception) -> int:
    """Returns the exit status of a failure. A missing destination is an ordinary failure, not "not found"."""
    if isinstance(error, NotFoundError):
        return FAILED if error.operation in ("write", "make directory") else NOT_FOUND
    return NOT_FOUND if isinstance(error, UnitNotFoundError) else FAILED


def complain(message: object) -> None:
    """Prints a line on standard error."""
    write_line(f"dxflow-async: {printable(str(message))}", sys.stderr)
