"""The temporary files that workers leave at the destination when they are lost, or hang.

A shard ends with a receipt, or otherwise: its worker is lost, it hangs, or the call is cancelled before anybody knows.
Each shard that ends otherwise is noted at once, without an await that a cancellation could interrupt. What its worker
has left is removed as soon as it is certain, or at the end of the call, which waits for that:

- A worker that never began the shard, or told that it has ended it, has left nothing.
- The files of a worker that is gone are removed. Whichever call they belong to, nobody writes them any more.
- A worker that is alive sees that the call has ended, and removes its files itself. It is waited for.
- A worker that is not heard of for long hangs. Its files are removed at the end of the call, not before: it may go on,
  with this shard or another one.
- Workers of other machines tell nothing. All of a call write under one owner, so that the files of those that were lost
  are known by it at the end of the call, when nobody else writes under it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from dxflow_async.concurrency.pool import for_each
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import Provider
from dxflow_async.transfer.executor.channel import Beat, Channel
from dxflow_async.transfer.executor.shard import ShardPlace, ShardReceipt
from dxflow_async.transfer.executor.silence import WatchedTime
from dxflow_async.transfer.executor.work import Work

__all__ = ["Leftovers"]

_LOOK_SECONDS = 0.02
_AT_A_TIME = 8
_MAX_DIRECTORIES = 10_000
"""Directories that workers of other machines have written to, and that are remembered."""

_SILENT_SECONDS = 2.0
"""A worker of a call that has ended hangs if it is not heard of for so long."""


@dataclass(slots=True)
class _Open:
    """A shard whose worker may have left something."""

    work: Work
    beat: Beat | None = None
    since: float | None = None

    def is_silent(self, beat: Beat, now: float) -> bool:
        """Returns whether the worker, which tells this now, has not been heard of for long."""
        if beat != self.beat or self.since is None:
            self.beat, self.since = beat, now
        return now - self.since >= _SILENT_SECONDS


@dataclass(slots=True)
class _Owners:
    """The owners of what may be left of some work.

    Attributes:
        gone: owners that write nothing any more.
        doubtful: owners that an executor lost by itself. They may write elsewhere while the call runs.
        listed: the work was done, so that `Work.written` names all places.
    """

    gone: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    listed: bool = False


class Leftovers:
    """Removes the temporary files that the workers of a call leave.

    Args:
        channel: what the workers tell.
        threads: for blocking work. They may be closed before the call has ended.
        destination: what the workers write to; None for this machine's disks.
        far_owner: of the temporary files of workers that do not see the channel; None: all workers see it.
        may_have_redone: returns whether such a worker may have been lost unnoticed.
    """

    def __init__(
        self,
        channel: Channel,
        threads: Threads,
        destination: Provider | None,
        far_owner: str | None,
        may_have_redone: Callable[[], Awaitable[bool]],
    ) -> None:
        self._channel = channel
        self._far_owner = far_owner
        self._may_have_redone = may_have_redone
        self._far: dict[tuple[str | None, str], ShardPlace] = {}
        self._time = WatchedTime()
        self._threads = threads
        self._destination = destination
        self._open: dict[int, _Open] = {}
        self._owners: dict[Work, _Owners] = {}

    def note(self, number: int, work: Work, silent: Beat | None = None) -> None:
        """Notes a shard that has ended without a receipt, or that nobody waits for any more.

        Args:
            number: the shard.
            work: its work.
            silent: what its worker told before it was not heard of for long; None where it did not hang.
        """
        self._open[number] = _Open(work, silent, None if silent is None else self._time.look() - _SILENT_SECONDS)

    def note_earlier(self, work: Work, owners: Collection[str]) -> None:
        """Notes the owners of workers that the executor lost by itself before another one did the work."""
        if owners:
            self._owners.setdefault(work, _Owners()).doubtful.update(owners)

    async def lost(self, number: int) -> bool:
        """Removes the files of a worker that was lost with a shard; returns whether it had begun the shard.

        As far as their names are known, and if it is gone: the workers of a broken pool end a moment later.
        """
        beat, held = (await self._threads.run(self._look, [number]))[number]
        if beat is None:
            self._close_unseen(number)
        elif beat.ended or not held:
            work = self._close(number, beat)
            await self._sweep(work.written, self._owners[work].gone)
        return beat is not None

    async def settled(self, work: Work, receipt: ShardReceipt) -> None:
        """Removes the files of the workers that were lost with some work before it was done."""
        await self._sweep(work.written, work.owners)
        if receipt.failure is None and (owners := self._owners.get(work)) is not None:
            owners.gone.clear()
            owners.listed = True
        if receipt.unseen and self._far_owner is not None:
            for each in _directories(work.written):
                if len(self._far) < _MAX_DIRECTORIES:
                    self._far.setdefault((each.root, each.key), each)

    async def sweep(self) -> None:
        """Removes what is left at the end of the call. Waits for workers that are alive, and tells them to end."""
        await self._await_workers()
        trees: dict[ShardPlace, set[str]] = {}
        for work, each in self._owners.items():
            owners = each.gone | each.doubtful
            if work.tree is None or each.listed:
                await self._sweep(work.written, owners)
            elif owners:
                trees.setdefault(work.tree, set()).update(owners)
        for tree, owners in trees.items():
            await self._remove(tree, owners, recursive=True)
        if self._far and self._far_owner is not None and await self._may_have_redone():
            await self._sweep_directories(self._far.values(), {self._far_owner})

    async def _await_workers(self) -> None:
        """Finds out of all shards whose files are left."""
        if self._open:
            self._channel.cancel()  # creates a file; workers that have ended their shards do not look for it
        while self._open:
            found, now = await self._threads.finish(self._look, list(self._open)), self._time.look()
            for number, (beat, held) in found.items():
                if beat is None:
                    self._close_unseen(number)
                elif beat.ended or not held or self._open[number].is_silent(beat, now):
                    self._close(number, beat)
            if self._open:
                await asyncio.sleep(_LOOK_SECONDS)

    def _look(self, numbers: Collection[int]) -> dict[int, tuple[Beat | None, bool]]:
        """Returns what the workers of some shards tell, and whether they may be alive."""
        held = {number: self._channel.is_held(number) for number in numbers}
        beats = self._channel.read(numbers)  # afterwards: whoever has let go has told everything
        return {number: (beats.get(number), held[number]) for number in numbers}

    def _close_unseen(self, number: int) -> None:
        """Notes a shard that no worker of this machine has begun. One of another machine may have."""
        work = self._open.pop(number).work
        if self._far_owner is not None:
            self._owners.setdefault(work, _Owners()).doubtful.add(self._far_owner)

    def _close(self, number: int, beat: Beat) -> Work:
        """Notes whose files are left of a shard, and returns its work."""
        work = self._open.pop(number).work
        owners = self._owners.setdefault(work, _Owners())
        owners.doubtful.update(beat.earlier)
        if not beat.ended:
            owners.gone.add(beat.owner_id)
            work.owners.add(beat.owner_id)
        return work

    async def _sweep(self, places: Iterable[ShardPlace], owners: Collection[str]) -> None:
        """Removes the files of some owners beside some places."""
        if owners:
            await self._sweep_directories(_directories(places), owners)

    async def _sweep_directories(self, directories: Iterable[ShardPlace], owners: Collection[str]) -> None:
        await for_each(list(directories), lambda each: self._remove(each, owners, recursive=False), _AT_A_TIME)

    async def _remove(self, directory: ShardPlace, owners: Collection[str], *, recursive: bool) -> None:
        """Removes the files of some owners in a directory, as far as that works."""
        files = directory.provider(self._destination, self._threads).temporary_files
        if files is not None:
            with suppress(StorageError):  # also where no file can have such a name, so that none was written
                await files.remove(await files.find(directory.key, owners, recursive=recursive))


def _directories(places: Iterable[ShardPlace]) -> list[ShardPlace]:
    """Returns the directories that some places are in; each once."""
    found = {(place.root, _directory_of(place.key)): place for place in places}
    return [place._replace(key=directory) for (_, directory), place in found.items()]


def _directory_of(key: str) -> str:
    above, slash, _ = key.removesuffix("/").rpartition("/")
    return above + slash
