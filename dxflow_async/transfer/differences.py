"""Finding what differs between two directories, page by page.

    list source ───────┐
                       ├── pair and compare (in a thread) ──┬──────────────► what there is to do
    list destination ──┘                                    └── look up ──┘

What the listings do not tell (S3's do not tell when a source was changed) is looked up, many at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Literal, NamedTuple

from anyio import create_task_group

from dxflow_async.exceptions import NotFoundError, StorageError
from dxflow_async.providers.base import Entry
from dxflow_async.transfer.asking import ask
from dxflow_async.transfer.checksums import checksum_of, has_md5
from dxflow_async.transfer.compare import Comparison, Seen
from dxflow_async.transfer.failures import failure_of, first_of
from dxflow_async.transfer.listing import pages
from dxflow_async.transfer.moving import Place
from dxflow_async.transfer.pairing import DESTINATION, SOURCE, Pair, Pairing
from dxflow_async.transfer.resources import Resources

__all__ = ["Difference", "Differences"]

_PAGES_AHEAD = 2
_GROUPS_AHEAD = 64
_STATS_TOGETHER = 8


class Difference(NamedTuple):
    """What is to be done about one name.

    `"copy"` it, `"skip"` it because it is unreadable, or report that looking at it `"fail"`ed.
    """

    kind: Literal["copy", "skip", "fail"]
    name: str
    entry: Entry
    reason: str
    error: StorageError | None = None


class Differences:
    """The differences of two directories.

    Args:
        resources: the session's.
        source, destination: directories; their keys end in a slash or are empty.
        comparison: what counts as the same.
        pairing: takes the listings; what only the destination has is left in it.

    Attributes:
        unchanged: how many items are the same on both sides.
        kept: directories with nothing in them at the source, that have something in them at the destination.
    """

    def __init__(
        self, resources: Resources, source: Place, destination: Place, comparison: Comparison, pairing: Pairing
    ) -> None:
        self.unchanged = 0
        self.kept: set[str] = set()
        self._resources = resources
        self._places = source, destination
        self._comparison = comparison
        self._pairing = pairing
        self._found: asyncio.Queue[Sequence[Difference] | None] = asyncio.Queue(_GROUPS_AHEAD)
        self._unclear: asyncio.Queue[Sequence[Pair] | None] = asyncio.Queue(_GROUPS_AHEAD)
        self._pages: tuple[asyncio.Queue[Sequence[Entry] | None], ...] = (
            asyncio.Queue(_PAGES_AHEAD),
            asyncio.Queue(_PAGES_AHEAD),
        )
        self._error: StorageError | None = None

    async def find(self) -> None:
        """Finds them, to be run beside `__aiter__`; whatever fails is raised there."""
        try:
            async with create_task_group() as group:
                group.start_soon(self._list, SOURCE)
                group.start_soon(self._list, DESTINATION)
                for _ in range(self._resources.settings.max_concurrency):
                    group.start_soon(self._look_up_all)
                await self._compare_all()
        except BaseExceptionGroup as failures:
            error = first_of(failures)
            if not isinstance(error, StorageError):
                raise error from None
            self._error = error
        await self._found.put(None)

    async def __aiter__(self) -> AsyncIterator[Difference]:
        """The differences, as they are found.

        Raises:
            NotFoundError: there is no such source.
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
        # A bucket or a real directory may be empty; a prefix that nothing starts with is not there.
        found = provider.features.directories or key.count("/") <= 1
        limits, policy = self._resources.limits, self._resources.policy
        try:
            async for page in pages(provider, key, recursive=True, limits=limits, policy=policy):
                found = True
                await self._pages[side].put(page)
        except NotFoundError:
            # A real directory that is not there yet is made by what is put into it.
            if side == SOURCE or not provider.features.directories:
                raise
        if side == SOURCE and not found:
            raise NotFoundError(
                f"{provider.name} sync of {shown} failed: there is nothing in it; check the path",
                provider=provider.name,
                operation="sync",
                path=shown,
            )
        await self._pages[side].put(None)

    # Comparing

    async def _compare_all(self) -> None:
        run = self._resources.threads.run
        while (side := self._pairing.wants()) is not None:
            page = await self._pages[side].get()
            await self._sort_out(*await run(self._paired, side, page))
        left = self._pairing.left(SOURCE)
        while (pairs := await run(next, left, None)) is not None:
            await self._sort_out(*await run(self._compared, pairs))
        await self._unclear.put(None)

    def _paired(self, side: int, page: Sequence[Entry] | None) -> tuple[list[Difference], list[Pair], int]:
        pairs = self._pairing.end(side) if page is None else self._pairing.feed(side, page)
        return self._compared(pairs)

    def _compared(self, pairs: Sequence[Pair]) -> tuple[list[Difference], list[Pair], int]:
        """What differs for sure, what has to be looked up, and how many are the same. Runs in a thread."""
        found: list[Difference] = []
        unclear: list[Pair] = []
        for pair in pairs:
            verdict = self._verdict(pair)
            if verdict is None:
                unclear.append(pair)
            elif verdict:
                found.append(verdict)
        return found, unclear, len(pairs) - len(found) - len(unclear)

    def _verdict(self, pair: Pair) -> Difference | Literal[False] | None:
        """What is to be done; False for nothing, None when it is not known yet."""
        name, source, destination = pair
        assert source is not None
        if source.unreadable is not None:
            return Difference("skip", name, source, source.unreadable)
        directory = name.endswith("/") and not source.size
        if destination is None:
            unclear = directory and self._places[DESTINATION].provider.features.directories
            return None if unclear else Difference("copy", name, source, "new")
        if destination.unreadable is not None:
            return Difference("copy", name, source, f"at the destination it is {destination.unreadable}")
        if directory and not destination.size:
            return False
        one, other = self._seen(pair)
        if not self._comparison.decided(one, other):
            return False if self._has_md5(source, destination) else None
        reason = self._comparison.difference(one, other)
        return Difference("copy", name, source, reason) if reason else False

    def _has_md5(self, source: Entry, destination: Entry) -> bool:
        here, there = (place.provider for place in self._places)
        return has_md5(here, source, destination.etag) or has_md5(there, destination, source.etag)

    def _seen(self, pair: Pair) -> tuple[Seen, Seen]:
        assert pair.source is not None
        assert pair.destination is not None
        source, destination = self._places
        return Seen(source.provider.features, pair.source), Seen(destination.provider.features, pair.destination)

    async def _sort_out(self, found: Sequence[Difference], unclear: Sequence[Pair], unchanged: int) -> None:
        self.unchanged += unchanged
        if found:
            await self._found.put(found)
        # Reading for a checksum takes as long as the bytes are many: each is work for a worker of its own.
        size = 1 if self._comparison.by == "checksum" else _STATS_TOGETHER
        for start in range(0, len(unclear), size):
            await self._unclear.put(unclear[start : start + size])

    # Looking up

    async def _look_up_all(self) -> None:
        while (pairs := await self._unclear.get()) is not None:
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
        await self._unclear.put(None)  # for the next worker

    async def _look_up(self, pair: Pair) -> Difference | None:
        assert pair.source is not None
        if pair.destination is None:
            return await self._look_for_directory(pair.name, pair.source)
        source, destination = self._seen(pair)
        try:
            await self._learn(DESTINATION, destination)
        except NotFoundError:
            return Difference("copy", pair.name, pair.source, "new")
        if not self._comparison.decided(source, destination):
            await self._learn(SOURCE, source)
        reason = self._comparison.difference(source, destination)
        return Difference("copy", pair.name, pair.source, reason) if reason else None

    async def _look_for_directory(self, name: str, source: Entry) -> Difference | None:
        """A directory that is empty at the source is only listed at the destination when it is empty there, too."""
        try:
            await self._stat(DESTINATION, self._places[DESTINATION].key + name)
        except NotFoundError:
            return Difference("copy", name, source, "new")
        self.kept.add(name)
        return None

    async def _learn(self, side: int, seen: Seen) -> None:
        """Looks up what the listing did not tell of one side."""
        features, by_checksum = seen.features, self._comparison.by == "checksum"
        if (by_checksum and features.checksum and seen.crc32c is None) or not (by_checksum or seen.timed):
            seen.looked_up(await self._stat(side, seen.listed.key))
        if by_checksum and seen.crc32c is None:
            limits, policy = self._resources.limits, self._resources.policy
            provider = self._places[side].provider
            seen.crc32c = await checksum_of(provider, seen.stat or seen.listed, limits=limits, policy=policy)

    async def _stat(self, side: int, key: str) -> Entry:
        provider = self._places[side].provider
        limits, policy = self._resources.limits, self._resources.policy
        return await ask(lambda: provider.stat(key), provider, limits=limits, policy=policy)
