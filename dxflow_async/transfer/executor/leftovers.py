"""The temporary files that workers of this machine leave beside local files when they are lost, or hang."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import LocalDisk
from dxflow_async.providers.registry import local_provider
from dxflow_async.transfer.executor.channel import Beat
from dxflow_async.transfer.executor.shard import ShardPlace, ShardReceipt
from dxflow_async.transfer.executor.work import Work

__all__ = ["Leftovers"]


class Leftovers:
    """Removes the temporary files that the workers of a call leave.

    Args:
        threads: for blocking work.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._unlisted: set[Work] = set()
        self._silent: list[tuple[int, Beat, Work]] = []

    async def lost(self, work: Work, beat: Beat) -> None:
        """Removes the files of a worker that was lost with some work, as far as the names are known."""
        work.owners.update((beat.owner_id, *beat.earlier))
        if work.tree is not None:
            self._unlisted.add(work)
        await self._sweep(work.written, work.owners)

    async def settled(self, work: Work, receipt: ShardReceipt) -> None:
        """Removes the files of the workers that were lost with some work before it was done."""
        work.owners.update(receipt.owners)
        if receipt.failure is None:
            self._unlisted.discard(work)
        await self._sweep(work.written, work.owners)

    def hangs(self, number: int, beat: Beat, work: Work) -> None:
        """Notes a worker that hangs. Its files stay while the call runs: it may go on, with this shard or another."""
        self._silent.append((number, beat, work))

    @property
    def hanging(self) -> list[int]:
        """The shards of the workers that hang."""
        return [number for number, _, _ in self._silent]

    async def sweep(self, beats: dict[int, Beat]) -> None:
        """Removes what is left at the end of the call.

        A worker that went on after it was given up removes its files itself.

        Args:
            beats: what the workers of `hanging` have told.
        """
        for number, beat, work in self._silent:
            if beats.get(number) == beat and work.tree is None:
                await self._sweep(work.written, {beat.owner_id})
            elif beats.get(number) == beat:
                work.owners.add(beat.owner_id)
                self._unlisted.add(work)
        trees: dict[ShardPlace, set[str]] = {}
        for work in self._unlisted:
            assert work.tree is not None
            trees.setdefault(work.tree, set()).update(work.owners)
        for tree, owners in trees.items():
            if (disk := self._disk(tree)) is not None:
                await self._threads.run(_sweep_tree, disk, tree.key, owners)

    async def _sweep(self, places: Iterable[ShardPlace], owners: Collection[str]) -> None:
        if not owners:
            return
        directories = {(place.root, place.key.rpartition("/")[0]): place for place in places}
        for place in directories.values():
            if (disk := self._disk(place)) is not None:
                with suppress(StorageError):
                    await disk.sweep(place.key, owners, ())

    def _disk(self, place: ShardPlace) -> LocalDisk | None:
        return None if place.root is None else local_provider(place.root, self._threads).local_disk


def _sweep_tree(disk: LocalDisk, key: str, owners: Collection[str]) -> None:
    for directory, _, _ in os.walk(disk.path(key)):
        with suppress(OSError):
            for path in disk.leftovers(directory, owners):
                os.unlink(path)
