"""Where settings come from: a TOML file, the environment. What is found there carries its place into every error."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dxflow_async.config.validation import SECRETS, key_for_path, not_allowed
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret, holds_key

__all__ = [
    "Found",
    "Sections",
    "from_environment",
    "from_file",
    "parse_size",
    "warn_when_readable",
]

_log = logging.getLogger("dxflow_async.config")

Sections = Mapping[str, type]
"""The dataclass of each section, by its name in capitals."""


class Found(NamedTuple):
    """A setting's value, and the file and line or the variable it is from."""

    value: Any
    where: str


def from_file(path: Path, top: type, sections: Sections) -> dict[str, Found]:
    """The settings of a TOML file, those of `[aws]` named `AWS.x`; nothing when there is no file.

    Raises:
        ConfigurationError: with the file and the line.
    """
    try:
        text = path.read_text("utf-8")
        tree = tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
    found: dict[str, Found] = {}
    for name, cls in sections.items():
        section = tree.pop(name.lower(), {})
        if not isinstance(section, dict):
            where = f"{path}:{_line(text, name.lower())}"
            raise ConfigurationError(f"{where}: {name.lower()} must be a table, [{name.lower()}]")
        if SECRETS & section.keys():
            warn_when_readable(path)
        found |= _checked(path, text, section, _kinds(cls), f"{name}.")
    return _checked(path, text, tree, _kinds(top), "") | found


def from_environment(environ: Mapping[str, str], top: type, sections: Sections) -> dict[str, Found]:
    """The settings of the variables `DXFLOW_X`, and `DXFLOW_AWS_X` named `AWS.x`.

    Raises:
        ConfigurationError: with the variable.
    """
    known = {f"DXFLOW_{name.upper()}": ("", name, kind) for name, kind in _kinds(top).items()}
    for section, cls in sections.items():
        known |= {f"DXFLOW_{section}_{name.upper()}": (f"{section}.", name, kind) for name, kind in _kinds(cls).items()}
    for variable in environ:
        if variable.startswith("DXFLOW_") and variable not in (*known, "DXFLOW_HOME"):
            listed = ", ".join(sorted((*known, "DXFLOW_HOME")))
            raise ConfigurationError(f"environment: unknown variable {variable}; known are {listed}")
    return {
        prefix + name: Found(
            _convert(f"environment: {variable}", prefix, name, kind, environ[variable]), f"environment: {variable}"
        )
        for variable, (prefix, name, kind) in known.items()
        if variable in environ
    }


def parse_size(text: str) -> int:
    """Bytes from `"8MiB"`, `"1.5GiB"`, `"64k"` or a plain number; a bare k, M, G or T is binary.

    Raises:
        ValueError: not a size.

    Example:
        >>> parse_size("8MiB"), parse_size("64k"), parse_size("10MB")
        (8388608, 65536, 10000000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kKMGT])(i?[bB]?)|[bB])?\s*", text)
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    number, letter, suffix = match.groups()
    power = 0 if letter is None else " KMGT".index(letter.upper())
    base = 1000 if suffix in ("B", "b") else 1024
    whole, _, fraction = number.partition(".")
    size: int = int(whole + fraction) * base**power // 10 ** len(fraction)
    return size


def _boolean(text: str) -> bool:
    try:
        return {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }[text.strip().lower()]
    except KeyError:
        raise ValueError("not true or false") from None


_SIZES = {"max_memory_bytes", "max_bandwidth", "part_size"}


def _parser(name: str, kind: str) -> tuple[Callable[[str], Any], str]:
    """How the text of a setting becomes its value, and what is allowed."""
    if name in _SIZES:
        return parse_size, "a size such as 8MiB"
    if kind.startswith("bool"):
        return _boolean, "true or false"
    if kind.startswith("int"):
        return int, "a whole number"
    if kind.startswith("float"):
        return float, "a number of seconds"
    if kind.startswith("Path"):
        return Path, "a path"
    return Secret if name in SECRETS else str, "text"


def _convert(where: str, prefix: str, name: str, kind: str, value: Any) -> Any:
    parse, allowed = _parser(name, kind)
    if parse is Path and isinstance(value, str) and holds_key(value):
        raise ConfigurationError(f"{where}: {key_for_path(prefix + name)}")
    fits = isinstance(value, str) or isinstance(value, bool) == (parse is _boolean)
    if fits and isinstance(value, bool | int | float | str) and not (isinstance(value, float) and parse is int):
        try:
            return value if isinstance(value, bool) else parse(str(value))
        except ValueError:
            pass
    shown = "***" if name in SECRETS else value
    raise ConfigurationError(f"{where}: {not_allowed(prefix + name, shown, allowed)}")


def _kinds(cls: type) -> dict[str, str]:
    return {
        each.name: str(each.type)
        for each in dataclasses.fields(cls)
        if each.name != "home" and not str(each.type).endswith("Settings")
    }


def _checked(path: Path, text: str, tree: dict[str, Any], kinds: dict[str, str], prefix: str) -> dict[str, Found]:
    found = {}
    for name, value in tree.items():
        where = f"{path}:{_line(text, name)}"
        if name not in kinds:
            raise ConfigurationError(f"{where}: unknown setting {prefix}{name}; known are {', '.join(kinds)}")
        found[prefix + name] = Found(_convert(where, prefix, name, kinds[name], value), where)
    return found


def _line(text: str, key: str) -> int:
    """The line a key stands in (tomllib does not tell); 1 where it cannot be found."""
    pattern = re.compile(rf"\s*\[?\[?\s*[\"']?{re.escape(key)}[\"']?\s*[]=.]")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def warn_when_readable(path: Path) -> None:
    """A file of secrets that others may read is worth a line in the log."""
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("%s holds secrets and others may read it: chmod 600 %s", path, path)
