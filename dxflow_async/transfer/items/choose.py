"""What moves one item: which job it takes, or why it is left alone."""

from __future__ import annotations

from dxflow_async.exceptions import AccessDeniedError, StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Entry, ObjectOptions
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.failures import failure_of
from dxflow_async.transfer.items.copy import CopyItem, MarkerItem, ServerCopyItem
from dxflow_async.transfer.items.settled import SettledItem
from dxflow_async.transfer.planning.destination import Destination
from dxflow_async.transfer.sync.protected import is_failure

__all__ = ["is_marker", "item_for", "read_failure"]

_DENIED = {"EACCES", "EPERM", "401", "403"}


def item_for(
    context: TransferContext,
    source: Place,
    end: Destination,
    target: Place,
    entry: Entry | None,
    options: ObjectOptions,
    *,
    operation: str,
    move: bool = False,
    keep_time: bool = False,
) -> TransferItem:
    """What copies or moves one item; within a provider that can, the provider does it. What is wrong with it fails it.

    Args:
        route: what the jobs of the call share.
        source, target: the two places.
        end: what the target lies in, which may refuse it.
        entry: what a listing said of the source.
        options: what is stored with it, beside what the source tells.
        operation: as errors call it.
        move: the source goes when its copy is stored.
        keep_time: the copy tells when the source was stored, where that tells no other time.
    """
    try:
        return _item_for(context, source, end, target, entry, options, operation, move=move, keep_time=keep_time)
    except Exception as error:  # noqa: BLE001 - whatever an item raises is its own failure
        failure = failure_of(error, (source.shown, target.shown), operation)
        return SettledItem(TransferResult(source.shown, target.shown, error=failure))


def _item_for(
    context: TransferContext,
    source: Place,
    end: Destination,
    target: Place,
    entry: Entry | None,
    options: ObjectOptions,
    operation: str,
    *,
    move: bool,
    keep_time: bool,
) -> TransferItem:
    marker = entry is not None and is_marker(entry)
    unreadable = None if entry is None else entry.unreadable
    end.check(target, operation, marker=marker)
    if not marker and unreadable is None:
        end.claim(source, target, operation)
    if entry is not None and is_failure(entry):
        return SettledItem(TransferResult(source.shown, target.shown, error=read_failure(source, entry, operation)))
    if unreadable is not None:
        return SettledItem(TransferResult(source.shown, target.shown, skipped=unreadable))
    if marker:
        return MarkerItem(context, source, target, delete_source=move)
    if entry is not None and source.provider is target.provider and source.provider.features.copy:
        return ServerCopyItem(context, source, target, entry, options, delete_source=move, keep_time=keep_time)
    return CopyItem(context, source, target, options, entry, delete_source=move)


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


def is_marker(entry: Entry) -> bool:
    """Whether an entry is a directory, or the empty object that stands for one."""
    return entry.directory or (entry.key.endswith("/") and not entry.size)
