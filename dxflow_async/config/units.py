"""Machines that run a dxflow engine, as compute units of this machine's own.

    [units.lab]
    engine = "https://lab.example.org"
    key = "~/.dxflow/lab.pem"

Such a unit needs no account. Its settings are those of a remote of type `engine`, with `engine` for `address`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dxflow_async.config.kinds import settings_class
from dxflow_async.config.loader import ConfigFile, Field, Found, fields_of
from dxflow_async.config.remotes import build
from dxflow_async.exceptions import ConfigurationError

__all__ = ["check_units", "load_units", "make_unit", "unit_fields", "unit_name"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def unit_name(name: Any) -> str:
    """Returns the name of a unit.

    Raises:
        ConfigurationError: no unit of this machine's own may have that name.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"unit name {name!r} is not allowed; it must be letters, digits, '.', '_' and '-', a letter or digit first"
        )
    return name


def unit_fields() -> list[Field]:
    """Returns the settings that a unit may have."""
    known = [each for each in fields_of(settings_class("engine")) if each.name != "address"]
    return [Field("engine", "str | None", secret=False), *known]


def make_unit(name: str, found: Mapping[str, Found], home: str) -> Any:
    """Makes the settings of a unit.

    Args:
        name: the unit's.
        found: the values, by the names of the settings.
        home: where the unit is defined, for messages.

    Raises:
        ConfigurationError: a value is not valid, with its file and line.
    """
    section = f"units.{name}"
    if not {"engine", "profile"} & found.keys():
        raise ConfigurationError(f"{home}: {section} names no engine; set engine to its address, or profile")
    values = {"address" if key == "engine" else key: value for key, value in found.items()}
    try:
        return build(settings_class("engine"), section, values, home)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace(f"{section}.address", f"{section}.engine")) from None


def load_units(file: ConfigFile) -> dict[str, Any]:
    """Reads the units of a configuration file: their settings by their names.

    Raises:
        ConfigurationError: a name or a setting is not valid, with the file and the line.
    """
    units: dict[str, Any] = {}
    for name in file.table("units"):
        table, home = file.table("units", name), file.where("units", name)
        try:
            unit_name(name)
        except ConfigurationError as error:
            raise ConfigurationError(f"{home}: {error}") from None
        units[name] = make_unit(name, file.settings(table, ("units", name), unit_fields()), home)
    return units


def check_units(units: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a copy of units that were given as arguments.

    Raises:
        ConfigurationError: a name or a value is not allowed.
    """
    for name, settings in units.items():
        unit_name(name)
        # The class is imported only where there are units.
        if not isinstance(settings, settings_class("engine")):
            raise ConfigurationError(f"units.{name} is not allowed; it must be EngineSettings")
    return dict(units)
