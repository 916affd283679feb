"""Deletes what only the destination has, at the end of a sync."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial

from dxflow_async.concurrency.pool import for_each, results_of
from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, StorageError
from dxflow_async.models import SyncAction, TransferResult
from dxflow_async.paths import parent_of
from dxflow_async.providers.contract import Entry
from dxflow_async.transfer.context import Place
from dxflow_async.transfer.failures import is_unresolved
from dxflow_async.transfer.planning.destination import below as place_below
from dxflow_async.transfer.planning.listing import stat
from dxflow_async.transfer.request import delete_keys, request
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.selection import Selection
from dxflow_async.transfer.sync.merge_join import DESTINATION, MergeJoin, Pair

__all__ = ["Deleting"]

_PAGES_AT_ONCE = 8
"""Of 1,000 names each, at services that have no real directories; with these, one page follows the other."""


class Deleting:
    """The entries to delete, in reverse order of their names, so that a directory follows its content.

    Never deleted are the destination itself, entries behind a link, names that could not be read at the source with
    everything below them, and directories that the source has too.

    Args:
        resources: the session's.
        source, destination: the two directories.
        joined: holds what only the destination has.
        kept: directories that stay even if they become empty.
        selection: what it leaves out at the destination stays.
    """

    def __init__(
        self,
        resources: Resources,
        source: Place,
        destination: Place,
        joined: MergeJoin,
        kept: set[str],
        selection: Selection,
    ) -> None:
        self._resources = resources
        self._source = source
        self._destination = destination
        self._joined = joined
        self._kept = kept
        self._selection = selection
        self._unresolved: dict[str, Entry] = {}
        self._removed: set[str] = set()

    @property
    def _real(self) -> bool:
        return self._destination.provider.real_directories

    async def plan(self, below: str = "") -> AsyncIterator[SyncAction]:
        """Yields what would be deleted, or only the part below a name."""
        async for pairs in self._pages(below):
            for pair in pairs:
                assert pair.destination is not None
                yield SyncAction("delete", pair.name, pair.destination.size, "not at the source")

    async def run(self) -> AsyncIterator[TransferResult]:
        """Deletes the entries, and real directories that become empty; yields a result for each."""
        async for result in self._run(""):
            yield result
        for entry in self._unresolved.values():
            yield self._kept_for(entry)

    async def plan_obstacle(self, obstacle: Entry) -> AsyncIterator[SyncAction]:
        """Yields what would be deleted to make room for a copy."""
        name = self._name(obstacle)
        if name is None:
            return
        if not obstacle.directory:
            yield SyncAction("delete", name, obstacle.size, "in the way of a directory")
            return
        async for action in self.plan(name):
            yield action
        await self._resources.threads.run(self._joined.forget, name)

    async def remove_obstacle(self, obstacle: Entry) -> AsyncIterator[TransferResult]:
        """Deletes what is in the way of a copy: a file, or a directory with what only the destination has in it."""
        name = self._name(obstacle)
        if name is None:
            return
        if not obstacle.directory:
            yield self._result(name, (await self._delete([obstacle.key])).get(obstacle.key))
            return
        async for result in self._run(name):
            yield result
        await self._resources.threads.run(self._joined.forget, name)

    def _name(self, obstacle: Entry) -> str | None:
        """Returns the name of an obstacle; None if it was removed before, since one file may block many copies."""
        name = obstacle.key[len(self._destination.key) :]
        if name in self._removed:
            return None
        self._removed.add(name)
        return name

    async def _run(self, below: str) -> AsyncIterator[TransferResult]:
        pages = list[list[str]]()
        async for pairs in self._pages(below):
            pages.append([pair.name for pair in pairs])
            if self._real or len(pages) == _PAGES_AT_ONCE:
                for result in await self._delete_pages(pages, below):
                    yield result
                pages.clear()
        for result in await self._delete_pages(pages, below):
            yield result

    async def _delete_pages(self, pages: Sequence[Sequence[str]], below: str) -> list[TransferResult]:
        """Deletes what pages of names name; of real directories, those that are empty then, up to `below`."""
        results = list[TransferResult]()
        for page in await results_of([partial(self._delete_files, names) for names in pages], _PAGES_AT_ONCE):
            results += page
        if self._real:
            for names in pages:
                results += await self._remove_directories(names, below)
        return results

    async def _delete_files(self, names: Sequence[str]) -> list[TransferResult]:
        files = [name for name in names if not (self._real and name.endswith("/"))]
        failed = await self._delete([self._destination.key + name for name in files]) if files else {}
        return [self._result(name, failed.get(self._destination.key + name)) for name in files]

    async def _pages(self, below: str) -> AsyncIterator[Sequence[Pair]]:
        run = self._resources.threads.run
        left = self._joined.left(DESTINATION, reverse=True, below=below)
        while (pairs := await run(next, left, None)) is not None:
            superfluous = [pair for pair in pairs if self._is_taken(pair) and not self._is_protected(pair.name)]
            doubtful = [pair.name for pair in superfluous if self._doubtful(pair.name)]
            there = await self._at_source(doubtful) if doubtful else set()
            yield [pair for pair in superfluous if pair.name not in there]

    def _is_taken(self, pair: Pair) -> bool:
        return pair.destination is None or self._selection.admits_entry(pair.destination)

    def _is_protected(self, name: str) -> bool:
        entry = self._joined.protected.covers(name)
        if entry is not None and is_unresolved(entry):
            self._unresolved[entry.key] = entry
        return entry is not None

    def _kept_for(self, entry: Entry) -> TransferResult:
        """Returns the failure for a link without a target whose former content the destination still has."""
        name = entry.key[len(self._source.key) :]
        source, destination = place_below(self._source, name), place_below(self._destination, name)
        error = NotFoundError(
            f"{source.provider.name} sync of {source.shown} failed: it is {entry.unreadable}; what {destination.shown} "
            "has of it was kept: bring the target back, or remove the link",
            provider=source.provider.name,
            operation="read",
            path=source.shown,
        )
        return TransferResult(source.shown, destination.shown, error=error)

    def _doubtful(self, name: str) -> bool:
        """Returns whether only a look at the source tells that it does not have a name.

        The source may have a directory that is not empty, which listings leave out. And nothing that a listing out of
        order says is certain.
        """
        return self._joined.disordered or (self._real and name.endswith("/"))

    async def _at_source(self, names: Sequence[str]) -> set[str]:
        there: set[str] = set()
        limits, policy = self._resources.limits, self._resources.policy

        async def look(name: str) -> None:
            found = await stat(self._source.provider, self._source.key + name, limits=limits, policy=policy)
            if found is not None and found.directory == name.endswith("/"):
                there.add(name)

        await for_each(names, look, self._resources.settings.max_concurrency)
        return there

    async def _remove_directories(self, names: Sequence[str], top: str) -> list[TransferResult]:
        """Removes the named directories and those above what was deleted, up to `top`, that are empty now."""
        named = {name for name in names if name.endswith("/")}
        above = {parent_of(f"/{name}")[1:] for name in names}
        removed = set()
        for name in sorted(named | above, key=len, reverse=True):
            each = name
            while each and each.startswith(top) and each not in self._kept and await self._remove_directory(each):
                removed.add(each)
                each = parent_of(f"/{each}")[1:]
        return [self._result(name, None) for name in sorted(named & removed)]

    async def _remove_directory(self, name: str) -> bool:
        provider, key, resources = self._destination.provider, self._destination.key + name, self._resources
        with suppress(AlreadyExistsError, NotFoundError):
            await request(
                lambda: provider.remove_directory(key), provider, limits=resources.limits, policy=resources.policy
            )
            return True
        return False

    def _result(self, name: str, error: StorageError | None) -> TransferResult:
        return TransferResult("", self._destination.shown + name, error=error, deleted=error is None)

    async def _delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        provider, limits, policy = self._destination.provider, self._resources.limits, self._resources.policy
        try:
            return await delete_keys(provider, keys, limits=limits, policy=policy)
        except StorageError as error:
            return dict.fromkeys(keys, error)
