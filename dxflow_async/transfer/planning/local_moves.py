"""The items that move the user's own files on this machine: by a rename, where a rename works.

Whether a rename works is known only after it was tried. A directory whose new name exists already is moved entry by
entry, and a source on another disk is copied and then deleted.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace

from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Entry, LocalDisk, ObjectOptions
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.choose import item_for
from dxflow_async.transfer.items.empty_items import SettledItem
from dxflow_async.transfer.planning.destination import Destination, below, taken
from dxflow_async.transfer.planning.directories import is_link, make_directory
from dxflow_async.transfer.planning.listing import pages
from dxflow_async.transfer.planning.tree import copy_tree

__all__ = ["check_readable", "move_locally"]


async def move_locally(
    context: TransferContext,
    source: Place,
    destination: Destination,
    target: Place,
    entry: Entry,
    *,
    whole: bool,
    shared: bool = False,
    named: bool = False,
) -> AsyncIterator[TransferItem]:
    """Yields the items that move a file or a directory on this machine.

    Args:
        context: the call's context.
        source: the file or directory.
        destination: the destination of the call.
        target: the new place of the source.
        entry: the source, as it was looked up or listed.
        whole: whether the directory itself is moved, not only its content.
        shared: whether an earlier source of the call became the directory that `target` is in, or is still being
            copied into it. Nothing in it is replaced.
        named: whether the user named the source, rather than a directory above it.
    """
    claims = destination.claims
    if claims is not None:
        if entry.directory and not (whole and await is_link(source)):
            shared = shared or claims.has(target.shown)
            whole = whole and not shared
        elif (refusal := await _refusal(source, destination, target, shared=shared)) is not None:
            yield SettledItem(TransferResult(source.shown, target.shown, error=refusal))
            return
    outcome = await _try_rename(source, target) if whole else "EEXIST"
    if entry.directory and claims is not None and outcome in (None, "EXDEV"):
        claims.take(target.shown, source.shown)
    if isinstance(outcome, StorageError):
        yield SettledItem(TransferResult(source.shown, target.shown, error=outcome))
    elif outcome is None:
        result = TransferResult(source.shown, target.shown, 0 if entry.directory else entry.size)
        yield _RenamedItem(*_keys(source, target), result)
    elif not entry.directory:
        if named:
            check_readable(source, entry, "move")
        yield item_for(context, source, destination, target, entry, ObjectOptions(), operation="move", move=True)
    else:
        tree = copy_tree(context, source, destination, target, ObjectOptions(), operation="move", move=True)
        content = _move_content(context, source, destination, target, shared=shared)
        async for item in tree if outcome == "EXDEV" else content:
            yield item


async def _move_content(
    context: TransferContext, source: Place, destination: Destination, target: Place, *, shared: bool
) -> AsyncIterator[TransferItem]:
    await make_directory(context, target)
    listing = pages(source.provider, source.key, recursive=False, limits=context.limits, policy=context.policy)
    try:
        async for page in listing:
            for entry in page:
                name = entry.key[len(source.key) :]
                start, goal = below(source, name), below(target, name)
                async for item in move_locally(context, start, destination, goal, entry, whole=True, shared=shared):
                    yield item
    except AccessDeniedError as error:
        yield SettledItem(TransferResult(source.shown, target.shown, error=error))


async def _refusal(source: Place, destination: Destination, target: Place, *, shared: bool) -> StorageError | None:
    """Returns the error of a file or link whose new name another item of the call has; None when it is free."""
    if shared:
        disk = target.provider.local_disk
        if disk is not None and await disk.exists(target.key):
            return taken(source, target, "move")
    try:
        destination.claim(source, target, "move")
    except UnsafePathError as error:
        return error
    return None


async def _try_rename(source: Place, target: Place) -> StorageError | str | None:
    """Renames; returns None on success, the system's error code where another way is left, else the error."""
    disk, keys = _keys(source, target)
    try:
        await disk.rename_unsynced(*keys, file=not source.key.endswith("/"))
    except StorageError as error:
        exists = isinstance(error, AlreadyExistsError) and source.key.endswith("/") and not await is_link(source)
        return error.code if error.code == "EXDEV" or exists else error
    return None


def _keys(source: Place, target: Place) -> tuple[LocalDisk, tuple[str, str]]:
    """Returns the disk of the source, and its old and its new key there; both places are on this machine."""
    disk, target_disk = source.provider.local_disk, target.provider.local_disk
    assert disk is not None
    assert target_disk is not None
    return disk, (source.key.removesuffix("/"), os.path.relpath(os.path.join(target_disk.root, target.key), disk.root))


class _RenamedItem(SettledItem):
    """A file or directory that was renamed while the call was planned; it is done when the disk has stored that."""

    waits_for_disk = True

    def __init__(self, disk: LocalDisk, keys: tuple[str, str], result: TransferResult) -> None:
        super().__init__(result)
        self._disk = disk
        self._keys = keys

    async def finish(self) -> TransferResult:
        await self._disk.sync_renamed(*self._keys)
        return self._result

    def result(self, error: StorageError | None) -> TransferResult:
        return replace(self._result, error=error)


def check_readable(source: Place, found: Entry, operation: str) -> None:
    """Checks that a source that the user named can be read. In a directory, entries like it are skipped instead.

    Raises:
        UnsupportedError: it is a pipe, a socket or a device.
    """
    if found.unreadable is not None:
        raise UnsupportedError(
            f"{source.provider.name} {operation} of {source.shown} failed: {found.unreadable}; "
            "write its content to a file, and copy that",
            provider=source.provider.name,
            operation=operation,
            path=source.shown,
        )
