"""The items that copy or move a source: an object, or a directory with everything in it."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator

from dxflow_async.exceptions import ConfigurationError, NotFoundError, UnsafePathError
from dxflow_async.providers.contract import Entry, ObjectOptions
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.choose import item_for
from dxflow_async.transfer.items.rename import RenameItem
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.planning.destination import Destination, LocalDestination, contains, directory
from dxflow_async.transfer.planning.directories import is_users
from dxflow_async.transfer.planning.listing import stat
from dxflow_async.transfer.planning.local_moves import check_readable, move_locally
from dxflow_async.transfer.planning.tree import copy_tree

__all__ = ["look_up", "relocate", "relocate_found"]

_ADVICE = {
    "sync": "only directories are synced: copy a file (in the shell: dxflow-async cp {file} DESTINATION)",
    "check": "only directories are compared: choose the file in one, with include= (in the shell: --include)",
}
"""What to do about a file in the place of a directory, by operation."""


async def relocate(
    context: TransferContext,
    source: Place,
    destination: Destination,
    options: ObjectOptions,
    *,
    operation: str,
    move: bool = False,
    overwrite: Overwrite = True,
) -> AsyncIterator[TransferItem]:
    """Yields the items that copy or move an object, or a directory with everything in it.

    `destination.py` has the rules of names. Within a provider the provider copies, if it can.

    Args:
        context: the call's context.
        source: the object or directory.
        destination: the destination of the call.
        options: the options of new objects.
        operation: the operation, for errors.
        move: whether the source is deleted.
        overwrite: what happens to objects that are there already.

    Raises:
        NotFoundError: there is no such source.
        UnsafePathError: the destination is the source, or lies in it, or is neither a file nor a directory.
        UnsupportedError: the source is neither a file nor a directory, and cannot be renamed.
    """
    found = await look_up(context, source, operation)
    async for item in relocate_found(
        context, source, found, destination, options, operation=operation, move=move, overwrite=overwrite
    ):
        yield item


async def look_up(context: TransferContext, source: Place, operation: str) -> Entry:
    """Returns the entry of a source.

    Raises:
        NotFoundError: there is no such source.
    """
    found = await stat(source.provider, source.key, limits=context.limits, policy=context.policy)
    if found is None:
        reason = "there is no such object or directory; check the path"
        name = source.key.removesuffix("/")
        if name not in ("", source.key):
            other = await stat(source.provider, name, limits=context.limits, policy=context.policy)
            if other is not None and not other.directory:
                advice = _ADVICE.get(operation, "leave out the slash at its end")
                named = shlex.quote(source.shown.removesuffix("/"))
                reason = f"it is a file, and no directory; {advice.format(file=named)}"
        raise NotFoundError(
            f"{source.provider.name} {operation} of {source.shown} failed: {reason}",
            provider=source.provider.name,
            operation=operation,
            path=source.shown,
        )
    return found


async def relocate_found(
    context: TransferContext,
    source: Place,
    found: Entry,
    destination: Destination,
    options: ObjectOptions,
    *,
    operation: str,
    move: bool = False,
    overwrite: Overwrite = True,
) -> AsyncIterator[TransferItem]:
    """Yields the items of `relocate` for a source that was looked up. Raises as `relocate`."""
    name = source.key.rpartition("/")[2]
    if context.selection is not None and not found.directory and not context.selection.admits(name, found):
        return
    if found.directory:
        content_only = not name
        source, target = directory(source), destination.directory(name)
    else:
        content_only, target = False, destination.named(name)
    if await contains(source, target):
        raise _onto_itself(source, target, operation)
    resolved = await destination.resolve(target, operation)
    if not found.directory:
        target = resolved
        destination.claim(source, target, operation)
    # A rename replaces what has the new name, without a look at it, and takes everything with it.
    renames = move and overwrite is True and context.symlinks == "follow" and context.selection is None
    if renames and source.provider is target.provider and source.provider.features.rename:
        destination.check(target, operation, marker=found.directory)
        yield RenameItem(context, source, target, found)
    elif renames and is_users(source) and isinstance(destination, LocalDestination):
        whole = not content_only
        async for item in move_locally(context, source, destination, target, found, whole=whole, named=True):
            yield item
    elif not found.directory:
        check_readable(source, found, operation)
        yield item_for(
            context, source, destination, target, found, options, operation=operation, move=move, overwrite=overwrite
        )
    else:
        check_single(source, options, operation)
        async for item in copy_tree(
            context, source, destination, target, options, operation=operation, move=move, overwrite=overwrite
        ):
            yield item


def check_single(source: Place, options: ObjectOptions, operation: str) -> None:
    """Refuses an etag for the copies of a whole directory.

    Raises:
        ConfigurationError: one is given.
    """
    if options.if_match is not None:
        raise ConfigurationError(f"if_match is the etag of one object, and {operation} of {source.shown} has many")


def _onto_itself(source: Place, target: Place, operation: str) -> UnsafePathError:
    return UnsafePathError(
        f"{source.provider.name} {operation} of {source.shown} to {target.shown} refused: the destination is the "
        "source, or lies in it; choose another one",
        provider=source.provider.name,
        operation=operation,
        path=source.shown,
    )
