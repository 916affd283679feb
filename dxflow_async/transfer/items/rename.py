"""The item that renames an object or a directory within one provider."""

from __future__ import annotations

from collections.abc import Iterator

from dxflow_async.exceptions import NotFoundError, StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Entry, Part
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.base import BaseItem

__all__ = ["RenameItem"]


class RenameItem(BaseItem, TransferItem):
    """An object or a directory that the provider renames at once."""

    def __init__(self, context: TransferContext, source: Place, destination: Place, entry: Entry) -> None:
        super().__init__(context, source, destination, entry.size)
        self._unverified = None  # no bytes move
        self._entry = entry
        self._failed_before = False

    async def open(self) -> Iterator[Part]:
        return iter((Part(1, 0, self.size),))

    async def move(self, part: Part) -> None:
        await self._try(self._rename)
        self._count(part.size)

    async def _rename(self) -> None:
        """Renames. After an answer that was lost, or not the service's, it checks whether the rename was done."""
        try:
            await self._source.provider.rename(self._source.key, self._destination.key)
        except StorageError as error:
            uncertain = error.retryable or (self._failed_before and isinstance(error, NotFoundError))
            self._failed_before = True
            if not (uncertain and await self._was_renamed(error)):
                raise

    async def _was_renamed(self, error: StorageError) -> bool:
        """Returns whether the destination is the former source, and the source is gone or another one.

        Raises:
            StorageError: `error`, when that cannot be found out.
        """
        try:
            renamed = await self._look(self._destination)
            if renamed is None or not self._is_entry(renamed):
                return False
            left = await self._look(self._source)
        except StorageError:
            raise error from None
        # A directory that is still there may be a new one. The rename is tried again, and refused if it must be.
        return left is None or not self._is_entry(left)

    async def _look(self, place: Place) -> Entry | None:
        try:
            # Without a limit of its own: this request takes the place of the one that failed.
            return await place.provider.stat(place.key)
        except NotFoundError:
            return None

    def _is_entry(self, found: Entry) -> bool:
        entry = self._entry
        if entry.directory or found.directory:
            # A rename keeps the time of a directory, where the provider reports one.
            same_time = not (entry.modified and found.modified) or entry.modified == found.modified
            return entry.directory == found.directory and same_time
        return (found.size, found.modified) == (entry.size, entry.modified)

    async def finish(self) -> TransferResult:
        return self.result(None)
