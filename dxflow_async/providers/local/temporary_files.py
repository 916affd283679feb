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

from dxflow_async.concurrency.threads import is_live_owner

__all__ = [
    "ACCENTED",
    "DECOMPOSED",
    "hold_temporary",
    "is_being_written",
    "is_temporary",
    "temporaries",
    "temporary_name",
]

# Their bytes are UTF-8 also where Python's file system encoding is ASCII.
ACCENTED, DECOMPOSED = (os.fsdecode(unicodedata.normalize(form, "\u00e9").encode()) for form in ("NFC", "NFD"))
"""One letter in the two forms that file systems may keep it in, at the end of names that try them out."""

_HOLD_TRIES = 10
_TEMPORARY = re.compile(rf"\.[0-9a-f]{{16}}\.dxpart(?:{ACCENTED}|{DECOMPOSED})?")
_serials = itertools.count(secrets.randbits(32))


def temporary_name(owner_id: str) -> str:
    """A name for a file that is being written, by the session of that owner id.

    No listing shows the file: in its own process by its session's owner id, in others while its writer holds it with
    `hold_temporary`. Whatever else has such a name, the user's own file or what a killed process has left, is a file
    like any other.
    """
    return f".{owner_id}{next(_serials) & 0xFFFFFFFF:08x}.dxpart"


def is_temporary(name: str, owner_ids: Collection[str] | None = None) -> bool:
    """Whether a file is one that is being written, or was: by one of the sessions of those owner ids."""
    return _TEMPORARY.fullmatch(name) is not None and (owner_ids is None or name[1:9] in owner_ids)


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
    if is_live_owner(name[1:9]):
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


def temporaries(directory: str, owner_ids: Collection[str]) -> list[str]:
    """The names in a directory of what sessions of those owner ids were writing."""
    with os.scandir(directory) as found:
        return [each.name for each in found if is_temporary(each.name, owner_ids)]
