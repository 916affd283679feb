"""Open directories that concurrent writes share. All of it blocks.

Opening the directory of a small file costs as much as writing the file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

__all__ = ["Directories", "Directory"]


class Directories:
    """The open directories below one root."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Directory] = {}

    def hold(self, key: str) -> Directory:
        """Returns a directory for one more user, who calls `release` at the end. It need not exist yet."""
        with self._lock:
            directory = self._held.get(key)
            if directory is None:
                directory = self._held[key] = Directory(self, self._lock, key)
            directory.users += 1
        return directory

    def forget(self, directory: Directory) -> None:
        """Makes the next `hold` of this key return a new directory."""
        if self._held.get(directory.key) is directory:
            del self._held[directory.key]


class Directory:
    """One directory: opened for the first user that needs its descriptor, closed when the last user releases it.

    Attributes:
        key: its key below the root.
        users: how many users hold it.
        open_descriptor: -1 while it is not open.
        device: of its file system, once it was open.
        in_memory: whether that file system is memory.
    """

    __slots__ = ("_lock", "_owner", "device", "in_memory", "key", "open_descriptor", "users")

    def __init__(self, owner: Directories, lock: threading.Lock, key: str) -> None:
        self._owner = owner
        self._lock = lock
        self.key = key
        self.users = 0
        self.open_descriptor = -1
        self.device = -1
        self.in_memory = False

    def descriptor(self, open_directory: Callable[[str], int]) -> int:
        """Returns the descriptor, which is valid while the directory is held."""
        if self.open_descriptor < 0:
            opened = open_directory(self.key)  # without the lock: it may take long
            with self._lock:
                if self.open_descriptor < 0:
                    self.open_descriptor, opened = opened, -1
            if opened >= 0:
                os.close(opened)
        return self.open_descriptor

    def renewed(self) -> Directory:
        """Releases the directory, and returns the one that has its name by now."""
        with self._lock:
            self._owner.forget(self)
        self.release()
        return self._owner.hold(self.key)

    def release(self) -> None:
        """Removes one user."""
        with self._lock:
            self.users -= 1
            if self.users:
                return
            self._owner.forget(self)
            descriptor, self.open_descriptor = self.open_descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
