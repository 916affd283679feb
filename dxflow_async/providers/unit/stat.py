"""Looks up files and directories of a unit, also to confirm that something was stored, copied or deleted."""

from __future__ import annotations

from collections.abc import Iterable

from dxflow_async.exceptions import NotFoundError, StorageError, UnsupportedError
from dxflow_async.providers.common.confirm import check_status, contradiction, not_the_service
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit.items import entry_of, is_named
from dxflow_async.providers.unit.listing import read_directory
from dxflow_async.providers.unit.protocol import Announced
from dxflow_async.providers.unit.requests import Requests

__all__ = ["confirm_stored", "left_of", "look_up"]


async def look_up(requests: Requests, announced: Announced, call: Call, key: str, *, summed: bool = False) -> Entry:
    """Returns the file or directory at a key. `summed` computes the checksum of a file if the server keeps none.

    Raises:
        NotFoundError: it does not exist.
        ServiceError: the response is about something else.
    """
    times, modes = "mtime" in announced.ours, "mode" in announced.ours
    if "stat" not in announced.ours:
        return await _look_up_in_directory(requests, call, key, times=times, modes=modes)
    response = await requests.ask(call, "GET", "stat", key, query="&checksum=true" if summed else "")
    check_status(call, response, 200)
    item = await requests.document(call, response)
    name = key.removesuffix("/")
    entry = entry_of(call, item, "", times=times, modes=modes, key=name)
    if not is_named(item, name.rpartition("/")[2]):
        raise contradiction(call, "the answer names another file")
    return entry


async def _look_up_in_directory(requests: Requests, call: Call, key: str, *, times: bool, modes: bool) -> Entry:
    name = key.removesuffix("/")
    above = _above(name)
    for entry in await read_directory(requests, call, above, times=times, modes=modes):
        if entry.key.removesuffix("/") == name:
            return entry
    raise call.error(NotFoundError, "there is nothing of that name; check the path")


async def confirm_stored(requests: Requests, announced: Announced, call: Call, key: str, size: int) -> Entry:
    """Looks up a stored file when the response did not prove to be the unit's.

    Raises:
        ServiceError: the file is missing, or has another size.
    """
    try:
        found = await look_up(requests, announced, call, key)
    except NotFoundError as error:
        raise not_the_service(call, "nothing is stored under that name") from error
    if found.size != size or found.directory:
        raise not_the_service(call, f"{found.size} bytes are stored where {size} were expected")
    return found


async def left_of(requests: Requests, call: Call, keys: Iterable[str]) -> dict[str, StorageError]:
    """Returns deleted keys that still exist, each with its error; asks once per directory."""
    by_directory: dict[str, list[str]] = {}
    for key in keys:
        by_directory.setdefault(_above(key.removesuffix("/")), []).append(key)
    failed: dict[str, StorageError] = {}
    for directory, deleted in by_directory.items():
        try:
            entries = await read_directory(requests, call, directory, times=False)
        except (NotFoundError, UnsupportedError):  # gone with its content, or too large to be read for this
            continue
        except StorageError as error:
            failed |= dict.fromkeys(deleted, error)
            continue
        there = {entry.key.removesuffix("/") for entry in entries}
        for key in deleted:
            if key.removesuffix("/") in there:
                failed[key] = not_the_service(call._replace(path=f"{call.path}{key}"), "it is there still")
    return failed


def _above(name: str) -> str:
    return name[: name.rfind("/") + 1]
