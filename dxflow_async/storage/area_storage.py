"""What can be done in one storage area: the account's at one provider, or a compute unit's."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import (
    ChecksumMismatchError,
    ConfigurationError,
    NotFoundError,
    StorageError,
    UnsafePathError,
)
from dxflow_async.models import Item, TransferReport
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.storage.area import Area
from dxflow_async.storage.deletion import Deletion
from dxflow_async.storage.listing import note_stored
from dxflow_async.storage.transfer_service import Located, TransferService
from dxflow_async.transfer.context import Place, TransferContext, check_target
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.failures import translated
from dxflow_async.transfer.items.choose import item_for
from dxflow_async.transfer.items.object_options import content_type_of
from dxflow_async.transfer.items.resumed_reader import ResumedReader
from dxflow_async.transfer.items.stream_writer import StreamWriter
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.planning.destination import LocalFiles, RemoteDestination
from dxflow_async.transfer.planning.download import download, download_each
from dxflow_async.transfer.planning.listing import pages, pages_to_delete, stat
from dxflow_async.transfer.planning.upload import upload
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.request import delete_keys, request
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import Attempts

__all__ = ["AreaStorage", "Pairs"]

Pairs = Iterable[tuple[str, str]] | AsyncIterable[tuple[str, str]]

# In the class below, `list` is a method.
Items = list[Item]
Keys = list[str]

_DELETE_BATCH = 1000


class AreaStorage:
    """One area's storage. Each call is the one of `AsyncStorageManager` of that name, where its contract stands.

    Args:
        resources: the session's.
        find: finds the area; called by each call, so that the first one signs in.
        anywhere: the session's.
        storage_type: of the area.
    """

    def __init__(
        self,
        resources: Callable[[], Resources],
        find: Callable[[], Awaitable[Area]],
        anywhere: TransferService,
        storage_type: str = "private",
    ) -> None:
        self._resources = resources
        self._find = find
        self._transfers = anywhere
        self._storage_type = storage_type

    # Looking

    async def list(self, path: str = "/", *, recursive: bool = False) -> Items:
        """The items at a path: a directory's content, or the one object of that name."""
        items: Items = []
        try:
            async for item in self.scan(path, recursive=recursive):
                items.append(item)
        except NotFoundError:
            if path.endswith("/"):
                raise
        if items:
            return items
        found = await self.stat(path)
        return [] if found.directory else [found]

    async def scan(self, path: str = "/", *, recursive: bool = True) -> AsyncIterator[Item]:
        """Yields what is below a directory, page by page, in the order of names; memory is that of a page."""
        area = await self._find()
        prefix = area.key(path)
        if prefix and not prefix.endswith("/"):
            prefix += "/"
        resources = self._resources()
        listing = pages(area.provider, prefix, recursive=recursive, limits=resources.limits, policy=resources.policy)
        async for page in listing:
            for entry in page:
                if entry.key != prefix:
                    yield area.item(entry)

    async def stat(self, path: str) -> Item:
        """What is stored at a path: an object with its media type, metadata and checksum, or a directory."""
        area = await self._find()
        resources = self._resources()
        found = await stat(area.provider, area.key(path), limits=resources.limits, policy=resources.policy)
        if found is None:
            raise NotFoundError(
                f"{area.name} stat of {path} failed: there is no such object or directory; check the path",
                provider=area.name,
                operation="stat",
                path=path,
            )
        return area.item(found)

    async def exists(self, path: str) -> bool:
        """Whether there is an object or a directory at a path."""
        try:
            await self.stat(path)
        except NotFoundError:
            return False
        return True

    # Moving

    async def upload(
        self,
        src: str | os.PathLike[str],
        dst: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Uploads a file, a directory with all that is in it, or what a glob pattern matches."""
        area = await self._find()
        options = _options(area, content_type, metadata)
        source, destination = os.fspath(src), Located(dst, area, self._storage_type)
        files, end = LocalFiles(self._resources().threads), RemoteDestination(area.place(dst))
        arguments = {"content_type": content_type, "metadata": dict(metadata or {})}
        return await self._transfers.transfer(
            destination,
            lambda context: upload(context, files, source, end, options),
            on_progress,
            JobSpec("upload", source, destination.shown, arguments, (None, destination.where)),
        )

    async def download(
        self, src: str, dst: str | os.PathLike[str] | None = None, *, on_progress: OnProgress | None = None
    ) -> TransferReport:
        """Downloads an object, or a directory with all that is in it, into a local directory."""
        area = await self._find()
        destination = os.getcwd() if dst is None else os.fspath(dst)
        source, resources = Located(src, area, self._storage_type), self._resources()
        return await resources.transfer(
            lambda context: download(context, resources.threads, area.place(src), destination),
            on_progress,
            JobSpec("download", source.shown, destination, {}, (source.where, None)),
        )

    async def upload_many(
        self,
        pairs: Pairs,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Uploads files under names of their own: `pairs` of local and remote path, read as fast as they are sent."""
        area = await self._find()
        options = _options(area, content_type, metadata)
        files = LocalFiles(self._resources().threads)

        async def plan(context: TransferContext) -> AsyncIterator[TransferItem]:
            async for source, destination in _each(pairs):
                target = area.place(destination)
                start, end = files.place(source), RemoteDestination(target)
                yield item_for(context, start, end, target, None, options, operation="upload")

        destination = Located("", area, self._storage_type)
        arguments = {"content_type": content_type, "metadata": dict(metadata or {})}
        asked = JobSpec("upload_many", None, None, arguments, (None, destination.where))
        return await self._transfers.transfer(destination, plan, on_progress, asked)

    async def download_many(self, pairs: Pairs, *, on_progress: OnProgress | None = None) -> TransferReport:
        """Downloads objects to files: `pairs` of remote and local path, read as fast as they are done."""
        area = await self._find()
        resources = self._resources()

        async def places() -> AsyncIterator[tuple[Place, str]]:
            async for source, destination in _each(pairs):
                yield area.place(source), destination

        asked = JobSpec("download_many", None, None, {}, (Located("", area, self._storage_type).where, None))
        return await resources.transfer(
            lambda context: download_each(context, resources.threads, places()), on_progress, asked
        )

    async def write(
        self,
        path: str,
        data: AsyncIterable[bytes],
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores a stream of unknown length under a path; memory stays bounded, and a broken stream stores nothing."""
        area = await self._find()
        place = area.place(path)
        check_target(place, "write")
        options = _options(area, content_type or content_type_of(path), metadata)
        context = self._resources().context(on_progress)
        report = TransferReport([await StreamWriter(context, place, options).write(data)], context.meter.seconds)
        note_stored(self._transfers.cache, area, self._storage_type, report)
        context.meter.close()
        return report

    async def read(self, path: str, start: int | None = None, end: int | None = None) -> AsyncIterator[bytes]:
        """Yields the bytes `[start, end)` of an object, all of one version, going on after a broken connection.

        Raises:
            ChecksumMismatchError: after the last bytes of a whole object, whose checksum is not the one that is told.
        """
        start = start or 0
        if start < 0 or (end is not None and end < start):
            raise ConfigurationError(f"range = [{start}, {end}) is not allowed; it must be 0 <= start <= end")
        area = await self._find()
        resources = self._resources()
        if start == end:
            return
        reading = ResumedReader(area.provider, area.key(path), start, end, None, None, resources.policy, Attempts())
        # Between its chunks the caller may wait for anything, also for another request: no place is held so long.
        with translated(area.provider):
            async with resources.limits.requests(area.provider) or nullcontext():
                await reading.open()
        crc, told = 0, area.provider.features.checksum_told and reading.size == reading.entry.size
        try:
            while chunk := await reading.read():
                crc = crc32c(chunk, crc) if told or reading.crc32c is not None else 0
                yield bytes(chunk)
        finally:
            await reading.aclose()
        if told and reading.crc32c is None:
            limits, policy = resources.limits, resources.policy
            reading.crc32c = await request(
                lambda: area.provider.tell_checksum(reading.entry), area.provider, limits=limits, policy=policy
            )
        if reading.crc32c not in (None, crc):
            raise ChecksumMismatchError(
                f"{area.name} read of {path} failed: the bytes that arrived have another checksum than the object; "
                "do not use them, and read it again",
                provider=area.name,
                operation="read",
                path=path,
            )

    async def delete(self, path: str | Iterable[str]) -> int:
        """Deletes an object, several, or (a path that ends in a slash) a directory with all that is in it."""
        deletion = await self._delete(path)
        failure = deletion.failure()
        if failure is not None:
            raise failure
        return deletion.asked

    async def copy(self, src: str, dst: str) -> TransferReport:
        """Copies an object, or a directory with all that is in it, within the area; server-side where it can."""
        return await self._relocate(src, dst, move=False)

    async def move(self, src: str, dst: str) -> TransferReport:
        """Moves, with the rules of `copy`; a source is deleted only after its copy is complete."""
        return await self._relocate(src, dst, move=True)

    # What they share

    async def _relocate(self, src: str, dst: str, *, move: bool) -> TransferReport:
        area = await self._find()
        source, destination = Located(src, area, self._storage_type), Located(dst, area, self._storage_type)
        return await self._transfers.relocate(source, destination, move=move)

    async def _to_delete(self, area: Area, path: str) -> AsyncIterator[str]:
        key = area.key(path)
        if area.provider.features.buckets and "/" not in key:
            raise UnsafePathError(
                f"{area.name} delete of {path} refused: it names a bucket; end it in a slash to delete what is in it",
                provider=area.name,
                operation="delete",
                path=path,
            )
        if not key.endswith("/") or area.provider.features.directories:
            yield key
            return
        resources = self._resources()
        async for page in pages_to_delete(area.provider, key, limits=resources.limits, policy=resources.policy):
            for entry in page:
                yield entry.key

    async def _delete(self, path: str | Iterable[str]) -> Deletion:
        """As `delete`, but returns its failures."""
        area = await self._find()
        deletion = Deletion(self._transfers.cache, (area.name, self._storage_type), area)
        try:
            for each in (path,) if isinstance(path, str) else path:
                deletion.begin(each)
                async for key in self._to_delete(area, each):
                    deletion.keys.append(key)
                    if len(deletion.keys) == _DELETE_BATCH:
                        await self._delete_keys(deletion)
                    if deletion.gave_up:
                        return deletion
                deletion.known()
            await self._delete_keys(deletion)
        except StorageError as error:
            deletion.error = error
        finally:
            deletion.close()
        return deletion

    async def _delete_keys(self, deletion: Deletion) -> None:
        resources, provider, keys = self._resources(), deletion.area.provider, deletion.keys
        limits, policy = resources.limits, resources.policy
        deletion.tried(await delete_keys(provider, keys, limits=limits, policy=policy) if keys else {})


def _options(area: Area, content_type: str | None, metadata: Mapping[str, str] | None) -> ObjectOptions:
    return ObjectOptions(content_type, metadata or {}, area.public)


async def _each(pairs: Pairs) -> AsyncIterator[tuple[str, str]]:
    if isinstance(pairs, AsyncIterable):
        async for source, destination in pairs:
            yield os.fspath(source), os.fspath(destination)
    else:
        for source, destination in pairs:
            yield os.fspath(source), os.fspath(destination)
