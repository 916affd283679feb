"""Any exception of an item as that item's failure: it ends no call, and its type and place are in the log."""

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
    """The error of one item: a `StorageError` itself; of others one whose `__cause__` they are, logged once.

    Args:
        error: what was raised.
        ends: where the item comes from and where it goes, as results show it.
        operation: what was being done.

    Raises:
        MemoryError, SessionClosedError: these concern all items, and are raised as they are.
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
        text = f"{what} refused: {name[:200]} is not UTF-8, as all names there are; check the path, or rename it"
        failure = UnsafePathError(text, operation=operation, path=name)
    elif isinstance(first, DxflowError):
        failure = StorageError(f"{what} failed: {first}", operation=operation, path=source)
    else:
        text = "this is a bug of dxflow-async or of its surroundings: the log has its place"
        reason = f"{type(first).__name__}: {first}" if str(first) else type(first).__name__
        failure = StorageError(f"{what} failed: {reason}; {text}", operation=operation, path=source)
        _log.error("%s", failure, exc_info=first, extra={"fields": failure.fields()})
    failure.__cause__ = first
    return failure


@contextmanager
def translated(provider: Provider) -> Iterator[None]:
    """Around a request to a provider: what is none of our errors becomes a `StorageError` whose cause it is."""
    try:
        yield
    except DxflowError:
        raise
    except Exception as error:
        raise failure_of(error, (provider.name, ""), "request") from error


def is_failure(entry: Entry) -> bool:
    """Whether an entry is unreadable because looking at it failed, not because of what it is."""
    return entry.read_error is not None and not is_unresolved(entry)


def is_unresolved(entry: Entry) -> bool:
    """Whether an entry is a link whose target is not there: it may be back tomorrow, with all that is below it."""
    return entry.read_error == _UNRESOLVED


def read_failure(source: Place, entry: Entry, operation: str) -> StorageError:
    """Why what a listing could not look at is a failure: it may hold anything."""
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
