"""Looks up files and directories of a unit, also to confirm that something was stored, copied or deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dxflow_async.concurrency.shared_rounds import SharedRounds
from dxflow_async.exceptions import NotFoundError, StorageError, UnsupportedError
from dxflow_async.providers.common.confirm import check_status, contradiction, not_the_service
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit.items import entry_of, is_named
from dxflow_async.providers.unit.listing import read_directory
from dxflow_async.providers.unit.protocol import Announced
from dxflow_async.providers.unit.requests import Requests

__all__ = ["Looks"]


class Looks:
    """Looks at what a unit has.

    A server that cannot be asked about one name lists its directory. Calls that wait for a listing of one directory at
    the same time share it.

    Args:
        requests: sends the requests.
        announced: what the server can do.
    """

    def __init__(self, requests: Requests, announced: Announced) -> None:
        self._requests = requests
        self._ours = announced.ours
        self._directories: SharedRounds[Mapping[str, Entry]] = SharedRounds()

    async def look_up(self, call: Call, key: str, *, summed: bool = False) -> Entry:
        """Returns the file or directory at a key. `summed` computes the checksum of a file if the server keeps none.

        Raises:
            NotFoundError: it does not exist.
            ServiceError: the response is about something else.
        """
        name = key.removesuffix("/")
        if "stat" not in self._ours:
            found = (await self._inside(call, _above(name))).get(name)
            if found is None:
                raise call.error(NotFoundError, "there is nothing of that name; check the path")
            return found
        response = await self._requests.ask(
            call, "GET", "stat", key, query="&checksum=true" if summed else "", slow=summed
        )
        check_status(call, response, 200)
        item = await self._requests.document(call, response)
        entry = entry_of(call, item, "", times="mtime" in self._ours, modes="mode" in self._ours, key=name)
        if not is_named(item, name.rpartition("/")[2]):
            raise contradiction(call, "the answer names another file")
        return entry

    async def confirm_stored(self, call: Call, key: str, size: int) -> Entry:
        """Looks up a stored file when the response did not prove to be the unit's.

        Raises:
            ServiceError: the file is missing, or has another size.
        """
        try:
            found = await self.look_up(call, key)
        except NotFoundError as error:
            raise not_the_service(call, "nothing is stored under that name") from error
        if found.size != size or found.directory:
            raise not_the_service(call, f"{found.size} bytes are stored where {size} were expected")
        return found

    async def left_of(self, call: Call, keys: Iterable[str]) -> dict[str, StorageError]:
        """Returns deleted keys that still exist, each with its error; asks once per directory."""
        by_directory: dict[str, list[str]] = {}
        for key in keys:
            by_directory.setdefault(_above(key.removesuffix("/")), []).append(key)
        failed: dict[str, StorageError] = {}
        for directory, deleted in by_directory.items():
            try:
                there = await self._inside(call, directory)
            except (NotFoundError, UnsupportedError):  # gone with its content, or too large to be read for this
                continue
            except StorageError as error:
                failed |= dict.fromkeys(deleted, error)
                continue
            for key in deleted:
                if key.removesuffix("/") in there:
                    failed[key] = not_the_service(call._replace(path=f"{call.path}{key}"), "it is there still")
        return failed

    async def _inside(self, call: Call, directory: str) -> Mapping[str, Entry]:
        """Returns what is in a directory now, by name."""

        async def read() -> Mapping[str, Entry]:
            times, modes = "mtime" in self._ours, "mode" in self._ours
            entries = await read_directory(self._requests, call, directory, times=times, modes=modes)
            return {entry.key.removesuffix("/"): entry for entry in entries}

        return await self._directories.run(directory, read)


def _above(name: str) -> str:
    return name[: name.rfind("/") + 1]
