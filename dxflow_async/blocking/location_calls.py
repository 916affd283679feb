"""The blocking twin of `dxflow_async.location_calls`: one delegate for each method."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from typing import Literal, Unpack, overload

from dxflow_async.blocking.location_files import LocationFiles
from dxflow_async.blocking.portal import Portal
from dxflow_async.blocking.transfers import TransferCalls
from dxflow_async.models import SyncPlan, TransferReport
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.session import AsyncSession
from dxflow_async.storage.resolver import Written
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.selection import SelectionOptions
from dxflow_async.transfer.sync.check_report import CheckReport
from dxflow_async.transfer.sync.compare import Compare
from dxflow_async.transfer.sync.rules import SyncOptions

__all__ = ["LocationCalls"]


class LocationCalls(LocationFiles):
    """The part of `Session` whose calls are given locations; the blocking twin of `AsyncLocationCalls`."""

    _session: AsyncSession
    _portal: Portal
    _calls: TransferCalls

    def copy(
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
            overwrite, symlinks: as for `AreaStorage.upload` and `download`.
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
            >>> def main() -> None:
            ...     with Session() as session:
            ...         session.copy("aws:/bucket/results/", "gcp:/other-bucket/results/")
        """
        call = functools.partial(
            self._session.copy,
            src,
            dst,
            storage_type=storage_type,
            options=options,
            overwrite=overwrite,
            symlinks=symlinks,
            include=include if isinstance(include, str) else tuple(include),
            exclude=exclude if isinstance(exclude, str) else tuple(exclude),
            **where,
        )
        return self._calls.run("copy", on_progress, lambda show: call(on_progress=show))

    def move(
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
            >>> session.move("aws:/bucket/incoming/", "gcp:/archive/2026/")
        """
        call = functools.partial(
            self._session.move,
            src,
            dst,
            storage_type=storage_type,
            options=options,
            overwrite=overwrite,
            symlinks=symlinks,
            include=include if isinstance(include, str) else tuple(include),
            exclude=exclude if isinstance(exclude, str) else tuple(exclude),
            **where,
        )
        return self._calls.run("move", on_progress, lambda show: call(on_progress=show))

    def upload(
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
            >>> def main() -> None:
            ...     with Session() as session:
            ...         session.upload("results/", "aws:/bucket/results/")
        """
        call = functools.partial(
            self._session.upload,
            src,
            dst,
            storage_type=storage_type,
            options=options,
            overwrite=overwrite,
            symlinks=symlinks,
            include=include if isinstance(include, str) else tuple(include),
            exclude=exclude if isinstance(exclude, str) else tuple(exclude),
            **where,
        )
        return self._calls.run("upload", on_progress, lambda show: call(on_progress=show))

    def download(
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
            >>> def main() -> None:
            ...     with Session() as session:
            ...         session.download("aws:/bucket/results/", "results/")
        """
        call = functools.partial(
            self._session.download,
            src,
            dst,
            storage_type=storage_type,
            options=options,
            overwrite=overwrite,
            symlinks=symlinks,
            include=include if isinstance(include, str) else tuple(include),
            exclude=exclude if isinstance(exclude, str) else tuple(exclude),
            **where,
        )
        return self._calls.run("download", on_progress, lambda show: call(on_progress=show))

    @overload
    def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> TransferReport: ...
    @overload
    def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[True], **options: Unpack[SyncOptions]
    ) -> SyncPlan: ...
    def sync(
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
            >>> plan = session.sync("results/", "aws:/bucket/results/", delete=True, dry_run=True)
        """
        call = functools.partial(
            self._session.sync,
            src,
            dst,
            delete=delete,
            compare=compare,
            include=include if isinstance(include, str) else tuple(include),
            exclude=exclude if isinstance(exclude, str) else tuple(exclude),
            stable=stable,
            storage_type=storage_type,
            **where,
        )
        if dry_run:
            return self._portal.call(call, dry_run=True)
        return self._calls.run("sync", on_progress, lambda show: call(on_progress=show))

    def check(
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
            >>> def main() -> None:
            ...     with Session() as session:
            ...         report = session.check("results/", "aws:/bucket/results/")
            ...         print(report.ok, report.differing, report.missing, report.extra)
        """
        return self._portal.call(
            self._session.check,
            a,
            b,
            compare=compare,
            include=include if isinstance(include, str) else tuple(include),
            exclude=exclude if isinstance(exclude, str) else tuple(exclude),
            storage_type=storage_type,
            **conditions,
        )
