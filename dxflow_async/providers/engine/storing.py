"""Files on their way into an engine's volume.

An engine writes an upload in place, as far as is known, and may leave half of it. So a file is uploaded under a
temporary name, looked at, and renamed. Where the engine refuses to rename onto a name that exists, the old file gets a
temporary name first: at every moment one whole version of the file exists.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from weakref import WeakValueDictionary

from anyio import CancelScope, move_on_after

from dxflow_async.providers import (
    AccessDeniedError,
    AlreadyExistsError,
    Body,
    Call,
    ChecksumMismatchError,
    Entry,
    NotFoundError,
    ServiceError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
    VerifiedBody,
    not_the_service,
)
from dxflow_async.providers.engine.artifacts import Artifacts
from dxflow_async.providers.engine.names import changeable, old_beside, part_beside
from dxflow_async.providers.engine.requests import Requests

__all__ = ["Storing"]

_CLEAN_UP_SECONDS = 10.0
_NO_BODY = (400, 411, 422, 500)
"""Statuses with which an engine may refuse an upload without a body."""

_NOT_THE_NAME = (401, 404, 413, 429, 507)
"""Statuses of a refused upload that say nothing about its name."""


class Storing:
    """Uploads, renames, and makes directories.

    Args:
        requests: sends the requests.
        artifacts: looks at names.

    Attributes:
        dotted: whether names of hidden files are kept and listed; None: not known yet.
        replaces: whether a rename replaces the file of the new name; None: not known yet.
    """

    def __init__(self, requests: Requests, artifacts: Artifacts) -> None:
        self.dotted: bool | None = None
        self.replaces: bool | None = None
        self._hides = False  # whether names with a dot first are stored and never listed
        self._requests = requests
        self._artifacts = artifacts
        self._directories: set[str] = set()
        self._making = asyncio.Lock()
        self._naming: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def write(self, call: Call, key: str, body: Body, *, rereadable: bool) -> tuple[str, VerifiedBody]:
        """Uploads a file under a temporary name, and looks at it.

        Args:
            call: the storage call.
            key: the file's own name.
            body: its content.
            rereadable: whether the body can be sent again.

        Returns:
            The temporary name, and the body, which knows its checksum.

        Raises:
            AlreadyExistsError: a directory has the file's name.
            ServiceError: the engine stored something else.
        """
        path = changeable(call, key)
        self._check_listed(call, path)
        await self.make_directories(call, path.rpartition("/")[0])
        verified = VerifiedBody(call, body)
        dotted = self.dotted is not False
        temporary = part_beside(path, dotted=dotted)
        try:
            refusal = None
            try:
                await self._upload(call, temporary, verified, rereadable=rereadable)
            except StorageError as error:
                refusal = error
            if refusal is not None and not body.size and refusal.status in _NO_BODY:
                refusal = await self._create_empty(call, temporary, refusal)
            if refusal is not None and not (dotted and self._may_be_the_name(refusal)):
                raise refusal
            found = None if refusal else await self._artifacts.written(call, temporary, body.size)
            if found is None and dotted and self.dotted is not True:
                self.dotted = False
                self._hides = refusal is None
                failure = refusal or not_the_service(call, "an upload that succeeded is not listed")
                failure.retryable = failure.progressed = True  # the next attempt uses another name
                raise failure
            self._check(call, found, body.size)
            self.dotted = dotted
            if found is not None:
                for left in self._artifacts.abandoned(found):
                    await self.discard(call, left)
        except BaseException:
            await self.discard(call, temporary)
            raise
        return temporary, verified

    async def take_name(self, call: Call, temporary: str, key: str, size: int) -> None:
        """Gives an uploaded file its name; the temporary one is gone afterwards.

        Raises:
            AlreadyExistsError: a directory has the name.
            StorageError: the file was not stored; the one that had the name has it still.
        """
        before: list[Entry | None] = []
        path = changeable(call, key)
        try:
            await self._replace(call, temporary, path, size, before)
        except BaseException:
            await self._discard_if_whole(call, temporary, path, size, before)
            raise

    async def rename(self, call: Call, source: str, key: str) -> None:
        """Renames a file or a directory; a file that has the new name is replaced.

        Raises:
            NotFoundError: there is no such file or directory.
            AlreadyExistsError: a directory has the new name.
        """
        old, new = changeable(call, source), changeable(call, key)
        if old == new:
            return
        self._check_listed(call, new)
        found = await self._artifacts.stat(call, source)
        await self.make_directories(call, new.rpartition("/")[0])
        if found.directory:
            if await self._artifacts.find(call, new) is not None:
                raise call.error(AlreadyExistsError, "something has that name; choose another name")
            try:
                await self._rename(call, old, new)
            except StorageError as error:
                if not await self._was_renamed(call, error, old, new):
                    raise
            if await self._artifacts.find(call, old) is not None or await self._artifacts.find(call, new) is None:
                raise not_the_service(call, "a directory was not renamed")
            self._directories.clear()
            return
        await self._replace(call, old, new, found.size, [])

    def _check_listed(self, call: Call, path: str) -> None:
        """Refuses a name that the engine would keep and never list."""
        if self._hides and (path.startswith(".") or "/." in path):
            text = "the engine lists no names that begin with a dot; choose another name"
            raise call.error(UnsafePathError, text)

    async def make_directories(self, call: Call, path: str) -> None:
        """Makes a directory and those above it, where they are missing.

        Raises:
            AlreadyExistsError: a file has the name of one of them.
        """
        if not path or path in self._directories:
            return
        async with self._making:
            parts = path.split("/")
            for count in range(1, len(parts) + 1):
                directory = "/".join(parts[:count])
                if directory not in self._directories:
                    await self._make_directory(call, directory)
                    self._directories.add(directory)

    def forget_directories(self) -> None:
        """Notes that directories were deleted."""
        self._directories.clear()

    async def discard(self, call: Call, path: str) -> None:
        """Removes a temporary file. Never raises, and ends within ten seconds, also in a cancelled task."""
        with CancelScope(shield=True), move_on_after(_CLEAN_UP_SECONDS), suppress(StorageError):
            await self.remove(call, path)

    async def remove(self, call: Call, path: str) -> None:
        """Removes one name; one that is gone is no error."""
        with suppress(NotFoundError):
            await self._requests.delete(call, path)

    async def _upload(self, call: Call, path: str, body: Body, *, rereadable: bool) -> None:
        try:
            response = await self._requests.send(
                call,
                "PUT",
                f"{self._requests.prefix}upload/",
                query=(("identity", path), ("force", "true")),
                headers={"content-type": "application/octet-stream"},
                body=body,
                rereadable=rereadable,
            )
        except NotFoundError as error:
            self.forget_directories()  # one was deleted meanwhile
            error.retryable = True
            error.max_attempts = 2
            raise
        await self._requests.confirm_stored(call, response)

    async def _create_empty(self, call: Call, path: str, refusal: StorageError) -> StorageError | None:
        """Makes an empty file, where the engine refuses an upload without a body; returns `refusal` if it cannot."""
        document = {"identity": path, "directory": False, "force": False}
        try:
            await self._requests.artifacts(call, "POST", document=document)
        except StorageError:
            return refusal
        return None

    def _may_be_the_name(self, error: StorageError) -> bool:
        refused = error.status is not None and 400 <= error.status < 500 and error.status not in _NOT_THE_NAME
        return refused and self.dotted is not True

    def _check(self, call: Call, found: Entry | None, size: int) -> None:
        if found is None:
            raise not_the_service(call, "an upload that succeeded is not listed")
        if found.directory or found.size != size:
            text = f"the engine stored {found.size} bytes of {size}; try again"
            raise call.error(ServiceError, text)

    async def _discard_if_whole(
        self, call: Call, temporary: str, path: str, size: int, before: list[Entry | None]
    ) -> None:
        """Removes a temporary file whose rename failed, unless it may be the only whole version.

        An engine may rename by a copy, which a lost connection or an error on its disk leaves half done.
        """
        if not before:
            await self.discard(call, temporary)
            return
        with CancelScope(shield=True), move_on_after(_CLEAN_UP_SECONDS), suppress(StorageError):
            now, was = await self._artifacts.find(call, path), before[0]
            unchanged = (now is None) if was is None else (now is not None and now.etag == was.etag)
            if unchanged or (now is not None and now.size == size):
                await self.remove(call, temporary)

    async def _replace(self, call: Call, old: str, new: str, size: int, before: list[Entry | None]) -> None:
        """Renames a file, in place of one that has the new name, which is added to `before`."""
        lock = self._naming.setdefault(new, asyncio.Lock())
        async with lock:  # what is looked up in between is our own
            there = await self._artifacts.find(call, new)
            before.append(there)
            await self._replace_alone(call, old, new, size, there)

    async def _replace_alone(self, call: Call, old: str, new: str, size: int, there: Entry | None) -> None:
        if there is not None and there.directory:
            raise call.error(AlreadyExistsError, "a directory has that name; choose another name")
        if there is None:
            await self._rename_checked(call, old, new, size)
            return
        if self.replaces is not False:
            refusal = None
            try:
                await self._rename(call, old, new)
            except (AlreadyExistsError, UnsupportedError, StorageError) as error:
                if not (_refused(error) or await self._was_renamed(call, error, old, new)):
                    raise
                refusal = error
            if await self._artifacts.find(call, old) is None:
                self._check_renamed(call, await self._artifacts.written(call, new, size), size)
                self.replaces = True
                return
            if isinstance(refusal, AccessDeniedError):
                raise refusal
            self.replaces = False
        aside = await self._free_aside(call, new)
        await self._rename_checked(call, new, aside, there.size)
        try:
            await self._rename_checked(call, old, new, size)
        except BaseException:
            await self._put_back(call, aside, new, size)
            raise
        await self.discard(call, aside)

    async def _was_renamed(self, call: Call, error: StorageError, old: str, new: str) -> bool:
        """Returns whether a rename whose answer was lost was done: only the new name is there."""
        if not error.retryable:
            return False
        with suppress(StorageError):
            return await self._artifacts.find(call, old) is None and await self._artifacts.find(call, new) is not None
        return False

    async def _free_aside(self, call: Call, path: str) -> str:
        """Returns the temporary name for a file that is about to be replaced; nothing has that name."""
        aside = old_beside(path, dotted=self.dotted is not False)
        if await self._artifacts.find(call, aside) is not None:
            # A process that was killed has left it. A newer version has the file's own name.
            await self.remove(call, aside)
            if await self._artifacts.find(call, aside) is not None:
                raise call.error(StorageError, f"/{aside} is in the way and was not deleted; delete it")
        return aside

    async def _put_back(self, call: Call, aside: str, path: str, size: int) -> None:
        """Gives a file its old name again; if the new file has got it whole, removes the old one.

        If something else has the name, such as half of a copy, both files keep their temporary names. Ends within ten
        seconds.
        """
        with CancelScope(shield=True), move_on_after(_CLEAN_UP_SECONDS), suppress(StorageError):
            found = await self._artifacts.find(call, path)
            if found is None:
                await self._rename(call, aside, path)
            elif not found.directory and found.size == size:
                await self.remove(call, aside)

    async def _rename_checked(self, call: Call, old: str, new: str, size: int) -> None:
        """Renames a file to a name that is free, and looks at it there."""
        failure = None
        try:
            await self._rename(call, old, new)
        except StorageError as error:
            if not error.retryable:
                raise
            failure = error  # the answer may be lost, and the rename done
        found = await self._artifacts.written(call, new, size) if failure is None else await self._look(call, new)
        if failure is not None and (found is None or found.directory or found.size != size):
            raise failure
        self._check_renamed(call, found, size)

    async def _look(self, call: Call, path: str) -> Entry | None:
        with suppress(StorageError):
            return await self._artifacts.find(call, path)
        return None

    def _check_renamed(self, call: Call, found: Entry | None, size: int) -> None:
        if found is None or found.directory or found.size != size:
            raise not_the_service(call, "a file that was renamed is not there")

    async def _rename(self, call: Call, old: str, new: str) -> None:
        await self._requests.artifacts(call, "PUT", "rename/", document={"identity": old, "new_identity": new})

    async def _make_directory(self, call: Call, path: str) -> None:
        refusal: StorageError | None = None
        try:
            await self._requests.artifacts(call, "POST", document={"identity": path, "directory": True, "force": False})
        except StorageError as error:
            if error.retryable and error.status is None:
                raise
            refusal = error
        found = await self._artifacts.find(call, path)
        if found is None:
            raise refusal or not_the_service(call, "a directory that was made is not listed")
        if not found.directory:
            raise call.error(AlreadyExistsError, f"/{path} is a file; choose another name") from refusal


def mismatch(call: Call, path: str) -> StorageError:
    """Returns the error for a stored file that has another checksum than its source."""
    return call.error(ChecksumMismatchError, f"the engine stored other bytes under {path}; try again")


def _refused(error: StorageError) -> bool:
    """Returns whether an engine refused a rename, as opposed to failing at it."""
    return error.status is not None and (400 <= error.status < 500 or error.status == 500) and error.status != 429
