"""The items of a download: objects, and the local files they become. No remote name leaves the destination."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator
from functools import partial

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.working_directory import absolute_path
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.items.empty_items import SettledItem
from dxflow_async.transfer.items.overwriting import OverwritingItem
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.planning.destination import LocalDestination, taken
from dxflow_async.transfer.planning.name_claims import NameClaims
from dxflow_async.transfer.planning.relocate import look_up, relocate_found

__all__ = ["download", "download_each"]

_OPTIONS = ObjectOptions()


async def download(
    context: TransferContext, threads: Threads, source: Place, destination: str, *, overwrite: Overwrite = True
) -> AsyncIterator[TransferItem]:
    """Yields the items that download an object, or a directory with everything in it, into a local directory.

    Of a source with a trailing slash only the content is downloaded. A destination whose last component is the source's
    name, and which is not a directory, is the new file itself.

    Raises:
        NotFoundError: there is no such source.
    """
    found = await look_up(context, source, "download")
    same_name = not found.directory and os.path.basename(destination) == source.key.rpartition("/")[2]
    into = not same_name or await threads.run(os.path.isdir, destination)
    end = LocalDestination(destination, threads, into=into)
    async for item in relocate_found(context, source, found, end, _OPTIONS, operation="download", overwrite=overwrite):
        yield item


async def download_each(
    context: TransferContext,
    threads: Threads,
    pairs: AsyncIterable[tuple[Place, str]],
    *,
    overwrite: Overwrite = True,
) -> AsyncIterator[TransferItem]:
    """Yields the items that download objects to exactly those files. The second of two equal files is refused."""
    exact, alike = NameClaims(), NameClaims(folds=True)
    confusing: dict[str, bool] = {}
    async for source, path in pairs:
        target = LocalDestination(path, threads, into=False).named("")
        whole = _absolute(path)
        parent = os.path.dirname(whole)
        free = exact.take(whole, source.shown)
        if free and not alike.take(whole, source.shown):
            if parent not in confusing:
                confusing[parent] = await LocalDestination(parent, threads, into=True).folds_names()
            free = not confusing[parent]
        if free:
            make = partial(_item, context, source, target)
            if overwrite is True:
                yield make(_OPTIONS)
            else:
                yield OverwritingItem(context, source, target, None, _OPTIONS, overwrite, make)
        else:
            error = taken(source, target, "download")
            yield SettledItem(TransferResult(source.shown, target.shown, error=error))


def _item(context: TransferContext, source: Place, target: Place, options: ObjectOptions) -> TransferItem:
    return CopyItem(context, source, target, options)


def _absolute(path: str) -> str:
    return absolute_path(path)
