"""Items that move no bytes: directory markers, and items whose result is known before they start."""

from __future__ import annotations

from collections.abc import Iterator

from dxflow_async.exceptions import StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Buffered, ObjectOptions, Part
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.base import BaseItem

__all__ = ["MarkerItem", "SettledItem"]


class MarkerItem(BaseItem, TransferItem):
    """An empty directory: a real one, or the empty object that stands for one."""

    def __init__(
        self, context: TransferContext, source: Place, destination: Place, *, delete_source: bool = False
    ) -> None:
        super().__init__(context, source, destination)
        self._unverified = None  # no bytes move
        self._moves = delete_source

    async def open(self) -> Iterator[Part]:
        return iter((Part(1, 0, 0),))

    async def move(self, part: Part) -> None:
        provider, key = self._destination.provider, self._destination.key
        if provider.features.directories:
            await self._try(lambda: provider.make_directory(key))
        else:
            await self._try(lambda: provider.write(key, Buffered((), 0, 0), ObjectOptions()))

    async def finish(self) -> TransferResult:
        provider, key = self._source.provider, self._source.key
        if self._moves and provider.features.directories:
            await self._try(lambda: provider.remove_directory(key), self._source)
        elif self._moves:
            await self._try(lambda: provider.delete_one(key), self._source)
        return self.result(None)


class SettledItem(TransferItem):
    """An item whose result is known when it is planned: it was refused or skipped."""

    def __init__(self, result: TransferResult) -> None:
        self._result = result

    @property
    def ends(self) -> tuple[str, str]:
        return self._result.source, self._result.destination

    async def open(self) -> Iterator[Part]:
        return iter((Part(1, 0, 0),))

    async def move(self, part: Part) -> None:
        return None

    async def finish(self) -> TransferResult:
        return self._result

    async def abort(self) -> None:
        return None

    def result(self, error: StorageError | None) -> TransferResult:
        return self._result
