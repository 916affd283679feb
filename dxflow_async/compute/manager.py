"""The account's compute units: which there are, and finding one. Returns data, prints nothing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.exceptions import ComputeUnitError, ConfigurationError, UnitNotFoundError
from dxflow_async.models import Unit

if TYPE_CHECKING:
    from dxflow_async.control.units import UnitHub

__all__ = ["AsyncComputeManager"]

# In the class below, `list` is a method.
Units = list[Unit]

_TERMINATED = "TERMINATED"
_MAX_NAMED = 20
_URL = re.compile(r"(https?)://([^/?#@\s]+)/?")


class AsyncComputeManager:
    """The account's compute units, as its hub knows them.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession(email="you@example.com", password="secret") as session:
        ...         unit = await session.get_compute_manager().get_unit(name="Demo")
        ...         print([item.name for item in await unit.storage.ls()])
    """

    def __init__(
        self,
        hub: Callable[[], Awaitable[UnitHub]],
        storage: Callable[[Callable[[], Unit]], AsyncUnitStorage],
    ) -> None:
        self._hub = hub
        self._storage = storage

    async def list(self, return_info: bool = False) -> Units:
        """The units, those that were terminated among them, in the hub's order.

        Args:
            return_info: for the blocking twin, which prints without it; here the units are returned either way.

        Raises:
            NetworkError: the hub cannot be reached.
        """
        hub = await self._hub()
        return await hub.units()

    async def get_unit(self, name: str | None = None, ip_address: str | None = None) -> AsyncComputeUnit:
        """The unit of that name, or at that address, or both; without either, the only one there is.

        One that was terminated is found only when no other fits.

        Args:
            name: as its owner called it.
            ip_address: its host, with or without the port.

        Raises:
            UnitNotFoundError: none fits; the message names those there are.
            ComputeUnitError: several do; the message names them.
        """
        units = await self.list()
        fitting = [unit for unit in units if _fits(unit, name, ip_address)]
        alive = [unit for unit in fitting if unit.status != _TERMINATED]
        if not alive and (name is not None or ip_address is not None):
            alive = fitting[-1:]
        if not alive:
            raise UnitNotFoundError(f"there is no compute unit{_wanted(name, ip_address)}; {_there_are(units)}")
        if len(alive) > 1:
            wanted = _wanted(name, ip_address)
            raise ComputeUnitError(f"several compute units{wanted}: {_named(alive)}; give name or ip_address, or both")
        return self._unit(alive[0])

    async def register(
        self,
        name: str,
        url: str,
        *,
        rw_secret: str,
        ro_secret: str,
        cluster_type: str = "local:process",
        cpu: int = 1,
        memory: float = 1,
        disk: float = 1,
    ) -> AsyncComputeUnit:
        """Makes a unit known to the account's hub: one that you serve (`dxflow-async unit serve`).

        Args:
            name: of your choice; no other unit of yours has it.
            url: where it is served: `https://host[:port]`.
            rw_secret, ro_secret: what its server takes; they are in the file that `unit serve` names.
            cluster_type: what it runs on: `provider:name`.
            cpu: how many processors.
            memory, disk: GB.

        Raises:
            ConfigurationError: something that the hub does not allow, by name.
            ComputeUnitError: you have a unit of that name.
        """
        protocol, address = _address(url)
        provider, _, kind = cluster_type.partition(":")
        description: dict[str, Any] = {
            "name": name,
            "ip": address,
            "protocol": protocol,
            "secrets": {"RW": rw_secret, "RO": ro_secret},
            "type": {"provider": provider, "name": kind, "cpu": cpu, "memory": memory, "disk": disk},
        }
        hub = await self._hub()
        return self._unit(await hub.register(description))

    def _unit(self, detail: Unit) -> AsyncComputeUnit:
        return AsyncComputeUnit(detail, self._hub, self._storage)


def _fits(unit: Unit, name: str | None, ip_address: str | None) -> bool:
    host = re.sub(r":[0-9]+$", "", unit.ip)
    return (name is None or unit.name == name) and (ip_address is None or ip_address in (unit.ip, host))


def _wanted(name: str | None, ip_address: str | None) -> str:
    named = "" if name is None else f" named {name!r}"
    return named + ("" if ip_address is None else f" at {ip_address}")


def _there_are(units: Units) -> str:
    if not units:
        return "the account has none: register one that you serve"
    return f"there are {_named(units)}"


def _named(units: Iterable[Unit]) -> str:
    names = [f"{unit.name!r} ({unit.status}, {unit.ip})" for unit in units]
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _address(url: str) -> tuple[str, str]:
    match = _URL.fullmatch(url)
    if match is None:
        shown = re.sub("//[^/]*@", "//***@", url)
        raise ConfigurationError(f"url = {shown!r} is not allowed; it must be http(s)://host[:port]")
    return match[1].upper(), match[2]
