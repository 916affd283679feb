"""Copies within one provider that the provider makes itself: no byte passes through this machine."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial

from dxflow_async.exceptions import ChecksumMismatchError, SourceChangedError
from dxflow_async.models import TransferResult
from dxflow_async.providers.common.etags import opaque_tag
from dxflow_async.providers.common.mtime import changed_at
from dxflow_async.providers.contract import Entry, ObjectOptions, Part
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.executor.shard import ItemRecord, ShardPlace
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.items.multipart import Multipart
from dxflow_async.transfer.items.own_writes import OwnWrites

__all__ = ["ServerCopyItem"]

_COPY_PART_SIZE = 1 << 30
_MD5 = re.compile(r"[0-9a-f]{32}")


class ServerCopyItem(Multipart, TransferItem):
    """One object that its provider copies, with everything that is stored with it.

    Args:
        context: what the items of the call share.
        source, destination: the two places.
        entry: the source.
        options: whether the copy is public.
        delete_source: deletes the source once the copy is known to be stored.
        keep_time: if no time is kept with the source, the copy keeps the time at which the source was stored.
    """

    def __init__(
        self,
        context: TransferContext,
        source: Place,
        destination: Place,
        entry: Entry,
        options: ObjectOptions,
        *,
        delete_source: bool = False,
        keep_time: bool = False,
    ) -> None:
        super().__init__(context, source, destination, entry.size)
        self._moves = delete_source
        self._keeps_time = keep_time and source.provider.features.mtime and entry.mtime is None
        self._entry = entry
        self._options = options
        self._own_writes = OwnWrites(context, destination, (source, entry)) if options.conditional else None
        self._stored: Entry | None = None

    async def open(self) -> Iterator[Part]:
        self._begin()
        if self._moves and self._entry.etag is None and self._source.provider.features.versions:
            self._entry = await self._look()
        provider, size = self._source.provider, self._entry.size
        if size <= provider.features.max_copy_size:
            if self._keeps_time:
                seen = self._entry if provider.features.mtime_listed else await self._look()
                modified = None if seen.mtime is not None else changed_at(provider.features, self._entry, seen)
                self._options = replace(self._options, modified=modified)
            return iter((Part(1, 0, size),))
        seen = await self._look()
        # An object that is put together from parts does not take over what is stored with the source.
        modified = changed_at(provider.features, self._entry, seen)
        options = replace(
            self._options,
            content_type=self._options.content_type or seen.content_type,
            metadata=self._options.metadata or seen.metadata,
            modified=modified,
            copied_from=self._entry,
        )
        return await self._begin_parts(self._entry, _COPY_PART_SIZE, options)

    async def seen(self) -> str | None:
        return self._entry.etag

    async def relayed(self) -> CopyItem:
        """Returns the item that copies the object through this machine, with its media type and metadata."""
        seen, given = await self._look(), self._options
        options = replace(
            given, content_type=given.content_type or seen.content_type, metadata=given.metadata or seen.metadata
        )
        return self._relayed_item(options)

    def _relayed_item(self, options: ObjectOptions) -> CopyItem:
        return CopyItem(self._context, self._source, self._destination, options, self._entry, delete_source=self._moves)

    def record(self) -> ItemRecord | None:
        if self.size > self._source.provider.features.max_copy_size or self._is_view:
            return None
        ends = ShardPlace.of(*self._source), ShardPlace.of(*self._destination)
        return ItemRecord("server", *ends, self._entry, self._options, self._moves, self._keeps_time)

    async def _look(self) -> Entry:
        seen = await self._try(lambda: self._source.provider.stat(self._source.key), self._source)
        known = self._entry.etag
        unnamed = seen.etag is None and not self._source.provider.features.versions and seen.size == self._entry.size
        if known is None or unnamed:
            return seen
        provider = self._source.provider
        same = bool(seen.etag) and await self._try(lambda: provider.same_version(known, seen), self._source)
        if not same or seen.size != self._entry.size:
            raise self._failed(SourceChangedError, "it was changed while it was copied; try again")
        self._entry.etag = seen.etag
        return seen

    async def move(self, part: Part) -> None:
        provider, upload = self._destination.provider, self._upload  # it may have a key of its own
        if upload is None:
            own, entry = self._own_writes, self._entry
            copy: Callable[[], Awaitable[Entry]] = partial(provider.copy, entry, self._destination.key, self._options)
            if own is not None:
                copy = partial(own.attempt, copy, entry.size, entry.crc32c)
            self._stored = await self._try(copy, kind="copy")
        else:
            await self._keep(await self._try(lambda: upload.copy_part(part, self._entry), kind="copy"))
        self._count(part.size)

    async def finish(self) -> TransferResult:
        self.version = self._entry.etag
        if self._upload is not None:
            self._whole()
            self._stored = await self._finish_parts(self._upload, None)
        await self._compare_stored()
        if self._moves:
            await self._delete_source(self._entry, self._stored, by_service=True)
        return self.result(None)

    async def _compare_stored(self) -> None:
        """Compares the checksums that the service reports of both objects; looks them up where it reports them at all.

        Raises:
            ChecksumMismatchError: the copy has another checksum.
        """
        source, destination = self._source.provider, self._destination.provider
        entry, stored = self._entry, self._stored
        if not entry.size:
            self._verified = True
            return
        if destination.local_disk is not None and stored is not None and stored.crc32c is not None:
            self._verified = True
            return
        if not source.features.checksum or stored is None:
            self._unverified = "the service copied it, and reports no checksums"
            return
        same = _same_bytes(entry, stored)
        if same is None and not _has_checksum(stored):
            stored = await self._try(lambda: destination.stat(self._destination.key))
            same = _same_bytes(entry, stored)
        if same is None and _has_checksum(stored) and not _has_checksum(entry):
            same = _same_bytes(await self._look(), stored)
        if same is False:
            raise self._failed(ChecksumMismatchError, "the copy has another checksum than its source; copy it again")
        self._verified = same is True
        self._unverified = "the service copied it, and reports no checksum of both that can be compared"


def _same_bytes(entry: Entry, stored: Entry) -> bool | None:
    """Returns whether two objects of one service have the same checksum; None if that cannot be told."""
    if None not in (entry.crc32c, stored.crc32c):
        return entry.crc32c == stored.crc32c
    one, other = entry.digest, stored.digest
    if one is not None and other is not None and one.algorithm == other.algorithm:
        return one.value == other.value
    etag = opaque_tag(entry.etag or "")
    if _MD5.fullmatch(etag) and etag == opaque_tag(stored.etag or ""):
        return True  # equal MD5s; other ones may be those of encrypted bytes
    return None


def _has_checksum(entry: Entry) -> bool:
    return entry.crc32c is not None or entry.digest is not None
