"""Any exception of an item as that item's failure: it ends no call, and its type and place are in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from dxflow_async.concurrency.pool import first_of
from dxflow_async.exceptions import DxflowError, SessionClosedError, StorageError, UnsafePathError
from dxflow_async.paths import utf8_shown
from dxflow_async.providers.contract import Provider

__all__ = ["failure_of", "translated"]

_log = logging.getLogger("dxflow_async.transfer")


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
