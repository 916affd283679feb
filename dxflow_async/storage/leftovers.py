"""What an interrupted job has left behind: uploads in parts, and temporary files."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from dxflow_async.exceptions import NotFoundError, StorageError
from dxflow_async.providers.contract import ObjectOptions, Provider
from dxflow_async.providers.registry import local_provider
from dxflow_async.storage.area import Area
from dxflow_async.transfer.items.multipart import unknown_uploads
from dxflow_async.transfer.journal.jobfile import JobFile, known_uploads
from dxflow_async.transfer.journal.records import BegunUpload, ItemId
from dxflow_async.transfer.request import request
from dxflow_async.transfer.resources import Resources

__all__ = ["Left", "left_files", "left_uploads", "remove_each"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Left:
    """An upload that nobody resumes, or a temporary file.

    Attributes:
        location: of an upload the location that it was to become; of a file its own.
        id: the provider's id of an upload, the key of a file.
        remove: removes it.
    """

    location: str
    id: str
    remove: Callable[[], Awaitable[None]]


async def left_uploads(resources: Resources, file: JobFile, area: Area | None) -> list[Left]:
    """Lists the uploads that a job has begun, or may have begun, and that still exist.

    Args:
        resources: the session's resources.
        file: the job's file.
        area: the area of the job's destination; None for this machine's disks.
    """
    run = resources.threads.run
    uploads, orphans, creations = await run(lambda: (file.uploads(), file.orphans(), file.creations()))
    begun = [(ends.destination, each) for ends, each in uploads]
    shown: Callable[[str], str] = (lambda key: key) if area is None else (lambda key: area.shown(area.path(key)))
    begun += [(shown(key), BegunUpload(key, upload_id, None, 0, 0)) for key, upload_id in orphans]
    left = [Left(location, each.id, partial(_remove, resources, area, each)) for location, each in begun]
    if area is None or not (creations and area.provider.features.unfinished_uploads):
        return left
    home, provider = resources.settings.home, area.provider
    known = {each.id for each in left} | await run(lambda: known_uploads(home, but_of=file.id))
    for key, asked_at in creations.items():
        look = partial(unknown_uploads, provider, key, asked_at, known)
        try:
            found = await _request(resources, provider, look)
        except NotFoundError:
            continue  # the bucket was deleted, and its uploads with it
        left += [Left(shown(key), each.id, partial(_request, resources, provider, each.abort)) for each in found]
    return left


async def remove_each(left: Iterable[Left]) -> None:
    """Removes what is left, as much as possible.

    Raises:
        StorageError: the error of the first upload or file that could not be removed.
    """
    failures: list[StorageError] = []
    for each in left:
        try:
            await each.remove()
        except NotFoundError:
            continue
        except StorageError as error:
            failures.append(error)
    if failures:
        raise failures[0]


async def left_files(
    resources: Resources, file: JobFile, destination: str, area: Area | None, kept: Collection[str]
) -> list[Left]:
    """Lists the temporary files that earlier processes of a job were writing.

    Args:
        resources: the session's resources.
        file: the job's file.
        destination: the job's destination, as a whole local path or a location.
        area: the area of the destination; None for this machine's disks.
        kept: the ids of uploads, whose files are left out.
    """
    provider = local_provider(os.sep, resources.threads, follow_symlinks=True) if area is None else area.provider
    files, disk, keys = provider.temporary_files, provider.local_disk, list[str]()
    if files is None:
        return []
    owners = await resources.threads.run(lambda: file.earlier_owners)

    async def find(directory: str, *, recursive: bool) -> bool:
        look = partial(files.find, directory, owners, kept, recursive=recursive)
        try:
            keys.extend(await _request(resources, provider, look))
        except StorageError as error:  # it is that of a file, or nothing was stored yet
            if error.retryable:
                raise
            return False
        return True

    if (await resources.threads.run(lambda: file.spec)).source is None:
        for directory in await _directories(resources, file, area):
            await find(directory, recursive=False)
    else:
        key = (await resources.threads.run(_key_of, destination, area)).removesuffix("/")
        if not await find(f"{key}/" if key else "", recursive=True):
            await find(_above(key), recursive=False)

    def left(key: str) -> Left:
        location = f"/{key}" if area is None else area.shown(area.path(key)) if disk is None else disk.path(key)
        return Left(location, key, partial(_request, resources, provider, partial(files.remove, [key])))

    return list(map(left, keys))


async def _remove(resources: Resources, area: Area | None, begun: BegunUpload) -> None:
    if area is None or area.provider.local_disk is not None:
        await resources.threads.run(_unlink, begun.id)
        return
    provider = area.provider
    upload, _ = await _request(
        resources, provider, lambda: provider.resume_upload(begun.key, begun.id, begun.receipts, ObjectOptions())
    )
    await _request(resources, provider, upload.abort)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


async def _request(resources: Resources, provider: Provider, operation: Callable[[], Awaitable[T]]) -> T:
    return await request(operation, provider, limits=resources.limits, policy=resources.policy)


async def _directories(resources: Resources, file: JobFile, area: Area | None) -> list[str]:
    """Returns the keys of the directories in which a job of pairs may have been writing; each once."""
    found: dict[str, None] = {}
    last: ItemId | None = None
    while page := await resources.threads.run(file.items, last):
        keys = await resources.threads.run(_keys_of, page, area)
        found |= dict.fromkeys(map(_above, keys))
        last = page[-1]
    return list(found)


def _keys_of(items: Iterable[ItemId], area: Area | None) -> list[str]:
    return [_key_of(ends.destination, area) for ends in items]


def _key_of(shown: str, area: Area | None) -> str:
    """Returns the key of a destination. Of a local one, it may block."""
    if area is not None:
        return area.key(area.path_shown(shown))
    # A download to a symbolic link writes beside the file that the link leads to.
    plain = os.path.normpath(shown) == shown.rstrip(os.sep) and not os.path.islink(shown)
    return (shown if plain else os.path.realpath(shown)).lstrip(os.sep)


def _above(key: str) -> str:
    above, slash, _ = key.rpartition("/")
    return above + slash
