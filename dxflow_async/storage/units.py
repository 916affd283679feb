"""Opening compute units' volumes: one provider for each unit, for as long as the session lives."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from anyio import Lock

from dxflow_async.exceptions import ComputeUnitError, ConfigurationError
from dxflow_async.models import Unit
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.registry import provider_kinds
from dxflow_async.storage.area import UnitArea
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import retry

__all__ = ["UnitVolumes"]

_Address = tuple[str, str, str]
"""A unit's name, URL and secret: a unit that was restarted may have another URL. Those of an engine are empty."""


class UnitVolumes:
    """The volumes of all units that the session has used.

    Args:
        resources: the session's resources.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._providers: dict[_Address, Provider] = {}
        self._opening: dict[_Address, Lock] = {}

    async def open(self, unit: Unit) -> UnitArea:
        """Returns a unit's volume. The first call for a unit asks its server which features it has.

        Raises:
            ComputeUnitError: the unit has no address yet.
            StorageError: the unit does not answer.
            SessionClosedError: the session was closed.
        """
        self._resources.check_open()
        secret = unit.rw_secret or unit.ro_secret
        if not (unit.ip and secret):
            raise ComputeUnitError(f"unit {unit.name} ({unit.status}) has no address or secret yet; wait, or start it")
        settings = provider_kinds()["unit"].settings(unit=unit.name, url=unit.url, secret=secret)
        return await self._open((unit.name, unit.url, secret), "unit", settings)

    async def open_engine(self, name: str, settings: Any) -> UnitArea:
        """Returns the volume of a unit that is an engine. The first call signs in there.

        Args:
            name: the unit's.
            settings: the engine's.

        Raises:
            ConfigurationError: the settings cannot be used.
            StorageError: the engine does not answer, or refuses the key.
            SessionClosedError: the session was closed.
        """
        self._resources.check_open()
        try:
            return await self._open((name, "", ""), "engine", settings)
        except ConfigurationError as error:
            raise ConfigurationError(f"units.{name}: {error}") from error

    async def _open(self, address: _Address, kind: str, settings: Any) -> UnitArea:
        if address not in self._providers:
            # One lock for each unit: a unit that does not answer delays no other one.
            async with self._opening.setdefault(address, Lock()):
                if address not in self._providers:
                    self._providers[address] = await self._connect(kind, settings)
        provider = self._providers[address]
        return UnitArea(provider.name, provider, location=f"unit:/{address[0]}/")

    async def _connect(self, kind: str, settings: Any) -> Provider:
        provider = provider_kinds()[kind].factory(settings, self._resources.of_provider("UNIT"))
        await retry(provider.connect, self._resources.policy)
        return provider

    async def aclose(self) -> None:
        """Closes all connections to units."""
        async with AsyncExitStack() as stack:
            for provider in self._providers.values():
                stack.push_async_callback(provider.aclose)
