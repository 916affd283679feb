"""Conditions of writes, for services that do not obey them themselves, and the errors where they do not hold."""

from __future__ import annotations

from collections.abc import Sequence

from dxflow_async.digests import RunningDigest
from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, PreconditionFailedError, StorageError
from dxflow_async.presumed_digests import PartsDigest
from dxflow_async.providers.contract import Body, Entry, ObjectOptions, Part, PartReceipt, Provider, Upload
from dxflow_async.providers.http import Call

__all__ = [
    "EXISTS",
    "REPLACED",
    "ConditionalUpload",
    "LooksFirst",
    "check_absent",
    "check_condition",
    "check_matching",
    "refused",
]

EXISTS = "there is an object of that name already, and it must not be replaced; choose another name"
REPLACED = "the object does not have the etag that was asked for; look at it again, nothing was changed"


class ConditionalUpload(Upload):
    """An upload whose condition is checked right before it is finished, because the service does not check it.

    Args:
        provider, call, key: the object.
        upload: the upload.
        options: the condition.
    """

    def __init__(self, provider: Provider, call: Call, key: str, upload: Upload, options: ObjectOptions) -> None:
        self.id = upload.id
        self._provider = provider
        self._call = call
        self._key = key
        self._upload = upload
        self._options = options

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        return await self._upload.write_part(part, body)

    async def copy_part(self, part: Part, source: Entry) -> PartReceipt:
        return await self._upload.copy_part(part, source)

    async def digest(self, algorithm: str) -> bytes | None:
        return await self._upload.digest(algorithm)

    async def add_to_digest(self, digest: RunningDigest | PartsDigest, offset: int, size: int) -> bool:
        return await self._upload.add_to_digest(digest, offset, size)

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        await check_condition(self._provider, self._call, self._key, self._options)
        return await self._upload.finish(receipts, crc32c)

    async def abort(self) -> None:
        await self._upload.abort()


class LooksFirst(Provider):
    """The base of providers whose service may not check conditions itself; `Features.atomic_replace` says so."""

    def _checked(self, call: Call, key: str, upload: Upload, options: ObjectOptions) -> Upload:
        """Returns an upload that looks at the object before it replaces it, where the service may not."""
        checked = options.conditional and not self.features.atomic_replace
        return ConditionalUpload(self, call, key, upload, options) if checked else upload

    async def check_condition(self, call: Call, key: str, options: ObjectOptions) -> None:
        """Checks the condition of a write or a deletion, where the service may not; see `check_condition`."""
        if options.conditional and not self.features.atomic_replace:
            await check_condition(self, call, key, options)


async def check_condition(provider: Provider, call: Call, key: str, options: ObjectOptions) -> None:
    """Looks an object up, and checks the condition of a write.

    Another writer may come between the look and the write, so this is for services that do not obey conditions
    themselves: see `Features.atomic_create` and `Features.atomic_replace`.

    Args:
        provider: looks the object up.
        call: the write, for errors.
        key: the object's.
        options: of the write; without a condition nothing is looked up.

    Raises:
        AlreadyExistsError: `options.if_absent` is set, and there is an object.
        PreconditionFailedError: the object has another etag than `options.if_match`, or there is none.
        StorageError: as `Provider.stat`.

    Example:
        >>> async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        ...     await check_condition(self, Call(self.name, "write", f"/{key}"), key, options)
        ...     return await self.put(key, body)
    """
    if options.if_absent:
        await check_absent(provider, call, key)
    elif options.if_match is not None:
        await check_matching(provider, call, key, options.if_match)


async def check_absent(provider: Provider, call: Call, key: str) -> None:
    """Checks that there is no object.

    Args:
        provider: looks the object up.
        call: the write, for errors.
        key: the object's.

    Raises:
        AlreadyExistsError: there is one.
        StorageError: as `Provider.stat`. A bucket that does not exist is an error, too.

    Example:
        >>> await check_absent(provider, Call("DAV", "write", "/a.csv"), "a.csv")
    """
    try:
        await provider.stat(key)
    except NotFoundError as error:
        if error.code == "NoSuchBucket":
            raise
        return
    raise call.error(AlreadyExistsError, EXISTS)


async def check_matching(provider: Provider, call: Call, key: str, etag: str) -> None:
    """Checks that an object has an etag.

    Args:
        provider: looks the object up.
        call: the write or the deletion, for errors.
        key: the object's.
        etag: the one that it has to have, as in `Entry.etag`.

    Raises:
        PreconditionFailedError: it has another one or none, or there is no such object.
        StorageError: as `Provider.stat`.

    Example:
        >>> await check_matching(provider, Call("DAV", "delete", "/a.csv"), "a.csv", entry.etag)
    """
    try:
        found = await provider.stat(key)
    except NotFoundError as error:
        raise call.error(PreconditionFailedError, REPLACED, code=error.code) from error
    if found.etag is None or not await provider.same_version(etag, found):
        raise call.error(PreconditionFailedError, REPLACED)


def refused(call: Call, options: ObjectOptions, error: StorageError, *, missing: bool = False) -> StorageError:
    """Returns the error of a write whose condition the service says does not hold; any other error as it is.

    Args:
        call, options: the write.
        error: the service's answer.
        missing: it says that there is no object.
    """
    if options.if_absent and (error.status == 412 or isinstance(error, AlreadyExistsError)):
        if error.status == 412 or error.code in ("BlobAlreadyExists", "conflict"):
            return call.error(AlreadyExistsError, EXISTS, status=error.status, code=error.code)
    elif options.if_match is not None and (error.status == 412 or missing):
        return call.error(PreconditionFailedError, REPLACED, status=error.status, code=error.code)
    return error
