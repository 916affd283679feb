"""Compute units that are machines with a dxflow engine, which the configuration names. No account knows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn
from urllib.parse import urlsplit

from dxflow_async.exceptions import ComputeUnitError, ConfigurationError, StorageError
from dxflow_async.models import Unit
from dxflow_async.storage.transfer_service import TransferService

__all__ = ["ENGINE", "Engines", "named"]

ENGINE = "engine:dxflow"
"""The kind of machine of such a unit."""

_UNKNOWN, _READY, _UNREACHABLE = "UNKNOWN", "READY", "UNREACHABLE"


class Engines:
    """The units that the settings name.

    Its methods for one unit are those of a hub's client.

    Args:
        transfers: the session's transfers.
    """

    def __init__(self, transfers: TransferService) -> None:
        self._transfers = transfers
        self._settings = transfers.resources.settings.units

    def units(self) -> list[Unit]:
        """Returns all units, in the order of their names, without a request to any."""
        return [self._unit(name, _UNKNOWN) for name in sorted(self._settings)]

    def find(self, name: str | None, ip_address: str | None) -> Unit | None:
        """Returns the unit of that name, or at that address; None where there is none.

        Raises:
            ComputeUnitError: several units match; the message lists them.
        """
        matching = [
            unit
            for unit in self.units()
            if name in (None, unit.name) and (ip_address is None or ip_address in (unit.ip, _host(unit.ip)))
        ]
        if len(matching) > 1:
            names = ", ".join(f"{unit.name!r} ({unit.ip})" for unit in matching)
            raise ComputeUnitError(f"several compute units match: {names}; give name or ip_address, or both")
        return matching[0] if matching else None

    async def look(self, unit: Unit) -> Unit:
        """Returns the unit as it is now: READY where its engine lists its volume, else UNREACHABLE.

        Raises:
            StorageError: the engine answers, and refuses.
            ConfigurationError: the unit's settings cannot be used.
        """
        try:
            area = await self._transfers.resolver.unit_area(unit.name)
            await area.provider.list_page("", recursive=False)
        except StorageError as error:
            if not error.retryable:
                raise
            return self._unit(unit.name, _UNREACHABLE)
        return self._unit(unit.name, _READY)

    async def troubleshoot(self, unit: Unit) -> dict[str, Any]:
        """Returns whether the unit's engine answers, what is known of it, or the error."""
        try:
            area = await self._transfers.resolver.unit_area(unit.name)
            await area.provider.list_page("", recursive=False)
        except (StorageError, ConfigurationError) as error:
            return {"served": False, "error": str(error)}
        return {"served": True, **dict(area.provider.endpoint_facts())}

    async def change(self, unit: Unit, action: str) -> Unit:
        """Refuses to start or stop a unit: no hub manages its machine.

        Raises:
            ComputeUnitError: always.
        """
        _refuse(unit, action)

    async def terminate(self, unit: Unit) -> Unit:
        """Refuses to terminate a unit. Raises as `change`."""
        _refuse(unit, "terminate")

    def _unit(self, name: str, status: str) -> Unit:
        address = self._settings[name].address or ""
        parts = urlsplit(address)
        place = parts.netloc if parts.scheme in ("http", "https") else address
        protocol = "HTTPS" if parts.scheme == "https" else "HTTP"
        return Unit(f"engine:{name}", name, status, place, protocol, ENGINE)


def named(units: Sequence[Unit]) -> str:
    """Returns the names of units, for errors."""
    return ", ".join(repr(unit.name) for unit in units)


def _host(place: str) -> str:
    return re.sub(r":[0-9]+$", "", place)


def _refuse(unit: Unit, action: str) -> NoReturn:
    raise ComputeUnitError(
        f"unit {unit.name} is an engine that no hub manages, so nothing can {action} it here; do it on its machine"
    )
