"""What killed processes leave at a provider that writes objects as files under temporary names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

__all__ = ["TemporaryFiles"]


class TemporaryFiles(ABC):
    """The temporary files of a provider, whose names have the `Threads.owner_id` at the time when they were made.

    See `Provider.temporary_files`. A process removes its own files, unless it is killed or loses its connection.
    """

    @abstractmethod
    async def find(
        self, directory: str, owner_ids: Collection[str], kept: Collection[str] = (), *, recursive: bool = False
    ) -> Sequence[str]:
        """Returns the keys of the files that some owners have left in a directory.

        Files with which something else is to be done than to remove them are left out.

        Args:
            directory: `""`, or a key with its slash.
            owner_ids: those of calls and workers that write nothing any more.
            kept: `Upload.id` of uploads that are to be resumed, whose files are left out.
            recursive: also in all directories below it, as far as these can be read. Links are not followed.

        Raises:
            NotFoundError: there is no such directory.
            StorageError: it cannot be read, or is none.

        Example:
            >>> left = await files.find("results/", {"0123abcd"}, recursive=True)
        """

    @abstractmethod
    async def remove(self, keys: Sequence[str]) -> None:
        """Removes files, as many as possible. One that is gone is no error.

        Args:
            keys: as `find` returned them.

        Raises:
            StorageError: the error of the first one that could not be removed.

        Example:
            >>> await files.remove(left)
        """
