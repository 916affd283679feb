"""The permission bits of files that are written under a temporary name and then renamed. It blocks."""

from __future__ import annotations

import functools
import os
import re
import stat
import threading
import time

__all__ = [
    "PERMISSIONS",
    "PRIVATE",
    "format_mode",
    "is_device",
    "kind_of_file",
    "mode_for",
    "mode_of",
    "parse_mode",
    "umask",
]

PRIVATE = 0o600
"""The mode of an incomplete file: only its owner reads it."""

PERMISSIONS = 0o777
"""The bits that are kept. Bits that let others act as the owner (set-user-ID) end when the bytes change."""

_TEXT = re.compile("0?[0-7]{3}")
_KNOWN_SECONDS = 0.02
_lock = threading.Lock()


def mode_for(directory: int, name: str, mode: int | None = None) -> int:
    """Returns the bits of a complete file: those of the file that it replaces, else `mode`, else those of any new file.

    Args:
        directory: a descriptor.
        name: the name that the file will have.
        mode: the bits of its source.
    """
    try:
        replaced = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        replaced = None
    return mode_of(replaced, mode)


def mode_of(replaced: int | None, mode: int | None = None) -> int:
    """Like `mode_for`, given the mode of the replaced file; None: there is none."""
    if replaced is not None and stat.S_ISREG(replaced):
        return replaced & PERMISSIONS
    return 0o666 & ~umask() if mode is None else mode & PERMISSIONS


def format_mode(mode: int) -> str:
    """Formats permission bits as octal text (`"0640"`)."""
    return f"{mode & PERMISSIONS:04o}"


def parse_mode(text: object) -> int | None:
    """Parses permission bits from octal text; returns None if it is anything else or has further bits."""
    return int(text, 8) if isinstance(text, str) and _TEXT.fullmatch(text) else None


def kind_of_file(mode: int) -> str:
    """Names the kind of something that is neither a file nor a directory, from its mode.

    Example:
        >>> kind_of_file(os.stat("/dev/null").st_mode)
        'a device'
    """
    return next((kind for is_of, kind in _KINDS if is_of(mode)), "a special file")


def is_device(mode: int) -> bool:
    """Returns whether a mode is that of a device. Who may do everything could take /dev/null away from all programs.

    Example:
        >>> is_device(os.stat("/dev/null").st_mode)
        True
    """
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def umask() -> int:
    """Returns the bits that new files of this process do not have."""
    return _umask_at(int(time.monotonic() / _KNOWN_SECONDS))


@functools.lru_cache(maxsize=1)
def _umask_at(_moment: int) -> int:
    # `os.umask` returns it only while setting another one, which other threads would use.
    try:
        with open("/proc/self/status", "rb", 0) as file:
            text = file.read(1024)
        return int(text[text.index(b"Umask:") + 6 :].split(None, 1)[0], 8)
    except (OSError, ValueError):
        with _lock:
            mask = os.umask(0o077)
            os.umask(mask)
        return mask
