"""The commands `ls`, `du` and `stat`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from dxflow_async.blocking.fitting import terminal_columns
from dxflow_async.blocking.tables import fitted, format_item, labelled_line, write_line, write_text
from dxflow_async.cli.json_lines import item_fields, print_json
from dxflow_async.cli.options import Choice
from dxflow_async.cli.places import Place, location_of, places_of
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.selecting import add_missing, selected
from dxflow_async.cli.sizes import human_size, shown_size, total_text
from dxflow_async.cli.status import PLACE_ERRORS, Failures
from dxflow_async.exceptions import NotFoundError
from dxflow_async.models import Item
from dxflow_async.security.redaction import printable
from dxflow_async.session import AsyncSession
from dxflow_async.transfer.selection import Selection

__all__ = ["Human", "Recursive", "du", "ls", "stat"]

_DIRECT, _ALL = Account(), Choice()

Recursive = Annotated[Flag, Parameter(name=["--recursive", "-r", "-R"])]
Long = Annotated[Flag, Parameter(name=["--long", "-l"])]
Human = Annotated[Flag, Parameter(name=["--human", "-h"])]


def ls(
    *locations: str,
    recursive: Recursive = False,
    human: Human = False,
    long: Long = False,
    total: Flag = False,
    choice: Choice = _ALL,
    json: Flag = False,
    public: Flag = False,
    account: Account = _DIRECT,
) -> int:
    """List directories and objects: type, bytes, local time of the last change, name.

    Args:
        locations: Directories, objects and patterns; by default the current directory.
        recursive: List everything below the directories.
        human: Print sizes for people: 1.5Ki.
        long: Accepted, and not needed: the list is always long.
        total: Print the number of objects and the sum of their sizes at the end.
        json: Print a JSON object on each line.
        public: The locations are in the account's public storage.
    """
    assert long is not None
    given, selection = locations or (".",), choice.selection()

    async def show(session: AsyncSession) -> int:
        count = size = 0
        failures, found = Failures(json=json), False
        titled, columns = len(given) > 1 and not json, terminal_columns()
        async for place in places_of(session, given, failures, public=public):
            try:
                if titled and place.path.endswith("/"):
                    write_line(f"{printable(place.location)}:")
                async for item in selected(_listed(place, recursive=recursive), place, selection):
                    found = True
                    count, size = count + (not item.directory), size + item.size
                    if json:
                        print_json("item", item_fields(location_of(place.location, place.path, item.path), item))
                    else:
                        below = place.path if recursive and item.path != place.path else None
                        shown = human_size(item.size) if human else None
                        write_line(format_item(item, below=below, size=shown, columns=columns))
            except PLACE_ERRORS as error:
                failures.add(error)
        add_missing(failures, selection)
        if not (found or failures.count):
            choice.note_nothing()
        if total and json:
            print_json("total", {"objects": count, "size": size})
        elif total:
            write_text(total_text(count, size, human=human))
        return failures.status

    return with_session(account, show, places=given)


def du(
    *locations: str,
    depth: int = 0,
    human: Human = False,
    choice: Choice = _ALL,
    json: Flag = False,
    public: Flag = False,
    account: Account = _DIRECT,
) -> int:
    """Add up the sizes of everything below directories.

    Args:
        locations: Directories, objects and patterns; by default the current directory.
        depth: Print the sums of the directories down to this depth, too.
        human: Print sizes for people: 1.5Ki.
        json: Print a JSON object on each line.
        public: The locations are in the account's public storage.
    """
    given, selection, columns = locations or (".",), choice.selection(), terminal_columns()

    def show(location: str, objects: int, size: int) -> None:
        if json:
            print_json("usage", {"location": location, "objects": objects, "size": size})
        else:
            before = f"{shown_size(size, human=human):>12} {objects:>9} "
            write_line(f"{before}{fitted(location, columns, len(before))}")

    async def add_up(session: AsyncSession) -> int:
        failures, found = Failures(json=json), False
        async for place in places_of(session, given, failures, public=public):
            try:
                sums, total = await _sums(place, selection, depth)
                found = found or total[0] > 0
                for path, (objects, size) in sorted(sums.items()):
                    show(location_of(place.location, place.path, path), objects, size)
                show(place.location, *total)
            except PLACE_ERRORS as error:
                failures.add(error)
        add_missing(failures, selection)
        if not (found or failures.count):
            choice.note_nothing()
        return failures.status

    return with_session(account, add_up, places=given)


def stat(*locations: str, json: Flag = False, public: Flag = False, account: Account = _DIRECT) -> int:
    """Print what is known of objects and directories.

    Args:
        locations: Objects, directories and patterns.
        json: Print a JSON object on each line.
        public: The locations are in the account's public storage.
    """

    async def show(session: AsyncSession) -> int:
        failures = Failures(json=json)
        async for place in places_of(session, locations, failures, public=public):
            try:
                item = await place.storage.stat(place.path)
            except PLACE_ERRORS as error:
                failures.add(error)
                continue
            fields = item_fields(place.location, item)
            if json:
                print_json("item", fields)
            else:
                _print_fields(fields)
        return failures.status

    return with_session(account, show, places=locations)


async def _listed(place: Place, *, recursive: bool) -> AsyncIterator[Item]:
    """Yields the items of a directory page by page, or the one object of that name.

    Raises:
        NotFoundError: there is no such object or directory.
    """
    found = False
    try:
        async for item in place.storage.scan(place.path, recursive=recursive):
            found = True
            yield item
    except NotFoundError:
        if found or place.path.endswith("/"):
            raise
    if not found:
        item = await place.storage.stat(place.path)
        if not item.directory:
            yield item


async def _sums(place: Place, selection: Selection | None, depth: int) -> tuple[dict[str, list[int]], list[int]]:
    """Returns the numbers and sizes of objects of each directory down to a depth below a place, and of the place."""
    sums: dict[str, list[int]] = {}
    total = [0, 0]
    async for item in selected(_listed(place, recursive=True), place, selection):
        if item.directory:
            continue
        for each in (total, *(sums.setdefault(above, [0, 0]) for above in _above(place, item, depth))):
            each[0] += 1
            each[1] += item.size
    return sums, total


def _above(place: Place, item: Item, depth: int) -> list[str]:
    """Returns the directories above an item, down to a depth below a place."""
    if not depth:
        return []
    start = place.path.rstrip("/") + "/"
    names = item.path[len(start) :].split("/")[:-1][:depth]
    return [start + "/".join(names[: number + 1]) + "/" for number in range(len(names))]


def _print_fields(fields: dict[str, object]) -> None:
    for name, value in fields.items():
        if name == "metadata" and isinstance(value, dict):
            for key, text in value.items():
                write_line(labelled_line(f"{printable(f'metadata {key}'):>14}: ", str(text)))
        elif value not in (None, "") and not (name == "size" and fields["directory"]):
            write_line(labelled_line(f"{name.replace('_', ' '):>14}: ", _field_text(name, value)))
    write_line("")


def _field_text(name: str, value: object) -> str:
    if name == "modification" and isinstance(value, float):
        return datetime.fromtimestamp(value, UTC).astimezone().isoformat()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
