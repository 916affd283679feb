"""The areas of locations that are URLs, each with a provider of its own."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from weakref import ReferenceType, ref

from dxflow_async.providers import registry
from dxflow_async.providers.contract import Provider
from dxflow_async.storage.area import URLArea
from dxflow_async.storage.connections import Connections
from dxflow_async.storage.remotes import URLRemote
from dxflow_async.transfer.resources import Resources

__all__ = ["URLAreas"]

_MAX_OPEN = 100


@dataclass(slots=True)
class _Opened:
    remote: URLRemote
    provider: Provider
    area: ReferenceType[URLArea]


class URLAreas:
    """The areas of URLs. A session may use very many URLs, so those that nobody uses any more are closed in time.

    Whoever uses an area holds it; an area is not used any more once it is gone.

    Args:
        resources: the session's resources.
        connections: connect providers.
    """

    def __init__(self, resources: Resources, connections: Connections) -> None:
        self._resources = resources
        self._connections = connections
        self._opened: list[_Opened] = []

    def __len__(self) -> int:
        return len(self._opened)

    async def open(self, remote: URLRemote) -> URLArea:
        """Returns the area of a URL; the same place with the same settings has one provider.

        Raises:
            StorageError: the service did not answer.
            ConfigurationError: the settings cannot be used.
        """
        same = (remote.origin, remote.settings)
        for opened in self._opened:
            if (opened.remote.origin, opened.remote.settings) == same:
                area = opened.area()
                if area is None:
                    area = _area(opened.remote, opened.provider)
                    opened.area = ref(area)
                await self._connections.connect(opened.provider)
                return area
        provider = registry.create_provider(remote.kind, remote.settings, self._resources.of_provider(remote.name))
        area = _area(remote, provider)
        self._opened.append(_Opened(remote, provider, ref(area)))
        await self._close_unused()
        await self._connections.connect(provider)
        return area

    async def aclose(self) -> None:
        """Closes all providers."""
        async with AsyncExitStack() as stack:  # one that fails keeps no other one open
            for each in self._opened:
                stack.push_async_callback(each.provider.aclose)

    async def _close_unused(self) -> None:
        """Closes the provider that was opened longest ago, of those that are not used, once there are many."""
        if len(self._opened) > _MAX_OPEN:
            unused = next((each for each in self._opened if each.area() is None), None)
            if unused is not None:
                self._opened.remove(unused)
                await self._connections.close(unused.provider)


def _area(remote: URLRemote, provider: Provider) -> URLArea:
    return URLArea(remote.name, provider, location=remote.origin, url=remote.shown)
