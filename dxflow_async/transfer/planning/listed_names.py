"""The names of a list that a call was given and that its source does not have."""

from __future__ import annotations

from collections.abc import AsyncIterator

from dxflow_async.exceptions import NotFoundError
from dxflow_async.models import TransferResult
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.empty_items import SettledItem
from dxflow_async.transfer.selection import Selection

__all__ = ["missing_results", "with_missing"]


async def with_missing(
    items: AsyncIterator[TransferItem], selection: Selection, source: str, destination: str
) -> AsyncIterator[TransferItem]:
    """Yields the items, and then a failed one for each listed name that was not among them."""
    async for item in items:
        yield item
    for result in missing_results(selection, source, destination):
        yield SettledItem(result)


def missing_results(selection: Selection, source: str, destination: str) -> list[TransferResult]:
    """Returns a failure for each listed name that was not found in the source."""
    start, end = (f"{each.rstrip('/')}/" for each in (source, destination))
    return [
        TransferResult(
            start + name,
            end + name,
            error=NotFoundError(
                f"read of {start}{name} failed: the list of files names it, and it does not exist; check the list",
                operation="read",
                path=start + name,
            ),
        )
        for name in selection.missing()
    ]
