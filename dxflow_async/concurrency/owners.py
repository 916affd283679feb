"""Identifiers of the sessions of this process, which name the temporary files that each of them is writing."""

from __future__ import annotations

import secrets

__all__ = ["forget_owner_id", "is_live_owner", "new_owner_id"]

_live: set[str] = set()


def new_owner_id() -> str:
    """Returns eight hexadecimal digits that name a session until `forget_owner_id` is called."""
    owner_id = secrets.token_hex(4)
    _live.add(owner_id)
    return owner_id


def forget_owner_id(owner_id: str) -> None:
    """Marks the session as ended: files that it left behind are treated like any other file."""
    _live.discard(owner_id)


def is_live_owner(owner_id: str) -> bool:
    """Returns whether a session of this process has that identifier and has not ended."""
    return owner_id in _live
