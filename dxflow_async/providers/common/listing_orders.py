"""The two orders in which services list keys.

Amazon S3, Google and Azure list keys in the order of their bytes, in which `a-b` comes before `a/b`. Servers that keep
objects as files, such as SeaweedFS, list what is in a directory where its name stands: `a/b` comes before `a-b`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Question", "by_directories", "from_directories", "orders_differ", "question"]

_SEPARATOR = "\0"
"""Keys do not contain it, and nothing comes before it."""

_BEFORE_SLASH = re.compile(r"[\0-.]")

_LAST = "\U0010fffd"
"""No name begins with anything behind it."""


def by_directories(key: str) -> str:
    """Returns a text for a key; these texts stand in the order of directories.

    Args:
        key: an object's key, or a prefix.

    Example:
        >>> sorted(["a-b", "a/b"], key=by_directories)
        ['a/b', 'a-b']
    """
    return key.replace("/", _SEPARATOR)


def from_directories(text: str) -> str:
    """Returns the key of a text of `by_directories`.

    Args:
        text: from `by_directories`, or between two of these.
    """
    return text.replace(_SEPARATOR, "/")


class Question(NamedTuple):
    """A look at a listing that tells its order.

    Attributes:
        after: where the listing begins.
        key: an object's key; it stands behind `after` in one of the two orders only.
        directories: whether that is the order of directories.
    """

    after: str
    key: str
    directories: bool


def orders_differ(keys: Iterable[str]) -> bool:
    """Returns whether some key has a character before the slash, so that the two orders may differ.

    Args:
        keys: of a page.
    """
    return any(map(_BEFORE_SLASH.search, keys))


def question(prefix: str, keys: Sequence[str]) -> Question | None:
    """Returns what to ask a service to learn its order; None if these keys stand alike in both orders.

    Args:
        prefix: the beginning that all keys have.
        keys: the first keys below it, as they were listed.

    Example:
        >>> question("data/", ["data/file-1"]).directories
        True
        >>> question("data/", ["data/run/1"]).directories
        False
    """
    for key in keys:
        for position in range(len(prefix) + 1, len(key)):
            if key[position] < "/" and key[position - 1] != "/":
                return Question(f"{key[:position]}/{_LAST}", key, directories=True)
    name, slash, _ = keys[0][len(prefix) :].partition("/")
    return Question(f"{prefix}{name}.{_LAST}", keys[0], directories=False) if name and slash else None
