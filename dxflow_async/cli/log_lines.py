"""Log lines on standard error."""

from __future__ import annotations

import logging
import sys

from dxflow_async.blocking.tables import write_line
from dxflow_async.security.redaction import printable

__all__ = ["log_more", "set_up_logging"]


def set_up_logging() -> None:
    """Prints what is logged as messages of the command, unless the program logs elsewhere already."""
    logging.basicConfig(format="dxflow-async: %(message)s", handlers=[_AboveBar()])


def log_more(verbosity: int) -> None:
    """Logs a line for each item that is moved (1), also what is retried and why (2), and everything (3)."""
    if verbosity:
        logging.getLogger("dxflow_async.items").setLevel(logging.INFO)
    if verbosity > 1:
        logging.getLogger("dxflow_async").setLevel(logging.INFO if verbosity == 2 else logging.DEBUG)


class _AboveBar(logging.Handler):
    """Writes log lines to the standard error of the moment: while a bar is shown, that puts them above it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write_line(printable(self.format(record)), sys.stderr)
        except Exception:  # noqa: BLE001 - as every handler of `logging` does
            self.handleError(record)
