"""Files that are being written, beside the name they get when they are complete: what they are called, and whose."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import secrets
import time
import unicodedata
from collections.abc import Collection

__all__ = [
    "ACCENTED",
    "DECOMPOSED",
    "forget_mark",
    "hold_temporary",
    "is_being_written",
    "is_temporary",
    "new_mark",
    "temporaries",
    "temporary_name",
]

# Their bytes are UTF-8 also where Python's file system encoding is ASCII.
ACCENTED, DECOMPOSED = (os.fsdecode(unicodedata.normalize(form, "\u00e9").encode()) for form in ("NFC", "NFD"))
"""One letter in the two forms that file systems may keep it in, at the end of names that try them out."""

_HOLD_TRIES = 10
_TEMPORARY = re.compile(rf"\.[0-9a-f]{{16}}\.dxpart(?:{ACCENTED}|{DECOMPOSED})?")
_serials = itertools.count(secrets.randbits(32))


_live: set[str] = set()
"""The marks of this process's sessions, all of whose files are being written: one that is just made is not held yet."""


def new_mark() -> str:
    """Eight digits that a session's temporary files begin with, until it calls `forget_mark`."""
    mark = secrets.token_hex(4)
    _live.add(mark)
    return mark


def forget_mark(mark: str) -> None:
    """The session has ended: what is left of it is a file like any other."""
    _live.discard(mark)


def temporary_name(mark: str) -> str:
    """A name for a file that is being written, by the session of that mark.

    No listing shows the file: in its own process by the session's mark, in others while its writer holds it with
    `hold_temporary`. Whatever else has such a name, the user's own file or what a killed process has left, is a file
    like any other.
    """
    return f".{mark}{next(_serials) & 0xFFFFFFFF:08x}.dxpart"


def is_temporary(name: str, marks: Collection[str] | None = None) -> bool:
    """Whether a file is one that is being written, or was: by one of the sessions of those marks."""
    return _TEMPORARY.fullmatch(name) is not None and (marks is None or name[1:9] in marks)


def hold_temporary(descriptor: int) -> None:
    """Says that a temporary file is being written, until it is closed."""
    for _ in range(_HOLD_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # a listing looks whether it is held, which takes it a moment
            time.sleep(0.001)
        except OSError:  # where there are no locks, listings show it
            return
        else:
            return


def is_being_written(directory: str, name: str) -> bool:
    """Whether a file of that name is one of this process's, or somebody holds it."""
    if not is_temporary(name):
        return False
    if name[1:9] in _live:
        return True
    try:
        descriptor = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def temporaries(directory: str, marks: Collection[str]) -> list[str]:
    """The names in a directory of what sessions of those marks were writing."""
    with os.scandir(directory) as found:
        return [each.name for each in found if is_temporary(each.name, marks)]
