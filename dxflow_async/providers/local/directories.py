"""Directories that files are written into, each opened once for all who do so at the time. All of it blocks.

For a small file, opening its directory costs as much as writing it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

__all__ = ["Directories", "Directory"]


class Directories:
    """Those of one root."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Directory] = {}

    def hold(self, key: str) -> Directory:
        """A directory for one more user, who is to `release` it; it need not exist yet."""
        with self._lock:
            directory = self._held.get(key)
            if directory is None:
                directory = self._held[key] = Directory(self, self._lock, key)
            directory.users += 1
        return directory

    def forget(self, directory: Directory) -> None:
        """Whoever holds it next gets another one."""
        if self._held.get(directory.key) is directory:
            del self._held[directory.key]


class Directory:
    """One directory, opened by the first who asks for its descriptor, closed by the last who releases it.

    Attributes:
        key: its name below the root.
        users: how many hold it.
        open_descriptor: -1 while it is not open.
    """

    __slots__ = ("_lock", "_owner", "key", "open_descriptor", "users")

    def __init__(self, owner: Directories, lock: threading.Lock, key: str) -> None:
        self._owner = owner
        self._lock = lock
        self.key = key
        self.users = 0
        self.open_descriptor = -1

    def descriptor(self, open_directory: Callable[[str], int]) -> int:
        """Its descriptor, for as long as it is held."""
        if self.open_descriptor < 0:
            opened = open_directory(self.key)  # without the lock: it may take long
            with self._lock:
                if self.open_descriptor < 0:
                    self.open_descriptor, opened = opened, -1
            if opened >= 0:
                os.close(opened)
        return self.open_descriptor

    def renewed(self) -> Directory:
        """Released, and in its place what has its name by now."""
        with self._lock:
            self._owner.forget(self)
        self.release()
        return self._owner.hold(self.key)

    def release(self) -> None:
        """One user less."""
        with self._lock:
            self.users -= 1
            if self.users:
                return
            self._owner.forget(self)
            descriptor, self.open_descriptor = self.open_descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
