"""Finds the differences between two directories, page by page.

    list source ───────┐
                       ├── pair and compare (in a thread) ──┬──────────────► differences
    list destination ──┘                                    └── look up ──┘

What listings do not tell is looked up, with many requests at a time: S3's listings, for example, do not tell when a
source was changed. All queues are bounded, so memory does not grow with the directories.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Literal, NamedTuple

from dxflow_async.concurrency.pool import for_each, open_task_group
from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, StorageError
from dxflow_async.providers.contract import Entry
from dxflow_async.transfer.context import Place
from dxflow_async.transfer.failures import failure_of, is_failure
from dxflow_async.transfer.items.checksums import has_md5
from dxflow_async.transfer.items.choose import is_marker
from dxflow_async.transfer.items.resumed_reader import look_again
from dxflow_async.transfer.planning.destination import below
from dxflow_async.transfer.planning.listing import pages
from dxflow_async.transfer.request import request
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.selection import Selection
from dxflow_async.transfer.sync.compare import Comparison, Seen
from dxflow_async.transfer.sync.merge_join import DESTINATION, SOURCE, MergeJoin, Pair
from dxflow_async.transfer.sync.same_bytes import SameBytes
from dxflow_async.transfer.sync.stable import StableEntries

__all__ = ["Difference", "Differences"]

_PAGES_AHEAD = 2
_GROUPS_AHEAD = 64
_FOUND_AHEAD = 4
"""Groups of up to a thousand differences that may wait to be planned. They are most of a sync's memory."""
_STATS_TOGETHER = 8


class Difference(NamedTuple):
    """What has to be done about one name.

    `kind` is `"copy"`, `"skip"` (because of what the source is), `"unread"` (the source could not be read) or `"fail"`
    (looking it up failed). An `obstacle` at the destination has to be removed before the copy.
    """

    kind: Literal["copy", "skip", "unread", "fail"]
    name: str
    entry: Entry
    reason: str
    error: StorageError | None = None
    obstacle: Entry | None = None


class _Sorted(NamedTuple):
    """Compared pairs: the differences, the pairs to look up, how many are unchanged, and how many of these by age."""

    found: list[Difference]
    unclear: list[Pair]
    unchanged: int
    by_age: int


