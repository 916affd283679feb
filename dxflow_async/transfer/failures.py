"""Turns any exception of an item into that item's failure. It ends no call, and the log has its type and place."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from dxflow_async.concurrency.pool import first_of
from dxflow_async.exceptions import AccessDeniedError, DxflowError, SessionClosedError, StorageError, UnsafePathError
from dxflow_async.paths import utf8_shown
from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.transfer.context import Place

__all__ = ["failure_of", "is_failure", "is_unresolved", "read_failure", "translated"]

_log = logging.getLogger("dxflow_async.transfer")

_DENIED = {"EACCES", "EPERM", "401", "403"}
_UNRESOLVED = "ENOENT"


def failure_of(error: Exception, ends: tuple[str, str], operation: str = "transfer") -> StorageError:
    """Returns the error of one item.

    A `StorageError` is returned as it is. Any other exception becomes the cause of a new `StorageError`, and is logged
    if it is a bug.

    Args:
        error: the exception.
        ends: the item's source and destination, as results show them.
        operation: what was being done.

    Raises:
        MemoryError, SessionClosedError: these concern the whole call, and are raised as they are.
    """
    first = first_of(error) if isinstance(error, ExceptionGroup) else error
    if isinstance(first, StorageError):
        return first
    if isinstance(first, (MemoryError, SessionClosedError)) or not isinstance(first, Exception):
        raise first
    source, destination = ends
    what = f"{operation} of {source}" + (f" to {destination}" if destination else "")
    failure: StorageError
    if isinstance(first, UnicodeEncodeError):
        name = utf8_shown(first.object)
        text = f"{what} refused: {name[:200]} is not UTF-8, and names there must be; check the path, or rename it"
        failure = UnsafePathError(text, operation=operation, path=name)
    elif isinstance(first, DxflowError):
        failure = StorageError(f"{what} failed: {first}", operation=operation, path=source)
    else:
        text = "this is a bug in dxflow-async or its environment; the log shows where"
        reason = f"{type(first).__name__}: {first}" if str(first) else type(first).__name__
        failure = StorageError(f"{what} failed: {reason}; {text}", operation=operation, path=source)
        _log.error("%s", failure, exc_info=first, extra={"fields": failure.fields()})
    failure.__cause__ = first
    return failure


@contextmanager
def translated(provider: Provider) -> Iterator[None]:
    """Turns exceptions of a request that are not our own into a `StorageError` with the exception as its cause."""
    try:
        yield
    except DxflowError:
        raise
    except Exception as error:
        raise failure_of(error, (provider.name, ""), "request") from error


def is_failure(entry: Entry) -> bool:
    """Returns whether an entry is unreadable because looking at it failed, and not because of its kind."""
    return entry.read_error is not None and not is_unresolved(entry)


def is_unresolved(entry: Entry) -> bool:
    """Returns whether an entry is a link without a target. The target may come back, with everything below it."""
    return entry.read_error == _UNRESOLVED


def read_failure(source: Place, entry: Entry, operation: str) -> StorageError:
    """Returns the error for an entry that a listing could not look at. It may hold anything, so it is not skipped."""
    cls = AccessDeniedError if entry.read_error in _DENIED else StorageError
    what = "directory" if entry.key.endswith("/") else "entry"
    return cls(
        f"{source.provider.name} {operation} of {source.shown} failed: the {what} cannot be read "
        f"({entry.unreadable}); check its owner and mode, or leave it out",
        provider=source.provider.name,
        operation="read",
        path=source.shown,
        code=entry.read_error,
    )
