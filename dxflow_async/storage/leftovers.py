"""What an interrupted job has left behind: uploads in parts, and temporary files on this machine's disks."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
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

__all__ = ["LeftUpload", "left_files", "left_uploads", "remove_files", "remove_uploads"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LeftUpload:
    """An upload that nobody resumes.

    Attributes:
        location: the location that it was to become.
        id: the provider's id of it.
        remove: removes it.
    """

    location: str
    id: str
    remove: Callable[[], Awaitable[None]]


async def left_uploads(resources: Resources, file: JobFile, area: Area | None) -> list[LeftUpload]:
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
    left = [LeftUpload(location, each.id, partial(_remove, resources, area, each)) for location, each in begun]
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
        left += [LeftUpload(shown(key), each.id, partial(_request, resources, provider, each.abort)) for each in found]
    return left


async def remove_uploads(uploads: Iterable[LeftUpload]) -> None:
    """Removes uploads, as many as possible.

    Raises:
        StorageError: the error of the first upload that could not be removed.
    """
    failures: list[StorageError] = []
    for upload in uploads:
        try:
            await upload.remove()
        except NotFoundError:
            continue
        except StorageError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def left_files(resources: Resources, file: JobFile, destination: str, area: Area | None) -> list[str]:
    """Lists the temporary files that earlier processes of a job were writing on this machine's disks. Blocks.

    Args:
        resources: the session's resources.
        file: the job's file.
        destination: the job's destination, as a whole local path or a location.
        area: the area of the destination; None for this machine's disks.
    """
    disk = (local_provider(os.sep, resources.threads) if area is None else area.provider).local_disk
    if disk is None:
        return []
    marks = file.earlier_owners
    found: list[str] = []
    for directory in _directories(file, destination, area):
        with suppress(OSError):
            found += disk.leftovers(directory, marks)
    return found


def remove_files(paths: Iterable[str]) -> None:
    """Deletes files; one that is not there is no error. Blocks."""
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)


async def _remove(resources: Resources, area: Area | None, begun: BegunUpload) -> None:
    if area is None or area.provider.local_disk is not None:
        await resources.threads.run(remove_files, [begun.id])
        return
    provider = area.provider
    upload, _ = await _request(
        resources, provider, lambda: provider.resume_upload(begun.key, begun.id, begun.receipts, ObjectOptions())
    )
    await _request(resources, provider, upload.abort)


async def _request(resources: Resources, provider: Provider, operation: Callable[[], Awaitable[T]]) -> T:
    return await request(operation, provider, limits=resources.limits, policy=resources.policy)


def _directories(file: JobFile, destination: str, area: Area | None) -> Iterator[str]:
    """The directories in which a job may have been writing; each once."""
    whole_tree = file.spec.source is not None
    for top in dict.fromkeys(_tops(file, destination, area, whole_tree=whole_tree)):
        yield from (path for path, _, _ in os.walk(top)) if whole_tree else (top,)


def _tops(file: JobFile, destination: str, area: Area | None, *, whole_tree: bool) -> Iterator[str]:
    if whole_tree:
        path = _on_disk(destination, area)
        yield path if os.path.isdir(path) else os.path.dirname(path)
        return
    last: ItemId | None = None
    while page := file.items(last):
        for ends in page:
            yield os.path.dirname(_on_disk(ends.destination, area))
        last = page[-1]


def _on_disk(shown: str, area: Area | None) -> str:
    if area is None:  # a download to a symbolic link writes beside the file that the link leads to
        return os.path.realpath(shown) if os.path.islink(shown) else shown
    disk = area.provider.local_disk
    assert disk is not None
    return disk.path(area.key(area.path_shown(shown)))
