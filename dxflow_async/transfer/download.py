"""Which objects a download moves, and the local files they become. Names from outside never leave the destination."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

from dxflow_async.exceptions import NotFoundError, UnsafePathError
from dxflow_async.models import TransferResult
from dxflow_async.paths import local_name
from dxflow_async.providers.base import Entry, ObjectOptions
from dxflow_async.providers.local import LocalProvider
from dxflow_async.providers.threads import Threads
from dxflow_async.transfer.copy import CopyJob, MarkerJob, SettledJob
from dxflow_async.transfer.engine import Job
from dxflow_async.transfer.listing import pages, stat
from dxflow_async.transfer.moving import Place, Route

__all__ = ["download", "download_to"]

_OPTIONS = ObjectOptions()


async def download(route: Route, threads: Threads, source: Place, destination: str) -> AsyncIterator[Job]:
    """The jobs that download an object, or a directory with all that is in it, into a local directory.

    Of a source written with a trailing slash only the content is meant. A destination whose last component is the
    source's name, and which is no directory yet, is the file itself.

    Raises:
        NotFoundError: no such source.
    """
    name = source.key.rpartition("/")[2]
    if not name:
        async for job in _tree(route, threads, source, destination):
            yield job
        return
    found = await stat(source.provider, source.key, limits=route.limits, policy=route.policy)
    if found is None:
        raise _nothing(source)
    if found.directory:
        whole = Place(source.provider, f"{source.key}/", f"{source.shown}/")
        async for job in _tree(route, threads, whole, os.path.join(destination, local_name(name))):
            yield job
        return
    exact = os.path.basename(destination) == name and not await threads.run(os.path.isdir, destination)
    path = destination if exact else os.path.join(destination, local_name(name))
    yield download_to(route, threads, source, path, found)


def download_to(route: Route, threads: Threads, source: Place, path: str, entry: Entry | None = None) -> Job:
    """What downloads one object to exactly that file."""
    directory, name = os.path.split(os.path.abspath(path))
    target = Place(LocalProvider(Path(directory), threads), name, path)
    return CopyJob(route, source, target, _OPTIONS, entry)


async def _tree(route: Route, threads: Threads, source: Place, destination: str) -> AsyncIterator[Job]:
    provider = LocalProvider(Path(destination), threads)
    prefix = source.key
    # A bucket or a real directory may be empty; a prefix that nothing starts with is not there.
    found = source.provider.features.directories or prefix.count("/") <= 1
    listing = pages(source.provider, prefix, recursive=True, limits=route.limits, policy=route.policy)
    async for page in listing:
        found = True
        for entry in page:
            name = entry.key[len(prefix) :]
            if name:
                start = Place(source.provider, entry.key, source.shown + name)
                yield _tree_job(route, start, provider, name, destination, entry)
    if not found:
        raise _nothing(source)
    await provider.make_directory("")


def _nothing(source: Place) -> NotFoundError:
    return NotFoundError(
        f"{source.provider.name} download of {source.shown} failed: there is no such object, and nothing below a "
        "directory of that name; check the path",
        provider=source.provider.name,
        operation="download",
        path=source.shown,
    )


def _tree_job(route: Route, source: Place, provider: LocalProvider, name: str, top: str, entry: Entry) -> Job:
    shown = os.path.join(top, name)
    try:
        key = local_name(name)
        if name.endswith("/") and entry.size:
            raise UnsafePathError(
                f"{source.provider.name} download of {source.shown} failed: its name ends in a slash, which no file "
                "can; download it under another name",
                provider=source.provider.name,
                operation="download",
                path=source.shown,
            )
    except UnsafePathError as error:
        return SettledJob(TransferResult(source.shown, shown, error=error))
    if entry.unreadable is not None:
        return SettledJob(TransferResult(source.shown, shown, skipped=entry.unreadable))
    if name.endswith("/"):
        return MarkerJob(route, source, Place(provider, f"{key}/", shown))
    return CopyJob(route, source, Place(provider, key, shown), _OPTIONS, entry)