class Differences:
    """The differences between two directories.

    Args:
        resources: the session's.
        source, destination: directories; their keys end in a slash or are empty.
        comparison: how two entries are compared.
        joined: pairs the listings, and keeps what only the destination has.
        selection: entries of the source that it leaves out are not compared.
        replaces: obstacles at the destination may be removed.
        stable: entries of the source that it does not admit are not compared; None: all are.

    Attributes:
        unchanged: how many items are the same on both sides.
        by_age: how many of these are the same by size and age, because no time is kept with the destination.
        kept: directories that are empty at the source and have content at the destination.
    """

    def __init__(
        self,
        resources: Resources,
        source: Place,
        destination: Place,
        comparison: Comparison,
        joined: MergeJoin,
        selection: Selection,
        *,
        replaces: bool,
        stable: StableEntries | None = None,
    ) -> None:
        self.unchanged = 0
        self.by_age = 0
        self.kept: set[str] = set()
        self._resources = resources
        self._places = source, destination
        self._comparison = comparison
        self._joined = joined
        self._selection = selection
        self._replaces = replaces
        self._stable = stable
        self._found: asyncio.Queue[Sequence[Difference] | None] = asyncio.Queue(_FOUND_AHEAD)
        self._unclear: asyncio.Queue[Sequence[Pair] | None] = asyncio.Queue(_GROUPS_AHEAD)
        self._pages: tuple[asyncio.Queue[Sequence[Entry] | None], ...] = (
            asyncio.Queue(_PAGES_AHEAD),
            asyncio.Queue(_PAGES_AHEAD),
        )
        self._error: StorageError | None = None

    async def find(self) -> None:
        """Finds the differences. It runs beside `__aiter__`, which raises whatever fails here."""
        try:
            async with open_task_group() as group:
                group.start_soon(self._list, SOURCE)
                group.start_soon(self._list, DESTINATION)
                workers = self._resources.settings.max_concurrency
                group.start_soon(for_each, self._unclear_groups(), self._look_up_group, workers)
                await self._compare_all()
        except StorageError as error:
            self._error = error
        await self._found.put(None)

    async def __aiter__(self) -> AsyncIterator[Difference]:
        """Yields the differences as they are found.

        Raises:
            NotFoundError: the source does not exist.
            StorageError: a listing failed.
        """
        while (group := await self._found.get()) is not None:
            for difference in group:
                yield difference
        if self._error is not None:
            raise self._error

    # Listing

    async def _list(self, side: int) -> None:
        provider, key, shown = self._places[side]
        # A bucket or a real directory may be empty. A prefix without entries does not exist.
        found = provider.real_directories or key.count("/") <= 1
        limits, policy = self._resources.limits, self._resources.policy
        try:
            async for page in pages(provider, key, recursive=True, limits=limits, policy=policy):
                found = True
                await self._pages[side].put(page)
        except NotFoundError:
            # A real directory that does not exist is created with the first file in it.
            if side == SOURCE or not provider.features.directories:
                raise
        if side == SOURCE and not found:
            raise NotFoundError(
                f"{provider.name} sync of {shown} failed: it does not exist, or is empty; check the path",
                provider=provider.name,
                operation="sync",
                path=shown,
            )
        await self._pages[side].put(None)

    # Comparing

    async def _compare_all(self) -> None:
        run = self._resources.threads.run
        while (side := self._joined.wants()) is not None:
            page = await self._pages[side].get()
            await self._sort_out(await run(self._paired, side, page))
        left = self._joined.left(SOURCE)
        while (pairs := await run(next, left, None)) is not None:
            await self._sort_out(await run(self._compared, pairs))
        blocked = self._joined.blocked()
        while (pairs := await run(next, blocked, None)) is not None:
            await self._sort_out(await run(self._compared, pairs))
        await self._unclear.put(None)

    def _paired(self, side: int, page: Sequence[Entry] | None) -> _Sorted:
        pairs = self._joined.end(side) if page is None else self._joined.feed(side, page)
        return self._compared(pairs)

    def _compared(self, pairs: Sequence[Pair]) -> _Sorted:
        """Sorts pairs by what is to be done. Runs in a thread."""
        if self._selection.has_conditions:
            admits = self._selection.admits_entry
            pairs = [pair for pair in pairs if pair.source is None or admits(pair.source)]
        if (stable := self._stable) is not None:
            pairs = [pair for pair in pairs if pair.source is None or stable.admits(pair.source)]
        found: list[Difference] = []
        unclear: list[Pair] = []
        by_age = 0
        for pair in pairs:
            verdict = self._verdict(pair)
            if verdict is None:
                unclear.append(pair)
            elif verdict == "by age":
                by_age += 1
            elif verdict:
                found.append(verdict)
        return _Sorted(found, unclear, len(pairs) - len(found) - len(unclear), by_age)

    def _verdict(self, pair: Pair) -> Difference | Literal["by age", False] | None:
        """Returns the difference; False for none, `"by age"` for none by that rule, None if it is not known yet."""
        name, source, destination, obstacle = pair
        assert source is not None
        if source.unreadable is not None:
            return Difference("unread" if is_failure(source) else "skip", name, source, source.unreadable)
        directory = is_marker(source)
        if destination is None and obstacle is not None and (self._replaces or obstacle.unreadable is None):
            return self._blocked(name, source, obstacle)
        if destination is None:
            unclear = directory and self._places[DESTINATION].provider.real_directories
            return None if unclear else Difference("copy", name, source, "new")
        if destination.unreadable is not None:
            return Difference("copy", name, source, f"at the destination it is {destination.unreadable}")
        if directory and is_marker(destination):
            return False
        return self._compare(pair, source, destination)

    def _blocked(self, name: str, source: Entry, obstacle: Entry) -> Difference:
        place, target = below(self._places[SOURCE], name), below(self._places[DESTINATION], name)
        kind = "directory" if obstacle.directory else "file"
        if self._replaces:
            return Difference("copy", name, source, f"at the destination a {kind} is in its place", obstacle=obstacle)
        shown = self._places[DESTINATION].shown + obstacle.key[len(self._places[DESTINATION].key) :]
        text = (
            f"{target.provider.name} sync of {place.shown} to {target.shown} failed: {shown} is a {kind} there, which "
            "is in the way; remove it, or sync with --delete (delete=True), which replaces it"
        )
        error = AlreadyExistsError(text, provider=target.provider.name, operation="write", path=target.shown)
        return Difference("fail", name, source, text, error)

    def _compare(self, pair: Pair, source: Entry, destination: Entry) -> Difference | Literal["by age", False] | None:
        one, other = self._seen(pair)
        if not self._comparison.decided(one, other):
            return False if self._has_md5(source, destination) else None
        reason = self._comparison.difference(one, other)
        if reason is None:
            return "by age" if self._comparison.by_age(one, other) else False
        return None if self._comparison.is_close(one, other) else Difference("copy", pair.name, source, reason)

    def _has_md5(self, source: Entry, destination: Entry) -> bool:
        here, there = (place.provider for place in self._places)
        return has_md5(here, source, destination.etag) or has_md5(there, destination, source.etag)

    def _seen(self, pair: Pair) -> tuple[Seen, Seen]:
        assert pair.source is not None
        assert pair.destination is not None
        source, destination = self._places
        return Seen(source.provider.features, pair.source), Seen(destination.provider.features, pair.destination)

    async def _sort_out(self, pairs: _Sorted) -> None:
        self.unchanged += pairs.unchanged
        self.by_age += pairs.by_age
        if pairs.found:
            await self._found.put(pairs.found)
        # Reading for a checksum takes time in proportion to the size, so each pair is work of its own.
        size = 1 if self._comparison.by == "checksum" else _STATS_TOGETHER
        for start in range(0, len(pairs.unclear), size):
            await self._unclear.put(pairs.unclear[start : start + size])

    # Looking up

    async def _unclear_groups(self) -> AsyncIterator[Sequence[Pair]]:
        while (pairs := await self._unclear.get()) is not None:
            yield pairs

    async def _look_up_group(self, pairs: Sequence[Pair]) -> None:
        for pair in pairs:
            try:
                difference = await self._look_up(pair)
            except Exception as error:  # noqa: BLE001 - whatever an item raises is its own failure
                assert pair.source is not None
                failure = failure_of(error, (self._places[SOURCE].shown + pair.name, ""), "sync")
                difference = Difference("fail", pair.name, pair.source, str(failure), failure)
            if difference is None:
                self.unchanged += 1
            else:
                await self._found.put((difference,))

    async def _look_up(self, pair: Pair) -> Difference | None:
        assert pair.source is not None
        if pair.destination is None:
            return await self._look_for_directory(pair.name, pair.source)
        source, destination = self._seen(pair)
        try:
            await self._learn(DESTINATION, destination)
        except NotFoundError:
            return Difference("copy", pair.name, pair.source, "new")
        comparison = self._comparison
        if not comparison.decided(source, destination):
            await self._learn(SOURCE, source)
        by_bytes = comparison.by == "checksum" and source.size == destination.size
        reason = None if by_bytes else comparison.difference(source, destination)
        if by_bytes or (reason is not None and comparison.is_close(source, destination)):
            reason = await self._difference_of_bytes(source, destination)
        self.by_age += reason is None and comparison.by_age(source, destination)
        return Difference("copy", pair.name, pair.source, reason) if reason else None

    async def _look_for_directory(self, name: str, source: Entry) -> Difference | None:
        """Compares an empty directory, which the destination lists only if it is empty there too."""
        try:
            await self._stat(DESTINATION, self._places[DESTINATION].key + name)
        except NotFoundError:
            return Difference("copy", name, source, "new")
        self.kept.add(name)
        return None

    async def _learn(self, side: int, seen: Seen) -> None:
        """Looks up what the listing did not tell of one side."""
        if self._comparison.by == "checksum":
            await self._learn_checksum(side, seen)
        elif not seen.timed:
            seen.looked_up(await self._stat(side, seen.listed.key, seen.listed))

    async def _learn_checksum(self, side: int, seen: Seen) -> None:
        """Looks up the checksum that one side reports, unless the listing did."""
        if seen.features.checksum and seen.stat is None and seen.crc32c is None:
            seen.looked_up(await self._stat(side, seen.listed.key, seen.listed))

    async def _difference_of_bytes(self, source: Seen, destination: Seen) -> str | None:
        """Compares two objects of one size by their checksums, or by the bytes of those that report none."""
        for side, seen in enumerate((source, destination)):
            await self._learn_checksum(side, seen)
        if source.size != destination.size:
            return "size differs"
        resources, (here, there) = self._resources, self._places
        compare = SameBytes(resources.limits, resources.policy, resources.threads).compare
        sides = (here.provider, source.stat or source.listed), (there.provider, destination.stat or destination.listed)
        return None if await compare(*sides) else "checksum differs"

    async def _stat(self, side: int, key: str, listed: Entry | None = None) -> Entry:
        provider = self._places[side].provider
        limits, policy = self._resources.limits, self._resources.policy
        return await request(lambda: look_again(provider, key, listed), provider, limits=limits, policy=policy)
