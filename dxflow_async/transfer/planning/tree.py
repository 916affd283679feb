"""Copying and moving from anywhere to anywhere; within one provider it is done by the provider where it can."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace

from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    NotFoundError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Entry, LocalDisk, ObjectOptions, Part
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.base import BaseItem
from dxflow_async.transfer.items.choose import item_for
from dxflow_async.transfer.items.empty_items import SettledItem
from dxflow_async.transfer.planning.destination import Destination, LocalDestination, below, contains, directory, taken
from dxflow_async.transfer.planning.directory_modes import DirectoryModes
from dxflow_async.transfer.planning.listing import pages, pages_to_delete, stat
from dxflow_async.transfer.request import delete_keys, request

__all__ = ["look_up", "make_directory", "relocate", "relocate_found", "remove_emptied"]


async def relocate(
    context: TransferContext,
    source: Place,
    end: Destination,
    options: ObjectOptions,
    *,
    operation: str,
    move: bool = False,
) -> AsyncIterator[TransferItem]:
    """The jobs that copy or move an object, or a directory with all that is in it.

    The rules of names are those of `ends.py`.

    Raises:
        NotFoundError: no such source.
        UnsafePathError: a destination that is the source, or lies in it.
    """
    found = await look_up(context, source, operation)
    async for job in relocate_found(context, source, found, end, options, operation=operation, move=move):
        yield job


async def look_up(context: TransferContext, source: Place, operation: str) -> Entry:
    """What is to be copied.

    Raises:
        NotFoundError: there is no such source.
    """
    found = await stat(source.provider, source.key, limits=context.limits, policy=context.policy)
    if found is None:
        raise NotFoundError(
            f"{source.provider.name} {operation} of {source.shown} failed: there is no such object or directory; "
            "check the path",
            provider=source.provider.name,
            operation=operation,
            path=source.shown,
        )
    return found


async def relocate_found(
    context: TransferContext,
    source: Place,
    found: Entry,
    end: Destination,
    options: ObjectOptions,
    *,
    operation: str,
    move: bool = False,
) -> AsyncIterator[TransferItem]:
    """As `relocate`, of a source that was looked up.

    Raises:
        UnsupportedError: the source is neither a file nor a directory, and cannot be renamed.
        UnsafePathError: as `relocate`; a destination that is neither a file nor a directory.
    """
    name = source.key.rpartition("/")[2]
    if found.directory:
        content_only = not name
        source, target = directory(source), end.directory(name)
    else:
        content_only, target = False, end.named(name)
    if await contains(source, target):
        raise _onto_itself(source, target, operation)
    resolved = await end.resolve(target, operation)
    if not found.directory:
        target = resolved
        end.claim(source, target, operation)
    if move and source.provider is target.provider and source.provider.features.rename:
        end.check(target, operation, marker=found.directory)
        yield RenameItem(context, source, target, found)
    elif move and _is_own(source) and isinstance(end, LocalDestination):
        async for job in _rename(context, source, end, target, found, whole=not content_only, named=True):
            yield job
    elif not found.directory:
        _check_readable(source, found, operation)
        yield item_for(context, source, end, target, found, options, operation=operation, move=move)
    else:
        async for job in _tree(context, source, end, target, options, operation, move):
            yield job


def _check_readable(source: Place, found: Entry, operation: str) -> None:
    """What was named is to be copied, or the call fails; in a directory the same thing is left out.

    Raises:
        UnsupportedError: it cannot be read.
    """
    if found.unreadable is not None:
        raise UnsupportedError(
            f"{source.provider.name} {operation} of {source.shown} failed: {found.unreadable}; "
            "write what it yields to a file, and copy that",
            provider=source.provider.name,
            operation=operation,
            path=source.shown,
        )


async def _tree(
    context: TransferContext,
    source: Place,
    end: Destination,
    target: Place,
    options: ObjectOptions,
    operation: str,
    move: bool,
) -> AsyncIterator[TransferItem]:
    listing = pages(source.provider, source.key, recursive=True, limits=context.limits, policy=context.policy)
    links, modes, prepared = _Links(source), DirectoryModes(source, target, context.limits, context.policy), False
    async for page in listing:
        if not prepared:
            await modes.make_above("")
            await end.prepare(context)
            prepared = True
        for entry in page:
            name = entry.key[len(source.key) :]
            if not name and not target.key:
                continue  # the marker of a local destination itself, which is made anyway
            if entry.unreadable is None:
                await modes.make_above(name)
            start, goal = below(source, name), below(target, name)
            goes = move and not await links.lead_to(name)
            if goes and entry.directory and await _was_emptied(context, start, goal):
                continue
            yield item_for(context, start, end, goal, entry, options, operation=operation, move=goes)
    await make_directory(context, target)


async def _was_emptied(context: TransferContext, source: Place, target: Place) -> bool:
    """Whether an earlier run of a move has taken out of a directory all that was in it: then it needs no marker.

    The journal of a killed run lacks the last moments, so that the destination is asked as well.
    """
    journal = context.journal
    if journal is None or not journal.goes_on or target.provider.features.directories:
        return False
    if await journal.has_moved_from(source.shown):
        return True
    with suppress(NotFoundError):  # the bucket itself is not there: what is to be copied says so
        async for _ in pages(
            target.provider, target.key, recursive=False, limits=context.limits, policy=context.policy
        ):
            return True
    return False


async def make_directory(context: TransferContext, place: Place) -> None:
    """Makes a directory, and those above it, where directories are real; one that is there already is no error."""
    provider = place.provider
    if provider.features.directories:
        await request(
            lambda: provider.make_directory(place.key), provider, limits=context.limits, policy=context.policy
        )


class _Links:
    """Which names below one of the user's own directories lie behind a link: they are copied, and not deleted."""

    _MAX_KNOWN = 10_000

    def __init__(self, top: Place) -> None:
        self._top = top
        self._known: dict[str, bool] = {}

    async def lead_to(self, name: str) -> bool:
        """Whether a directory above a name is a link."""
        above = name.removesuffix("/").rpartition("/")[0]
        if not above or not _is_own(self._top):
            return False
        known = self._known.get(above)
        if known is None:
            if len(self._known) >= self._MAX_KNOWN:
                self._known.clear()
            known = self._known[above] = await _is_link(below(self._top, above)) or await self.lead_to(above)
        return known


