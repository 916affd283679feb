"""Deleting files and directories at an engine: files in batches, directories from the bottom up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress

from dxflow_async.providers import (
    AlreadyExistsError,
    Call,
    Entry,
    NotFoundError,
    StorageError,
    UnsupportedError,
    for_each,
    not_the_service,
)
from dxflow_async.providers.engine.artifacts import Artifacts
from dxflow_async.providers.engine.errors import error_of
from dxflow_async.providers.engine.loops import LOOP, is_loop
from dxflow_async.providers.engine.names import changeable
from dxflow_async.providers.engine.requests import Requests

__all__ = ["Deletion"]

_BATCH_SIZE = 100
_AT_A_TIME = 4
_FEW = 3
"""Names of one directory that are looked up one by one; for more, the directory is listed."""

_NO_BATCHES = (400, 404, 405, 500, 501)


class Deletion:
    """Deletes names, and never what lies below them by accident.

    Args:
        requests: sends the requests.
        artifacts: looks at names.

    Attributes:
        batches: whether the engine deletes several files with one request; None: not known yet.
    """

    def __init__(self, requests: Requests, artifacts: Artifacts) -> None:
        self.batches: bool | None = None
        self._requests = requests
        self._artifacts = artifacts

    async def delete(self, name: str, keys: Sequence[str]) -> dict[str, StorageError]:
        """Deletes files, and directories with their content; returns the errors of those that are not deleted.

        Args:
            name: the provider's, for errors.
            keys: as for `Provider.delete`.
        """
        failed: dict[str, StorageError] = {}
        calls = {key: Call(name, "delete", f"/{key}") for key in keys}
        files: list[str] = []
        directories: list[str] = []
        for key, call in calls.items():
            try:
                changeable(call, key)
            except StorageError as error:
                failed[key] = error
            else:
                (directories if key.endswith("/") else files).append(key)
        found = await self._files(calls, files, failed)
        failed.update(await self._delete_files(calls, found))
        for key in directories:
            try:
                await self.delete_tree(calls[key], key)
            except StorageError as error:
                failed[key] = error
        return failed

    async def delete_tree(self, call: Call, key: str) -> None:
        """Deletes a directory with its content; one that does not exist is no error.

        Raises:
            StorageError: something in it could not be deleted; what could be is.
        """
        entry = await self._artifacts.find(call, key)
        if entry is None:
            return
        if not entry.directory:
            raise call.error(NotFoundError, "it is a file, not a directory; check the path")
        directories, errors = await self._empty_tree(call, key)
        for directory in reversed(directories):
            try:
                await self.remove_directory(call, directory)
            except NotFoundError:
                continue
            except StorageError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def _empty_tree(self, call: Call, key: str) -> tuple[list[str], list[StorageError]]:
        """Deletes the files of a tree; returns its directories from the top down, and the errors."""
        directories, number, errors = [key], 0, list[StorageError]()
        inner: dict[str, frozenset[str]] = {}
        while number < len(directories):
            directory = directories[number]
            number += 1
            try:
                entries = await self._artifacts.directory(call, directory, temporary=True)
            except NotFoundError:
                continue
            below = [each.key for each in entries if each.directory]
            inner[directory] = frozenset(each[len(directory) :] for each in below)
            if is_loop(inner[directory], (inner[each] for each in _above(directory) if each in inner)):
                raise call.error(StorageError, f"/{directory} is {LOOP}")
            directories += below
            nameless = [each for each in entries if each.read_error == "EILSEQ"]
            if nameless:
                text = f"the engine cannot tell the name of /{nameless[0].key}; delete it on its machine"
                errors.append(call.error(StorageError, text))
            files = [each.key for each in entries if not each.directory and each.read_error != "EILSEQ"]
            errors += (await self._delete_files(dict.fromkeys(files, call), files)).values()
        return directories, errors

    async def remove_directory(self, call: Call, key: str) -> None:
        """Removes a directory that is empty. An engine would delete a filled one, too, so it is listed just before.

        Raises:
            AlreadyExistsError: it is not empty.
            NotFoundError: there is no such directory.
        """
        path = changeable(call, key)
        if await self._artifacts.directory(call, f"{path}/", temporary=True):
            raise call.error(AlreadyExistsError, "the directory is not empty; delete what is in it first")
        await self._delete_one(call, path)
        if await self._artifacts.find(call, path) is not None:
            raise not_the_service(call, "a directory that was deleted is still listed")

    async def _files(self, calls: dict[str, Call], keys: Sequence[str], failed: dict[str, StorageError]) -> list[str]:
        """Returns the keys that are files; a directory of that name is an error, and what is missing is left out."""
        by_parent: defaultdict[str, list[str]] = defaultdict(list)
        for key in keys:
            parent, slash, _ = key.rpartition("/")
            by_parent[parent + slash].append(key)
        found: list[str] = []

        async def look(parent: str) -> None:
            mine = by_parent[parent]
            entries: dict[str, Entry] = {}
            try:
                if len(mine) > _FEW:
                    with suppress(NotFoundError):
                        every = await self._artifacts.directory(calls[mine[0]], parent, temporary=True)
                        entries = {each.key.removesuffix("/"): each for each in every}
                else:
                    for key in mine:
                        if (entry := await self._artifacts.find(calls[key], key)) is not None:
                            entries[key] = entry
            except StorageError as error:
                failed.update(dict.fromkeys(mine, error))
                return
            for key in mine:
                if key in entries and entries[key].directory:
                    text = "a directory has that name; add a slash to delete it"
                    failed[key] = calls[key].error(AlreadyExistsError, text)
                elif key in entries:
                    found.append(key)

        await for_each(list(by_parent), look, _AT_A_TIME)
        return found

    async def _delete_files(self, calls: dict[str, Call], keys: Sequence[str]) -> dict[str, StorageError]:
        failed: dict[str, StorageError] = {}
        batches = [keys[start : start + _BATCH_SIZE] for start in range(0, len(keys), _BATCH_SIZE)]

        async def delete(batch: Sequence[str]) -> None:
            left = batch
            if len(batch) > 1 and self.batches is not False:
                left = await self._delete_batch(calls, batch, failed)
            for key in left:
                try:
                    await self._delete_one(calls[key], key)
                except StorageError as error:
                    failed[key] = error

        # The first batch shows whether there are batches.
        if batches and self.batches is None:
            await delete(batches.pop(0))
        await for_each(batches, delete, _AT_A_TIME)
        return failed

    async def _delete_batch(
        self, calls: dict[str, Call], keys: Sequence[str], failed: dict[str, StorageError]
    ) -> Sequence[str]:
        """Deletes files with one request; returns those of which the answer says nothing."""
        call = calls[keys[0]]
        try:
            answer = await self._requests.artifacts(call, "DELETE", "batch/", document={"identities": list(keys)})
        except StorageError as error:
            if error.status in _NO_BATCHES or isinstance(error, UnsupportedError | NotFoundError):
                self.batches = False
            elif error.status is not None and error.status < 500:
                failed.update(dict.fromkeys(keys, error))
                return ()
            return keys
        told: dict[str, str] = {}
        for payload in answer.payloads:
            if isinstance(payload, dict) and isinstance(payload.get("identity"), str):
                reason = payload.get("error")
                told[payload["identity"].removeprefix("./").lstrip("/")] = reason if isinstance(reason, str) else ""
        for key in keys:
            if told.get(key):
                refusal = error_of(calls[key], 500, {}, told[key])
                if not isinstance(refusal, NotFoundError):
                    failed[key] = refusal
        left = [key for key in keys if key not in told]
        self.batches = len(left) < len(keys)
        return left

    async def _delete_one(self, call: Call, path: str) -> None:
        with suppress(NotFoundError):
            await self._requests.delete(call, path)


def _above(directory: str) -> Iterator[str]:
    """Yields the directories above one, each with its slash."""
    end = directory.rfind("/", 0, -1)
    while end > 0:
        yield directory[: end + 1]
        end = directory.rfind("/", 0, end)
