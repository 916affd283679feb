"""Recognizes an object that an earlier attempt of the same write has stored, although its answer was lost.

Such an attempt fulfils the condition of a write, so that the next one is refused. The object is then looked up: if it
has the size and the checksum of what was sent, it is the item's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, PreconditionFailedError, StorageError
from dxflow_async.providers.contract import Entry
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.items.checksums import checksum_of
from dxflow_async.transfer.retry import may_have_happened

__all__ = ["OwnWrites"]


class OwnWrites:
    """The attempts of one item to store its object on a condition.

    Args:
        context: what the items of the call share.
        place: the object.
        copied: the place and the entry that the service copies, whose bytes nobody here has seen.
    """

    def __init__(self, context: TransferContext, place: Place, copied: tuple[Place, Entry] | None = None) -> None:
        self._context = context
        self._place = place
        self._copied = copied
        self._unsure = False

    async def attempt(self, write: Callable[[], Awaitable[Entry]], size: int, crc32c: int | None) -> Entry:
        """Makes one attempt and returns what is stored.

        Args:
            write: stores the object.
            size, crc32c: of what is stored, where the checksum is known.

        Raises:
            AlreadyExistsError, PreconditionFailedError: the condition does not hold.
        """
        try:
            return await write()
        except (AlreadyExistsError, PreconditionFailedError):
            own = await self._own(size, crc32c) if self._unsure else None
            if own is None:
                raise
            return own
        except StorageError as error:
            self._unsure = self._unsure or may_have_happened(error)
            raise

    async def _own(self, size: int, crc32c: int | None) -> Entry | None:
        """Returns the object if it has these bytes."""
        provider, context = self._place.provider, self._context
        try:
            # Without a limit of its own: this request takes the place of the one that failed.
            found = await provider.stat(self._place.key)
            if found.directory or found.size != size:
                return None
            if found.crc32c is None:
                found.crc32c = await checksum_of(provider, found, limits=context.limits, policy=context.policy)
            if crc32c is None and self._copied is not None:
                source, entry = self._copied
                crc32c = entry.crc32c
                if crc32c is None:
                    crc32c = await checksum_of(source.provider, entry, limits=context.limits, policy=context.policy)
        except NotFoundError:
            return None
        return found if crc32c is not None and found.crc32c == crc32c else None
