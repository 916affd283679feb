"""Checks that settings classes share. No message shows a secret, or a value that looks like one."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dxflow_async.config.texts import check_secret, trim, trim_texts
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret, holds_key

__all__ = [
    "SECRETS",
    "check_anonymous",
    "check_areas",
    "check_endpoint",
    "check_file",
    "check_stored",
    "check_texts",
    "expanded",
    "hide",
    "key_for_path",
    "normalize_endpoint",
    "not_allowed",
    "to_path",
]

_CUSTOMER_KEY_SIZE = 32
_AREAS = {"private", "public"}
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

SECRETS = {"secret_key", "session_token", "account_key", "connection_string", "sas_token", "customer_key"}
"""The settings of the built-in kinds that are secrets. Of other kinds, each field with `repr=False` is one."""


def not_allowed(name: str, value: object, allowed: str) -> str:
    """Formats the error for a value that is not valid. It starts with the setting's name and shows no key."""
    shown = "" if holds_key(str(value)) else f" = {str(value)!r}"
    return f"{name}{shown} is not allowed; it must be {allowed}"


def key_for_path(name: str) -> str:
    """Formats the error for a setting that must be a file's path and holds the file's content; it shows no value."""
    return f"{name} is not allowed: it seems to hold the key itself; write it to a file and name that"


def hide(settings: Any, *names: str) -> None:
    """Makes settings of a frozen dataclass `Secret`, so that no repr shows them."""
    for name in names:
        value = getattr(settings, name)
        if value is not None:
            object.__setattr__(settings, name, Secret(value))


def to_path(settings: Any, *names: str) -> None:
    """Turns settings of a frozen dataclass that were given as `str` into `Path`, and expands `~` at their start."""
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, str | Path) and not holds_key(trim(str(value))):
            object.__setattr__(settings, name, expanded(name, Path(trim(str(value)))))


