"""Reads settings from a TOML file and from environment variables.

Each value carries the file and line, or the variable, that it is from, so that errors can name it.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from dxflow_async.config.quantities import parse_seconds, parse_size
from dxflow_async.config.texts import trim
from dxflow_async.config.validation import SECRETS, key_for_path, not_allowed
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret, holds_key

__all__ = [
    "ConfigFile",
    "Field",
    "Found",
    "convert",
    "fields_of",
    "from_environment",
    "nearest",
    "nearest_of_all",
    "parse_size",
    "warn_when_readable",
]

_log = logging.getLogger("dxflow_async.config")

_KINDS = {"Size": "int", "OptionalSize": "int | None", "Seconds": "float"}
_SIZE = re.compile(r"(^|_)(size|bytes|bandwidth|speed)$")
"""What the names of settings in bytes end with."""


class Found(NamedTuple):
    """A setting's value, and where it is from."""

    value: Any
    where: str


class Field(NamedTuple):
    """A field of a settings class that a text can set: its name, its type as it is annotated, whether it is secret."""

    name: str
    kind: str
    secret: bool


@dataclasses.dataclass(frozen=True, slots=True)
class ConfigFile:
    """A TOML file.

    Attributes:
        path: the file.
        text: its text; empty if there is no file.
        tree: its tables.
    """

    path: Path
    text: str = dataclasses.field(repr=False)
    tree: dict[str, Any] = dataclasses.field(repr=False)
    _warned: set[Path] = dataclasses.field(default_factory=set, init=False, repr=False, compare=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a file. One that is not there is empty.

        Raises:
            ConfigurationError: it cannot be read, or is not valid TOML.
        """
        try:
            text = path.read_text("utf-8-sig")
            return cls(path, text, tomllib.loads(text))
        except FileNotFoundError:
            return cls(path, "", {})
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}; check its owner and mode") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{path} cannot be read: it is not text in UTF-8 ({error})") from error
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{path} is not valid TOML: {error}") from error

    def table(self, *names: str) -> dict[str, Any]:
        """A table by the names that lead to it; empty if it is not there.

        Raises:
            ConfigurationError: something else than a table has that name.
        """
        table = self.tree
        for depth, name in enumerate(names, 1):
            table = table.get(name, {})
            if not isinstance(table, dict):
                shown = ".".join(names[:depth])
                raise ConfigurationError(f"{self.where(*names[:depth])}: {shown} must be a table, [{shown}]")
        return table

    def settings(self, table: Mapping[str, Any], names: tuple[str, ...], fields: Iterable[Field]) -> dict[str, Found]:
        """Reads the settings in a table.

        Args:
            table: the table.
            names: the names that lead to it, the last of which is shown before each setting's; none for the top.
            fields: the settings that it may have.

        Returns:
            The values by the names of their fields.

        Raises:
            ConfigurationError: a setting is unknown, or its value is not valid; with the file and the line.
        """
        known = {each.name: each for each in fields}
        prefix = f"{section_shown(names)}." if names else ""
        found = {}
        for name, value in table.items():
            where = self.where(*names, name)
            if name not in known:
                raise ConfigurationError(f"{where}: unknown setting {prefix}{name}{nearest_of_all(name, known)}")
            found[name] = Found(convert(where, prefix, known[name], value), where)
        if self.path not in self._warned and any(known[name].secret for name in found):
            self._warned.add(self.path)
            warn_when_readable(self.path)
        return found

    def where(self, *names: str) -> str:
        """The file and the line of a setting or a table, by the names that lead to it."""
        return f"{self.path}:{self._line(names)}"

    def _line(self, names: tuple[str, ...]) -> int:
        """The line of a setting, which tomllib does not tell; 1 if it cannot be found.

        A setting is looked for below the header of its table first, then as a dotted or inline one, then anywhere.
        """
        lines = self.text.splitlines()
        header = next((number for number, line in enumerate(lines) if _header(line) == names), None)
        if header is not None:
            return header + 1
        table = next((number for number, line in enumerate(lines) if _header(line) == names[:-1]), None)
        start = 0 if table is None else table + 1
        stop = next((number for number in range(start, len(lines)) if _header(lines[number]) is not None), len(lines))
        own = re.compile(rf"\s*(?:[\w\"'.-]+\.)?[\"']?{re.escape(names[-1])}[\"']?\s*[=.]")
        anywhere = re.compile(rf"\s*\[?\[?.*[\"'.\s{{,]?{re.escape(names[-1])}[\"']?\s*[]=.]")
        for pattern, numbers in ((own, range(start, stop)), (own, range(len(lines))), (anywhere, range(len(lines)))):
            for number in numbers:
                if pattern.match(lines[number]):
                    return number + 1
        return 1


def section_shown(names: tuple[str, ...]) -> str:
    """A section as messages name it: `AWS` for `[aws]`, `remotes.minio` for `[remotes.minio]`."""
    return names[0].upper() if len(names) == 1 else ".".join(names)


def from_environment(
    environ: Mapping[str, str], start: str, section: str, fields: Iterable[Field]
) -> dict[str, tuple[str, Found]]:
    """Reads the settings of one section from environment variables.

    Args:
        environ: the environment.
        start: what the names of its variables start with, such as `DXFLOW_AWS_`.
        section: the section as messages name it, such as `AWS`; empty for the top.
        fields: the settings that it has.

    Returns:
        The variables that are set and their values, by the names of the fields.

    Raises:
        ConfigurationError: a value is not valid; with the variable.
    """
    found = {}
    for field in fields:
        variable = f"{start}{field.name.upper()}"
        if variable in environ:
            where = f"environment: {variable}"
            prefix = f"{section}." if section else ""
            found[field.name] = variable, Found(convert(where, prefix, field, environ[variable]), where)
    return found


def fields_of(cls: type) -> list[Field]:
    """The fields of a settings class that a text can set: texts, numbers, switches and paths."""
    found = []
    for each in dataclasses.fields(cls):
        kind = each.type if isinstance(each.type, str) else getattr(each.type, "__name__", str(each.type))
        if not isinstance(each.type, str | type):
            kind = str(each.type)
        kind = re.sub(r"\b(pathlib|typing|t)\.", "", kind).removeprefix("Optional[")
        kind = _KINDS.get(kind, kind)
        if each.init and re.match(r"(str|bool|int|float|Path)\b", kind):
            found.append(Field(each.name, kind, each.name in SECRETS or not each.repr))
    return found


def nearest(name: str, known: Iterable[str], *, shared: str = "") -> str:
    """`; did you mean X?` for a name that is close to a known one, else nothing.

    Args:
        name: the name.
        known: the names that it may be meant for.
        shared: what all of them start with, which does not make them similar.
    """
    rests = {each.removeprefix(shared): each for each in known}
    import difflib

    near = difflib.get_close_matches(name.removeprefix(shared), rests, 1)
    return f"; did you mean {rests[near[0]]}?" if near else ""


def nearest_of_all(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for a name that is close to a known one, and the names that are known.

    Args:
        name: the name.
        known: the names that it may be meant for.
    """
    names = list(known)
    near = nearest(name, names)
    return f"{near} Known are {', '.join(names)}" if near else f"; known are {', '.join(names)}"


def convert(where: str, prefix: str, field: Field, value: Any) -> Any:
    """Converts the text or TOML value of a setting.

    Raises:
        ConfigurationError: it is not valid. It starts with `where` and shows no secret.
    """
    parse, allowed = _parser(field)
    if parse is Path and isinstance(value, str):
        value = trim(value)
    if parse is Path and isinstance(value, str) and holds_key(value):
        raise ConfigurationError(f"{where}: {key_for_path(prefix + field.name)}")
    fits = isinstance(value, str) or isinstance(value, bool) == (parse is _boolean)
    if fits and isinstance(value, bool | int | float | str) and not (isinstance(value, float) and parse is int):
        try:
            return value if isinstance(value, bool) else parse(str(value))
        except ValueError:
            pass
    shown = "***" if field.secret else value
    text = not_allowed(prefix + field.name, shown, allowed)
    raise ConfigurationError(text if where == prefix + field.name else f"{where}: {text}")


def warn_when_readable(path: Path) -> None:
    """Logs a warning if others may read a file of secrets."""
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("%s holds secrets and others may read it: chmod 600 %s", path, path)


def _parser(field: Field) -> tuple[Callable[[str], Any], str]:
    """The function that converts a setting's text, and a description of what is allowed."""
    if field.kind.startswith("bool"):
        return _boolean, "true or false"
    if field.kind.startswith("int") and _SIZE.search(field.name):
        return parse_size, "a size such as 8MiB"
    if field.kind.startswith("int"):
        return int, "a whole number"
    if field.kind.startswith("float"):
        return parse_seconds, "a duration such as 90s, 2h or a number of seconds"
    if field.kind.startswith("Path"):
        return Path, "a path"
    return Secret if field.secret else str, "text"


def _boolean(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return words[text.strip().lower()]
    except KeyError:
        raise ValueError("not true or false") from None


def _header(line: str) -> tuple[str, ...] | None:
    """The names of a line such as `[remotes.minio]`; None if it is no header of a table."""
    match = re.fullmatch(r"\s*\[\s*([^][]+?)\s*\]\s*(?:#.*)?", line)
    return tuple(part.strip().strip("\"'") for part in match[1].split(".")) if match else None
