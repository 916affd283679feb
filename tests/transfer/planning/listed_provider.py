"""A provider that only lists: its objects are keys in memory, on a clock of its own."""

from __future__ import annotations

from typing import Any, cast

from dxflow_async.providers.common.confirm import entries_after
from dxflow_async.providers.contract import Features, Page, Provider
from dxflow_async.providers.http import Call
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.planning.listing import pages
from dxflow_async.transfer.retry import RetryPolicy
from tests.transfer.planning.listed_keys import ListedKeys

__all__ = ["ListedProvider"]


class ListedProvider:
    """Lists keys, from a cursor or from a key.

    Args:
        listing: the keys.

    Attributes:
        features: what is known of the service.
    """

    name = "LISTED"

    def __init__(self, listing: ListedKeys) -> None:
        self.features = Features(list_after=True)
        self._listing = listing

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        """As `Provider.list_page`."""
        return await self._listing.page(cursor or "")

    async def list_after(self, prefix: str, after: str) -> Page:
        """As `Provider.list_after`."""
        page, call = await self._listing.after(after), Call(self.name, "list", f"/{prefix}")
        return entries_after(cast("Provider", self), call, page, after)

    async def listed(self) -> list[str]:
        """Returns what a recursive listing finds."""
        limits, policy = Limits(64, 64 << 20), RetryPolicy(first_wait=0.0)
        found = pages(cast("Provider", self), "", recursive=True, limits=limits, policy=policy)
        return [entry.key async for page in found for entry in page]
