"""The settings of an `sftp` remote, and the ones that a URL stands for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dxflow_async.providers import ConfigurationError, Secret, trim_texts

__all__ = ["SFTPSettings", "from_url"]

_HOST = re.compile(r"[A-Za-z0-9_.:%-]{1,255}")
_JUMP_HOST = re.compile(r"([^\s@]+@)?[A-Za-z0-9_.-]{1,255}(:\d{1,5})?")
_HIDDEN = "***"

# Setting, what it has to satisfy, and that in words.
_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("host", lambda host: _HOST.fullmatch(host) is not None, "a server's name or address"),
    ("port", lambda port: 0 < port < 65536, "between 1 and 65535"),
    ("username", lambda name: bool(name) and name.isprintable(), "a name"),
    ("key_files", lambda paths: not _is_key(paths), "paths of files, not a key"),
    ("known_hosts", lambda path: not _is_key(str(path)), "the path of a file"),
    ("jump_host", lambda host: _JUMP_HOST.fullmatch(host) is not None, "[user@]host[:port]"),
    ("path", lambda path: bool(path) and "\0" not in path and ".." not in path.split("/"), "a directory without '..'"),
    ("max_connections", lambda count: 0 < count <= 64, "between 1 and 64"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTPSettings:
    """How to reach an SSH server, and who signs in there.

    What is not set here is taken from `~/.ssh/config`, as `ssh` does: a `host` may be an alias of that file.

    Attributes:
        host: the server's name or address.
        port: None: that of `~/.ssh/config`, else 22.
        username: None: that of `~/.ssh/config`, else the local user's.
        password: for password and keyboard-interactive authentication.
        key_files: paths of private keys, separated by `:`; None: those of `~/.ssh/config`, else the default ones.
        passphrase: of the private keys.
        agent: ask the SSH agent of `SSH_AUTH_SOCK` for keys.
        known_hosts: the file with the keys of known servers; None: those of `~/.ssh/config`, else
            `~/.ssh/known_hosts`. A server whose key is not in it is refused.
        jump_host: `[user@]host[:port]` of a server to connect through, signed in to in the same way.
        ssh_config: read `~/.ssh/config`.
        path: the directory that paths start at; `"~"` is the user's home directory on the server.
        follow_symlinks: list and read what symbolic links lead to; otherwise they are left out.
        max_connections: how many connections are open at a time, at most.
    """

    host: str | None = None
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    key_files: str | None = None
    passphrase: str | None = field(default=None, repr=False)
    agent: bool = True
    known_hosts: Path | None = None
    jump_host: str | None = None
    ssh_config: bool = True
    path: str = "/"
    follow_symlinks: bool = True
    max_connections: int = 4

    def __post_init__(self) -> None:
        trim_texts(self, "host", "username", "jump_host", passwords=("password", "passphrase"))
        for name in ("password", "passphrase"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ConfigurationError(f"{name} is not allowed; it must be a text")
            object.__setattr__(self, name, None if value is None else Secret(value))
        for name, allowed, text in _RULES:
            value = getattr(self, name)
            if value is not None and not allowed(value):
                shown = "" if _is_key(str(value)) else f" = {str(value)!r}"
                raise ConfigurationError(f"{name}{shown} is not allowed; it must be {text}")

    @property
    def key_paths(self) -> list[str]:
        """The paths of the private keys."""
        return [os.path.expanduser(each) for each in (self.key_files or "").split(os.pathsep) if each]


def from_url(url: str, settings: SFTPSettings | None) -> tuple[SFTPSettings, str]:
    """Returns the settings for a URL, and the path that it names.

    Args:
        url: `sftp://[user[:password]@]host[:port]/path`, with escapes; a path that starts with `/~/` is in the user's
            home directory.
        settings: those of a configured remote; they are ignored when they are of another server or user.

    Raises:
        ConfigurationError: the URL is invalid, or its secret was hidden by an earlier report.

    Example:
        >>> from_url("sftp://me@host/data/a%20b.csv", None)[1]
        '/data/a b.csv'
    """
    try:
        parts = urlsplit(Secret(url))
        host, port = parts.hostname or "", parts.port
        user = None if parts.username is None else unquote(parts.username)
    except ValueError:
        host, port, user = "", None, None
    if not host or not url.isprintable() or parts.query or parts.fragment:
        # Without the URL, and without the error that may quote it.
        raise ConfigurationError(
            "the URL of an sftp location is not valid; write sftp://user@host/path, with %23 for # and %3F for ?"
        )
    path = unquote(parts.path, errors="surrogateescape")
    if _HIDDEN in (user, parts.password):
        raise ConfigurationError(
            f"location sftp://{host}{path}: the user or the password of this URL is a secret, which no job keeps; "
            "give the whole URL again to resume"
        )
    base, path = ("~", path[2:] or "/") if path == "/~" or path.startswith("/~/") else ("/", path or "/")
    if settings is None or not _is_same_place(settings, host, port, user):
        settings = SFTPSettings(host=host, port=port, username=user)
    settings = replace(settings, path=base, username=user or settings.username)
    return (settings if parts.password is None else replace(settings, password=unquote(parts.password))), path


def _is_key(text: str) -> bool:
    """Whether a text that should be a path is the content of a key file instead, a common slip."""
    return "\n" in text or "PRIVATE KEY" in text


def _is_same_place(settings: SFTPSettings, host: str, port: int | None, user: str | None) -> bool:
    """Whether a configured remote is the server of a URL, for the same user."""
    same_port = (settings.port or 22) == (port or 22)
    same_host = (settings.host or "").lower().removesuffix(".") == host.removesuffix(".")
    return same_host and same_port and user in (None, settings.username)
