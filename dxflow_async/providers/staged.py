"""An object between its being written and its having a name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dxflow_async.providers.contract import Entry

__all__ = ["Staged"]


class Staged(ABC):
    """An object that was written and has no name yet: `commit` it, or `discard` it.

    Attributes:
        entry: what `Provider.write` returns once it is committed.
        waits: whether `commit` waits for a disk.
    """

    entry: Entry
    waits: bool = True

    @abstractmethod
    async def commit(self) -> None:
        """Gives the object its name. When this returns, a loss of power does not take it.

        Raises:
            StorageError: it could not be brought to disk, or could not get its name.
        """

    @abstractmethod
    async def discard(self) -> None:
        """Removes the object; one that was committed stays."""
