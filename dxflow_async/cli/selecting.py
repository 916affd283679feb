"""Items of listings that the options of a command select."""

from __future__ import annotations

from collections.abc import AsyncIterator

from dxflow_async.cli.places import Place
from dxflow_async.cli.status import Failures
from dxflow_async.exceptions import NotFoundError
from dxflow_async.models import Item
from dxflow_async.transfer.selection import Selection

__all__ = ["add_missing", "admits", "selected"]


def admits(selection: Selection, name: str, item: Item) -> bool:
    """Returns whether an item is selected.

    Args:
        selection: which items are.
        name: the item's path below the directory of the command.
        item: the item.
    """
    if item.directory:
        return not selection.has_conditions and selection.admits_name(f"{name.rstrip('/')}/")
    return selection.admits_name(name) and selection.admits_values(item.modification, item.size)


async def selected(items: AsyncIterator[Item], place: Place, selection: Selection | None) -> AsyncIterator[Item]:
    """Yields the selected ones of the items of a place."""
    start = place.path.rstrip("/") + "/"
    async for item in items:
        name = item.path[len(start) :] if item.path.startswith(start) else item.name
        if selection is None or admits(selection, name, item):
            yield item


def add_missing(failures: Failures, selection: Selection | None) -> None:
    """Reports each name of `--files-from` that was not found."""
    for name in selection.missing() if selection is not None else ():
        text = f"{name} failed: --files-from names it, and it does not exist; check the list"
        failures.add(NotFoundError(text, operation="read", path=name))
