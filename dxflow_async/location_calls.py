"""The calls on locations: every verb, at any remote, unit, URL or local path, by the location alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Literal, Unpack, overload

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.location_files import AsyncLocationFiles
from dxflow_async.models import SyncPlan, TransferReport
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.storage.resolver import LocalText, Written
from dxflow_async.storage.write_rules import WriteRules
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import RunOptions
from dxflow_async.transfer.selection import SelectionOptions, selected, split_options
from dxflow_async.transfer.sync.check_report import CheckReport
from dxflow_async.transfer.sync.compare import Compare
from dxflow_async.transfer.sync.rules import Rules, SyncOptions

__all__ = ["AsyncLocationCalls"]


class AsyncLocationCalls(AsyncLocationFiles):
    """The part of `AsyncSession` whose calls are given locations.

    A location is written `aws:/bucket/key`, with the name of any remote, `unit:/Demo/dir/file`, as a URL such as
    `s3://bucket/key`, or as a local path. `storage_type` is the area of remotes, `"private"` or `"public"`. Every call
    raises `ConfigurationError` for a text that is not a location, `StorageError` when storage failed, and
    `SessionClosedError` after the session was closed.
    """

    async def copy(
        self,
        src: Written | Sequence[Written],
        dst: Written,
        *,
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        storage_type: str = "private",
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[SelectionOptions],
    ) -> TransferReport:
        """Copies a file, an object, or a directory with everything in it, between any two locations.

        Locations are written `aws:/bucket/key`, with the name of any remote, `unit:/Demo/dir/file`, as a URL such as
        `s3://bucket/key`, or as a local path. Within a provider the provider copies; between two of them the bytes
        stream through memory, large objects in parallel parts, and are compared with the checksums of both sides.

        Args:
            src: the source, which may be a glob pattern, or several sources in one place. Of a directory with a
                trailing slash only the content is copied.
            dst: with a trailing slash (or an existing local directory) the directory to copy into, else exactly the new
                name.
            include, exclude: which names are copied, as for `sync`.
            storage_type: the area of remotes, `"private"` or `"public"`.
            options: what is stored with each copy, instead of what is stored with its source.
            overwrite, symlinks: as for `AsyncAreaStorage.upload` and `download`.
            on_progress: called with a `Progress` at most ten times a second.
            files, newer, older, larger, smaller: which items are copied, by a list of names, by age and by size; see
                `SelectionOptions`.
            timeout, on_cancel, processes, executor, credentials, shared: how the call runs; see
                `CallOptions`.

        Raises:
            ExecutorError: the workers cannot go on.
            ConfigurationError: `src` or `dst` is not a location.
            NotFoundError: there is no such source.
            UnsupportedError: the source is a pipe, a socket or a device.
            UnsafePathError: the destination is the source, or lies in it, or is a pipe, a socket, a device or a broken
                link. A link to a file stays, and that file is replaced.
            TransferError: some item failed; the others are stored.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         await session.copy("aws:/bucket/results/", "gcp:/other-bucket/results/")
        """
        rules = WriteRules.of(options, overwrite=overwrite, symlinks=symlinks)
        selection, running = selected(include, exclude, where)
        return await self._transfers.copy(
            src, dst, storage_type, on_progress, running, rules=rules, selection=selection
        )

    async def move(
        self,
        src: Written | Sequence[Written],
        dst: Written,
        *,
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        storage_type: str = "private",
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[SelectionOptions],
    ) -> TransferReport:
        """Moves, with the rules of `copy`. Each source is deleted once its copy is known to be stored.

        On one local disk a move is a rename. Local directories that the move has emptied are removed, except for a
        source with a trailing slash. Files behind a symbolic link are copied, and stay.

        Args:
            src, dst, include, exclude, storage_type, options, overwrite, symlinks, on_progress: as for `copy`.
            files, newer, older, larger, smaller: as for `copy`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `copy`.

        Example:
            >>> await session.move("aws:/bucket/incoming/", "gcp:/archive/2026/")
        """
        rules = WriteRules.of(options, overwrite=overwrite, symlinks=symlinks)
        selection, running = selected(include, exclude, where)
        return await self._transfers.copy(
            src, dst, storage_type, on_progress, running, move=True, rules=rules, selection=selection
        )

    async def upload(
        self,
        src: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        dst: Written,
        *,
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        storage_type: str = "private",
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[SelectionOptions],
    ) -> TransferReport:
        """Copies local files and directories to any location: `copy` whose sources are paths of this machine.

        Args:
            src: the path of a file or a directory, a pattern, or several of them, as for `copy`.
            dst: the destination, as for `copy`.
            include, exclude, storage_type, options, overwrite, symlinks, on_progress: as for `copy`.
            files, newer, older, larger, smaller: as for `copy`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `copy`.

        Raises as `copy`.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         await session.upload("results/", "aws:/bucket/results/")
        """
        single = isinstance(src, str | os.PathLike)
        return await self.copy(
            LocalText(src) if single else [LocalText(each) for each in src],  # type: ignore[union-attr, arg-type]
            dst,
            include=include,
            exclude=exclude,
            storage_type=storage_type,
            options=options,
            overwrite=overwrite,
            symlinks=symlinks,
            on_progress=on_progress,
            **where,
        )

    async def download(
        self,
        src: Written | Sequence[Written],
        dst: str | os.PathLike[str] = ".",
        *,
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        storage_type: str = "private",
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[SelectionOptions],
    ) -> TransferReport:
        """Copies files and directories from any location to this machine: `copy` whose destination is a local path.

        Args:
            src: the source, a pattern, or several sources in one place, as for `copy`.
            dst: the path of the new file, or of a directory to copy into; by default the working directory.
            include, exclude, storage_type, options, overwrite, symlinks, on_progress: as for `copy`.
            files, newer, older, larger, smaller: as for `copy`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `copy`.

        Raises as `copy`.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         await session.download("aws:/bucket/results/", "results/")
        """
        return await self.copy(
            src,
            LocalText(dst),
            include=include,
            exclude=exclude,
            storage_type=storage_type,
            options=options,
            overwrite=overwrite,
            symlinks=symlinks,
            on_progress=on_progress,
            **where,
        )

    @overload
    async def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> TransferReport: ...
    @overload
    async def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[True], **options: Unpack[SyncOptions]
    ) -> SyncPlan: ...
    async def sync(
        self,
        src: Written,
        dst: Written,
        *,
        delete: bool = False,
        compare: Compare = "size+mtime",
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        dry_run: bool = False,
        stable: float | str = 0.0,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
        **where: Unpack[SelectionOptions],
    ) -> TransferReport | SyncPlan:
        """Syncs a directory: copies everything that is new or changed at `src` to `dst`.

        Both are directories, with or without a trailing slash; a `dst` that does not exist is made. Memory does not
        grow with the directories.

        Args:
            src: the directory to read, as for `copy`.
            dst: the directory to change.
            delete, compare, include, exclude, stable, storage_type, on_progress: see `SyncOptions`.
            dry_run: whether only to return the plan, which this process makes.
            files, newer, older, larger, smaller: as for `copy`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `copy`.

        Returns:
            The copied and the deleted items; with `dry_run` the plan.

        Raises:
            ConfigurationError: a pattern or a comparison is invalid.
            NotFoundError: there is no such source; nothing is deleted.
            UnsafePathError: one of the directories lies in the other one.
            TransferError: an item could not be copied, and nothing was deleted; or an item could not be read at `src`
                or deleted at `dst`, and everything else was done.

        Example:
            >>> plan = await session.sync("results/", "aws:/bucket/results/", delete=True, dry_run=True)
        """
        chosen, places = split_options(where)
        rules = Rules.of(compare, include, exclude, delete=delete, stable=stable, **chosen)
        running = RunOptions.of(**places)
        if dry_run:
            return await self._transfers.plan_sync(src, dst, rules, storage_type)
        return await self._transfers.sync(src, dst, rules, storage_type, on_progress, running)

    async def check(
        self,
        a: Written,
        b: Written,
        *,
        compare: Compare = "checksum",
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        storage_type: str = "private",
        **conditions: Unpack[SelectionOptions],
    ) -> CheckReport:
        """Compares two directories, and changes nothing.

        Args:
            a: a directory, as for `sync`.
            b: the other one.
            compare, include, exclude, storage_type: see `SyncOptions`; by default checksums are compared.
            files, newer, older, larger, smaller: which items of `a` are compared; see `SelectionOptions`.

        Raises:
            ConfigurationError: an option of `CallOptions` is given; a comparison has none of these.
            NotFoundError: one of the directories does not exist.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         report = await session.check("results/", "aws:/bucket/results/")
            ...         print(report.ok, report.differing, report.missing, report.extra)
        """
        chosen, where = split_options(conditions)
        if where:
            raise ConfigurationError(f"check has no option {', '.join(where)}; leave it out")
        rules = Rules.of(compare, include, exclude, delete=True, **chosen)
        return await self._transfers.check(a, b, rules, storage_type)
