"""What `cp` and `mv` would do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from dxflow_async.blocking.tables import write_line
from dxflow_async.cli.json_lines import print_json
from dxflow_async.cli.options import Choice
from dxflow_async.cli.places import Place, found_places, location_of
from dxflow_async.cli.run import Account, with_session
from dxflow_async.cli.selecting import add_missing, admits
from dxflow_async.cli.sizes import human_size
from dxflow_async.cli.status import Failures
from dxflow_async.exceptions import StorageError
from dxflow_async.security.redaction import printable
from dxflow_async.session import AsyncSession
from dxflow_async.transfer.selection import Selection

__all__ = ["preview"]


def preview(
    sources: Sequence[str], dst: str, choice: Choice, account: Account, *, public: bool, json: bool, quiet: bool
) -> int:
    """Prints each object that would be transferred, and returns the exit status. Nothing is changed.

    Args:
        sources: the sources.
        dst: the destination.
        choice: which names are transferred.
        account: whose session it is.
        public: whether remote locations are in the account's public storage.
        json: print JSON lines.
        quiet: print nothing.
    """
    selection = choice.selection()

    async def look(session: AsyncSession) -> int:
        await session.storage_at(dst)  # says what is wrong with it
        count, size, failures = 0, 0, Failures(json=json)
        try:
            async for place in found_places(session, sources, public=public):
                async for shown, bytes_ in _objects(place, selection):
                    count, size = count + 1, size + bytes_
                    if json:
                        print_json("action", {"kind": "copy", "path": shown, "size": bytes_, "reason": "dry run"})
                    elif not quiet:
                        write_line(f"would transfer {bytes_:>12} {printable(shown)}")
        except StorageError as error:
            failures.add(error)
        add_missing(failures, selection)
        if json:
            print_json("total", {"objects": count, "size": size})
        elif not quiet:
            write_line(f"{count} objects, {human_size(size)} bytes, to {printable(dst)}; nothing was transferred")
        return failures.status

    return with_session(account, look, places=(*sources, dst))


async def _objects(place: Place, selection: Selection | None) -> AsyncIterator[tuple[str, int]]:
    """Yields the location and the size of each object that a source has."""
    item = await place.storage.stat(place.path)
    if not item.directory:
        if selection is None or admits(selection, item.name, item):
            yield place.location, item.size
        return
    start = place.path.rstrip("/") + "/"
    async with place.storage.scan(start) as items:
        async for each in items:
            if not each.directory and (selection is None or admits(selection, each.path[len(start) :], each)):
                yield location_of(place.location, place.path, each.path), each.size
