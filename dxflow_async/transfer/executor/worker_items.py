"""The items of a worker: whole objects, and some parts of an object whose upload the coordinator holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import NamedTuple

from dxflow_async.exceptions import NotFoundError, StorageError, UnsupportedError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import (
    Entry,
    ObjectOptions,
    Part,
    PartLimitError,
    PartReceipt,
    RangeIgnoredError,
    Upload,
)
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.executor.shard import ItemRecord, MovedPart, PartRange
from dxflow_async.transfer.items.checksums import checksum_of
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.items.multipart import Multipart
from dxflow_async.transfer.items.overwriting import OverwritingItem
from dxflow_async.transfer.items.relayed_copy import RelayedCopyItem
from dxflow_async.transfer.items.server_copy import ServerCopyItem
from dxflow_async.transfer.items.verification import PartDigests, Verification

__all__ = ["NeedsPartsError", "PartsItem", "Redone", "whole_item"]

_CLOCK_SKEW = 15 * 60.0
"""Seconds that a service's clock may differ from ours. S3 refuses requests that differ by more."""


class NeedsPartsError(StorageError):
    """The object is too large to move as a whole."""


class Redone(NamedTuple):
    """Whether the items of a shard may be done already.

    Attributes:
        certain: a worker that held the shard was lost.
        possible: the executor may have handed the shard to another worker by itself.
        began: when the call began, in seconds since the epoch.
    """

    certain: bool
    possible: bool
    began: float


def whole_item(
    context: TransferContext, source: Place, destination: Place, record: ItemRecord, redone: Redone
) -> TransferItem:
    """Returns the item that moves a whole object.

    Args:
        context: what the items of the shard share.
        source, destination: the two places.
        record: what the coordinator planned.
        redone: whether another worker may have moved it already.
    """
    again = record.moves and (redone.certain or redone.possible)

    def make(options: ObjectOptions) -> TransferItem:
        entry, moves = record.entry, record.moves
        if record.kind == "copy":
            return _WholeCopy(context, source, destination, options, entry, delete_source=moves, again=again)
        assert entry is not None
        keep_time = record.keeps_time
        copied = _WholeServerCopy(
            context, source, destination, entry, options, delete_source=moves, keep_time=keep_time, again=again
        )
        return RelayedCopyItem(copied)

    if record.overwrite is True:
        return make(record.options)
    return _WholeOverwriting(context, source, destination, record, make, redone)


class _WholeOverwriting(OverwritingItem):
    """Stores an object if its destination may be replaced. What a lost worker of the call stored may be replaced."""

    def __init__(
        self,
        context: TransferContext,
        source: Place,
        destination: Place,
        record: ItemRecord,
        make: Callable[[ObjectOptions], TransferItem],
        redone: Redone,
    ) -> None:
        super().__init__(context, source, destination, record.entry, record.options, record.overwrite, make)
        self._redone = redone
        self._moves = record.moves

    async def _decide(self) -> None:
        if not await self._is_stored():
            await super()._decide()

    async def _is_stored(self) -> bool:
        """Returns whether the object at the destination is certainly what another worker of this call has stored."""
        redone = self._redone
        if not (redone.certain or redone.possible):
            return False
        found = await self._look()
        planned = await self._look(self._source)
        if planned is None:
            return self._moves  # the item itself looks whether it was moved
        if found is None or found.directory or found.size != planned.size:
            return False
        if not redone.certain and found.modified < redone.began - _CLOCK_SKEW:
            return False
        sums = [each.crc32c for each in (found, planned)]
        if None in sums:
            limits, policy = self._context.limits, self._context.policy
            places = ((self._destination.provider, found), (self._source.provider, planned))
            sums = [await checksum_of(provider, entry, limits=limits, policy=policy) for provider, entry in places]
        return sums[0] == sums[1]


async def _moved_before(source: Place, destination: Place, entry: Entry | None) -> Entry | None:
    """Returns what is stored if another worker has moved an object: the source is gone, and its copy is there."""
    if entry is None:
        return None
    try:
        await source.provider.stat(source.key)
    except NotFoundError:
        found = await destination.provider.stat(destination.key)
        differs = None not in (found.crc32c, entry.crc32c) and found.crc32c != entry.crc32c
        return found if found.size == entry.size and not differs else None
    return None


