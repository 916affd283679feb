"""The log of items: a line for each one that ended."""

from __future__ import annotations

import logging

from dxflow_async.models import TransferResult
from dxflow_async.security.redaction import printable

__all__ = ["is_logged", "log_item"]

_log = logging.getLogger("dxflow_async.items")


def is_logged() -> bool:
    """Returns whether anyone reads it."""
    return _log.isEnabledFor(logging.INFO)


def log_item(result: TransferResult) -> None:
    """Logs an item that ended."""
    if result.error is not None:
        _log.info("%s", result.error)
    elif result.skipped is not None:
        _log.info("skipped %s: %s", printable(result.source), printable(result.skipped))
    else:
        ends = printable(result.source), printable(result.destination)
        _log.info("%s -> %s: %d bytes in %.2f s", *ends, result.bytes, result.seconds)
