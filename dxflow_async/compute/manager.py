"""The account's compute units: listing, finding and registering them. Returns data, prints nothing."""

from __future__ import annotations

import re
from typing import Any

from dxflow_async.account_connection import AccountConnection
from dxflow_async.compute.engines import Engines, named
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.exceptions import ConfigurationError, UnitNotFoundError
from dxflow_async.models import Unit
from dxflow_async.storage.transfer_service import TransferService

__all__ = ["AsyncComputeManager"]

# In the class below, `list` is a method.
Units = list[Unit]

_URL = re.compile(r"(https?)://([^/?#@\s]+)/?")


class AsyncComputeManager:
    """The account's compute units, as its hub knows them, and the engines that the settings name.

    `AsyncSession.get_compute_manager` returns it.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession(email="you@example.com", password="secret") as session:
        ...         unit = await session.get_compute_manager().get_unit(name="Demo")
        ...         print([item.name for item in await unit.storage.ls()])
    """

    def __init__(self, account: AccountConnection, transfers: TransferService) -> None:
        self._account = account
        self._transfers = transfers
        self._engines = Engines(transfers)

    async def list(self, return_info: bool = False) -> Units:
        """Lists the units in the hub's order, terminated units among them, and then the engines of the settings.

        No engine is contacted: their status is `"UNKNOWN"`.

        Args:
            return_info: for the blocking twin, which prints the units unless it is set. This method returns them
                either way.

        Raises:
            NetworkError: the hub cannot be reached.
        """
        engines = self._engines.units()
        if engines and not self._account.exists:
            return engines
        hub = await self._account.unit_hub()
        return [*await hub.units(), *engines]

    async def get_unit(self, name: str | None = None, ip_address: str | None = None) -> AsyncComputeUnit:
        """Returns the unit of that name, or at that address; without either, the account's only unit.

        A terminated unit is found only when no other unit matches. An engine that the settings name comes before a
        unit of the account that matches, too; without name and address, it is returned where there is no account.

        Args:
            name: the name that its owner gave it.
            ip_address: its host, with or without the port.

        Raises:
            UnitNotFoundError: no unit matches; the message lists the units that there are.
            ComputeUnitError: several units match; the message lists them.
        """
        exists = self._account.exists
        if name is not None or ip_address is not None or not exists:
            engine = self._engines.find(name, ip_address)
            if engine is not None:
                return AsyncComputeUnit(await self._engines.look(engine), self._account, self._transfers, self._engines)
            if not exists and (units := self._engines.units()):
                raise UnitNotFoundError(f"there is no such compute unit; there are {named(units)}")
        hub = await self._account.unit_hub()
        return self._unit(await hub.find(name, ip_address))

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
        """Registers a unit that you serve (`dxflow-async unit serve`) with the account's hub.

        Args:
            name: a name of your choice; none of your other units may have it.
            url: the address of the unit's server: `https://host[:port]`.
            rw_secret: the server's secret for reading and writing; `unit serve` names the file that has it.
            ro_secret: the server's secret for reading.
            cluster_type: the kind of machine, as `provider:name`.
            cpu: the number of processors.
            memory: in GB.
            disk: in GB.

        Raises:
            ConfigurationError: the hub does not allow a value; the message names it.
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
        hub = await self._account.unit_hub()
        return self._unit(await hub.register(description))

    def _unit(self, detail: Unit) -> AsyncComputeUnit:
        return AsyncComputeUnit(detail, self._account, self._transfers)


def _address(url: str) -> tuple[str, str]:
    match = _URL.fullmatch(url)
    if match is None:
        shown = re.sub("//[^/]*@", "//***@", url)
        raise ConfigurationError(f"url = {shown!r} is not allowed; it must be http(s)://host[:port]")
    return match[1].upper(), match[2]
