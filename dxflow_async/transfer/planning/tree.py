"""The items that copy or move a directory with everything in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

from dxflow_async.exceptions import NotFoundError
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.transfer.context import ListingRest, Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.choose import item_for
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.planning.destination import Destination, below
from dxflow_async.transfer.planning.directories import DirectoryModes, is_link, is_users, make_directory
from dxflow_async.transfer.planning.listing import SHARED_AFTER, pages

__all__ = ["copy_tree"]


async def copy_tree(
    context: TransferContext,
    source: Place,
    destination: Destination,
    target: Place,
    options: ObjectOptions,
    *,
    operation: str,
    move: bool,
    overwrite: Overwrite = True,
) -> AsyncIterator[TransferItem]:
    """Yields an item for each entry below a directory, in the order of the listing.

    Args:
        context: the call's context.
        source: the directory.
        destination: the destination of the call.
        target: the new directory.
        options: the options of new objects.
        operation: the operation, for errors.
        move: whether sources are deleted. Files behind a symbolic link stay.
        overwrite: what happens to objects that are there already.
    """
    listing = pages(source.provider, source.key, recursive=True, limits=context.limits, policy=context.policy)
    links, modes, count = _Links(source), DirectoryModes(source, target, context.limits, context.policy), 0
    async with aclosing(listing):
        async for page in listing:
            if not count:
                await modes.make_above("")
                await destination.prepare(context)
            count += 1
            shared = count == SHARED_AFTER and _is_shared_out(context, source, destination, target)
            if move:
                shared = shared and len(page) > 1 and _moves_by_ranges(source, target)
            for entry in page[:-1] if shared and move else page:
                name = entry.key[len(source.key) :]
                if not name and not target.key:
                    continue  # the marker of a local destination itself, which is made anyway
                if context.selection is not None and not context.selection.admits(name, entry):
                    continue
                if entry.unreadable is None:
                    await modes.make_above(name)
                start, goal = below(source, name), below(target, name)
                goes = move and not await links.lead_to(name)
                if goes and entry.directory and await _was_emptied(context, start, goal):
                    continue
                yield item_for(
                    context,
                    start,
                    destination,
                    goal,
                    entry,
                    options,
                    operation=operation,
                    move=goes,
                    overwrite=overwrite,
                )
            if shared:
                assert context.part_mover is not None
                keys = [entry.key for entry in page]
                context.part_mover.share_out(
                    ListingRest(context, source, target, keys, options, operation, overwrite, move)
                )
                break
    await make_directory(context, target)


def _is_shared_out(context: TransferContext, source: Place, destination: Destination, target: Place) -> bool:
    """Returns whether workers list and copy by themselves: each object by itself, without a look at the others."""
    journal, selection = context.journal, context.selection
    return (
        context.part_mover is not None
        and source.provider.features.list_after
        and (source.provider.features.key_order or source.provider.features.directory_order is False)
        and source.provider.origin is source.provider
        and target.provider.origin is target.provider
        and (target.provider.local_disk is None or context.symlinks != "preserve")
        and destination.claims is None
        and "/" in source.key
        and (journal is None or not journal.resuming)
        and (selection is None or selection.files is None)
    )


def _moves_by_ranges(source: Place, target: Place) -> bool:
    """Returns whether no key of a move is listed too late, and no moved object lies in the source."""
    upwards = source.provider.origin is target.provider.origin and source.key.startswith(target.key)
    return source.provider.features.key_order and not upwards


async def _was_emptied(context: TransferContext, source: Place, target: Place) -> bool:
    """Returns whether an interrupted move has emptied a directory, which then needs no marker.

    The journal of a killed process lacks its last moments. So the destination is listed as well.
    """
    journal = context.journal
    if journal is None or not journal.resuming or target.provider.features.directories:
        return False
    if await journal.has_moved_from(source.shown):
        return True
    with suppress(NotFoundError):  # a missing bucket is reported by the items to copy
        async for _ in pages(
            target.provider, target.key, recursive=False, limits=context.limits, policy=context.policy
        ):
            return True
    return False


class _Links:
    """Knows which names below one of the user's own directories are behind a symbolic link."""

    _MAX_KNOWN = 10_000

    def __init__(self, top: Place) -> None:
        self._top = top
        self._known: dict[str, bool] = {}

    async def lead_to(self, name: str) -> bool:
        """Returns whether a directory above a name is a link."""
        above = name.removesuffix("/").rpartition("/")[0]
        if not above or not is_users(self._top):
            return False
        known = self._known.get(above)
        if known is None:
            if len(self._known) >= self._MAX_KNOWN:
                self._known.clear()
            known = self._known[above] = await is_link(below(self._top, above)) or await self.lead_to(above)
        return known
