"""What `cp` and `mv` would do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from dxflow_async.blocking.tables import difference_line, write_line, write_text
from dxflow_async.cli.json_lines import print_json
from dxflow_async.cli.options import Choice
from dxflow_async.cli.places import Place, is_local, location_of, places_of
from dxflow_async.cli.run import Account, with_session
from dxflow_async.cli.selecting import add_missing, admits
from dxflow_async.cli.sizes import human_size
from dxflow_async.cli.status import DONE, FAILED, PLACE_ERRORS, Failures
from dxflow_async.models import Item
from dxflow_async.plurals import counted
from dxflow_async.security.redaction import printable
from dxflow_async.session import AsyncSession
from dxflow_async.transfer.selection import Selection

__all__ = ["preview"]


def preview(
    sources: Sequence[str],
    dst: str,
    choice: Choice,
    account: Account,
    *,
    move: bool,
    public: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Prints each object that would be transferred, and returns the exit status. Nothing is changed.

    Args:
        sources: the sources.
        dst: the destination.
        choice: which names are transferred.
        account: whose session it is.
        move: whether the sources would be moved. On this machine that takes pipes and the like along.
        public: whether remote locations are in the account's public storage.
        json: print JSON lines.
        quiet: print nothing.
    """
    selection = choice.selection()

    async def look(session: AsyncSession) -> int:
        await session.storage_at(dst)  # says what is wrong with it
        count = size = unreadable = 0
        failures = Failures(json=json)
        async for place in places_of(session, sources, failures, public=public):
            renames = move and is_local(dst) and is_local(place.location)
            try:
                async for shown, item in _objects(place, selection):
                    taken = item.unreadable is None or renames
                    kind, reason = ("copy", "dry run") if taken else ("skip", item.unreadable)
                    count, unreadable = count + taken, unreadable + (not taken)
                    size += item.size if taken else 0
                    if json:
                        print_json("action", {"kind": kind, "path": shown, "size": item.size, "reason": reason})
                    elif not quiet:
                        text = "would transfer" if kind == "copy" else f"would skip ({reason})"
                        write_line(difference_line(text, item.size, shown, "", kind_columns=14))
            except PLACE_ERRORS as error:
                failures.add(error)
        add_missing(failures, selection)
        if json:
            print_json("total", {"objects": count, "size": size})
        elif not quiet:
            sums = f"{counted(count, 'object')}, {human_size(size)} {'byte' if size == 1 else 'bytes'}"
            write_text(f"{sums}, to {printable(dst)}; nothing was transferred")
        if not (count or unreadable or failures.count or quiet):
            choice.note_nothing()
        return failures.status or (FAILED if unreadable else DONE)

    return with_session(account, look, places=(*sources, dst))


async def _objects(place: Place, selection: Selection | None) -> AsyncIterator[tuple[str, Item]]:
    """Yields the location of each object that a source has, and what is known of it."""
    item = await place.storage.stat(place.path)
    if not item.directory:
        if selection is None or admits(selection, item.name, item):
            yield place.location, item
        return
    start = place.path.rstrip("/") + "/"
    async with place.storage.scan(start) as items:
        async for each in items:
            if not each.directory and (selection is None or admits(selection, each.path[len(start) :], each)):
                yield location_of(place.location, place.path, each.path), each
