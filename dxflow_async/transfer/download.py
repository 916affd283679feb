"""Which objects a download moves, and the local files they become. Names from outside never leave the destination."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from dxflow_async.providers.base import ObjectOptions
from dxflow_async.providers.threads import Threads
from dxflow_async.transfer.copy import CopyJob
from dxflow_async.transfer.ends import LocalEnd
from dxflow_async.transfer.engine import Job
from dxflow_async.transfer.moving import Place, Route
from dxflow_async.transfer.relocate import look_up, relocate_found

__all__ = ["download", "download_to"]

_OPTIONS = ObjectOptions()


async def download(route: Route, threads: Threads, source: Place, destination: str) -> AsyncIterator[Job]:
    """The jobs that download an object, or a directory with all that is in it, into a local directory.

    Of a source written with a trailing slash only the content is meant. A destination whose last component is the
    source's name, and which is no directory yet, is the file itself.

    Raises:
        NotFoundError: no such source.
    """
    found = await look_up(route, source, "download")
    same_name = not found.directory and os.path.basename(destination) == source.key.rpartition("/")[2]
    into = not same_name or await threads.run(os.path.isdir, destination)
    end = LocalEnd(destination, threads, into=into)
    async for job in relocate_found(route, source, found, end, _OPTIONS, operation="download"):
        yield job


def download_to(route: Route, threads: Threads, source: Place, path: str) -> Job:
    """What downloads one object to exactly that file."""
    return CopyJob(route, source, LocalEnd(path, threads, into=False).named(""), _OPTIONS)
