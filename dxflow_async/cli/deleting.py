"""The command `rm`."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, closing
from typing import Annotated, NamedTuple

from cyclopts import Parameter

from dxflow_async.blocking.tables import difference_line, write_line, write_text
from dxflow_async.cli.deletion_record import DeletionRecord
from dxflow_async.cli.json_lines import print_json
from dxflow_async.cli.listing import Recursive
from dxflow_async.cli.options import Choice, ReportPath, Shown
from dxflow_async.cli.places import Place, check_locations, found_places, location_of
from dxflow_async.cli.report_file import ReportFile
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.selecting import add_missing, admits, selected
from dxflow_async.cli.status import FAILED, NOT_FOUND, Failures, status_of
from dxflow_async.cli.workers import OnWorkers
from dxflow_async.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    DxflowError,
    NotFoundError,
    StorageError,
    UnitNotFoundError,
)
from dxflow_async.models import Item
from dxflow_async.plurals import counted
from dxflow_async.session import AsyncSession
from dxflow_async.transfer.executor.options import ExecutorOptions
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.selection import Selection

__all__ = ["rm"]

_DIRECT, _ALL, _HERE = Account(), Choice(), OnWorkers()
_SHOWN = Shown()

Force = Annotated[Flag, Parameter(name=["--force", "-f"])]
DryRun = Annotated[Flag, Parameter(name=["--dry-run", "-n"])]
Quiet = Annotated[Flag, Parameter(name=["--quiet", "-q"])]

_MANY = 1000
"""More objects than this are deleted only after a question, at a terminal."""


def rm(
    *locations: str,
    recursive: Recursive = False,
    force: Force = False,
    choice: Choice = _ALL,
    dry_run: DryRun = False,
    json: Flag = False,
    quiet: Quiet = False,
    public: Flag = False,
    report: ReportPath = None,
    account: Account = _DIRECT,
    shown: Shown = _SHOWN,
    workers: OnWorkers = _HERE,
) -> int:
    """Delete objects. An object that does not exist is an error; the others are deleted all the same.

    Args:
        locations: Objects and patterns; with --recursive also directories. DIR/ deletes everything below DIR/, and
            DIR also an object of that name.
        recursive: Delete directories with everything below them.
        force: Never ask, and take what does not exist for deleted.
        dry_run: Only print what would be deleted.
        json: Print a JSON object on each line.
        quiet: Print nothing but errors.
        public: The locations are in the account's public storage.
        report: Write a page with charts of the deletion there, such as report.html, also if it fails.
    """
    if not locations:
        raise ConfigurationError("no place was given; write aws:/bucket/key or ./path")

    if dry_run and report is not None:
        raise ConfigurationError("--dry-run deletes nothing that --report could show; leave one of them out")
    selection, page = choice.selection(), ReportFile(report, "delete")

    async def delete(session: AsyncSession) -> int:
        await check_locations(session, locations, public=public)
        targets = [
            each
            for location in locations
            for each in await _targets(session, location, public=public, recursive=recursive)
        ]
        if dry_run:
            return await _preview(targets, selection, choice, json=json, quiet=quiet, force=force)
        if not force and _asks() and not await _confirmed(targets, selection):
            write_line("nothing was deleted", sys.stderr)
            return FAILED
        with shown.bar("deleting", json=json, quiet=quiet) as show:
            record = DeletionRecord(locations)
            page.show(record.report)
            with closing(record):
                async with workers.options() as where:
                    count, status = await _delete_each(targets, selection, show, record, where, force=force, json=json)
        if json:
            print_json("total", {"deleted": count})
        elif not quiet:
            write_line(f"{count} deleted")
        if not (count or status or quiet):
            choice.note_nothing()
        return status

    with page:
        return with_session(account, delete, places=locations)


class _Target(NamedTuple):
    """A location to delete, looked up before anything is deleted; or the error that keeps it from being deleted.

    `paths` are an object, a directory (with a slash at its end), or both.
    """

    location: str
    place: Place | None = None
    paths: tuple[str, ...] = ()
    error: DxflowError | None = None


async def _targets(session: AsyncSession, location: str, *, public: bool, recursive: bool) -> list[_Target]:
    """Looks up a location; of a pattern, everything that it matches.

    Raises:
        ConfigurationError: it is a directory, and `recursive` is not set.
    """
    try:
        return [
            await _target(place, recursive=recursive)
            async for place in found_places(session, (location,), public=public)
        ]
    except (StorageError, UnitNotFoundError) as error:
        return [_Target(location, error=error)]


async def _target(place: Place, *, recursive: bool) -> _Target:
    location, storage, path = place
    if path.endswith("/") and not recursive:
        raise _is_directory(location)
    try:
        is_directory = (await storage.stat(path)).directory
    except AccessDeniedError:  # deleting needs no permission to look
        return _Target(location, place, (path,))
    except (StorageError, UnitNotFoundError) as error:
        return _Target(location, error=error)
    if is_directory and not recursive:
        raise _is_directory(location)
    # A whole bucket is emptied only when the user wrote the slash.
    if path.endswith("/") or not recursive or await storage.is_bucket(path):
        return _Target(location, place, (path,))
    if is_directory:
        return _Target(location, place, (f"{path}/",))
    # Where directories are not real, an object may have the name of a directory.
    both = await storage.exists(f"{path}/")
    return _Target(location, place, (path, f"{path}/") if both else (path,))


async def _delete_each(
    targets: Sequence[_Target],
    selection: Selection | None,
    show: OnProgress | None,
    record: DeletionRecord,
    where: ExecutorOptions,
    *,
    force: bool,
    json: bool,
) -> tuple[int, int]:
    """Deletes every target, and reports each failure; returns the number of deleted objects, and the exit status."""
    total, failures = 0, Failures(json=json)
    for target in targets:
        deleted, counted = 0, False
        try:
            if target.error is not None:
                raise target.error
            assert target.place is not None
            async for paths in _paths(target, selection):
                result = await target.place.storage.try_delete(paths, on_progress=record.following(show), **where)
                record.next()
                deleted += result.deleted
                if result.error is not None:
                    counted = True
                    raise result.error
            if not deleted and selection is None:
                raise NotFoundError(f"delete of {target.location} failed: there is nothing in it; check the path")
        except (StorageError, UnitNotFoundError) as failure:
            if not (force and status_of(failure) == NOT_FOUND):
                failures.add(failure)
                record.failed(target.location, failure, counted=counted)
        finally:
            total += deleted
        if json:
            print_json("deleted", {"location": target.location, "deleted": deleted})
    if not force:
        add_missing(failures, selection)
    return total, failures.status


async def _paths(target: _Target, selection: Selection | None) -> AsyncGenerator[Sequence[str], None]:
    """Yields the paths to delete of a target, up to a thousand at a time. Selected objects leave their directories."""
    if selection is None:
        yield target.paths
        return
    paths: list[str] = []
    async with aclosing(_objects(target, selection)) as objects:
        async for _, item in objects:
            paths.append(item.path)
            if len(paths) == _MANY:
                yield paths
                paths = []
    if paths:
        yield paths


async def _preview(
    targets: Sequence[_Target], selection: Selection | None, choice: Choice, *, json: bool, quiet: bool, force: bool
) -> int:
    """Prints what would be deleted; returns the exit status."""
    count, size, failures = 0, 0, Failures(json=json)
    for target in targets:
        if target.error is not None and not (force and status_of(target.error) == NOT_FOUND):
            failures.add(target.error)
        async for shown, item in _objects(target, selection):
            count, size = count + 1, size + item.size
            if json:
                print_json("action", {"kind": "delete", "path": shown, "size": item.size, "reason": "dry run"})
            elif not quiet:
                write_line(difference_line("would delete", item.size, shown, "", kind_columns=12))
    if not force:
        add_missing(failures, selection)
    if json:
        print_json("total", {"objects": count, "size": size})
    elif not quiet:
        write_text(f"{counted(count, 'object')}, {counted(size, 'byte')}; nothing was deleted")
    if not (count or failures.count or quiet):
        choice.note_nothing()
    return failures.status


async def _objects(target: _Target, selection: Selection | None) -> AsyncGenerator[tuple[str, Item], None]:
    """Yields the objects that deleting a target deletes, each with its location."""
    if target.place is None:
        return
    location, storage, start = target.place
    for path in target.paths:
        if not path.endswith("/"):
            item = await storage.stat(path)
            if selection is None or admits(selection, item.name, item):
                yield location, item
            continue
        async with storage.scan(path) as items:
            async for item in selected(items, target.place, selection):
                if not item.directory:
                    yield location_of(location, start, item.path), item


def _asks() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()


async def _confirmed(targets: Sequence[_Target], selection: Selection | None) -> bool:
    """Asks before more than a thousand objects are deleted; returns whether to go on."""
    count = 0
    for target in targets:
        async with aclosing(_objects(target, selection)) as objects:
            async for _ in objects:
                count += 1
                if count > _MANY:
                    break
    if count <= _MANY:
        return True
    write_line(f"more than {_MANY} objects would be deleted; go on? [y/N] ", sys.stderr)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _is_directory(location: str) -> ConfigurationError:
    return ConfigurationError(f"{location} is a directory; add --recursive to delete everything in it")
