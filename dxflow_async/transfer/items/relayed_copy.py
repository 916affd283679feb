"""Copies within one provider that the provider may refuse to make: the bytes then pass through this machine."""

from __future__ import annotations

from collections.abc import Iterator

from dxflow_async.exceptions import StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import CopyRefusedError, Part
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.executor.shard import ItemRecord
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.items.server_copy import ServerCopyItem

__all__ = ["RelayedCopyItem"]


class RelayedCopyItem(TransferItem):
    """One object that its provider copies or, if it refuses, this machine.

    Args:
        copied: the copy that the provider makes.
    """

    def __init__(self, copied: ServerCopyItem) -> None:
        self._copied = copied
        self._item: ServerCopyItem | CopyItem = copied
        self._refused = False
        self.size = copied.size

    @property
    def ends(self) -> tuple[str, str]:
        return self._item.ends

    async def seen(self) -> str | None:
        return await self._item.seen()

    def record(self) -> ItemRecord | None:
        return self._copied.record()

    async def open(self) -> Iterator[Part]:
        try:
            if not self._refused:
                return await self._item.open()
        except CopyRefusedError:
            await self._item.abort()
            self._refused = True
        if self._item is self._copied:
            self._item = await self._copied.relayed()
        parts = await self._item.open()
        self.size = self._item.size
        return parts

    async def move(self, part: Part) -> None:
        try:
            await self._item.move(part)
        except CopyRefusedError:
            self._refused = True  # the engine opens it anew
            raise

    async def finish(self) -> TransferResult:
        result = await self._item.finish()
        self.version, self.waits_for_disk = self._item.version, self._item.waits_for_disk
        return result

    async def mend(self) -> Iterator[Part] | None:
        return await self._item.mend()

    async def abort(self) -> None:
        await self._item.abort()

    def result(self, error: StorageError | None) -> TransferResult:
        return self._item.result(error)
