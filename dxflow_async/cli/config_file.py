"""Changes the settings and remotes of a configuration file, with its comments and its order kept.

A file is written anew beside itself and renamed, so that readers see the old one or the new one; only its owner may
read it. A lock on its directory orders the changes of several processes. All functions block for as long as that takes.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError

from dxflow_async.durability import sync_file, sync_path
from dxflow_async.exceptions import ConfigurationError

__all__ = ["put_remote", "put_setting", "put_unit", "remove_remote", "remove_setting", "remove_unit"]


def put_setting(path: Path, name: str, value: Any) -> None:
    """Sets a setting at the top of the file.

    Raises:
        ConfigurationError: the file cannot be changed.
    """

    def change(document: TOMLDocument) -> TOMLDocument:
        if name in document:
            document[name] = value
            return document
        # Behind the header of a table, it would belong to that table.
        return tomlkit.parse(tomlkit.dumps({name: value}) + tomlkit.dumps(document))

    _edit(path, change)


def remove_setting(path: Path, name: str) -> bool:
    """Removes a setting; returns whether there was one.

    Raises:
        ConfigurationError: the file cannot be changed.
    """

    def change(document: TOMLDocument) -> bool:
        if name not in document:
            return False
        del document[name]
        return True

    return _edit(path, change)


def put_remote(path: Path, name: str, values: Mapping[str, Any], *, replace: bool) -> None:
    """Adds the section of a remote.

    Args:
        path: the configuration file; it is made when it is missing.
        name: the remote's name in small letters.
        values: its settings, `type` among them.
        replace: whether a section of that name is replaced; else it is an error.

    Raises:
        ConfigurationError: there is such a remote, or the file cannot be changed.
    """
    _put(path, "remotes", name, values, replace=replace)


def remove_remote(path: Path, name: str) -> bool:
    """Removes the section of a remote; returns whether there was one.

    Raises:
        ConfigurationError: the file cannot be changed.
    """
    return _remove(path, "remotes", name)


def put_unit(path: Path, name: str, values: Mapping[str, Any], *, replace: bool) -> None:
    """Adds the section of a unit. Arguments and errors are those of `put_remote`."""
    _put(path, "units", name, values, replace=replace)


def remove_unit(path: Path, name: str) -> bool:
    """Removes the section of a unit; returns whether there was one.

    Raises:
        ConfigurationError: the file cannot be changed.
    """
    return _remove(path, "units", name)


def _put(path: Path, group: str, name: str, values: Mapping[str, Any], *, replace: bool) -> None:
    def change(document: TOMLDocument) -> bool:
        sections = document.get(group)
        written = _written(document, group, name)
        if written is not None and not replace:
            kind = group.removesuffix("s")
            raise ConfigurationError(f"{path} has a {kind} {name} already; remove it first, or add --replace")
        if sections is None:
            sections = tomlkit.table(is_super_table=True)
            document.append(group, sections)
        section = tomlkit.table()
        for key, value in values.items():
            section.append(key, value)
        if written is not None:
            sections[written] = section
        else:
            sections.append(name, section)
        return True

    _edit(path, change)


def _remove(path: Path, group: str, name: str) -> bool:
    def change(document: TOMLDocument) -> bool:
        written = _written(document, group, name)
        if written is None:
            return False
        del document[group][written]
        if not document[group]:
            del document[group]
        return True

    return _edit(path, change)


def _written(document: TOMLDocument, group: str, name: str) -> str | None:
    """The name of a remote or a unit as the file writes it. Only remotes have names without regard to case."""
    sections = document.get(group, {})
    if not isinstance(sections, Mapping):
        raise ConfigurationError(f"{group} must be a table, [{group}]")
    if group != "remotes":
        return name if name in sections else None
    return next((each for each in sections if each.lower() == name), None)


def _edit(path: Path, change: Callable[[TOMLDocument], TOMLDocument | bool]) -> bool:
    """Changes a file as `change` does, unless that returns False. It may return another document to write."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = Path(os.path.realpath(path))  # a link to the file stays one
        with _locked(target.parent):
            document = tomlkit.parse(target.read_text("utf-8-sig") if target.exists() else "")
            changed = change(document)
            if changed is False:
                return False
            _write(target, tomlkit.dumps(document if changed is True else changed))
    except TOMLKitError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be changed: {error}") from error
    return True


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=".config-", dir=path.parent)  # with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            sync_file(descriptor)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_path(path.parent)
