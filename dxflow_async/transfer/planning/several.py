"""The items that copy or move several remote sources: by their names, by patterns, or in pairs with their targets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial

from dxflow_async.concurrency.pool import results_of
from dxflow_async.exceptions import ConfigurationError, NotFoundError, StorageError
from dxflow_async.glob_patterns import has_magic
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Entry, ObjectOptions
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.empty_items import SettledItem
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.planning.destination import Destination, RemoteDestination, directory
from dxflow_async.transfer.planning.directories import make_directory
from dxflow_async.transfer.planning.globbing import matching
from dxflow_async.transfer.planning.relocate import check_single, look_up, relocate_found

__all__ = ["copy_pairs", "relocate_each"]

_AHEAD = 128
"""How many sources of pairs are looked up together."""


async def relocate_each(
    context: TransferContext,
    sources: Sequence[Place],
    destination: Destination,
    options: ObjectOptions,
    *,
    operation: str,
    move: bool = False,
    overwrite: Overwrite = True,
) -> AsyncIterator[TransferItem]:
    """Yields the items that copy or move objects, directories, and the matches of patterns.

    `destination.py` has the rules of names. Of several sources, one that does not exist is a failed item.

    Args:
        context: the call's context.
        sources: the sources; a key may be a pattern.
        destination: the destination of the call.
        options: the options of new objects.
        operation: the operation, for errors.
        move: whether the sources are deleted.
        overwrite: what happens to objects that are there already.

    Raises:
        NotFoundError: the only source does not exist, or nothing matches it.
        ConfigurationError: several sources have one destination.
    """
    several, prepared = len(sources) > 1, False
    if several:
        _check_into(destination, f"there are {len(sources)} sources")
    for source in sources:
        try:
            async with aclosing(_found(context, source, operation)) as found:
                ahead: tuple[Place, Entry] | None = await anext(found)
                while ahead is not None:
                    place, entry = ahead
                    ahead = await anext(found, None)
                    if ahead is not None and not several:
                        _check_into(destination, f"{source.shown} matches several objects")
                        several = True
                    if several and not prepared:
                        check_single(source, options, operation)
                        await destination.prepare(context, several=True)
                        prepared = True
                    async for item in _items(
                        context, place, entry, destination, options, operation, move, overwrite, single=not several
                    ):
                        yield item
        except StorageError as error:
            if not several:
                raise
            yield SettledItem(TransferResult(source.shown, destination.shown, error=error))


async def copy_pairs(
    context: TransferContext,
    pairs: AsyncIterable[tuple[Place, Place]],
    options: ObjectOptions,
    *,
    overwrite: Overwrite = True,
) -> AsyncIterator[TransferItem]:
    """Yields the items that copy objects to exactly those places. Of a directory, only itself is made.

    Args:
        context: the call's context.
        pairs: sources and targets.
        options: the options of new objects.
        overwrite: what happens to objects that are there already.
    """
    batch: list[tuple[Place, Place]] = []
    async for pair in pairs:
        batch.append(pair)
        if len(batch) >= _AHEAD:
            async for item in _copies(context, batch, options, overwrite):
                yield item
            batch = []
    async for item in _copies(context, batch, options, overwrite):
        yield item


async def _copies(
    context: TransferContext, pairs: Sequence[tuple[Place, Place]], options: ObjectOptions, overwrite: Overwrite
) -> AsyncIterator[TransferItem]:
    looks = [partial(_look, context, source) for source, _ in pairs]
    for (source, target), found in zip(pairs, await results_of(looks, _AHEAD), strict=True):
        try:
            if isinstance(found, StorageError):
                raise found
            if found.directory:
                await make_directory(context, directory(target))
                continue
            end = RemoteDestination(target)
            async for item in relocate_found(
                context, source, found, end, options, operation="copy", overwrite=overwrite
            ):
                yield item
        except StorageError as error:
            yield SettledItem(TransferResult(source.shown, target.shown, error=error))


async def _look(context: TransferContext, source: Place) -> Entry | StorageError:
    try:
        return await look_up(context, source, "copy")
    except StorageError as error:
        return error


async def _items(
    context: TransferContext,
    place: Place,
    entry: Entry,
    destination: Destination,
    options: ObjectOptions,
    operation: str,
    move: bool,
    overwrite: Overwrite,
    *,
    single: bool,
) -> AsyncIterator[TransferItem]:
    """Yields the items of one source. Of several sources, an error is that source's own."""
    try:
        async for item in relocate_found(
            context, place, entry, destination, options, operation=operation, move=move, overwrite=overwrite
        ):
            yield item
    except StorageError as error:
        if single:
            raise
        yield SettledItem(TransferResult(place.shown, destination.shown, error=error))


async def _found(context: TransferContext, source: Place, operation: str) -> AsyncGenerator[tuple[Place, Entry], None]:
    """Yields a source, or what matches it as a pattern.

    Raises:
        NotFoundError: there is nothing.
    """
    if not has_magic(source.key):
        yield source, await look_up(context, source, operation)
        return
    found, alike = False, _shared_end(source.key, source.shown)
    start, top = source.shown[: len(source.shown) - alike], source.key[: len(source.key) - alike]
    async for entry in matching(source.provider, source.key, hidden=True, limits=context.limits, policy=context.policy):
        found = True
        key = entry.key if source.key.endswith("/") else entry.key.removesuffix("/")
        yield Place(source.provider, key, start + key[len(top) :]), entry
    if not found:
        raise NotFoundError(
            f"{source.provider.name} {operation} of {source.shown} failed: nothing matches; check the pattern",
            provider=source.provider.name,
            operation=operation,
            path=source.shown,
        )


def _shared_end(one: str, other: str) -> int:
    """Returns how many characters at the end two texts share."""
    count = 0
    while count < min(len(one), len(other)) and one[-count - 1] == other[-count - 1]:
        count += 1
    return count


def _check_into(destination: Destination, what: str) -> None:
    if not destination.into:
        raise ConfigurationError(f"{what}, and {destination.shown} is one name; end it in a slash for a directory")
