"""The commands `units ...`: the account's compute units."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from json import dumps
from pathlib import Path
from typing import TypeVar

from cyclopts import App

from dxflow_async.blocking.tables import print_units, write_line
from dxflow_async.cli.json_lines import print_json, say
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.security.redaction import printable
from dxflow_async.server.common.unit_secrets import UnitSecrets
from dxflow_async.session import AsyncSession

__all__ = ["units"]

T = TypeVar("T")

_DIRECT = Account()
_FIELDS = ("name", "status", "ip", "protocol", "cluster_type", "cpu", "memory", "disk")

units = App(
    name="units", help="List, start, stop and register the account's compute units.", result_action="return_value"
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
