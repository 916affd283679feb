"""Named remotes: the rules of their names, and their settings from the file and the environment.

    [remotes.minio]
    type = "s3"
    endpoint = "https://minio.example.org"

The variables of a remote are `DXFLOW_REMOTE_`, its name in capitals with `_` for `-`, and the setting:
`DXFLOW_REMOTE_MINIO_SECRET_KEY`. `DXFLOW_REMOTE_MINIO_TYPE=s3` alone defines one, too. A variable that could belong to
two remotes belongs to the one with the longer name that has such a setting.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dxflow_async.config.kinds import UnusableSettings, check_is_settings, is_scheme, settings_class, unusable
from dxflow_async.config.loader import ConfigFile, Field, Found, convert, fields_of
from dxflow_async.exceptions import ConfigurationError, DxflowError

__all__ = [
    "BUILT_IN",
    "URL_SCHEMES",
    "LoadedRemotes",
    "build",
    "check_remotes",
    "load_remotes",
    "remote_name",
    "variable_start",
    "where_configured",
]

BUILT_IN = ("aws", "azure", "gcp")
"""The remotes that are always there."""

_OBJECT_STORES = ("s3", "s3a", "s3n", "gs", "gcs", "az", "abfs", "abfss", "adl", "wasb", "wasbs", "hdfs", "webhdfs")
_SERVERS = ("http", "https", "dav", "davs", "webdav", "webdavs", "ftp", "ftps", "sftp", "scp", "ssh", "rsync")
_DISKS = ("file", "nfs", "smb")

URL_SCHEMES = frozenset((*_OBJECT_STORES, *_SERVERS, *_DISKS))
"""The schemes of URLs, of this program and of others, which are names of no remote."""

_RESERVED = {*BUILT_IN, "unit", "local"}
_NAME = re.compile(r"[a-z][a-z0-9-]+")
_VARIABLE = re.compile(r"DXFLOW_REMOTE_([A-Z][A-Z0-9_]+)_TYPE")
_TYPE = Field("type", "str", secret=False)


@dataclass(frozen=True, slots=True)
class LoadedRemotes:
    """The remotes of the file and the environment.

    Attributes:
        settings: of each remote, by its name.
        homes: the file and the line, or the variable, that defines each remote.
        variables: those in the environment that belong to a remote.
        known: all variables that the remotes could have.
    """

    settings: dict[str, Any]
    homes: dict[str, str]
    variables: set[str]
    known: set[str]


def remote_name(name: str) -> str:
    """The name of a remote in small letters.

    Raises:
        ConfigurationError: no remote may have that name.
    """
    lower = name.lower()
    if not _NAME.fullmatch(lower):
        raise ConfigurationError(
            f"remote name {name!r} is not allowed; it must be two or more letters, digits and -, a letter first"
        )
    if lower in _RESERVED:
        raise ConfigurationError(f"remote name {name!r} is reserved; choose another one")
    if lower in URL_SCHEMES or is_scheme(lower):
        raise ConfigurationError(f"remote name {name!r} is reserved: {lower}:// starts a URL; choose another one")
    return lower


def variable_start(name: str) -> str:
    """What the variables of a remote start with.

    Example:
        >>> variable_start("my-minio")
        'DXFLOW_REMOTE_MY_MINIO_'
    """
    return f"DXFLOW_REMOTE_{name.upper().replace('-', '_')}_"


def check_remotes(remotes: Mapping[str, Any]) -> dict[str, Any]:
    """The same remotes by their names in small letters.

    Raises:
        ConfigurationError: a name or a value is not allowed, or two names differ in case only.
    """
    found: dict[str, Any] = {}
    for name, settings in remotes.items():
        if not isinstance(name, str):
            raise ConfigurationError(f"remote name {name!r} is not allowed; it must be text")
        lower = remote_name(name)
        if lower in found:
            raise ConfigurationError(f"remote {lower!r} is there twice; names differ in more than case")
        check_is_settings(lower, settings)
        found[lower] = settings
    return found


def load_remotes(file: ConfigFile, environ: Mapping[str, str], given: Collection[str] = ()) -> LoadedRemotes:
    """Reads the remotes of the file and the environment.

    Args:
        file: the configuration file.
        environ: the environment.
        given: the names of remotes that the caller has as arguments, which win.

    Returns:
        The remotes. One whose provider package cannot be used has `UnusableSettings`, so that it stops no other call.

    Raises:
        ConfigurationError: a name, a type or a setting is not valid, with its file and line or its variable.
    """
    tables = _tables(file)
    given = {remote_name(name) for name in given}
    classes = {name: _class(file, tables, name, environ) for name in tables.keys() - given}
    in_file = {name: _fields(cls) for name, cls in classes.items()}
    for variable in environ:
        match = _VARIABLE.fullmatch(variable)
        if match is None or _owner(variable, in_file) is not None:
            continue
        name = _named_by(variable, match[1])
        if name not in in_file and name not in given:
            classes[name] = _class(file, tables, name, environ)
            in_file[name] = _fields(classes[name])
    # Nobody knows the settings of a remote that cannot be used, so that all its variables may be some.
    unread = {*given, *(name for name, cls in classes.items() if isinstance(cls, UnusableSettings))}
    variables = {each for each in environ if each.startswith(tuple(map(variable_start, unread)))}
    loaded = LoadedRemotes({}, {}, variables, set())
    values = {name: _from_file(file, tables, name, fields) for name, fields in in_file.items() if name not in unread}
    for name, fields in in_file.items():
        loaded.known.update(f"{variable_start(name)}{each.name.upper()}" for each in [*fields, _TYPE])
    for variable, text in environ.items():
        owner = _owner(variable, in_file)
        if owner is None or _is_service_address(variable, text):
            continue
        name, field = owner
        loaded.variables.add(variable)
        if field != _TYPE and name in values:
            where = f"environment: {variable}"
            values[name][field.name] = Found(convert(where, f"remotes.{name}.", field, text), where)
    for name, cls in classes.items():
        home = file.where("remotes", tables[name][0]) if name in tables else f"environment: {variable_start(name)}TYPE"
        loaded.homes[name] = home
        if isinstance(cls, UnusableSettings):
            loaded.settings[name] = cls
        else:
            loaded.settings[name] = build(cls, f"remotes.{name}", values[name], home)
    return loaded


def where_configured(home: Path, name: str, settings: Any) -> str | None:
    """Returns the file and the line, or the variable, that defines a remote. Blocks.

    Args:
        home: the home directory.
        name: the remote's name in small letters.
        settings: its settings. Those of an argument have no such place, and the result is None.
    """
    try:
        loaded = load_remotes(ConfigFile.read(home / "config.toml"), os.environ)
    except ConfigurationError:
        return None  # it was changed since
    return loaded.homes[name] if name in loaded.homes and loaded.settings[name] == settings else None


def build(cls: type[Any], section: str, found: Mapping[str, Found], home: str) -> Any:
    """Makes the settings of a section.

    Args:
        cls: the settings class.
        section: as messages name it.
        found: the values, by the names of the fields.
        home: where the section is, for messages about no single value.

    Raises:
        ConfigurationError: a value is not valid, with its file and line or its variable.
    """
    try:
        return cls(**{name: each.value for name, each in found.items()})
    except DxflowError as error:
        # Messages begin with the setting's name: `AWS.region = ...`, or `root = ...` of other packages.
        text = str(error)
        label, _, field = text.partition(" ")[0].rpartition(".")
        where = found[field].where if field in found else home
        shown = text.replace(f"{label}.", f"{section}.") if label else f"{section}.{text}"
        raise ConfigurationError(f"{where}: {shown}") from None
    except Exception as error:
        # A package of somebody else's may raise anything; its words may hold a secret.
        reason = f"{cls.__name__} raised {type(error).__name__}"
        raise ConfigurationError(f"{home}: {section} cannot be used: {reason}") from error


def _tables(file: ConfigFile) -> dict[str, tuple[str, dict[str, Any]]]:
    """The tables of remotes, by their names in small letters, with the names as they are written."""
    tables: dict[str, tuple[str, dict[str, Any]]] = {}
    for written in file.table("remotes"):
        table = file.table("remotes", written)
        try:
            name = remote_name(written)
        except ConfigurationError as error:
            raise ConfigurationError(f"{file.where('remotes', written)}: {error}") from None
        if name in tables:
            raise ConfigurationError(f"{file.where('remotes', written)}: remote {name!r} is there twice")
        tables[name] = written, table
    return tables


def _class(
    file: ConfigFile, tables: Mapping[str, tuple[str, dict[str, Any]]], name: str, environ: Mapping[str, str]
) -> type[Any] | UnusableSettings:
    """The settings class of a remote: by its variable, else by the file."""
    variable = f"{variable_start(name)}TYPE"
    written, table = tables.get(name, (name, {}))
    kind, where = table.get("type"), file.where("remotes", written, "type")
    if variable in environ:
        kind, where = environ[variable], f"environment: {variable}"
    if kind is None:
        where = file.where("remotes", written)
        raise ConfigurationError(f'{where}: remotes.{name}.type is missing; set type = "s3" or another type')
    if not isinstance(kind, str):
        raise ConfigurationError(f"{where}: remotes.{name}.type = {kind!r} is not allowed; it must be text")
    try:
        return unusable(kind.strip().lower()) or settings_class(kind.strip().lower())
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: remotes.{name}: {error}") from None


def _fields(cls: type[Any] | UnusableSettings) -> list[Field]:
    return [] if isinstance(cls, UnusableSettings) else fields_of(cls)


def _from_file(
    file: ConfigFile, tables: Mapping[str, tuple[str, dict[str, Any]]], name: str, fields: list[Field]
) -> dict[str, Found]:
    if name not in tables:
        return {}
    written, table = tables[name]
    found = file.settings(table, ("remotes", written), [_TYPE, *(each for each in fields if each != _TYPE)])
    found.pop("type", None)
    return found


def _named_by(variable: str, part: str) -> str:
    try:
        return remote_name(part.lower().replace("_", "-"))
    except ConfigurationError as error:
        raise ConfigurationError(f"environment: {variable}: {error}") from None


def _owner(variable: str, fields: Mapping[str, list[Field]]) -> tuple[str, Field] | None:
    """The remote that a variable belongs to, and the setting: of several the remote with the longest name."""
    for name in sorted(fields, key=len, reverse=True):
        start = variable_start(name)
        if variable.startswith(start):
            rest = variable.removeprefix(start)
            for field in (_TYPE, *fields[name]):
                if field.name.upper() == rest:
                    return name, field
    return None


def _is_service_address(variable: str, text: str) -> bool:
    """Whether a variable is what Kubernetes sets for a service, such as `..._PORT=tcp://10.0.0.7:80`."""
    return variable.endswith("_PORT") and re.match(r"(tcp|udp|sctp)://", text) is not None
