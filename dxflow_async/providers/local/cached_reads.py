"""Which small files may be read in the event loop."""

from __future__ import annotations

import contextlib
import os
import sys

if sys.platform == "linux":
    import resource

    _COUNTS_WAITS = True
else:
    _COUNTS_WAITS = False

__all__ = ["CachedReads"]


class CachedReads:
    """Knows where small files can be read in the event loop: bytes in memory, on a device that does not make it wait.

    Reading such a file in the event loop takes a few microseconds; in a thread it takes fifty. The kind of the file
    system says whether a read can do without the disk. Opening a file may still wait for a directory that is not in
    memory, so each read in the loop is timed: after a slow one, files are read in threads until many of them were
    quick. So a slow disk holds the loop up for two files out of thousands.

    On a busy machine the loop itself may wait for a processor, which says nothing of the disk. So after a first slow
    read, the next ones also look whether the thread has given up its processor by itself, as it does for a disk.
    """

    def __init__(self) -> None:
        self._flags: dict[int, int | None] = {}
        self._left = 0  # quick reads in threads until the loop reads again
        self._penalty = _FEWEST
        self._quick = 0  # in the loop, one after the other
        self._doubtful = 0  # quick reads in the loop until a slow one counts as the first again

    def learn(self, device: int) -> None:
        """Looks up the kind of a device's file system. Blocks."""
        if device not in self._flags:
            self._flags[device] = _READ_FLAGS.get(_file_system(device))

    def is_memory(self, device: int) -> bool:
        """Returns whether a device is memory itself: neither a read nor a write waits there. Blocks the first time."""
        self.learn(device)
        return self._flags[device] == 0

    def flags(self, device: int) -> int | None:
        """Returns the flags for a read; None if it might wait."""
        return self._flags.get(device)

    @property
    def allowed(self) -> bool:
        """Whether files may be opened in the loop now."""
        return not self._left and bool(self._flags)

    def waits(self) -> int | None:
        """Returns how often the thread has waited for something so far; None if `took` need not know."""
        return _count_waits() if self._doubtful else None

    def took(self, seconds: float, waits: int | None = -1) -> None:
        """Notes how long a file took in the loop.

        Args:
            seconds: how long.
            waits: what `waits` returned before.
        """
        if seconds >= _SLOW:
            doubtful, self._doubtful = waits is None and _COUNTS_WAITS, _FEWEST
            if doubtful or (waits is not None and waits == _count_waits()):
                return
            self._left, self._quick, self._penalty = self._penalty, 0, min(2 * self._penalty, _MOST)
            return
        self._doubtful -= self._doubtful > 0
        self._quick += 1
        if self._quick >= self._penalty:
            self._quick, self._penalty = 0, _FEWEST

    def took_in_thread(self, seconds: float) -> None:
        """Notes how long a file took in a thread."""
        if self._left:
            self._left = self._left - 1 if seconds < _SLOW else max(self._left, self._penalty // 2)


def _count_waits() -> int:
    """Returns how often this thread has given up its processor by itself; 0 where the system does not count that.

    Source: https://man7.org/linux/man-pages/man2/getrusage.2.html (ru_nvcsw)
    """
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw if _COUNTS_WAITS else 0


_SLOW = 0.01
"""Seconds: a disk that had to move its head takes as long. A file in memory takes a thousandth of it."""

_FEWEST, _MOST = 64, 8192
"""Quick reads in threads after a slow one in the loop, at first and at most; each slow one doubles them."""

# Other file systems, above all those of networks, may wait in `open` already.
_NOWAIT = getattr(os, "RWF_NOWAIT", None)
_READ_FLAGS: dict[str, int | None] = {"tmpfs": 0, "ramfs": 0, "ext4": _NOWAIT, "xfs": _NOWAIT, "btrfs": _NOWAIT}


def _file_system(device: int) -> str:
    """Returns the kind of a device's file system, as Linux names it.

    Source: https://docs.kernel.org/filesystems/proc.html (3.5, /proc/<pid>/mountinfo)
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            if line.split(" ", 3)[2] == number:
                return line.rpartition(" - ")[2].split(" ", 1)[0]
    return ""
