"""One compute unit: its state, and its storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dxflow_async.account_connection import AccountConnection
from dxflow_async.compute.engines import Engines
from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.models import Unit
from dxflow_async.storage.area import Area
from dxflow_async.storage.transfer_service import TransferService

if TYPE_CHECKING:
    from dxflow_async.control.units import UnitHub

__all__ = ["AsyncComputeUnit"]


class AsyncComputeUnit:
    """A compute unit of the account, or an engine that the settings name. `AsyncComputeManager.get_unit` makes it.

    No hub manages an engine: it is `"READY"` when it answers, and cannot be started, stopped or terminated. Calls raise
    `ComputeUnitError` when the hub refuses, and `NetworkError` when it cannot be reached.
    """

    def __init__(
        self, detail: Unit, account: AccountConnection, transfers: TransferService, engines: Engines | None = None
    ) -> None:
        self._detail = detail
        self._account = account
        self._engines = engines
        self._resolver = transfers.resolver
        self._volumes = transfers.resolver.volumes
        self._storage = AsyncUnitStorage(transfers, self._volume)

    @property
    def name(self) -> str:
        """The name that its owner gave it."""
        return self._detail.name

    @property
    def status(self) -> str:
        """Its state when the hub last reported it: `"READY"`, `"STOPPED"`, `"TERMINATED"`. See `get_status`."""
        return self._detail.status

    @property
    def detail(self) -> Unit:
        """The hub's last description of it."""
        return self._detail

    @property
    def storage(self) -> AsyncUnitStorage:
        """Its storage."""
        return self._storage

    async def get_status(self) -> str:
        """Returns its state now."""
        hub = await self._hub()
        return self._updated(await hub.look(self._detail)).status

    async def start(self) -> Unit:
        """Starts it; a unit that runs is left alone."""
        hub = await self._hub()
        return self._updated(await hub.change(self._detail, "start"))

    async def stop(self) -> Unit:
        """Stops it: its storage does not answer until it is started again."""
        hub = await self._hub()
        return self._updated(await hub.change(self._detail, "stop"))

    async def troubleshoot(self) -> dict[str, Any]:
        """Returns the hub's diagnosis of it."""
        hub = await self._hub()
        return await hub.troubleshoot(self._detail)

    async def terminate(self) -> Unit:
        """Terminates it, for good."""
        hub = await self._hub()
        return self._updated(await hub.terminate(self._detail))

    async def _hub(self) -> UnitHub | Engines:
        return await self._account.unit_hub() if self._engines is None else self._engines

    async def _volume(self) -> Area:
        if self._engines is not None:
            return await self._resolver.unit_area(self._detail.name)
        return await self._volumes.open(self._detail)

    def _updated(self, detail: Unit) -> Unit:
        self._detail = detail
        return detail

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.status} at {self._detail.ip}>"
