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

from dxflow_async.durability import sync_path
from dxflow_async.exceptions import ConfigurationError

__all__ = ["put_remote", "put_setting", "remove_remote", "remove_setting"]


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

    def change(document: TOMLDocument) -> bool:
        remotes = document.get("remotes")
        written = _written(document, name)
        if written is not None and not replace:
            raise ConfigurationError(f"{path} has a remote {name} already; remove it first, or add --replace")
        if remotes is None:
            remotes = tomlkit.table(is_super_table=True)
            document.append("remotes", remotes)
        section = tomlkit.table()
        for key, value in values.items():
            section.append(key, value)
        if written is not None:
            remotes[written] = section
        else:
            remotes.append(name, section)
        return True

    _edit(path, change)


def remove_remote(path: Path, name: str) -> bool:
    """Removes the section of a remote; returns whether there was one.

    Raises:
        ConfigurationError: the file cannot be changed.
    """

    def change(document: TOMLDocument) -> bool:
        written = _written(document, name)
        if written is None:
            return False
        del document["remotes"][written]
        if not document["remotes"]:
            del document["remotes"]
        return True

    return _edit(path, change)


def _written(document: TOMLDocument, name: str) -> str | None:
    """The name of a remote as the file writes it."""
    remotes = document.get("remotes", {})
    if not isinstance(remotes, Mapping):
        raise ConfigurationError("remotes must be a table, [remotes]")
    return next((each for each in remotes if each.lower() == name), None)


def _edit(path: Path, change: Callable[[TOMLDocument], TOMLDocument | bool]) -> bool:
    """Changes a file as `change` does, unless that returns False. It may return another document to write."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = Path(os.path.realpath(path))  # a link to the file stays one
        with _locked(target.parent):
            document = tomlkit.parse(target.read_text("utf-8") if target.exists() else "")
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
            os.fsync(descriptor)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_path(path.parent)
