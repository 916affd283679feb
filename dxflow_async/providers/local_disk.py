"""What a provider can do because its objects are files of this machine."""

from __future__ import annotations

from abc import ABC, abstractmethod

from dxflow_async.providers.entries import Entry
from dxflow_async.streams import Buffered

__all__ = ["LocalDisk"]


class LocalDisk(ABC):
    """The files behind the keys of a provider on this machine's disks; see `Provider.local_disk`.

    Attributes:
        root: the absolute path of the directory that keys are below.
        is_users: whether the files are the user's own: symbolic links are followed, also out of `root`.
    """

    root: str
    is_users: bool

    @abstractmethod
    def path(self, key: str) -> str:
        """Returns the path of a key, without a look at the disk.

        Args:
            key: of a file or a directory; there need not be one.

        Raises:
            UnsafePathError: the key would lie outside `root`, or is not a valid name.
        """

    @abstractmethod
    async def real_path(self, key: str) -> str:
        """Returns the path of a key with all symbolic links resolved.

        Args:
            key: of a file or a directory; there need not be one.
        """

    @abstractmethod
    async def is_link(self, key: str) -> bool:
        """Returns whether a key is a symbolic link.

        Args:
            key: of a file, a directory or a link.
        """

    def mark_links(self) -> None:
        """Makes listings report symbolic links with their target in `Entry.link`, instead of following them."""
        raise TypeError("these files have no symbolic links")

    async def make_link(self, key: str, target: str, *, if_absent: bool = False) -> None:
        """Makes a symbolic link below `root`, which replaces a file or a link.

        Args:
            key: the link.
            target: a relative path; the link must lead to a place below `root`, whether that exists or not.
            if_absent: replace nothing.

        Raises:
            UnsafePathError: the target is not below `root`.
            AlreadyExistsError: a directory has the name; or anything, with `if_absent`.
        """
        raise TypeError(f"these files have no symbolic links ({key}, {target}, {if_absent})")

    @abstractmethod
    async def exists(self, key: str) -> bool:
        """Returns whether there is anything under a key, a broken link included.

        Args:
            key: of a file, a directory or a link.
        """

    @abstractmethod
    async def folds_names(self, key: str) -> bool:
        """Returns whether names in a directory that differ only in case or Unicode form are the same file's.

        The directory is made where it is missing, and a temporary file is in it for a moment.

        Args:
            key: the directory's.

        Raises:
            StorageError: the directory cannot be written to.
        """

    @abstractmethod
    async def rename_unsynced(self, source: str, key: str, *, file: bool = False) -> None:
        """Renames as `Provider.rename` does, but a loss of power may undo it until `sync_renamed` returns.

        Args:
            source: the old key.
            key: the new key.
            file: whether the source is known to be no directory.
        """

    @abstractmethod
    async def sync_renamed(self, source: str, key: str) -> None:
        """Waits until a rename is on disk. Renames that wait at the same time are synced together.

        Args:
            source: the old key.
            key: the new key.
        """

    def cached_body(self, entry: Entry) -> tuple[Entry, Buffered] | None:
        """Returns a small file of the user's as it is now, and its bytes, if they are in memory anyway.

        None for any other file, and for one that has grown; blocks for some 10 microseconds.

        Args:
            entry: the file, as a listing reported it a moment ago.

        Returns:
            What the file is now, and its bytes with their CRC32C; None.
        """
        return None

    @abstractmethod
    def cached_md5(self, entry: Entry) -> str | None:
        """Returns the MD5 of a small file whose bytes are in memory anyway; blocks for some 30 microseconds.

        None for any other file, and for one that is no longer the version of `entry`.

        Args:
            entry: the file, as a listing or `stat` reported it.

        Returns:
            The MD5 in small hexadecimal digits; None.
        """
