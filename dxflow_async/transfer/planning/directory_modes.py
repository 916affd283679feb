"""Directories get the permission bits of their sources, before anything is in them."""

from __future__ import annotations

import stat
from functools import partial

from dxflow_async.exceptions import StorageError
from dxflow_async.transfer.context import Place
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.planning.destination import below
from dxflow_async.transfer.request import request
from dxflow_async.transfer.retry import RetryPolicy

__all__ = ["DirectoryModes"]

_MAX_KNOWN = 10_000


class DirectoryModes:
    """Makes the directories of one tree; does nothing where one of both sides has no permission bits.

    Args:
        source, target: the two directories.
        limits, policy: of the requests.
    """

    def __init__(self, source: Place, target: Place, limits: Limits, policy: RetryPolicy) -> None:
        self._source = source
        self._target = target
        self._limits = limits
        self._policy = policy
        self._kept = source.provider.features.modes and target.provider.features.modes
        self._made: set[str] = set()

    async def make_above(self, name: str) -> None:
        """Makes the directories above a name of the tree, and the one that it names; those that are there stay.

        Raises:
            StorageError: the unit of the source or target does not answer; what else fails, the items tell of.
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
            # What cannot be looked at or made is told of by the items in it. But where nobody answered, a private
            # directory would be made by these, for everybody.
            if error.retryable:
                raise

    async def _mode_of(self, directory: Place, *, listed: bool) -> int | None:
        # The top is in no listing of its own; what an earlier one told may be old.
        if listed:
            return await directory.provider.mode_of_directory(directory.key)
        return (await directory.provider.stat(directory.key)).mode
