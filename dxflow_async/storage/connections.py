"""Connects providers once: asks each service, at its first use, what it can do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anyio import Lock

from dxflow_async.providers.contract import Provider
from dxflow_async.transfer.retry import retry

if TYPE_CHECKING:
    from dxflow_async.transfer.resources import Resources

__all__ = ["Connections"]


@dataclass(slots=True)
class _Connection:
    """Whether a provider was connected."""

    provider: Provider
    lock: Lock = field(default_factory=Lock)
    made: bool = False


class Connections:
    """The providers of a session that were connected.

    Args:
        resources: the session's resources.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._known: dict[int, _Connection] = {}

    async def connect(self, provider: Provider) -> None:
        """Connects a provider, unless that worked before.

        Raises:
            StorageError: the service did not answer.
            ConfigurationError: the settings cannot be used.
        """
        if type(provider).connect is Provider.connect:
            return  # there is nothing to ask
        connection = self._known.setdefault(id(provider), _Connection(provider))
        async with connection.lock:
            if not connection.made:
                await retry(provider.connect, self._resources.policy)
                connection.made = True

    async def close(self, provider: Provider) -> None:
        """Closes a provider and forgets it."""
        self._known.pop(id(provider), None)
        await provider.aclose()