async def _is_link(place: Place) -> bool:
    disk = place.provider.local_disk
    return disk is not None and await disk.is_link(place.key)


# Renaming


class RenameItem(BaseItem, TransferItem):
    """An object or a directory that gets another name at once."""

    def __init__(self, context: TransferContext, source: Place, destination: Place, entry: Entry) -> None:
        super().__init__(context, source, destination, entry.size)
        self._entry = entry
        self._failed_before = False

    async def open(self) -> Iterator[Part]:
        return iter((Part(1, 0, self.size),))

    async def move(self, part: Part) -> None:
        await self._try(self._rename)
        self._count(part.size)

    async def _rename(self) -> None:
        """Renames; when the answer is lost, or not the service's, it is looked whether that was done."""
        try:
            await self._source.provider.rename(self._source.key, self._destination.key)
        except StorageError as error:
            uncertain = error.retryable or (self._failed_before and isinstance(error, NotFoundError))
            self._failed_before = True
            if not (uncertain and await self._was_renamed(error)):
                raise

    async def _was_renamed(self, error: StorageError) -> bool:
        """Whether the destination is what the source was, which is gone or another one by now.

        Raises:
            StorageError: the error, where nobody knows.
        """
        try:
            renamed = await self._look(self._destination)
            if renamed is None or not self._is_entry(renamed):
                return False
            left = await self._look(self._source)
        except StorageError:
            raise error from None
        # A directory that is there still may have been made anew: it is renamed again, and refused where it must be.
        return left is None or not self._is_entry(left)

    async def _look(self, place: Place) -> Entry | None:
        try:
            # The request that failed had a place among those in flight, which this one has now.
            return await place.provider.stat(place.key)
        except NotFoundError:
            return None

    def _is_entry(self, found: Entry) -> bool:
        entry = self._entry
        if entry.directory or found.directory:
            return entry.directory == found.directory
        return (found.size, found.modified) == (entry.size, entry.modified)

    async def finish(self) -> TransferResult:
        return self.result(None)


class _RenamedItem(SettledItem):
    """A file or a directory of this machine that was renamed while the call was planned: done when that is on disk."""

    waits_for_disk = True

    def __init__(self, disk: LocalDisk, names: tuple[str, str], result: TransferResult) -> None:
        super().__init__(result)
        self._disk = disk
        self._names = names

    async def finish(self) -> TransferResult:
        await self._disk.sync_renamed(*self._names)
        return self._result

    def result(self, error: StorageError | None) -> TransferResult:
        return replace(self._result, error=error)


def _is_own(source: Place) -> bool:
    """Whether it is one of the user's own files, not one that stands in for a cloud's."""
    disk = source.provider.local_disk
    return disk is not None and disk.is_users


