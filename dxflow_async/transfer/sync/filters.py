"""Which names a sync is about: glob patterns, compiled once. Pure; no disk is looked at.

A pattern is matched against the path below the synced directory:

- `*` and `?` stand for any characters, or one, but no slash; `[a-z]` and `[!a-z]` for one of, or none of, a set;
- `**` stands for any number of directories: `**/x`, `a/**/x`, `a/**`;
- without a slash (`*.csv`) it is matched against the last component, in every directory; with one (`raw/*.csv`,
  `/README`) against the whole path;
- what it matches includes all that is below: `build` leaves out the directory `build` with its content;
- with a slash at its end (`build/`) it matches directories only;
- a backslash takes a character literally. Upper and lower case differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.paths import fold_name
from dxflow_async.providers.contract import Entry

__all__ = ["NameFilter", "Protected"]

_TOKEN = re.compile(r"\\(.)|(\*\*)|(\*)|(\?)|\[([!^]?)(\]?[^\]/]*)\]|(.)", re.DOTALL)


class NameFilter:
    """What is included, and not excluded.

    Args:
        include: patterns; when there are any, all else is left out.
        exclude: patterns of what is left out, also of what is included.

    Raises:
        ConfigurationError: a pattern that cannot be.

    Example:
        >>> admits = NameFilter(include=["*.csv"], exclude=["old/"]).admits
        >>> [admits(name) for name in ("a.csv", "raw/b.csv", "raw/c.txt", "old/d.csv")]
        [True, True, False, False]
    """

    def __init__(self, include: str | Iterable[str] = (), exclude: str | Iterable[str] = ()) -> None:
        self._include = _compile("include", include)
        self._exclude = _compile("exclude", exclude)

    def admits(self, name: str) -> bool:
        """Whether a path (a directory's ends in a slash) is one the sync is about."""
        if self._include is not None and not self._include.fullmatch(name):
            return False
        return not self.excludes(name)

    def excludes(self, name: str) -> bool:
        """Whether a path is left out with all below it; what is merely not included may be above what is."""
        return self._exclude is not None and self._exclude.fullmatch(name) is not None


def _compile(option: str, patterns: str | Iterable[str]) -> re.Pattern[str] | None:
    texts = [_translate(option, pattern) for pattern in ((patterns,) if isinstance(patterns, str) else patterns)]
    try:
        return re.compile("|".join(texts), re.DOTALL) if texts else None
    except re.error as error:
        raise ConfigurationError(f"{option} = {patterns!r} is not allowed; a set is wrong ({error})") from error


def _translate(option: str, pattern: str) -> str:
    if not isinstance(pattern, str) or not pattern.strip("/") or pattern.startswith("!"):
        raise ConfigurationError(
            f"{option} = {pattern!r} is not allowed; it must be a pattern such as *.csv or raw/**, and not empty; "
            "what is not to be matched goes into the other option"
        )
    segments = re.sub(r"(?:\*\*/)+", "**/", pattern.strip("/")).split("/")
    if not {"", ".", ".."}.isdisjoint(segments):
        raise ConfigurationError(f"{option} = {pattern!r} is not allowed; leave out '//', '.' and '..'")
    anywhere = len(segments) == 1 and not pattern.startswith("/") and segments != ["**"]
    text = "(?:.*/)?" if anywhere else ""
    for number, segment in enumerate(segments, 1):
        last = number == len(segments)
        if segment == "**":
            text += ".+" if last else "(?:.*/)?"
        else:
            text += "".join(map(_part, _TOKEN.finditer(segment))) + ("" if last else "/")
    return text + ("/.*" if pattern.endswith("/") else "(?:/.*)?")


def _part(token: re.Match[str]) -> str:
    literal, many, star, question, negated, members, other = token.groups()
    if star or many:
        return "[^/]*"
    if question:
        return "[^/]"
    if members:
        return f"[{'^/' if negated else ''}{_escape_set(members)}]"
    return re.escape(literal or other or token[0])


def _escape_set(members: str) -> str:
    return re.sub(r"([\\\[\]^&~|])", r"\\\1", members)


class Protected:
    """Unreadable entries of the source, by their names.

    What lies behind such a name is not known: it may be a directory that the destination has a copy of. So a name is
    covered with all below it, and however it is spelled: upper and lower case, and the ways to write one letter, are
    not told apart, because some destinations do not.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, name: str, entry: Entry) -> None:
        """Covers a name, with or without the slash of a directory."""
        self._entries[fold_name(name.removesuffix("/"))] = entry

    def covers(self, name: str) -> Entry | None:
        """The entry that a name belongs to, or lies below; None for a name that is not covered."""
        if not self._entries:
            return None
        name = fold_name(name.removesuffix("/"))
        end = len(name)
        while end > 0:
            entry = self._entries.get(name[:end])
            if entry is not None:
                return entry
            end = name.rfind("/", 0, end)
        return None
