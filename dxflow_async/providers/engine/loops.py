"""Recognizes loops of symbolic links, which an engine that follows links lists as directories without an end."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

__all__ = ["LOOP", "is_loop"]

LOOP = "a directory that lists itself again and again: a loop of symbolic links; remove the link on its machine"

_REPEATS = 4
"""So many directories above one, with the same content to the second, are a loop. Each may branch."""

_SINGLE_REPEATS = 30
"""The same for directories with one name in them. The system of the engine follows forty links at most."""


def is_loop(content: frozenset[Hashable], above: Iterable[frozenset[Hashable]]) -> bool:
    """Returns whether a directory seems to be one of those above it.

    Args:
        content: what the directory has, including something that tells names apart.
        above: the same of each directory above it.
    """
    if not content:
        return False
    repeats = sum(each == content for each in above)
    return repeats >= (_REPEATS if len(content) > 1 else _SINGLE_REPEATS)
