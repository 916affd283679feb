"""The owners of temporary files: eight digits in the names of the files.

Each call owns the files that it writes, and so does each worker of a call. A session owns those that it writes outside
of such calls. So whoever resumes a job, or cleans up after it, touches no file of another call, though the session that
had begun the job may be alive and write to the same directory.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["current_owner", "forget_owner", "is_live_owner", "new_owner_id", "owned_by"]

_current: ContextVar[str | None] = ContextVar("dxflow_owner", default=None)
_live: set[str] = set()


def new_owner_id() -> str:
    """Returns eight hexadecimal digits that name an owner in this process until `forget_owner` is called."""
    owner_id = secrets.token_hex(4)
    _live.add(owner_id)
    return owner_id


def forget_owner(owner_id: str) -> None:
    """Marks an owner as ended: files that it left behind are treated like any other file."""
    _live.discard(owner_id)


def is_live_owner(owner_id: str) -> bool:
    """Returns whether an owner is in this process and has not ended."""
    return owner_id in _live


def current_owner() -> str | None:
    """Returns the owner of what the current task writes; None outside of calls."""
    return _current.get()


@contextmanager
def owned_by(owner_id: str) -> Iterator[None]:
    """Has an owner own what the current task, and the tasks that it begins, write within the block."""
    token = _current.set(owner_id)
    try:
        yield
    finally:
        _current.reset(token)
