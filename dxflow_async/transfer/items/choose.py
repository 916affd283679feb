"""Chooses the item that copies or moves one entry, or says why the entry is skipped or refused."""

from __future__ import annotations

from functools import partial

from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Entry, ObjectOptions
from dxflow_async.transfer.context import LINK_SUFFIX, Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.failures import failure_of, is_failure, read_failure
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.items.empty_items import MarkerItem, SettledItem
from dxflow_async.transfer.items.links import KeptLinkItem, RestoredLinkItem
from dxflow_async.transfer.items.overwriting import OverwritingItem
from dxflow_async.transfer.items.relayed_copy import RelayedCopyItem
from dxflow_async.transfer.items.server_copy import ServerCopyItem
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.planning.destination import Destination

__all__ = ["is_marker", "item_for"]


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
    overwrite: Overwrite = True,
) -> TransferItem:
    """Returns the item that copies or moves one entry. Where the provider can copy, the provider does it.

    Whatever is wrong with the entry fails this item only.

    Args:
        context: what the items of the call share.
        source, target: the two places.
        end: the destination that the target lies in. It may refuse names.
        entry: the source as a listing described it, if it was listed.
        options: what is stored with the copy; what they do not say is taken from the source.
        operation: what is being done, for errors.
        move: deletes the source once its copy is stored.
        keep_time: a copy within a provider keeps the time at which the source was stored, if no other time is known.
        overwrite: what happens to an object that is there already.
    """
    if entry is not None and entry.link is not None and target.provider.local_disk is None:
        target = Place(target.provider, target.key + LINK_SUFFIX, target.shown + LINK_SUFFIX)
    restores = context.symlinks == "preserve" and _stands_for_link(source, target)
    if restores:
        target = Place(target.provider, target.key.removesuffix(LINK_SUFFIX), target.shown.removesuffix(LINK_SUFFIX))

    try:
        item = _item_without_bytes(context, source, end, target, entry, operation, move=move)
        if item is not None:
            return item
        given = context, source, target, entry, move, keep_time, restores
        if overwrite is True and options.if_match is None:
            return _item_with_bytes(*given, options)
        make = partial(_item_with_bytes, *given)
        return OverwritingItem(context, source, target, entry, options, overwrite, make)
    except Exception as error:  # noqa: BLE001 - whatever an item raises is its own failure
        failure = failure_of(error, (source.shown, target.shown), operation)
        return SettledItem(TransferResult(source.shown, target.shown, error=failure))


def _item_with_bytes(
    context: TransferContext,
    source: Place,
    target: Place,
    entry: Entry | None,
    move: bool,
    keep_time: bool,
    restores: bool,
    options: ObjectOptions,
) -> TransferItem:
    """Returns the item of an object, or of a symbolic link."""
    if entry is not None and entry.link is not None:
        return KeptLinkItem(context, source, target, entry.link, options, delete_source=move)
    if restores:
        return RestoredLinkItem(context, source, target, options, delete_source=move)
    if entry is not None and _copies(source, target, options):
        copied = ServerCopyItem(context, source, target, entry, options, delete_source=move, keep_time=keep_time)
        return RelayedCopyItem(copied)
    return CopyItem(context, source, target, options, entry, delete_source=move)


def _item_without_bytes(
    context: TransferContext,
    source: Place,
    end: Destination,
    target: Place,
    entry: Entry | None,
    operation: str,
    *,
    move: bool,
) -> TransferItem | None:
    """Checks the names of an entry, and returns its item unless it is an object that can be read."""
    marker = entry is not None and is_marker(entry)
    unreadable = None if entry is None else entry.unreadable
    # Object storage that keeps any name also keeps content under a key that ends in a slash.
    goes_along = source.key.endswith("/") and target.provider.features.any_names
    end.check(target, operation, marker=marker or goes_along)
    if not marker and unreadable is None:
        end.claim(source, target, operation)
    if entry is not None and is_failure(entry):
        return SettledItem(TransferResult(source.shown, target.shown, error=read_failure(source, entry, operation)))
    if unreadable is not None:
        return SettledItem(TransferResult(source.shown, target.shown, skipped=unreadable, unreadable=True))
    if entry is not None and entry.link is not None and context.symlinks != "preserve":
        return SettledItem(TransferResult(source.shown, target.shown, skipped="it is a symbolic link"))
    if marker:
        return MarkerItem(context, source, target, delete_source=move)
    return None


def _stands_for_link(source: Place, target: Place) -> bool:
    """Returns whether an object that is copied to this machine stands for a symbolic link."""
    name = source.key.rpartition("/")[2]
    return target.provider.local_disk is not None and name.endswith(LINK_SUFFIX) and name != LINK_SUFFIX


def _copies(source: Place, target: Place, options: ObjectOptions) -> bool:
    """Returns whether the provider can copy from one place to the other, with what is to be stored with the copy."""
    if source.provider.origin is not target.provider.origin:
        return False
    features = target.provider.features
    if not features.copy:
        return False
    if features.copies_with_options:
        return True
    named = [name for name in options.named() if name != "storage_class" or not features.copies_with_class]
    return not (named or options.content_type is not None or options.metadata)


def is_marker(entry: Entry) -> bool:
    """Returns whether an entry is a directory, or the empty object that stands for one."""
    return entry.directory or (entry.key.endswith("/") and not entry.size)