async def _rename(
    context: TransferContext,
    source: Place,
    end: Destination,
    target: Place,
    entry: Entry,
    *,
    whole: bool,
    ours: bool = False,
    named: bool = False,
) -> AsyncIterator[TransferItem]:
    """The jobs that move within this machine; of a source that the user `named`, or of one in a directory.

    Whether a rename works is known only when it was tried: a directory whose name is taken by another one is gone
    through item by item, and what is to go to another disk is copied, then deleted. In a directory that is `ours`,
    since an earlier source of the call became it, or is still being copied into it, nothing is replaced.
    """
    claims = end.claims
    if claims is not None:
        if entry.directory and not (whole and await _is_link(source)):
            ours = ours or claims.has(target.shown)
            whole = whole and not ours
        elif (refused := await _refused(source, end, target, ours=ours)) is not None:
            yield SettledItem(TransferResult(source.shown, target.shown, error=refused))
            return
    code = await _renamed(source, target) if whole else "EEXIST"
    if entry.directory and claims is not None and code in (None, "EXDEV"):
        claims.take(target.shown, source.shown)
    if isinstance(code, StorageError):
        yield SettledItem(TransferResult(source.shown, target.shown, error=code))
    elif code is None:
        result = TransferResult(source.shown, target.shown, 0 if entry.directory else entry.size)
        yield _RenamedItem(*_names(source, target), result)
    elif not entry.directory:
        if named:
            _check_readable(source, entry, "move")
        yield item_for(context, source, end, target, entry, ObjectOptions(), operation="move", move=True)
    else:
        walk = _tree(context, source, end, target, ObjectOptions(), "move", move=True) if code == "EXDEV" else None
        async for job in walk or _rename_content(context, source, end, target, ours=ours):
            yield job


async def _rename_content(
    context: TransferContext, source: Place, end: Destination, target: Place, *, ours: bool
) -> AsyncIterator[TransferItem]:
    await make_directory(context, target)
    listing = pages(source.provider, source.key, recursive=False, limits=context.limits, policy=context.policy)
    try:
        async for page in listing:
            for entry in page:
                name = entry.key[len(source.key) :]
                start, goal = below(source, name), below(target, name)
                async for job in _rename(context, start, end, goal, entry, whole=True, ours=ours):
                    yield job
    except AccessDeniedError as error:
        yield SettledItem(TransferResult(source.shown, target.shown, error=error))


async def _refused(source: Place, end: Destination, target: Place, *, ours: bool) -> StorageError | None:
    """Why a file, or a link, must not get its name: another one of the call has it."""
    if ours:
        disk = target.provider.local_disk
        if disk is not None and await disk.exists(target.key):
            return taken(source, target, "move")
    try:
        end.claim(source, target, "move")
    except UnsafePathError as error:
        return error
    return None


async def _renamed(source: Place, target: Place) -> StorageError | str | None:
    """Tries it: None when it worked, the system's word where another way is left, else the error."""
    disk, names = _names(source, target)
    try:
        await disk.rename_unsynced(*names, file=not source.key.endswith("/"))
    except StorageError as error:
        taken = isinstance(error, AlreadyExistsError) and source.key.endswith("/") and not await _is_link(source)
        return error.code if error.code == "EXDEV" or taken else error
    return None


def _names(source: Place, target: Place) -> tuple[LocalDisk, tuple[str, str]]:
    """Returns the disk of the source, and its old and its new key there; both places are on this machine."""
    disk, target_disk = source.provider.local_disk, target.provider.local_disk
    assert disk is not None
    assert target_disk is not None
    return disk, (source.key.removesuffix("/"), os.path.relpath(os.path.join(target_disk.root, target.key), disk.root))


async def remove_emptied(context: TransferContext, top: Place, *, itself: bool) -> None:
    """After a move: real directories below `top` that hold nothing any more go, and `top` where that is meant."""
    if not top.provider.real_directories:
        return
    if top.provider.features.directories_vary:
        await _remove_listed(context, top, itself=itself)
        return
    try:
        async for page in pages(top.provider, top.key, recursive=False, limits=context.limits, policy=context.policy):
            for entry in page:
                inside = Place(top.provider, entry.key, entry.key)
                if entry.directory and not (_is_own(inside) and await _is_link(inside)):
                    await remove_emptied(context, inside, itself=True)
        if itself:
            await top.provider.remove_directory(top.key)
    except (AlreadyExistsError, NotFoundError):
        return  # something is in it, or it went with the rename


async def _remove_listed(context: TransferContext, top: Place, *, itself: bool) -> None:
    """As `remove_emptied`, where listings have the directories: many go with a request."""
    provider, limits, policy = top.provider, context.limits, context.policy
    async for page in pages_to_delete(provider, top.key, limits=limits, policy=policy):
        keys = [entry.key for entry in page if entry.directory and (itself or entry.key != top.key)]
        failed = await delete_keys(provider, keys, limits=limits, policy=policy)
        for error in failed.values():
            if not isinstance(error, AlreadyExistsError):
                raise error


def _onto_itself(source: Place, target: Place, operation: str) -> UnsafePathError:
    return UnsafePathError(
        f"{source.provider.name} {operation} of {source.shown} to {target.shown} refused: the destination is the "
        "source, or lies in it; choose another one",
        provider=source.provider.name,
        operation=operation,
        path=source.shown,
    )
