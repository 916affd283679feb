"""Decides whether an object is replaced, and stores it on that condition.

`OverwritingItem` stands in front of the item that moves the bytes. It looks at the destination where that is needed,
skips or refuses the item, or hands it the condition on which the provider stores it. Where a provider obeys no
conditions, the destination is looked at again right before the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

from dxflow_async.exceptions import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    StorageError,
)
from dxflow_async.models import TransferResult
from dxflow_async.providers.common.conditions import EXISTS, REPLACED
from dxflow_async.providers.contract import Entry, ObjectOptions, Part
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.executor.shard import ItemRecord
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.request import request
from dxflow_async.transfer.sync.compare import TOLERANCE, Comparison, Seen

__all__ = ["OverwritingItem"]


class OverwritingItem(TransferItem):
    """An item that is stored only if the object at its destination may be replaced, or does not exist.

    Args:
        context: what the items of the call share.
        source, destination: the two places.
        entry: the source as a listing described it, if it was listed.
        options: what is stored with the copy; `if_match` may be set.
        overwrite: the rule.
        make: makes the item that moves the bytes.
    """

    def __init__(
        self,
        context: TransferContext,
        source: Place,
        destination: Place,
        entry: Entry | None,
        options: ObjectOptions,
        overwrite: Overwrite,
        make: Callable[[ObjectOptions], TransferItem],
    ) -> None:
        self._context = context
        self._source = source
        self._destination = destination
        self._entry = entry
        self._overwrite = overwrite
        self._make = make
        self._options = options
        self._condition = ObjectOptions(if_match=options.if_match)
        self._item = make(replace(options, if_match=None) if options.conditional else options)
        self._decided = False
        self._in_parts = False
        self._skipped: str | None = None
        self.size = self._item.size

    @property
    def ends(self) -> tuple[str, str]:
        return self._item.ends

    async def seen(self) -> str | None:
        return await self._item.seen()

    def record(self) -> ItemRecord | None:
        record = None if self._condition.if_match is not None else self._item.record()
        return None if record is None else record._replace(overwrite=self._overwrite)

    async def open(self) -> Iterator[Part]:
        if not self._decided:
            await self._decide()
            self._decided = True
        if self._skipped is not None:
            return self._skip(self._skipped)
        parts = await self._item.open()
        self._follow()
        first = next(parts)
        second = next(parts, None)
        self._in_parts = second is not None
        return iter((first,)) if second is None else chain((first, second), parts)

    async def move(self, part: Part) -> None:
        if self._skipped is not None:
            return
        try:
            await self._item.move(part)
        except AlreadyExistsError as error:
            await self._exists(error)
        self._follow()

    async def finish(self) -> TransferResult:
        if self._skipped is None:
            try:
                if self._in_parts and not self._destination.provider.features.conditions:
                    await self._check_again()
                result = await self._item.finish()
            except AlreadyExistsError as error:
                await self._exists(error)
            else:
                self._follow()
                return result
        return self._result()

    async def mend(self) -> Iterator[Part] | None:
        return None if self._skipped is not None else await self._item.mend()

    async def abort(self) -> None:
        await self._item.abort()

    def result(self, error: StorageError | None) -> TransferResult:
        return self._item.result(error)

    def _result(self) -> TransferResult:
        return TransferResult(*self.ends, skipped=self._skipped)

    def _follow(self) -> None:
        """Takes over what the engine reads."""
        self.size, self.version = self._item.size, self._item.version
        self.waits_for_disk = self._item.waits_for_disk

    def _skip(self, reason: str) -> Iterator[Part]:
        self._skipped = reason
        self._context.meter.sized(-self.size)
        self.size = 0
        return iter((Part(1, 0, 0),))

    async def _exists(self, error: AlreadyExistsError) -> None:
        """Skips an item whose object somebody else created in the meantime; raises any other error."""
        found = await self._look() if self._overwrite == "skip" else None
        if found is None or found.directory:
            raise error
        await self._item.abort()
        self._skip("it exists already")

    # The decision

    async def _decide(self) -> None:
        """Chooses the condition, skips the item, or refuses it.

        Raises:
            AlreadyExistsError, PreconditionFailedError: the object must not be replaced.
        """
        features = self._destination.provider.features
        if self._overwrite is not True:
            # One request that creates the object says the same, unless all of it would be sent in vain.
            small = self._entry is not None and self._entry.size <= self._context.part_size
            if self._overwrite is False and features.atomic_create and small:
                self._condition = ObjectOptions(if_absent=True)
            else:
                await self._judge(await self._look())
        elif self._condition.if_match is not None:
            await self._check_matching(await self._look())
        if self._skipped is None and self._condition.conditional and features.conditions:
            condition = self._condition
            options = replace(self._options, if_absent=condition.if_absent, if_match=condition.if_match)
            self._item = self._make(options)

    async def _judge(self, found: Entry | None) -> None:
        """Decides by what is at the destination. A directory in the way is left to the provider, which refuses it."""
        if found is None:
            self._condition = ObjectOptions(if_absent=True)
        elif found.directory:
            return
        elif self._overwrite is False:
            raise self._failed(AlreadyExistsError, EXISTS)
        elif self._overwrite == "skip":
            self._skipped = "it exists already"
        else:
            self._skipped = await self._reason_to_keep(found)
            if self._skipped is None and found.etag is not None:
                self._condition = ObjectOptions(if_match=found.etag)

    async def _reason_to_keep(self, found: Entry) -> str | None:
        """Returns why the object at the destination is not replaced; None if it is to be replaced."""
        entry, provider = self._entry, self._source.provider
        source = None if entry is None else Seen(provider.features, entry)
        if source is None or not source.timed or source.crc32c is None:
            looked = await self._look(self._source)
            if looked is None:
                return None  # the item fails, and says why
            source = Seen(provider.features, looked if entry is None else entry)
            source.looked_up(looked)
        there = Seen(self._destination.provider.features, found)
        there.looked_up(found)
        if self._overwrite == "if-different":
            by = Comparison("size+mtime")
            same = by.difference(source, there) is None and not by.is_close(source, there)
            return "it is the same as at the destination" if same else None
        return None if _is_newer(source, there) else "it is not newer than at the destination"

    async def _check_again(self) -> None:
        """Checks the condition right before the item gets its name, where the provider does not."""
        condition = self._condition
        if condition.if_absent and await self._look() is not None:
            raise self._failed(AlreadyExistsError, EXISTS)
        if condition.if_match is not None:
            await self._check_matching(await self._look())

    async def _check_matching(self, found: Entry | None) -> None:
        wanted, provider = self._condition.if_match, self._destination.provider
        if found is None or found.etag is None or wanted is None or not await provider.same_version(wanted, found):
            raise self._failed(PreconditionFailedError, REPLACED)

    async def _look(self, place: Place | None = None) -> Entry | None:
        place = place or self._destination
        provider, key = place.provider, place.key
        try:
            return await request(
                lambda: provider.stat(key), provider, limits=self._context.limits, policy=self._context.policy
            )
        except NotFoundError:
            return None

    def _failed(self, cls: type[StorageError], text: str) -> StorageError:
        place = self._destination
        return cls(
            f"{place.provider.name} write of {place.shown} refused: {text}",
            provider=place.provider.name,
            operation="write",
            path=place.shown,
        )


def _is_newer(source: Seen, there: Seen) -> bool:
    """Returns whether a source was changed after the object, or after its source; if that is not known, too."""
    time, other = source.time, there.kept if there.kept is not None else there.stored or None
    if time is None or other is None:
        return True
    step = there.features.mtime_resolution
    return (time // step * step if step else time) > other + TOLERANCE
