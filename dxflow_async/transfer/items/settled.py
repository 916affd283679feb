"""Items of a transfer that need no work."""

from __future__ import annotations

from collections.abc import Iterator

from dxflow_async.exceptions import StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Part
from dxflow_async.transfer.engine import TransferItem

__all__ = ["SettledItem"]


class SettledItem(TransferItem):
    """An item that was settled while it was planned: refused, or skipped."""

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
