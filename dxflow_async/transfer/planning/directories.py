"""Directories as such: made with the permission bits of their sources, removed when a move has emptied them."""

from __future__ import annotations

import stat
from functools import partial

from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, StorageError
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.planning.destination import below
from dxflow_async.transfer.planning.listing import pages, pages_to_delete
from dxflow_async.transfer.request import delete_keys, request
from dxflow_async.transfer.retry import RetryPolicy

__all__ = ["DirectoryModes", "is_link", "is_users", "make_directory", "remove_emptied"]

_MAX_KNOWN = 10_000


class DirectoryModes:
    """Makes the directories of one tree with the permission bits of their sources, before anything is in them.

    It does nothing where the source or the target has no permission bits.

    Args:
        source: the directory that is copied.
        target: the new directory.
        limits: the session's limits.
        policy: the session's retry policy.
    """

    def __init__(self, source: Place, target: Place, limits: Limits, policy: RetryPolicy) -> None:
        self._source = source
        self._target = target
        self._limits = limits
        self._policy = policy
        self._kept = source.provider.features.modes and target.provider.features.modes
        self._made: set[str] = set()

    async def make_above(self, name: str) -> None:
        """Makes the directories above a name of the tree, or (with a trailing slash) that directory, too.

        Directories that exist stay as they are.

        Raises:
            StorageError: the unit of the source or the target does not answer. Any other error is left to the items.
        """
        if not self._kept:
            return
        directory = name[: name.rfind("/") + 1]
        if directory in self._made:
            return
        if directory:
            await self.make_above(directory[:-1])
        await self._make(directory)
        if len(self._made) >= _MAX_KNOWN:
            self._made.clear()
        self._made.add(directory)

    async def _make(self, directory: str) -> None:
        source, target = below(self._source, directory), below(self._target, directory)
        limits, policy = self._limits, self._policy
        try:
            look = partial(self._mode_of, source, listed=bool(directory))
            mode = await request(look, source.provider, limits=limits, policy=policy)
            usual = target.provider.features.directory_mode
            if mode is None or usual is None or mode | stat.S_IRWXU != usual:
                make = partial(target.provider.make_directory, target.key, mode)
                await request(make, target.provider, limits=limits, policy=policy)
        except StorageError as error:
            # The items in the directory report why it cannot be looked at or made. But after a failure that passes,
            # they would make a private directory that everybody can read.
            if error.retryable:
                raise

    async def _mode_of(self, directory: Place, *, listed: bool) -> int | None:
        # The top directory is in no listing of its own, and an earlier listing may be out of date.
        if listed:
            return await directory.provider.mode_of_directory(directory.key)
        return (await directory.provider.stat(directory.key)).mode


async def make_directory(context: TransferContext, place: Place) -> None:
    """Makes a directory and those above it, where directories are real. A directory that exists is no error."""
    provider = place.provider
    if provider.features.directories:
        await request(
            lambda: provider.make_directory(place.key), provider, limits=context.limits, policy=context.policy
        )


async def remove_emptied(context: TransferContext, top: Place, *, itself: bool) -> None:
    """Removes the empty directories below `top` after a move, and with `itself` also `top`."""
    if not top.provider.real_directories:
        return
    if top.provider.features.directories_vary:
        await _remove_listed(context, top, itself=itself)
        return
    try:
        async for page in pages(top.provider, top.key, recursive=False, limits=context.limits, policy=context.policy):
            for entry in page:
                inside = Place(top.provider, entry.key, entry.key)
                if entry.directory and not (is_users(inside) and await is_link(inside)):
                    await remove_emptied(context, inside, itself=True)
        if itself:
            await top.provider.remove_directory(top.key)
    except (AlreadyExistsError, NotFoundError):
        return  # it is not empty, or a rename has moved it


async def _remove_listed(context: TransferContext, top: Place, *, itself: bool) -> None:
    """Does `remove_emptied` where listings contain the directories: one request removes many of them."""
    provider, limits, policy = top.provider, context.limits, context.policy
    async for page in pages_to_delete(provider, top.key, limits=limits, policy=policy):
        keys = [entry.key for entry in page if entry.directory and (itself or entry.key != top.key)]
        failed = await delete_keys(provider, keys, limits=limits, policy=policy)
        for error in failed.values():
            if not isinstance(error, AlreadyExistsError):
                raise error


def is_users(place: Place) -> bool:
    """Returns whether a place is among the user's own files, not in a directory that stands in for a remote."""
    disk = place.provider.local_disk
    return disk is not None and disk.is_users


async def is_link(place: Place) -> bool:
    """Returns whether a place on this machine is a symbolic link."""
    disk = place.provider.local_disk
    return disk is not None and await disk.is_link(place.key)
