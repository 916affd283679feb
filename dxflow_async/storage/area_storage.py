"""The storage calls: everything that can be done in one storage area, a remote's or a compute unit's."""

from __future__ import annotations

import os
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Mapping,
    Sequence,
)
from functools import partial
from typing import Any, Literal, Self, Unpack

from dxflow_async.concurrency.item_stream import AsyncItemStream
from dxflow_async.config.quantities import to_seconds
from dxflow_async.config.working_directory import working_directory
from dxflow_async.models import DeleteResult, TransferReport
from dxflow_async.providers.contract import Encryption, ObjectOptions
from dxflow_async.storage.area import Area
from dxflow_async.storage.area_files import AreaFiles
from dxflow_async.storage.object_views import reading_area, unsupported
from dxflow_async.storage.resolver import ResolvedLocation
from dxflow_async.storage.transfer_service import Pairs
from dxflow_async.storage.write_rules import WriteRules
from dxflow_async.storage.written_data import WrittenData, chunks_of_data
from dxflow_async.streams import Memory
from dxflow_async.transfer.context import DeletionRest, Symlinks
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.planning.destination import directory
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions, RunOptions

__all__ = ["AsyncAreaStorage"]


class AsyncAreaStorage(AreaFiles):
    """One storage area. `AsyncStorageManager.at` and `AsyncSession.storage_at` return it.

    Paths are written `/first/second/name`; a path that ends in a slash is a directory. Every call raises
    `StorageError` when storage failed, `ConfigurationError` for an invalid argument, and `SessionClosedError` after the
    session was closed.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession() as session:
        ...         storage = session.get_storage_manager().at("gcp")
        ...         await storage.upload("results/", "/bucket/results/")
        ...         print([item.name for item in await storage.list("/bucket/results/")])
    """

    async def upload(
        self,
        src: str | os.PathLike[str],
        dst: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        if_match: str | None = None,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Uploads a file, a directory with everything in it, or the files that match a glob pattern.

        Args:
            src: the local path. Of a directory with a trailing slash only the content is uploaded.
            dst: with a trailing slash the directory to upload into, else exactly the name of the new object.
            content_type: the media type; by default each name's ending decides.
            metadata: stored with each object.
            options: everything that is stored with each object, such as its storage class; the two arguments above win.
            overwrite: what happens to an object that exists: `True` replaces it, `False` is an `AlreadyExistsError` of
                the item, `"skip"` skips it, `"if-newer"` replaces an older object, `"if-different"` a different one.
            if_match: replace only the object with this etag; for a single file.
            symlinks: for links below a directory: `"follow"` uploads their targets, `"skip"` skips them, and
                `"preserve"` stores the target of each in an object named `NAME.rclonelink`.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: how the call runs; see
                `CallOptions`.

        Returns:
            The result of each file.

        Raises:
            NotFoundError: there is no such file, and nothing matches.
            TransferError: some file failed; the others are stored.
            UnsupportedError: the area is public, and the provider has no public objects; or it keeps no such option.

        Example:
            >>> await storage.upload("results/", "/bucket/results/", overwrite="if-newer")
        """
        running, area = RunOptions.of(**where), await self._find()
        rules = WriteRules.of(options, content_type, metadata, if_match, overwrite=overwrite, symlinks=symlinks)
        source, destination = ResolvedLocation(os.fspath(src)), ResolvedLocation(area.path_of(dst), area)
        return await self._transfers.run("upload", source, destination, {}, on_progress, running, rules=rules)

    async def download(
        self,
        src: str,
        dst: str | os.PathLike[str] | None = None,
        *,
        overwrite: Overwrite = True,
        version: str | None = None,
        encryption: Encryption | None = None,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Downloads an object, or a directory with everything in it, into a local directory.

        Args:
            src: the remote path; with a trailing slash everything under it.
            dst: the local directory, which is made when it is missing; by default the current one. When its last
                component is the source's name (and not a directory), it is the new file itself; where that is a
                symbolic link, the file that the link leads to is replaced.
            overwrite: what happens to files that are there already; as for `upload`.
            symlinks: with `"preserve"`, objects named `NAME.rclonelink` below a directory become symbolic links again,
                if they lead to a place inside the destination.
            version, encryption: of a single object; as for `stat`. A job that has a key cannot be resumed.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.

        Returns:
            The result of each object.

        Raises:
            NotFoundError: there is no such object or directory.
            UnsafePathError: the new file itself is a pipe, a socket, a device or a link to nothing.
            TransferError: some object failed, for example because a link or a pipe has its name; the others are
                stored.

        Example:
            >>> await storage.download("/bucket/results/", "results/")
        """
        running, area = RunOptions.of(**where), reading_area(await self._find(), src, None, encryption)
        destination = ResolvedLocation(working_directory() if dst is None else os.fspath(dst))
        rules, source = WriteRules(overwrite=overwrite, symlinks=symlinks), ResolvedLocation(area.path_of(src), area)
        given = {"version": version, "keyed": None if encryption is None else True}
        arguments = {name: value for name, value in given.items() if value is not None}
        return await self._transfers.run("download", source, destination, arguments, on_progress, running, rules=rules)

    async def upload_many(
        self,
        pairs: Pairs,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Uploads files under names of their own. Otherwise like `upload`.

        Args:
            pairs: pairs of a local and a remote path; read as fast as the files are sent. The second of two files with
                one remote path fails with `UnsafePathError`.
            content_type: as for `upload`.
            metadata: as for `upload`.
            options, overwrite: as for `upload`.
            on_progress: as for `upload`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.

        Example:
            >>> await storage.upload_many([("a.csv", "/bucket/2026/a.csv"), ("b.csv", "/bucket/old/b.csv")])
        """
        running, area = RunOptions.of(**where), await self._find()
        rules = WriteRules.of(options, content_type, metadata, overwrite=overwrite)
        source, destination = ResolvedLocation(""), ResolvedLocation("", area)
        return await self._transfers.run(
            "upload_many", source, destination, {}, on_progress, running, pairs=pairs, rules=rules
        )

    async def download_many(
        self,
        pairs: Pairs,
        *,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Downloads objects to files. Otherwise like `download`.

        Args:
            pairs: pairs of a remote and a local path; read as fast as the objects arrive. The second of two objects
                with one local path fails with `UnsafePathError`.
            overwrite: as for `download`.
            on_progress: as for `download`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.

        Example:
            >>> await storage.download_many([("/bucket/2026/a.csv", "a.csv"), ("/bucket/old/b.csv", "b.csv")])
        """
        running, area = RunOptions.of(**where), await self._find()
        source, destination, rules = ResolvedLocation("", area), ResolvedLocation(""), WriteRules(overwrite=overwrite)
        return await self._transfers.run(
            "download_many", source, destination, {}, on_progress, running, pairs=pairs, rules=rules
        )

    async def write(
        self,
        path: str,
        data: WrittenData,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: bool | Literal["skip"] = True,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores a stream of unknown length under a path. Memory stays bounded; a broken stream stores nothing.

        Args:
            path: the new object.
            data: bytes, an open binary file, or an iterable of bytes, asynchronous or not. An exception that it raises
                passes through.
            content_type: the media type; by default the name's ending decides.
            metadata: stored with the object.
            options: everything that is stored with the object; the two arguments above win.
            overwrite: as for `upload`: `True`, `False`, or `"skip"`, which reads nothing from `data`.
            if_match: replace only the object with this etag.
            on_progress: called with a `Progress` at most ten times a second.

        Raises:
            AlreadyExistsError, PreconditionFailedError: the object must not be replaced; it stays.
            StorageError: the object could not be stored.

        Example:
            >>> await storage.write("/bucket/notes.txt", b"first line", overwrite=False)
        """
        from dxflow_async.storage.stream_writes import write_stream

        rules = WriteRules.of(options, content_type, metadata, if_match, overwrite=overwrite)
        destination = rules.applied_to(ResolvedLocation(path, await self._find()), "write")
        area = destination.area
        assert area is not None
        place = area.place(path)
        place.check_target("write")
        context = self._resources.context(on_progress)
        chunks = data if isinstance(data, AsyncIterable) else chunks_of_data(data, self._resources.threads)
        result = await write_stream(context, place, rules, chunks, public=area.public)
        report = TransferReport([result], context.meter.seconds)
        self._transfers.cache.note_stored(area, report)
        context.meter.close()
        return report

    def read(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        *,
        version: str | None = None,
        encryption: Encryption | None = None,
    ) -> AsyncItemStream[bytes]:
        """Yields the bytes `[start, end)` of one version of an object; a broken connection is resumed.

        Where not all of them are read, use `async with`, which gives the connection back.

        Args:
            path: the object.
            start, end: in bytes; by default its first byte and its end.
            version, encryption: as for `stat`.

        Raises:
            NotFoundError: there is no such object.
            PreconditionFailedError: the object has no byte at `start`, or was replaced while it was read.
            ChecksumMismatchError: a whole object was read, and its checksum is not the provider's; raised after the
                last bytes.

        Example:
            >>> async with storage.read("/bucket/results.csv", 0, 100) as chunks:
            ...     head = b"".join([chunk async for chunk in chunks])
        """
        from dxflow_async.storage.reading import read_object

        find = partial(self._reading_area, path, version, encryption)
        return AsyncItemStream(read_object(self._resources, find, path, start, end), self._resources.owner)

    async def _reading_area(self, path: str, version: str | None, encryption: Encryption | None) -> Area:
        return reading_area(await self._find(), path, version, encryption)

    async def _read_whole(
        self, path: str, start: int | None = None, end: int | None = None, *, memory: Memory
    ) -> bytearray | memoryview:
        """Returns the bytes that `read` yields, in what `memory` makes; raises as it does."""
        from dxflow_async.storage.reading import read_whole

        self._resources.check_open()
        return await read_whole(self._resources, self._find, path, start, end, memory)

    async def _read_bytes(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        *,
        version: str | None = None,
        encryption: Encryption | None = None,
    ) -> bytes:
        """Returns the bytes that `read` yields; raises as it does."""
        from dxflow_async.storage.reading import read_bytes

        self._resources.check_open()
        find = partial(self._reading_area, path, version, encryption)
        return await read_bytes(self._resources, find, path, start, end)

    async def copy(
        self,
        src: str,
        dst: str,
        *,
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Copies an object, or a directory with everything in it, within the area. The provider copies if it can.

        Args:
            src: the source. Of a directory with a trailing slash only the content is copied.
            dst: with a trailing slash the directory to copy into, else exactly the new name.
            options: what is stored with each copy, instead of what is stored with its source.
            overwrite: what happens to objects that are there already; as for `upload`.
            on_progress: as for `upload`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.

        Example:
            >>> await storage.copy("/bucket/results/", "/bucket/archive/2026/")
        """
        running, area, rules = RunOptions.of(**where), await self._find(), WriteRules.of(options, overwrite=overwrite)
        source, destination = (ResolvedLocation(area.path_of(path), area) for path in (src, dst))
        return await self._transfers.relocate(source, destination, on_progress, running, rules=rules)

    async def _copy_many(
        self, pairs: Pairs, to: Self | None = None, *, options: ObjectOptions | None = None
    ) -> TransferReport:
        """Copies objects to paths of this area, or of another one, in one call. Of a directory only itself is made."""
        area = await self._find()
        source = ResolvedLocation("", area)
        destination = source if to is None else ResolvedLocation("", await to._find())
        rules, arguments = WriteRules.of(options), {"into": None}
        return await self._transfers.run("copy", source, destination, arguments, None, pairs=pairs, rules=rules)

    async def move(
        self,
        src: str,
        dst: str,
        *,
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Moves, with the rules of `copy`. A source is deleted only after its copy is complete.

        Args:
            src, dst, options, overwrite: as for `copy`.
            on_progress: as for `upload`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.

        Example:
            >>> await storage.move("/bucket/incoming/a.csv", "/bucket/done/")
        """
        running, area, rules = RunOptions.of(**where), await self._find(), WriteRules.of(options, overwrite=overwrite)
        source, destination = (ResolvedLocation(area.path_of(path), area) for path in (src, dst))
        return await self._transfers.relocate(source, destination, on_progress, running, move=True, rules=rules)

    async def mkdir(self, path: str) -> None:
        """Makes a directory, and those above it, where directories are real. One that exists already is no error.

        Args:
            path: the directory, with or without a trailing slash.

        Raises:
            UnsupportedError: directories are not real there: a directory is what names of objects begin with.
        """
        from dxflow_async.transfer.planning.directories import make_directory

        area = await self._find()
        place = directory(area.place(path))
        if not place.key:
            return
        place.check_target("mkdir", directory=True)
        if not area.provider.real_directories:
            raise unsupported(area, "mkdir", path, "directories are not real there; write an object below it")
        await make_directory(self._resources.context(None), place)

    # Deleting

    async def delete(
        self,
        path: str | Iterable[str],
        *,
        if_match: str | None = None,
        version: str | None = None,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> int:
        """Deletes an object, several objects, or (a path that ends in a slash) a directory with everything in it.

        Args:
            path: the object, the directory, or several of them.
            if_match: delete a single object only if it has this etag.
            version: delete this version of a single object, for good. A path that ends in a slash is the object of that
                name, as some tools store for a directory.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.

        Returns:
            The number of objects whose deletion was requested. An object that does not exist is no error. A real
            directory counts as one.

        Raises:
            PreconditionFailedError: the object does not have the etag `if_match`; it stays.
            TransferError: some objects could not be deleted; the report has them. The others are gone.
            StorageError: the only object could not be deleted, or the objects could not be listed.

        Example:
            >>> deleted = await storage.delete(["/bucket/a.csv", "/bucket/old/"])
        """
        result = await self.try_delete(path, if_match=if_match, version=version, on_progress=on_progress, **where)
        if result.error is not None:
            raise result.error
        return result.asked

    async def try_delete(
        self,
        path: str | Iterable[str],
        *,
        if_match: str | None = None,
        version: str | None = None,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> DeleteResult:
        """Deletes like `delete`, and returns the outcome of a deletion that failed instead of raising its error.

        Args:
            path, if_match, version, on_progress: as for `delete`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.
        """
        from dxflow_async.storage.deletion import Deletion, delete_matching, only_key, single_path

        running, area = RunOptions.of(**where), await self._find()
        if if_match is not None:
            return await delete_matching(self._resources, self._transfers.cache, area, path, if_match)
        if version is not None:
            area = reading_area(area, single_path(path, "version", slash=True), version, None)
        coordinator = self._transfers.deleter(area, running.workers)
        keys_of: Any = partial(self._keys_to_delete, area, shared=coordinator is not None)
        if version is not None:
            keys_of, coordinator = partial(only_key, area), None
        meter = self._resources.context(on_progress).meter
        deletion = Deletion(self._resources, self._transfers.cache, area, keys_of, coordinator, meter)
        return await deletion.run((path,) if isinstance(path, str) else path, running.timeout)

    def _keys_to_delete(self, area: Area, path: str, *, shared: bool) -> AsyncIterator[str | DeletionRest]:
        from dxflow_async.storage.deletion import keys_to_delete

        return keys_to_delete(self._resources, area, path, shared=shared)

    # Sharing

    async def endpoint_facts(self) -> Sequence[tuple[str, str]]:
        """Returns what this session learned of the service: pairs of a fact and its value, with the reason.

        They name optional parts of the protocol and limits that the service's answers, its host name or the settings
        told, and how long each is believed. No request is made for them.
        """
        return (await self._find()).provider.endpoint_facts()

    async def presign(self, path: str, expires: float | str = 3600.0, *, method: str = "GET") -> str:
        """Returns a URL of one object that works without credentials. Treat it as a secret.

        Args:
            path: the object.
            expires: how long the URL works, in seconds or as text: `"2h"`, `"7d"`.
            method: the HTTP method that it allows.

        Raises:
            UnsupportedError: the provider has no such URLs.

        Example:
            >>> url = await storage.presign("/bucket/report.pdf", "2h")
        """
        seconds, area = to_seconds("expires", expires), await self._find()
        if not area.provider.features.presign:
            stands_in = area.provider.name != area.name
            advice = "configure the real provider" if stands_in else "copy the object to a cloud, and sign it there"
            raise unsupported(area, "presign", path, f"{area.provider.name} storage has no URLs; {advice}")
        from dxflow_async.transfer.failures import translated

        with translated(area.provider):
            return await area.provider.presign(area.key(path), seconds, method=method)
