"""Deletes blobs, many in one request where possible, and directories after their content.

An account with a hierarchical namespace refuses to delete a directory that is not empty, and executes a batch in any
order. Files are therefore deleted first, then directories, one depth after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dxflow_async.exceptions import NotFoundError, ServiceError, StorageError, UnsafePathError
from dxflow_async.providers.azure.batch import MAX_BATCH
from dxflow_async.providers.azure.confirm import deleted, look_up, names_file
from dxflow_async.providers.azure.dialects import BATCH
from dxflow_async.providers.azure.directories import Namespace
from dxflow_async.providers.azure.errors import error_of, is_token_refusal
from dxflow_async.providers.azure.headers import etag_of, is_directory
from dxflow_async.providers.azure.names import split_key
from dxflow_async.providers.azure.requests import Requests
from dxflow_async.providers.common.deletion import delete_batches, delete_each
from dxflow_async.providers.common.etags import if_match
from dxflow_async.providers.http import Call

__all__ = ["Deletions"]

_MAX_DELETERS = 8
# A missing container or a wrong key concerns every blob; other refusals may concern the batch alone.
_REFUSAL_STATUSES = (400, 403, 404, 405, 409, 411, 413, 415, 501)
_OTHER_REFUSALS = ("ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled", "AccountIsDisabled")
_WITH_SNAPSHOTS = {"x-ms-delete-snapshots": "include"}


class Deletions:
    """Deletes blobs and empty directories.

    Args:
        provider: its name, for errors.
        requests: sends the requests.
        namespace: what is known of the account's directories.
    """

    def __init__(self, provider: str, requests: Requests, namespace: Namespace) -> None:
        self._provider = provider
        self._requests = requests
        self._namespace = namespace

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        """Implements `Provider.delete`. A directory is skipped if something in it could not be deleted."""
        levels = [*_levels(keys)]
        if len(levels) == 1:
            return await self._delete_level(keys)
        failed: dict[str, StorageError] = {}
        for level in levels:
            blocked = _blocked(level, failed)
            rest = [key for key in level if key not in blocked]
            try:
                failed |= blocked | (await self._delete_level(rest) if rest else {})
            except StorageError as error:
                failed |= dict.fromkeys(level, error)
        return failed

    async def delete_one(self, key: str) -> None:
        """Deletes one key; a missing one is not an error.

        Raises:
            StorageError: it could not be deleted.
        """
        call = Call(self._provider, "delete", f"/{key}")
        container, name = split_key(call, key)
        target = self._namespace.directory_name(name)
        if name.endswith("/") and await self._is_file(call, container, target):
            return
        try:
            response = await self._requests.send(call, "DELETE", container, target, _WITH_SNAPSHOTS)
        except NotFoundError as error:
            if error.code != "BlobNotFound":
                raise
            if target.endswith("/"):
                await self._delete_directory(call, container, name.removesuffix("/"))
        else:
            await deleted(self._requests, call, container, target, response)

    async def _delete_level(self, keys: Sequence[str]) -> dict[str, StorageError]:
        # Where types are not told, each directory is looked up first: its name with a slash may delete a file.
        unknown = any(key.endswith("/") for key in keys) and not (self._namespace.typed or self._namespace.flat)
        if unknown or len(keys) == 1 or not await self._requests.batches():
            return await delete_each(keys, self.delete_one, _MAX_DELETERS)
        by_container: dict[str, list[str]] = {}
        refused: dict[str, StorageError] = {}
        for key in keys:
            try:
                container, _ = split_key(Call(self._provider, "delete", f"/{key}"), key)
            except UnsafePathError as error:
                refused[key] = error
            else:
                by_container.setdefault(container, []).append(key)
        batches = [
            same[start : start + MAX_BATCH]
            for same in by_container.values()
            for start in range(0, len(same), MAX_BATCH)
        ]
        return refused | await delete_batches(batches, self._delete_batch)

    async def _delete_batch(self, keys: Sequence[str]) -> dict[str, StorageError]:
        """Deletes keys of one container in one request, or one by one where the service refuses batches."""
        if not await self._requests.batches():
            return await delete_each(keys, self.delete_one, _MAX_DELETERS)
        try:
            return await self._delete_together(keys)
        except StorageError as error:
            if not _may_refuse_batches(error):
                raise
            failed = await delete_each(keys, self.delete_one, _MAX_DELETERS)
            if len(failed) < len(keys):
                self._requests.dialect.refuse(BATCH, f"{error.status} {error.code or ''}".strip())
            return failed

    async def _delete_together(self, keys: Sequence[str]) -> dict[str, StorageError]:
        """Deletes keys of one container in one request."""
        call, failed = Call(self._provider, "delete", f"/{keys[0]}"), dict[str, StorageError]()
        container, names = split_key(call, keys[0])[0], [split_key(call, key)[1] for key in keys]
        targets = [self._namespace.directory_name(name) for name in names]
        answers = await self._requests.delete_together(call, container, targets, _WITH_SNAPSHOTS)
        refused = len(answers) < len(keys)  # the whole batch was refused
        unclear: list[str] = []
        for key, target, answer in zip(keys, targets, answers, strict=False):
            if answer.status >= 300 and answer.code != "BlobNotFound":
                about = call._replace(path=f"/{key}")
                failed[key] = error_of(about, answer.status, answer.code, answer.message, answer.headers)
            elif answer.status != 202 and (answer.status < 300 or target.endswith("/")):
                unclear.append(key)
        if refused:
            raise failed.get(keys[0]) or call.error(
                ServiceError, "the server answered for none of the names; try again"
            )
        return failed | await delete_each(unclear, self.delete_one, _MAX_DELETERS)

    async def _is_file(self, call: Call, container: str, name: str) -> bool:
        """Returns whether a file has the name of a directory.

        A hierarchical namespace finds a file also where the name has a slash at its end, and would delete it.

        Raises:
            AccessDeniedError: the credentials may not look, so nothing is deleted.
        """
        if self._namespace.flat:
            return False
        try:
            headers = await look_up(self._requests, call, container, name)
        except NotFoundError:
            return False
        return await names_file(self._requests, call, container, name, headers, flat=False)

    async def _delete_directory(self, call: Call, container: str, name: str) -> None:
        """Deletes an empty blob that stands for a directory and whose name does not end in a slash."""
        try:
            headers = await look_up(self._requests, call, container, name)
            if is_directory(headers):
                condition = if_match(etag_of(headers))
                unchanged = {} if condition is None else {"if-match": condition}
                response = await self._requests.send(call, "DELETE", container, name, _WITH_SNAPSHOTS | unchanged)
                await deleted(self._requests, call, container, name, response)
        except NotFoundError as error:
            if error.code not in (None, "BlobNotFound"):
                raise


def _may_refuse_batches(error: StorageError) -> bool:
    if is_token_refusal(error.status or 0, error.code or "") or error.code in _OTHER_REFUSALS:
        return False
    return error.status in _REFUSAL_STATUSES


def _levels(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Returns the files, then the directories from the deepest up."""
    directories: dict[int, list[str]] = {}
    files: list[str] = []
    for key in keys:
        if key.endswith("/"):
            directories.setdefault(key.count("/"), []).append(key)
        else:
            files.append(key)
    if files or not directories:
        yield files
    for _, level in sorted(directories.items(), reverse=True):
        yield level


def _blocked(level: Sequence[str], failed: Mapping[str, StorageError]) -> dict[str, StorageError]:
    """Returns the directories that contain something that could not be deleted, each with that error."""
    blocked = {}
    for key in level:
        error = next((error for each, error in failed.items() if each.startswith(key)), None)
        if error is not None:
            blocked[key] = error
    return blocked