class _MovedOnce(Multipart, TransferItem):
    """Moves a whole object, unless a worker that was lost has moved it already. Objects in parts are left to others.

    It stands before a class of items, whose methods it calls.
    """

    _planned: Entry | None
    _again: bool
    _done: Entry | None = None

    async def open(self) -> Iterator[Part]:
        if self._again:
            self._done = await self._try(lambda: _moved_before(self._source, self._destination, self._planned))
        if self._done is not None:
            self._begin()
            return iter((Part(1, 0, self._done.size),))
        return await super().open()  # type: ignore[safe-super]

    async def move(self, part: Part) -> None:
        if self._done is None:
            await super().move(part)  # type: ignore[safe-super]
        else:
            self._count(self._done.size)

    async def finish(self) -> TransferResult:
        return await super().finish() if self._done is None else self.result(None)  # type: ignore[safe-super]

    async def _begin_parts(self, source: Entry, wanted: int, options: ObjectOptions) -> Iterator[Part]:
        raise NeedsPartsError("the object is large")


class _WholeCopy(_MovedOnce, CopyItem):
    def __init__(
        self,
        context: TransferContext,
        source: Place,
        destination: Place,
        options: ObjectOptions,
        entry: Entry | None,
        *,
        delete_source: bool,
        again: bool,
    ) -> None:
        super().__init__(context, source, destination, options, entry, delete_source=delete_source)
        self._planned = entry
        self._again = again


class _WholeServerCopy(_MovedOnce, ServerCopyItem):
    def __init__(
        self,
        context: TransferContext,
        source: Place,
        destination: Place,
        entry: Entry,
        options: ObjectOptions,
        *,
        delete_source: bool,
        keep_time: bool,
        again: bool,
    ) -> None:
        super().__init__(context, source, destination, entry, options, delete_source=delete_source, keep_time=keep_time)
        self._planned = entry
        self._again = again

    def _relayed_item(self, options: ObjectOptions) -> CopyItem:
        ends = self._source, self._destination
        return _WholeCopy(self._context, *ends, options, self._entry, delete_source=self._moves, again=self._again)


class PartsItem(CopyItem):
    """Some parts of an object. It neither finishes nor aborts the upload: the coordinator does.

    Args:
        context: what the items of the shard share.
        source, destination: the two places.
        span: the parts.
        upload: the upload.

    Attributes:
        refused: the error of a part that the coordinator has to see, since it changes how the object is cut.
        seconds: the sum of the times that the parts took.
    """

    def __init__(
        self, context: TransferContext, source: Place, destination: Place, span: PartRange, upload: Upload
    ) -> None:
        super().__init__(context, source, destination, span.options, span.entry)
        self._span = span
        self._shared = upload
        self._receipts = []
        self.refused: StorageError | None = None
        self.seconds = 0.0

    @property
    def stored(self) -> Sequence[MovedPart]:
        """The parts that are stored."""
        digests = self._checks.digests.values if isinstance(self._checks.digests, PartDigests) else None
        numbered = [(each, None if digests is None else digests.get(each.part.number)) for each in self._receipts]
        return [MovedPart(receipt, digest) for receipt, digest in numbered]

    async def open(self) -> Iterator[Part]:
        self._begin()
        self._decide()
        self._checks = Verification(self._source.provider.features, self._destination.provider.features)
        self._reads.entry = self._span.entry
        self._checks.begin_parts(self._span.entry)
        self._checks.ordered = None  # whoever has all parts computes it
        self._upload = self._shared
        done = {receipt.part.number for receipt in self._receipts}
        left = [part for part in self._span.parts if part.number not in done]
        return iter(left or self._span.parts[-1:])

    async def move(self, part: Part) -> None:
        started = monotonic()
        try:
            await super().move(part)
            self.seconds += monotonic() - started
        except (PartLimitError, RangeIgnoredError) as error:
            self.refused = error
            raise UnsupportedError(str(error)) from error  # the shard is not to start anew by itself

    async def _keep(self, receipt: PartReceipt) -> None:
        self._receipts.append(receipt)

    async def finish(self) -> TransferResult:
        return self.result(None)

    async def mend(self) -> Iterator[Part] | None:
        return None

    async def abort(self) -> None:
        self._upload = None
        await super().abort()
