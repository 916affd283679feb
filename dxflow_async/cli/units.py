"""The commands `units ...`: the account's compute units, and engines that are units without an account."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from json import dumps
from pathlib import Path
from typing import TypeVar

from cyclopts import App

from dxflow_async.blocking.tables import print_units, write_line
from dxflow_async.cli.json_lines import print_json, say
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.status import NOT_FOUND, Failures
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.config.loader import ConfigFile, Found, nearest
from dxflow_async.config.settings import config_path
from dxflow_async.config.units import make_unit, unit_name
from dxflow_async.exceptions import ConfigurationError, NotFoundError
from dxflow_async.security.redaction import printable
from dxflow_async.server.common.unit_secrets import UnitSecrets
from dxflow_async.session import AsyncSession

__all__ = ["units"]

T = TypeVar("T")

_DIRECT = Account()
_FIELDS = ("name", "status", "ip", "protocol", "cluster_type", "cpu", "memory", "disk")

units = App(
    name="units",
    help="List, start, stop and register compute units, and add engines as units.",
    result_action="return_value",
)


@units.command(name="list")
def list_units(*, json: Flag = False, account: Account = _DIRECT) -> int:
    """List the units.

    Args:
        json: Print a JSON object on each line.
    """
    found = with_session(account, lambda session: session.get_compute_manager().list())
    if not json:
        print_units(found)
        return 0
    for unit in found:
        print_json("unit", {name: getattr(unit, name) for name in _FIELDS})
    return 0


@units.command
def status(name: str | None = None, *, ip: str | None = None, json: Flag = False, account: Account = _DIRECT) -> int:
    """Print the state of a unit: READY, STOPPED, TERMINATED.

    Args:
        name: The unit; may be left out if there is only one.
        ip: Its address, if several units have that name.
        json: Print a JSON object.
    """
    say(printable(_with_unit(account, name, ip, lambda unit: unit.get_status())), json=json)
    return 0


@units.command
def start(name: str | None = None, *, ip: str | None = None, json: Flag = False, account: Account = _DIRECT) -> int:
    """Start a unit.

    Args:
        name: The unit; may be left out if there is only one.
        ip: Its address, if several units have that name.
        json: Print a JSON object.
    """
    return _changed(account, name, ip, lambda unit: unit.start(), json=json)


@units.command
def stop(name: str | None = None, *, ip: str | None = None, json: Flag = False, account: Account = _DIRECT) -> int:
    """Stop a unit: its storage does not answer until it is started again.

    Args:
        name: The unit; may be left out if there is only one.
        ip: Its address, if several units have that name.
        json: Print a JSON object.
    """
    return _changed(account, name, ip, lambda unit: unit.stop(), json=json)


@units.command
def troubleshoot(
    name: str | None = None, *, ip: str | None = None, json: Flag = False, account: Account = _DIRECT
) -> int:
    """Print the hub's diagnosis of a unit as JSON.

    Args:
        name: The unit; may be left out if there is only one.
        ip: Its address, if several units have that name.
        json: Print a JSON object.
    """
    found = _with_unit(account, name, ip, lambda unit: unit.troubleshoot())
    if json:
        print_json("diagnosis", {"diagnosis": found})
    else:
        write_line(dumps(found))
    return 0


@units.command
def terminate(name: str, *, ip: str | None = None, json: Flag = False, account: Account = _DIRECT) -> int:
    """Terminate a unit, for good.

    Args:
        name: The unit.
        ip: Its address, if several units have that name.
        json: Print a JSON object.
    """
    return _changed(account, name, ip, lambda unit: unit.terminate(), json=json)


@units.command
def register(
    name: str,
    url: str,
    *,
    secrets: Path,
    cluster_type: str = "local:process",
    cpu: int = 1,
    memory: float = 1,
    disk: float = 1,
    json: Flag = False,
    account: Account = _DIRECT,
) -> int:
    """Register a unit that you serve with `unit serve`.

    Args:
        name: A name of your choice.
        url: The address of its server, such as https://host:8790.
        secrets: The file with its secrets; `unit serve` prints its path.
        cluster_type: The kind of machine, written provider:name.
        cpu: The number of processors.
        memory: Its memory in GB.
        disk: Its disk in GB.
        json: Print a JSON object.
    """
    given = UnitSecrets.load(secrets)

    async def make_known(session: AsyncSession) -> AsyncComputeUnit:
        return await session.get_compute_manager().register(
            name,
            url,
            rw_secret=given.rw,
            ro_secret=given.ro,
            cluster_type=cluster_type,
            cpu=cpu,
            memory=memory,
            disk=disk,
        )

    made = with_session(account, make_known)
    say(f"registered {printable(made.name)}, at {made.detail.ip}: {printable(made.status)}", json=json)
    return 0


@units.command
def add(
    name: str,
    *,
    engine: str | None = None,
    key: Path | None = None,
    profile: str | None = None,
    replace: Flag = False,
    json: Flag = False,
) -> int:
    """Make a machine that runs a dxflow engine a unit, in the configuration file. It needs no account.

    Nothing is sent to the engine; `units status NAME` does.

    Args:
        name: A name of your choice, for unit:/NAME/path.
        engine: The engine's address, such as https://lab.example.org, or unix:///path/of/the.sock.
        key: The file of the private key, in PEM format.
        profile: A profile of the engine's own tool that names address and key.
        replace: Replace a unit of that name.
        json: Print a JSON object.
    """
    unit_name(name)
    values: dict[str, str] = {}
    if engine is not None:
        values["engine"] = engine.strip()
    if key is not None:
        values["key"] = os.path.abspath(key.expanduser())
    if profile is not None:
        values["profile"] = profile.strip()
    make_unit(name, {each: Found(value, f"--{each}") for each, value in values.items()}, "the options")
    if key is not None and not os.path.isfile(values["key"]):
        raise ConfigurationError(f"--key: there is no file {values['key']}; name the file of the private key")
    from dxflow_async.cli.config_file import put_unit

    put_unit(config_path(), name, values, replace=replace)
    say(f"added {name}: unit:/{name}/ is the volume of {printable(engine or profile or '')}", json=json)
    return 0


@units.command
def remove(name: str, *, json: Flag = False) -> int:
    """Remove a unit that `units add` made from the configuration file. What is stored there stays.

    Args:
        name: The unit.
        json: Print a JSON object.
    """
    from dxflow_async.cli.config_file import remove_unit

    if remove_unit(config_path(), name):
        say(f"removed {printable(name)}", json=json)
        return 0
    known = list(ConfigFile.read(config_path()).table("units"))
    text = f"{config_path()} has no unit {name!r}{nearest(name, known)}; units of an account end with units terminate"
    Failures(json=json).add(NotFoundError(text, operation="read"))
    return NOT_FOUND


def _changed(
    account: Account,
    name: str | None,
    ip: str | None,
    call: Callable[[AsyncComputeUnit], Awaitable[object]],
    *,
    json: bool,
) -> int:
    async def change(unit: AsyncComputeUnit) -> AsyncComputeUnit:
        await call(unit)
        return unit

    unit = _with_unit(account, name, ip, change)
    say(f"{printable(unit.name)}: {printable(unit.status)}", json=json)
    return 0


def _with_unit(
    account: Account, name: str | None, ip: str | None, call: Callable[[AsyncComputeUnit], Awaitable[T]]
) -> T:
    async def work(session: AsyncSession) -> T:
        return await call(await session.get_compute_manager().get_unit(name, ip))

    return with_session(account, work)
