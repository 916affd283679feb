"""One compute unit: its life, and its storage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.models import Unit

if TYPE_CHECKING:
    from dxflow_async.control.units import UnitHub

__all__ = ["AsyncComputeUnit"]


class AsyncComputeUnit:
    """A compute unit of the account. `AsyncComputeManager.get_unit` gives it.

    What its hub refuses is a `ComputeUnitError`; what is not reached, a `NetworkError`.
    """

    def __init__(
        self,
        detail: Unit,
        hub: Callable[[], Awaitable[UnitHub]],
        storage: Callable[[Callable[[], Unit]], AsyncUnitStorage],
    ) -> None:
        self._detail = detail
        self._hub = hub
        self._storage = storage(lambda: self._detail)

    @property
    def name(self) -> str:
        """As its owner called it."""
        return self._detail.name

    @property
    def status(self) -> str:
        """Its state when the hub was last asked: `"READY"`, `"STOPPED"`, `"TERMINATED"`; `get_status` asks now."""
        return self._detail.status

    @property
    def detail(self) -> Unit:
        """All that the hub told of it when it was last asked."""
        return self._detail

    @property
    def storage(self) -> AsyncUnitStorage:
        """What is stored on it."""
        return self._storage

    async def get_status(self) -> str:
        """Its state now."""
        hub = await self._hub()
        return self._noted(await hub.look(self._detail)).status

    async def start(self) -> Unit:
        """Starts it; one that runs goes on."""
        hub = await self._hub()
        return self._noted(await hub.change(self._detail, "start"))

    async def stop(self) -> Unit:
        """Stops it: its storage does not answer until it is started again."""
        hub = await self._hub()
        return self._noted(await hub.change(self._detail, "stop"))

    async def troubleshoot(self) -> dict[str, Any]:
        """What the hub finds right or wrong with it."""
        hub = await self._hub()
        return await hub.troubleshoot(self._detail)

    async def terminate(self) -> Unit:
        """Ends it, for good."""
        hub = await self._hub()
        return self._noted(await hub.terminate(self._detail))

    def _noted(self, detail: Unit) -> Unit:
        self._detail = detail
        return detail

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.status} at {self._detail.ip}>"
