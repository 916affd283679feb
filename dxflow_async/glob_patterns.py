"""Glob patterns of paths, matched component by component.

`*` and `?` match within one component, `[a-z]` and `[!a-z]` match a set, and a component `**` matches any number of
directories, as in Python's `glob`. `[*]` matches a star.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from fnmatch import fnmatchcase

__all__ = ["ANY", "has_magic", "matches", "matches_component"]

ANY = "**"
"""The component that matches any number of directories."""


def has_magic(key: str) -> bool:
    """Returns whether a key may be a pattern: it has one of the characters `*`, `?` and `[`."""
    return glob.has_magic(key)


def matches(components: Sequence[str], pattern: Sequence[str], *, hidden: bool = True) -> bool:
    """Returns whether the components of a path match those of a pattern.

    Example:
        >>> matches(["a", "b", "c.csv"], ["**", "*.csv"]), matches(["a", "b"], ["*"])
        (True, False)
    """
    reached = {0}
    for component in components:
        step = set()
        for place in _with_empty(reached, pattern):
            if place == len(pattern):
                continue
            if pattern[place] == ANY:
                if hidden or not component.startswith("."):
                    step.add(place)
            elif matches_component(component, pattern[place], hidden=hidden):
                step.add(place + 1)
        reached = step
    return len(pattern) in _with_empty(reached, pattern)


def matches_component(name: str, pattern: str, *, hidden: bool = True) -> bool:
    """Returns whether one component of a path matches one of a pattern.

    Args:
        name: the component.
        pattern: the pattern's component.
        hidden: whether wildcards match a dot at the beginning of a name.
    """
    if not hidden and name.startswith(".") and not pattern.startswith("."):
        return False
    return fnmatchcase(name, pattern)


def _with_empty(places: set[int], pattern: Sequence[str]) -> set[int]:
    """Adds the places behind each `**`, which may match no directory at all."""
    found = set(places)
    for place in sorted(places):
        following = place
        while following < len(pattern) and pattern[following] == ANY:
            following += 1
            found.add(following)
    return found