def expanded(name: str, path: Path) -> Path:
    """Returns a path whose `~` or `~user` at the start is replaced by that home directory.

    Raises:
        ConfigurationError: that home directory is not known.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ConfigurationError(
            f"{not_allowed(name, str(path), 'a path')}: the home directory that ~ stands for is not known"
        ) from error


def check_texts(section: str, settings: Any, *secrets: str) -> None:
    """Trims texts, and refuses empty ones and secrets that cannot be right.

    The names of areas are left as they are, since the name of an object may begin or end with a space.

    Raises:
        ConfigurationError: naming the setting, not its value.
    """
    for each in fields(settings):
        if each.name not in _AREAS:
            trim_texts(settings, each.name)
        value = getattr(settings, each.name)
        if not isinstance(value, str):
            continue
        if not value.strip().strip("?"):
            raise ConfigurationError(f"{section}.{each.name} is not allowed: it is empty; leave it out instead")
        if each.name in secrets:
            check_secret(f"{section}.{each.name}", value)


def normalize_endpoint(settings: Any) -> None:
    """Writes the endpoint of settings as requests name it, so that signatures and `Host` agree everywhere.

    Scheme and host are in small letters, the default port and slashes at the end are left out.

    Example:
        >>> from dxflow_async.config.clouds import S3Settings
        >>> S3Settings(endpoint="HTTPS://Minio.Example.org:443/").endpoint
        'https://minio.example.org'
    """
    match = re.fullmatch(r"([A-Za-z]+)://([^/?#]+)(.*)", settings.endpoint or "")
    if match is None:
        return
    scheme, host, path = match[1].lower(), match[2], match[3].rstrip("/")
    host = host.removesuffix(_DEFAULT_PORTS.get(scheme, ""))
    if not host.startswith("["):  # the zone of an IPv6 address has the letters of an interface
        host = host.lower()
    object.__setattr__(settings, "endpoint", f"{scheme}://{host}{path}")


def check_endpoint(section: str, endpoint: str | None, *, path: bool) -> None:
    """Refuses an endpoint that is not an http(s) URL of a host, or that has credentials in it.

    Args:
        section: the name of the settings, for the message.
        endpoint: the URL.
        path: whether the URL may have a path.

    Raises:
        ConfigurationError: the endpoint is not valid.

    Example:
        >>> check_endpoint("dav", "https://dav.example.org/files", path=True)
    """
    pattern, allowed = r"(?i:https?)://[^/?#\s]+/?", "http(s)://host[:port]"
    if path:
        pattern, allowed = r"(?i:https?)://[^/?#\s]+(/[^/?#\s]+)*/?", f"{allowed}[/path]"
    if endpoint is not None and "@" in endpoint:
        raise ConfigurationError(
            f"{section}.endpoint is not allowed: it has a user or a password in it; give credentials as settings"
        )
    if endpoint is not None and not (re.fullmatch(pattern, endpoint) and _has_host(endpoint)):
        raise ConfigurationError(not_allowed(f"{section}.endpoint", endpoint, allowed))


def check_areas(section: str, areas: Iterable[tuple[str, str | None]]) -> None:
    """Refuses areas that are not written `bucket` or `bucket/prefix`.

    Raises:
        ConfigurationError: naming the setting and its value.
    """
    for name, area in areas:
        if area is not None and (not area.strip("/") or area.startswith("/")):
            raise ConfigurationError(not_allowed(f"{section}.{name}", area, "bucket or bucket/prefix"))


def check_file(name: str, settings: Any, allowed: str, *, directory: bool = False) -> None:
    """Refuses a path that is no readable file.

    Args:
        name: the setting's name, for the message; what stands behind its last dot is the field's name.
        settings: what has the field.
        allowed: what the setting must be, for the message.
        directory: whether a directory is allowed too.

    Raises:
        ConfigurationError: the file is not there, or the setting holds the key itself.
    """
    field = name.rpartition(".")[2]
    if holds_key(str(getattr(settings, field))):
        object.__setattr__(settings, field, None)  # no dump of local variables shows it
        raise ConfigurationError(key_for_path(name))
    path = getattr(settings, field)
    if path is not None and not (_is(Path.is_file, path) or (directory and _is(Path.is_dir, path))):
        raise ConfigurationError(not_allowed(name, path, allowed))


def _has_host(endpoint: str) -> bool:
    """Whether all readers of a URL find the same host and port in it."""
    try:
        parts = urlsplit(endpoint)
        return bool(parts.hostname) and parts.port != 0 and endpoint.isprintable() and "\\" not in endpoint
    except ValueError:
        return False


def _is(test: Callable[[Path], bool], path: Any) -> bool:
    try:
        return test(Path(path))
    except (OSError, ValueError, TypeError):  # such as a name that is too long
        return False


def check_stored(section: str, settings: Any, *names: str) -> None:
    """Checks the settings of what is stored with objects: texts that can stand in a header, and a customer's key.

    Raises:
        ConfigurationError: one cannot.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and not re.fullmatch(r"[!-~]{1,1024}", value):
            raise ConfigurationError(not_allowed(f"{section}.{name}", value, "visible ASCII characters without spaces"))
    if settings.customer_key is not None:
        try:
            size = len(base64.b64decode(settings.customer_key, validate=True))
        except ValueError:
            size = -1
        if size != _CUSTOMER_KEY_SIZE:
            raise ConfigurationError(f"{section}.customer_key is not valid; it must be the base64 of 32 bytes")


def check_anonymous(section: str, settings: Any, *credentials: str) -> None:
    """Checks that no credentials are set where requests are to carry none.

    Raises:
        ConfigurationError: some are.
    """
    given = next((name for name in credentials if settings.anonymous and getattr(settings, name) is not None), None)
    if given is not None:
        raise ConfigurationError(f"{section}.anonymous and {section}.{given} exclude each other: set one of them")
