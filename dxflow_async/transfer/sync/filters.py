"""Which names a sync touches: glob patterns, regular expressions, and names that are protected. Pure.

A pattern is matched against the path below the synced directory:

- `*` matches any characters and `?` matches one, but never a slash; `[a-z]` matches one character of a set, and
  `[!a-z]` one character outside it;
- `**` matches any number of directories: `**/x`, `a/**/x`, `a/**`;
- a pattern without a slash (`*.csv`) is matched against the last component, in every directory; a pattern with a slash
  (`raw/*.csv`, `/README`) is matched against the whole path;
- a match includes everything below it: `build` excludes the directory `build` with its content;
- a pattern with a slash at its end (`build/`) matches directories only;
- a backslash takes the next character literally. Upper and lower case differ.

A pattern that begins with `re:` is a regular expression, as of Python's `re`, which has to match the whole path:
`re:run-[0-9]+/.*`. It includes everything below a match, too, unless it ends in `$`. `(?i)` at its beginning ignores
case. A glob pattern of a name that begins with `re:` is written `[r]e:`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.paths import fold_name
from dxflow_async.providers.contract import Entry

__all__ = ["NameFilter", "Protected"]

_EXPRESSION = "re:"
_FLAGS = re.compile(r"\(\?([aims]+)\)")
_TOKEN = re.compile(r"\\(.)|(\*\*)|(\*)|(\?)|\[([!^]?)(\]?[^\]/]*)\]|(.)", re.DOTALL)


class NameFilter:
    """Names that are included and not excluded.

    Args:
        include: patterns. If there are any, all other names are left out.
        exclude: patterns of names to leave out, even if they are included.

    Raises:
        ConfigurationError: a pattern or a regular expression is invalid.

    Example:
        >>> admits = NameFilter(include=["*.csv"], exclude=["old/"]).admits
        >>> [admits(name) for name in ("a.csv", "raw/b.csv", "raw/c.txt", "old/d.csv")]
        [True, True, False, False]
    """

    def __init__(self, include: str | Iterable[str] = (), exclude: str | Iterable[str] = ()) -> None:
        self.include, self.exclude = _patterns(include), _patterns(exclude)
        self._include = _compile("include", self.include)
        self._exclude = _compile("exclude", self.exclude)

    def admits(self, name: str) -> bool:
        """Returns whether the sync touches a path. A directory's path ends in a slash."""
        if self._include and not any(pattern.fullmatch(name) for pattern in self._include):
            return False
        return not self.excludes(name)

    def excludes(self, name: str) -> bool:
        """Returns whether a path is excluded with everything below it, and not only not included."""
        return bool(self._exclude) and any(pattern.fullmatch(name) for pattern in self._exclude)


def _patterns(patterns: str | Iterable[str]) -> tuple[str, ...]:
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def _compile(option: str, patterns: Iterable[str]) -> list[re.Pattern[str]]:
    """Returns one pattern for all globs, and one for each regular expression, whose groups are counted by itself."""
    texts, expressions = list[str](), list[re.Pattern[str]]()
    for pattern in patterns:
        if isinstance(pattern, str) and pattern.startswith(_EXPRESSION):
            expressions.append(_expression(option, pattern))
        else:
            texts.append(_translate(option, pattern))
    try:
        return [*([re.compile("|".join(texts), re.DOTALL)] if texts else ()), *expressions]
    except re.error as error:
        raise ConfigurationError(f"{option} = {patterns!r} is not allowed; a set is invalid ({error})") from error


def _expression(option: str, pattern: str) -> re.Pattern[str]:
    text = pattern.removeprefix(_EXPRESSION)
    flags = _FLAGS.match(text)
    try:
        re.compile(text)  # by itself: a parenthesis too many must not end the group below
        inner = f"(?{flags[1]}:{text[flags.end() :]})" if flags is not None else f"(?:{text})"
        return re.compile(f"{inner}(?:/.*)?", re.DOTALL)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigurationError(
            f"{option} = {pattern!r} is not allowed; it is no valid regular expression ({error})"
        ) from error


def _translate(option: str, pattern: str) -> str:
    if not isinstance(pattern, str) or not pattern.strip("/") or pattern.startswith("!"):
        raise ConfigurationError(
            f"{option} = {pattern!r} is not allowed; it must be a pattern such as *.csv or raw/**, and not empty; "
            "names that must not match go into the other option"
        )
    segments = re.sub(r"(?:\*\*/)+", "**/", pattern.strip("/")).split("/")
    if not {"", ".", ".."}.isdisjoint(segments):
        raise ConfigurationError(f"{option} = {pattern!r} is not allowed; remove '//', '.' and '..'")
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
    """Unreadable entries of the source, by name. A sync leaves these names alone at the destination.

    An unreadable name may be a directory that the destination has a copy of. So a name is covered with everything below
    it,
    and in every spelling: upper and lower case, and composed and decomposed letters, count as the same, because some
    destinations do not tell them apart.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, name: str, entry: Entry) -> None:
        """Covers a name, with or without the slash of a directory."""
        self._entries[fold_name(name.removesuffix("/"))] = entry

    def covers(self, name: str) -> Entry | None:
        """Returns the entry whose name is `name` or lies above it; None for a name that is not covered."""
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
