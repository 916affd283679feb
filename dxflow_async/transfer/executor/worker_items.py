"""The items of a worker: whole objects, and some parts of an object whose upload the coordinator holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import monotonic

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
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.items.multipart import Multipart
from dxflow_async.transfer.items.server_copy import ServerCopyItem
from dxflow_async.transfer.items.verification import PartDigests, Verification

__all__ = ["NeedsPartsError", "PartsItem", "whole_item"]


class NeedsPartsError(StorageError):
    """The object is too large to move as a whole."""


def whole_item(
    context: TransferContext, source: Place, destination: Place, record: ItemRecord, *, again: bool
) -> TransferItem:
    """Returns the item that moves a whole object.

    Args:
        context: what the items of the shard share.
        source, destination: the two places.
        record: what the coordinator planned.
        again: another worker may have moved it already.
    """
    if record.kind == "server":
        assert record.entry is not None
        return _WholeServerCopy(
            context,
            source,
            destination,
            record.entry,
            record.options,
            delete_source=record.moves,
            keep_time=record.keeps_time,
            again=again,
        )
    return _WholeCopy(
        context, source, destination, record.options, record.entry, delete_source=record.moves, again=again
    )


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
        self._again = again and delete_source


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
        self._again = again and delete_source


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
