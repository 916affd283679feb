"""The items of an upload: local files, and the names they get."""

from __future__ import annotations

import glob
import os
from collections.abc import AsyncIterable, AsyncIterator, Sequence

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.working_directory import absolute_path
from dxflow_async.exceptions import ConfigurationError, NotFoundError, StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.choose import item_for
from dxflow_async.transfer.items.empty_items import SettledItem
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.planning.destination import Destination, LocalPlaces, RemoteDestination, taken
from dxflow_async.transfer.planning.name_claims import NameClaims
from dxflow_async.transfer.planning.relocate import check_single, relocate

__all__ = ["expand", "upload", "upload_each"]


async def expand(threads: Threads, pattern: str) -> list[str]:
    """Returns the path itself if it exists; else the sorted paths that match it as a glob pattern.

    Raises:
        NotFoundError: there is no such file, and nothing matches.
    """
    paths = await threads.run(_expand, pattern)
    if not paths:
        reason = "there is no such file, and nothing matches it; check the path"
        if pattern.endswith("/") and await threads.run(os.path.isfile, absolute_path(pattern.rstrip("/"))):
            reason = "it is a file, and no directory; leave out the slash at its end"
        raise NotFoundError(
            f"LOCAL read of {pattern} failed: {reason}",
            provider="LOCAL",
            operation="read",
            path=pattern,
        )
    return paths


async def upload(
    context: TransferContext,
    files: LocalPlaces,
    sources: Sequence[str],
    destination: Destination,
    options: ObjectOptions,
    *,
    operation: str = "upload",
    move: bool = False,
    overwrite: Overwrite = True,
) -> AsyncIterator[TransferItem]:
    """Yields the items that transfer local files, directories with everything in them, and the matches of patterns.

    `destination.py` has the rules of names.

    Raises:
        NotFoundError: there is no such source.
        ConfigurationError: several sources have one destination.
    """
    paths, missing = await _expand_each(files.threads, sources, destination)
    several = len(paths) + len(missing) > 1
    if several and not destination.into:
        named = f"{sources[0]} matches {len(paths)} files" if len(sources) == 1 else f"there are {len(sources)} sources"
        raise ConfigurationError(f"{named}, and {destination.shown} is one name; end it in a slash for a directory")
    if several:
        check_single(files.place(sources[0]), options, operation)
        await destination.prepare(context, several=True)
    for result in missing:
        yield SettledItem(result)
    for path in paths:
        place = files.place(path)
        try:
            async for item in relocate(
                context, place, destination, options, operation=operation, move=move, overwrite=overwrite
            ):
                yield item
        except StorageError as error:
            if not several:
                raise
            yield SettledItem(TransferResult(path, destination.shown, error=error))


async def upload_each(
    context: TransferContext,
    files: LocalPlaces,
    pairs: AsyncIterable[tuple[str, Place]],
    options: ObjectOptions,
    *,
    overwrite: Overwrite = True,
) -> AsyncIterator[TransferItem]:
    """Plans the upload of local files to exactly those places. The second of two files for one place is refused."""
    claims = NameClaims()
    async for path, target in pairs:
        destination = RemoteDestination(target)
        source = files.place(path)
        if not claims.take(target.shown, source.shown):
            error = taken(source, target, "upload")
            yield SettledItem(TransferResult(source.shown, target.shown, error=error))
            continue
        yield item_for(context, source, destination, target, None, options, operation="upload", overwrite=overwrite)


async def _expand_each(
    threads: Threads, sources: Sequence[str], destination: Destination
) -> tuple[list[str], list[TransferResult]]:
    """Returns the paths of all sources, and the results of those that do not exist.

    Raises:
        NotFoundError: the only source does not exist.
    """
    paths: list[str] = []
    missing: list[TransferResult] = []
    for source in sources:
        try:
            paths += await expand(threads, source)
        except NotFoundError as error:
            if len(sources) == 1:
                raise
            missing.append(TransferResult(source, destination.shown, error=error))
    return paths, missing


def _expand(pattern: str) -> list[str]:
    if os.path.lexists(pattern):
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True, include_hidden=False)) if glob.has_magic(pattern) else []
