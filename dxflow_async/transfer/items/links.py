"""Items that keep symbolic links: as objects with the link's target, and as links again."""

from __future__ import annotations

import os
from collections.abc import Iterator

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import UnsafePathError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Buffered, ObjectOptions, Part
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.base import BaseItem

__all__ = ["KeptLinkItem", "RestoredLinkItem"]

_MAX_TARGET = 4096  # PATH_MAX of Linux


class _LinkItem(BaseItem, TransferItem):
    """An item of one part, of which no bytes move."""

    def __init__(
        self,
        context: TransferContext,
        source: Place,
        destination: Place,
        options: ObjectOptions,
        *,
        delete_source: bool,
    ) -> None:
        super().__init__(context, source, destination)
        self._unverified = None
        self._options = options
        self._moves = delete_source

    async def open(self) -> Iterator[Part]:
        self._begin()
        return iter((Part(1, 0, 0),))

    async def finish(self) -> TransferResult:
        if self._moves:
            source = self._source
            await self._try(lambda: source.provider.delete_one(source.key), source)
        return self.result(None)


class KeptLinkItem(_LinkItem):
    """A symbolic link that becomes an object with its target, or a link on another disk.

    Args:
        context, source, destination: as for `BaseItem`.
        target: of the link.
        options: what is stored with the object, and on which condition.
        delete_source: deletes the link once it is kept.
    """

    def __init__(
        self,
        context: TransferContext,
        source: Place,
        destination: Place,
        target: str,
        options: ObjectOptions,
        *,
        delete_source: bool,
    ) -> None:
        super().__init__(context, source, destination, options, delete_source=delete_source)
        self._target = target

    async def seen(self) -> str | None:
        return self._target

    async def move(self, part: Part) -> None:
        place, disk = self._destination, self._destination.provider.local_disk
        if disk is not None:
            await disk.make_link(place.key, self._target, if_absent=self._options.if_absent)
            return
        data = os.fsencode(self._target)
        body, options = Buffered((data,), len(data), crc32c(data)), self._options
        await self._try(lambda: place.provider.write(place.key, body, options))
        self._crc32c = body.crc32c


class RestoredLinkItem(_LinkItem):
    """An object that stands for a symbolic link and becomes one again, inside the destination only.

    Args:
        context, source, destination: as for `BaseItem`.
        options: the condition on which it is made.
        delete_source: deletes the object once the link is made.
    """

    async def move(self, part: Part) -> None:
        disk = self._destination.provider.local_disk
        assert disk is not None
        target = os.fsdecode(await self._try(self._read, self._source))
        await disk.make_link(self._destination.key, target, if_absent=self._options.if_absent)

    async def _read(self) -> bytes:
        async with await self._source.provider.read(self._source.key) as reader:
            if reader.size > _MAX_TARGET:
                raise self._failed(UnsafePathError, f"{reader.size} bytes are no target of a symbolic link")
            return b"".join([bytes(chunk) async for chunk in reader])
