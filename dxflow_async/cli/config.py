"""The commands `config show`, `config path`, `config set`, `config unset` and `config test`."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Any

from cyclopts import App

from dxflow_async.blocking.fitting import display_width, fitted_row, padded, terminal_columns
from dxflow_async.blocking.tables import fitted, write_line
from dxflow_async.cli.json_lines import print_json, say
from dxflow_async.cli.places import area_name, check_locations
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.status import PLACE_ERRORS, Failures, complain
from dxflow_async.config.loader import ConfigFile, Field, convert, fields_of, nearest_of_all
from dxflow_async.config.settings import Settings, config_path
from dxflow_async.exceptions import ConfigurationError, NotFoundError
from dxflow_async.plurals import counted
from dxflow_async.security.redaction import printable
from dxflow_async.session import AsyncSession

__all__ = ["config"]

_DIRECT = Account()

config = App(
    name="config", help="Show the settings and where each is from, and change them.", result_action="return_value"
)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A setting: its value as text, and where it is from."""

    name: str
    value: Any
    origin: str


@config.command
def show(*, json: Flag = False) -> int:
    """Print each setting, its value, and where it is from. The settings of remotes are printed by remotes list.

    Args:
        json: Print a JSON object on each line.
    """
    found = [*_settings()]
    if json:
        for each in found:
            print_json("setting", asdict(each))
        return 0
    rows = [(each.name, printable(str(each.value)), printable(each.origin)) for each in found]
    columns = terminal_columns()
    wanted = [20, 30, max(display_width(origin) for *_, origin in rows)]
    names, values, origins = fitted_row(wanted, columns, fixed=[0], gap=1)
    for name, value, origin in rows:
        if columns is not None:
            value, origin = fitted(value, values, 0), fitted(origin, origins, 0)  # noqa: PLW2901
        write_line(f"{name:<{names}} {padded(value, values)} {origin}")
    return 0


@config.command
def path(*, json: Flag = False) -> int:
    """Print the path of the configuration file, which need not exist.

    Args:
        json: Print a JSON object.
    """
    text = printable(str(config_path()))
    if json:
        say(text, json=True)
    else:
        write_line(text)
    return 0


@config.command(name="set")
def set_value(name: str, value: str, *, json: Flag = False) -> int:
    """Change a setting in the configuration file.

    Args:
        name: The setting, such as part_size.
        value: Its value, such as 16MiB.
        json: Print a JSON object.
    """
    field = _known(name)
    converted = convert(field.name, "", field, value)
    Settings(**{field.name: converted})  # says what is allowed
    from dxflow_async.cli.config_file import put_setting

    plain = converted if isinstance(converted, bool | int | float) else value
    put_setting(config_path(), field.name, plain)
    say(f"{field.name} = {printable(value)} in {printable(str(config_path()))}", json=json)
    variable = f"DXFLOW_{field.name.upper()}"
    if variable in os.environ:
        complain(f"{variable} is set in the environment, and replaces it")
    return 0


@config.command
def unset(name: str, *, json: Flag = False) -> int:
    """Remove a setting from the configuration file, so that its default counts.

    Args:
        name: The setting.
        json: Print a JSON object.
    """
    field = _known(name)
    from dxflow_async.cli.config_file import remove_setting

    if remove_setting(config_path(), field.name):
        say(f"removed {field.name} from {printable(str(config_path()))}", json=json)
        return 0
    failures = Failures(json=json)
    failures.add(NotFoundError(f"{config_path()} has no {field.name}", operation="read"))
    return failures.status


@config.command(name="test")
def check(*locations: str, json: Flag = False, public: Flag = False, account: Account = _DIRECT) -> int:
    """Check the settings, and that places answer.

    Args:
        locations: Places to make a request to, such as aws:/bucket/; by default only the settings are checked.
        json: Print a JSON object on each line.
        public: The locations are in the account's public storage.
    """
    if not locations:
        Settings.load()
        say(f"the settings are valid: {printable(str(config_path()))} and the environment", json=json)
        return 0

    async def look(session: AsyncSession) -> int:
        failures = Failures(json=json)
        await check_locations(session, locations, public=public)
        for location in locations:
            started = time.monotonic()
            try:
                storage, path = await session.storage_at(location, storage_type=area_name(public=public))
                found = await storage.stat(path)
            except PLACE_ERRORS as error:
                failures.add(error)
                continue
            kind = "a directory" if found.directory else counted(found.size, "byte")
            failures.note_success()
            say(f"{printable(location)} answers: {kind}, in {time.monotonic() - started:.2f} s", json=json)
        return failures.status

    return with_session(account, look, places=locations)


def _settings() -> list[_Shown]:
    settings, file = Settings.load(), ConfigFile.read(config_path())
    found = [_Shown("home", str(settings.home), "DXFLOW_HOME" if "DXFLOW_HOME" in os.environ else "default")]
    for field in _fields():
        value, variable = getattr(settings, field.name), f"DXFLOW_{field.name.upper()}"
        if variable in os.environ:
            origin = variable
        elif field.name in file.tree:
            origin = str(file.path)
        else:
            origin = "default"
        plain = value if isinstance(value, bool | int | float | None) else str(value)
        found.append(_Shown(field.name, plain, origin))
    return found


def _fields() -> list[Field]:
    return [each for each in fields_of(Settings) if each.name != "home"]


def _known(name: str) -> Field:
    wanted = name.replace("-", "_").lower()
    fields = {each.name: each for each in _fields()}
    if wanted not in fields:
        text = f"there is no setting {name!r}{nearest_of_all(wanted, fields)}"
        raise ConfigurationError(f"{text}. Remotes are changed by dxflow-async remotes")
    return fields[wanted]
