"""The names of temporary files, and whether their writers are alive."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import secrets
import unicodedata
from collections.abc import Collection

from dxflow_async.concurrency.descriptors import patiently
from dxflow_async.concurrency.file_locks import hold_shared
from dxflow_async.concurrency.owners import is_live_owner

__all__ = [
    "ACCENTED",
    "DECOMPOSED",
    "hold_temporary",
    "is_being_written",
    "is_temporary",
    "temporaries",
    "temporary_name",
]

# Encoded as UTF-8 even if the file system encoding of Python is ASCII.
ACCENTED, DECOMPOSED = (os.fsdecode(unicodedata.normalize(form, "\u00e9").encode()) for form in ("NFC", "NFD"))
"""One letter in both Unicode forms: suffixes of names that find out whether a file system tells them apart."""

_TEMPORARY = re.compile(rf"\.[0-9a-f]{{16}}\.dxpart(?:{ACCENTED}|{DECOMPOSED})?")
_serials = itertools.count(secrets.randbits(32))


def temporary_name(owner_id: str) -> str:
    """Returns a name for a file that the owner with this id writes.

    No listing shows the file: its own process knows the owner id, and other processes see that its writer holds it with
    `hold_temporary`. Other files with such a name, the user's own or those that a killed process left, are ordinary.
    """
    return f".{owner_id}{next(_serials) & 0xFFFFFFFF:08x}.dxpart"


def is_temporary(name: str, owner_ids: Collection[str] | None = None) -> bool:
    """Returns whether a name is that of a temporary file, of one of these owners if `owner_ids` is given."""
    return _TEMPORARY.fullmatch(name) is not None and (owner_ids is None or name[1:9] in owner_ids)


def hold_temporary(descriptor: int) -> None:
    """Locks a temporary file until it is closed: it is being written. Without locks, listings show the file."""
    hold_shared(descriptor)


def is_being_written(directory: str, name: str) -> bool:
    """Returns whether a file is a temporary one that this process or another one is writing."""
    if not is_temporary(name):
        return False
    if is_live_owner(name[1:9]):
        return True
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = patiently(os.open, os.path.join(directory, name), flags)
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
    """Returns the names of the temporary files of these owners in a directory."""
    with patiently(os.scandir, directory) as found:
        return [each.name for each in found if is_temporary(each.name, owner_ids)]
