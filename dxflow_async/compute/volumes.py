"""Opening units' volumes: one provider a unit, for as long as the session lives."""

from __future__ import annotations

from collections.abc import Callable

from anyio import Lock

from dxflow_async.compute.area import UnitArea
from dxflow_async.exceptions import ComputeUnitError
from dxflow_async.models import Unit
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.registry import provider_kinds
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import retry

__all__ = ["Volumes"]

Address = tuple[str, str, str]
"""A unit's name, URL and secret: a unit that was started again may have another URL."""


class Volumes:
    """The volumes of all units that the session has used.

    Args:
        resources: the session's.
    """

    def __init__(self, resources: Callable[[], Resources]) -> None:
        self._resources = resources
        self._providers: dict[Address, Provider] = {}
        self._opening: dict[Address, Lock] = {}

    async def open(self, unit: Unit) -> UnitArea:
        """A unit's volume; at the first time the unit is asked what it can do.

        Raises:
            ComputeUnitError: it has no address yet.
            StorageError: it does not answer.
        """
        resources = self._resources()
        secret = unit.rw_secret or unit.ro_secret
        if not (unit.ip and secret):
            raise ComputeUnitError(f"unit {unit.name} ({unit.status}) has no address or secret yet; wait, or start it")
        address = (unit.name, unit.url, secret)
        if address not in self._providers:
            # One that does not answer keeps nobody from another.
            async with self._opening.setdefault(address, Lock()):
                if address not in self._providers:
                    self._providers[address] = await _connected(address, resources)
        provider = self._providers[address]
        return UnitArea(provider.name, provider, location=f"unit:/{unit.name}/")

    async def aclose(self) -> None:
        """Closes all of them."""
        for provider in self._providers.values():
            await provider.aclose()


async def _connected(address: Address, resources: Resources) -> Provider:
    unit, url, secret = address
    kind = provider_kinds()["unit"]
    provider = kind.factory(kind.settings(unit=unit, url=url, secret=secret), resources.of_provider("UNIT"))
    await retry(provider.connect, resources.policy)
    return provider
