"""The secrets of a sign-in, and the file that keeps them for later sessions. Nothing here connects to a hub."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from dxflow_async.config.loader import warn_when_readable
from dxflow_async.durability import sync_file, sync_path
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret

__all__ = ["Secrets", "StoredLogin"]


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of a sign-in. Pointers name the user and the namespace; secrets prove them and appear in no repr.

    Raises:
        ConfigurationError: a field is not a text of 1 to 1024 visible ASCII characters.
    """

    user_pointer: str
    user_secret: str = field(repr=False)
    namespace_pointer: str
    namespace_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not (isinstance(value, str) and re.fullmatch(r"[!-~]{1,1024}", value)):
                owner, _, part = name.partition("_")
                raise ConfigurationError(
                    f'secrets["{owner}"]["{part}"] is missing or not a text of 1 to 1024 visible ASCII characters; '
                    "pass the object that a sign-in gave"
                )
            if name.endswith("_secret"):
                object.__setattr__(self, name, Secret(value))

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Self:
        """Reads secrets from `{"user": {"pointer", "secret"}, "namespace": {"pointer", "secret"}}`.

        Raises:
            ConfigurationError: a field is missing or wrong.
        """
        if not isinstance(tree, Mapping):
            raise ConfigurationError(f"secrets must be an object, not {type(tree).__name__}")
        parts = []
        for owner in ("user", "namespace"):
            if not isinstance(tree.get(owner), Mapping):
                raise ConfigurationError(f'secrets["{owner}"] must be an object with "pointer" and "secret"')
            parts += [tree[owner].get("pointer"), _hidden(tree[owner].get("secret"))]
        return cls(*parts)

    def to_dict(self) -> dict[str, dict[str, str]]:
        """Returns the same object again, with the secrets in clear text."""
        return {
            "user": {"pointer": self.user_pointer, "secret": self.user_secret},
            "namespace": {"pointer": self.namespace_pointer, "secret": self.namespace_secret},
        }


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """The login that later sessions use: `login.json` in the home directory. Its methods block shortly.

    Attributes:
        hub: the URL of the hub that issued the secrets.
        secrets: the secrets.
    """

    hub: str
    secrets: Secrets

    @classmethod
    def load(cls, home: Path) -> Self | None:
        """Returns the stored login; None if there is none. Logs a warning if other users may read the file.

        Raises:
            ConfigurationError: the file cannot be read, or is not a login.
        """
        path = _path(home)
        try:
            tree = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigurationError(f"{path} cannot be read: {error}; delete it and sign in again") from error
        warn_when_readable(path)
        try:
            tree = tree if isinstance(tree, dict) else {}
            hub = tree.get("hub")
            if not (isinstance(hub, str) and re.fullmatch(r"https?://[^\s?#]+", hub)):
                raise ConfigurationError("hub must be http(s)://host[:port][/path]")
            return cls(hub, Secrets.from_dict(tree.get("secrets", {})))
        except ConfigurationError as error:
            raise ConfigurationError(f"{path} is not a login: {error}; delete it and sign in again") from error

    def save(self, home: Path) -> None:
        """Writes the file so that only its owner can read it. A crash leaves either the old or the new file.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            # mkstemp creates it with mode 0600.
            descriptor, name = tempfile.mkstemp(prefix=".login-", dir=home)
        except OSError as error:
            raise ConfigurationError(f"{_path(home)} cannot be written: {error}; set home elsewhere") from error
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"hub": self.hub, "secrets": self.secrets.to_dict()}, file)
                file.flush()
                sync_file(descriptor)
            Path(name).replace(_path(home))
            sync_path(home)
        except BaseException as error:
            Path(name).unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise ConfigurationError(f"{_path(home)} cannot be written: {error}") from error
            raise

    @staticmethod
    def forget(home: Path) -> None:
        """Deletes the stored login, if there is one. The hub still accepts its secrets."""
        _path(home).unlink(missing_ok=True)


def _hidden(value: object) -> Any:
    return Secret(value) if isinstance(value, str) else value


def _path(home: Path) -> Path:
    return home / "login.json"
