"""Which local files an upload moves, and the names they get."""

from __future__ import annotations

import glob
import os
from collections.abc import AsyncIterable, AsyncIterator

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ConfigurationError, NotFoundError, StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.choose import item_for
from dxflow_async.transfer.items.empty_items import SettledItem
from dxflow_async.transfer.planning.destination import Destination, LocalPlaces, RemoteDestination
from dxflow_async.transfer.planning.tree import relocate

__all__ = ["expand", "upload", "upload_each"]


async def expand(threads: Threads, pattern: str) -> list[str]:
    """The path itself when there is such a file; else what the glob pattern matches, sorted.

    Raises:
        NotFoundError: nothing does.
    """
    paths = await threads.run(_expand, pattern)
    if not paths:
        raise NotFoundError(
            f"LOCAL read of {pattern} failed: there is no such file, and nothing matches it; check the path",
            provider="LOCAL",
            operation="read",
            path=pattern,
        )
    return paths


async def upload(
    context: TransferContext,
    files: LocalPlaces,
    source: str,
    end: Destination,
    options: ObjectOptions,
    *,
    operation: str = "upload",
    move: bool = False,
) -> AsyncIterator[TransferItem]:
    """The jobs that move a local file, a directory with all that is in it, or what a glob pattern matches.

    The rules of names are those of `ends.py`.

    Raises:
        NotFoundError: no such source.
        ConfigurationError: several sources for one name.
    """
    paths = await expand(files.threads, source)
    if len(paths) > 1 and not end.into:
        raise ConfigurationError(
            f"{source} matches {len(paths)} files, and {end.shown} is one name; end it in a slash for a directory"
        )
    if len(paths) > 1:
        await end.prepare(context, several=True)
    for path in paths:
        place = files.place(path)
        try:
            async for job in relocate(context, place, end, options, operation=operation, move=move):
                yield job
        except StorageError as error:
            if len(paths) == 1:
                raise
            yield SettledItem(TransferResult(path, end.shown, error=error))


async def upload_each(
    context: TransferContext, files: LocalPlaces, pairs: AsyncIterable[tuple[str, Place]], options: ObjectOptions
) -> AsyncIterator[TransferItem]:
    """Plans the upload of local files to exactly those places."""
    async for path, target in pairs:
        end = RemoteDestination(target)
        yield item_for(context, files.place(path), end, target, None, options, operation="upload")


def _expand(pattern: str) -> list[str]:
    if os.path.lexists(pattern):
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True, include_hidden=False)) if glob.has_magic(pattern) else []
