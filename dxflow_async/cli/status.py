"""Exit statuses, and messages on standard error."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

from dxflow_async.blocking.tables import write_line
from dxflow_async.cli.json_lines import error_line
from dxflow_async.cli.log_lines import set_up_logging
from dxflow_async.cli.standard_streams import give_up_output
from dxflow_async.exceptions import (
    AccessDeniedError,
    AuthenticationError,
    ConfigurationError,
    DxflowError,
    JobNotFoundError,
    NetworkError,
    NotFoundError,
    StallTimeoutError,
    StorageError,
    TransferError,
    UnitNotFoundError,
)
from dxflow_async.security.redaction import printable

__all__ = [
    "DENIED",
    "DIFFERS",
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "NETWORK",
    "NOT_FOUND",
    "PLACE_ERRORS",
    "STATUSES",
    "TERMINATED",
    "USAGE",
    "Failures",
    "common_status",
    "complain",
    "report_end",
    "report_failure",
    "reported",
    "status_of",
]

DONE, FAILED, USAGE, NOT_FOUND, DENIED, NETWORK, DIFFERS = range(7)
INTERRUPTED, TERMINATED = 130, 143

STATUSES = (
    "Exit status: 0 everything was done; 1 something failed; 2 wrong arguments or settings, nothing was done; "
    "3 there is no such file, object, unit or job; 4 access was denied; 5 the network or the service's host failed; "
    "6 the two sides differ; 130 Ctrl-C; 143 terminated. Failures of several kinds are 1."
)
"""The exit statuses, for the help."""

PLACE_ERRORS = (StorageError, UnitNotFoundError, ConfigurationError)
"""The errors of one place, after which a command goes on with the others."""

_MAX_ITEMS_SHOWN = 20

_FEW_EQUAL = 3
"""So many equal errors are printed one by one; more are printed once, with their number."""


def reported(call: Callable[[], int], *, json: bool = False) -> int:
    """Returns the exit status of `call`. Its errors become messages on standard error and an exit status.

    Args:
        call: the command.
        json: whether an error is also printed as a JSON line on standard output.
    """
    set_up_logging()
    try:
        status = call()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return report_end("interrupted", INTERRUPTED, json=json)
    except asyncio.CancelledError:
        return report_end("terminated", TERMINATED, json=json)
    except BrokenPipeError:
        give_up_output()  # its reader has ended
        return FAILED
    except DxflowError as error:
        return report_end(error, status_of(error), json=json)
    except OSError as error:
        return report_end(OSError(_system_error_text(error)), FAILED, json=json)
    return status


def _system_error_text(error: OSError) -> str:
    """Returns what the system says, and of what; it is standard output where the error names no file."""
    subject = "standard output cannot be written" if error.filename is None else error.filename
    return f"{subject}: {error.strerror or error}; check it, and run the command again"


def report_end(error: Exception | str, status: int, *, json: bool) -> int:
    """Reports why a command ends; returns the exit status. That output cannot be written is no other failure.

    Args:
        error: the failure, or a word for what ended the command.
        status: the exit status.
        json: whether it is also printed as a JSON line on standard output.
    """
    try:
        if json:
            write_line(error_line(error, status))
        sys.stdout.flush()
    except OSError:
        give_up_output()
    with suppress(OSError):
        report_failure(error)
    return status


def report_failure(error: Exception | str, most: int | None = _MAX_ITEMS_SHOWN) -> None:
    """Prints an error on standard error, with the items that failed.

    Args:
        error: the error, or its text.
        most: the number of failed items to print below the message; None for all of them.
    """
    if not isinstance(error, TransferError):
        complain(error)
        return
    failed = error.report.failed
    first = str(failed[0].error) if failed else ""
    groups = [] if most is None else error.report.failure_groups()
    many = [(text, items) for text, items in groups if len(items) > _FEW_EQUAL]
    grouped = {id(item) for _, items in many for item in items}
    if grouped and id(failed[0]) in grouped:
        complain(str(error).removesuffix(f"; the first: {first}"))
        shown = failed
    else:
        complain(error)
        shown = failed[1:] if failed and first in str(error) else failed  # the message has the first one
    for text, items in many:
        write_line(f"  {len(items)} x {printable(text)} (such as {printable(items[0].source)})", sys.stderr)
    shown = [each for each in shown if id(each) not in grouped]
    for result in shown[:most]:
        write_line(f"  {printable(str(result.error))}", sys.stderr)
    if most is not None and len(shown) > most:
        write_line(f"  and {len(shown) - most} more", sys.stderr)


def status_of(error: Exception) -> int:
    """Returns the exit status of a failure: of several items, the one that all share, else 1.

    A missing destination is an ordinary failure, not "not found".
    """
    if isinstance(error, TransferError):
        return common_status(status_of(result.error) for result in error.report.failed if result.error is not None)
    if isinstance(error, UnitNotFoundError | JobNotFoundError):
        return NOT_FOUND
    if isinstance(error, ConfigurationError):
        return USAGE
    if isinstance(error, NotFoundError):
        return FAILED if error.operation in ("write", "make directory") else NOT_FOUND
    if isinstance(error, AccessDeniedError | AuthenticationError):
        return DENIED
    return NETWORK if isinstance(error, NetworkError | StallTimeoutError) else FAILED


class Failures:
    """The failures of a command that goes on after each of them.

    Args:
        json: whether each is also printed as a JSON line.
    """

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._statuses: list[int] = []
        self._did_something = False

    def note_success(self) -> None:
        """Notes that something was done."""
        self._did_something = True

    def add(self, error: Exception) -> None:
        """Reports a failure."""
        status = status_of(error)
        if self._json:
            write_line(error_line(error, status))
        report_failure(error, most=None)
        self._statuses.append(status)

    @property
    def count(self) -> int:
        """The number of failures."""
        return len(self._statuses)

    @property
    def status(self) -> int:
        """The exit status: that of wrong arguments only if nothing was done."""
        if set(self._statuses) == {USAGE} and not self._did_something:
            return USAGE
        return common_status(self._statuses)


def common_status(statuses: Iterable[int]) -> int:
    """Returns the status that several failures share, else 1; 0 without any. A usage error of an item is 1, too."""
    found = set(statuses)
    if not found:
        return DONE
    return found.pop() if len(found) == 1 and USAGE not in found else FAILED


def complain(message: object) -> None:
    """Prints a line on standard error."""
    write_line(f"dxflow-async: {printable(str(message))}", sys.stderr)
