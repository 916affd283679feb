"""Locations as immutable paths: what can be said about them without looking."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Self

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.foreign_locations import without_secrets
from dxflow_async.glob_patterns import matches

__all__ = ["LocationPath"]

_REMOTE = re.compile(r"(?:[A-Za-z0-9+.@_-]+)://?")

_HOSTLESS = ("s3", "gs", "az")
"""URL schemes that a bucket follows, not a host."""


class LocationPath:
    """A location as an immutable path. It is compared, sorted, hashed and pickled as its text.

    Args:
        location: a location as for `AsyncSession.copy`, or another path.

    Attributes:
        text: the location, without a slash at its end.
        parts: its segments, the remote first.

    Example:
        >>> path = LocationPath("aws:/bucket/dir") / "x.tar.gz"
        >>> path.name, path.suffix, path.parent.text, path.parts
        ('x.tar.gz', '.gz', 'aws:/bucket/dir', ('aws:/', 'bucket', 'dir', 'x.tar.gz'))
    """

    __slots__ = ("_query", "_root", "_segments")

    def __init__(self, location: str | os.PathLike[str]) -> None:
        text = location.text if isinstance(location, LocationPath) else os.fspath(location)
        if not text:
            raise ConfigurationError("a location must not be empty; write aws:/bucket/key or a local path")
        if text.startswith("local:"):
            text = text.removeprefix("local:") or "."
        self._root, self._query, rest = _split(text)
        self._segments = tuple(segment for segment in rest.split("/") if segment)

    @property
    def text(self) -> str:
        """The location as `AsyncSession.copy` takes it."""
        return (self._root + "/".join(self._segments) or ".") + self._query

    @property
    def is_local(self) -> bool:
        """Whether it is a path on this machine."""
        return self._root in ("", "/")

    @property
    def parts(self) -> tuple[str, ...]:
        """The segments, after the remote or the root if there is one."""
        return (self._root, *self._segments) if self._root else self._segments

    @property
    def name(self) -> str:
        """The last segment; empty for the root."""
        return self._segments[-1] if self._segments else ""

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot on, as of a `pathlib.PurePath`."""
        position = self.name.rfind(".")
        return self.name[position:] if 0 < position < len(self.name) - 1 else ""

    @property
    def suffixes(self) -> list[str]:
        """All ends of the name that begin with a dot."""
        name = self.name.lstrip(".")
        return [] if name.endswith(".") else [f".{each}" for each in name.split(".")[1:]]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name.removesuffix(self.suffix) if self.suffix else self.name

    @property
    def parent(self) -> Self:
        """The directory above; of the root the root itself."""
        return self._with(self._segments[:-1])

    @property
    def parents(self) -> Sequence[Self]:
        """The directories above, the nearest first."""
        return tuple(self._with(self._segments[:length]) for length in reversed(range(len(self._segments))))

    def joinpath(self, *names: str) -> Self:
        """Returns a path below this one.

        Args:
            names: the names to append, in order; each may have slashes inside. `..` stays, and leads upwards on this
                machine: look for it in names that come from others.

        Raises:
            ConfigurationError: a name begins with a slash.
        """
        segments = list(self._segments)
        for name in map(os.fspath, names):
            if name.startswith("/"):
                raise ConfigurationError(f"{name!r} is not a relative name; leave out the slash at its beginning")
            segments += [segment for segment in name.split("/") if segment]
        return self._with(tuple(segments))

    def with_name(self, name: str) -> Self:
        """Returns the path with another name.

        Args:
            name: the new last segment.

        Raises:
            ValueError: this path has no name, or the new one is empty or has a slash.
        """
        if not self.name or not name or "/" in name:
            raise ValueError(f"{self!r} cannot have the name {name!r}")
        return self._with((*self._segments[:-1], name))

    def with_stem(self, stem: str) -> Self:
        """Returns the path with another stem. Raises as `with_name`.

        Args:
            stem: the new name without its suffix.
        """
        return self.with_name(stem + self.suffix)

    def with_suffix(self, suffix: str) -> Self:
        """Returns the path with another suffix, or without one.

        Args:
            suffix: the new suffix with its dot; an empty text removes the suffix.

        Raises:
            ValueError: the suffix does not begin with a dot; or as `with_name`.
        """
        if suffix and (not suffix.startswith(".") or suffix == "."):
            raise ValueError(f"{suffix!r} is not a suffix; it must begin with a dot")
        return self.with_name(self.stem + suffix)

    def is_relative_to(self, other: LocationPath | str) -> bool:
        """Returns whether this path is `other` or lies below it.

        Args:
            other: a path or a location.
        """
        above = LocationPath(other) if isinstance(other, str) else other
        count = len(above._segments)
        return self._root == above._root and self._segments[:count] == above._segments

    def relative_to(self, other: LocationPath | str) -> str:
        """Returns the name of this path below `other`, with slashes.

        Args:
            other: a path or a location.

        Raises:
            ValueError: it does not lie there.
        """
        above = LocationPath(other) if isinstance(other, str) else other
        if not self.is_relative_to(above):
            raise ValueError(f"{self!r} does not lie below {above!r}")
        return "/".join(self._segments[len(above._segments) :])

    def match(self, pattern: str) -> bool:
        """Returns whether the last segments match a glob pattern.

        Args:
            pattern: the pattern, such as `*.csv`.
        """
        wanted = [each for each in pattern.split("/") if each]
        return matches(self._segments[-len(wanted) :], wanted)

    def __truediv__(self, name: str) -> Self:
        return self.joinpath(name)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({without_secrets(self.text)!r})"

    def __fspath__(self) -> str:
        if not self.is_local:
            text = without_secrets(self.text)
            raise ConfigurationError(f"{text} is not a path of this machine; use its open(), or download it first")
        return self.text

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, LocationPath) and other._key == self._key

    def __lt__(self, other: LocationPath) -> bool:
        return self._key < other._key if isinstance(other, LocationPath) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self, name) or not name.startswith("_"):
            raise AttributeError(f"a path cannot be changed: {name}")
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.text,)

    @property
    def _key(self) -> tuple[str, tuple[str, ...], str]:
        return self._root, self._segments, self._query

    def _with(self, segments: tuple[str, ...]) -> Self:
        made = self._made(self._root + "/".join(segments) or ".")
        if made._segments != segments or made._query != self._query:
            object.__setattr__(made, "_segments", segments)
            object.__setattr__(made, "_query", self._query)
        return made

    def _made(self, text: str) -> Self:
        return type(self)(text)


def _split(text: str) -> tuple[str, str, str]:
    """Returns the root (with a slash at its end), the query, and what lies between."""
    scheme = _REMOTE.match(text)
    if scheme is None:
        root = "/" if text.startswith("/") else ""
        return root, "", text.removeprefix(root)
    root, rest, query = scheme.group(), text[scheme.end() :], ""
    if root.endswith("://") and root[:-3].lower() not in _HOSTLESS:
        host, _, rest = rest.partition("/")
        root += f"{host}/"
        rest, mark, query = rest.partition("?")
        query = mark + query
    return root, query, rest
