"""The storage of a compute unit.

Uploads use tus 1.0.0, everything else the unit's storage routes. All of it goes over the data plane, with the unit's
secret, to the unit's address only. `UnitProvider.connect` asks a server once what it can do beyond the published core,
and only that is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from dxflow_async import checksum
from dxflow_async.concurrency.shielded import clean_up
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, PreconditionFailedError, StorageError
from dxflow_async.modes import format_mode
from dxflow_async.net import ConnectionBrokenError
from dxflow_async.providers.common.conditions import ConditionalUpload, check_condition, check_matching
from dxflow_async.providers.common.confirm import (
    check_status,
    check_unchanged,
    check_version,
    contradiction,
    not_the_service,
    range_ignored,
    size_of_version,
)
from dxflow_async.providers.common.deletion import delete_each
from dxflow_async.providers.common.etags import if_match, same_etag
from dxflow_async.providers.common.fields import IgnoredRangeError, extent_of, total_of
from dxflow_async.providers.common.verified_reader import body_reader
from dxflow_async.providers.common.whole_objects import WholeObjects
from dxflow_async.providers.contract import (
    Body,
    Buffered,
    Entry,
    Features,
    ObjectOptions,
    Page,
    PartReceipt,
    Provider,
    Reader,
    Upload,
)
from dxflow_async.providers.http import HTTP, Call, Response
from dxflow_async.providers.unit.body_limit import MIN_BODY_SIZE, BodyLimit, is_proxy_limit
from dxflow_async.providers.unit.copying import PlainCopies
from dxflow_async.providers.unit.creation import Creation
from dxflow_async.providers.unit.headers import download_headers, downloaded, stored_headers
from dxflow_async.providers.unit.items import entry_of
from dxflow_async.providers.unit.listing import (
    DirectoryModesSeen,
    Listing,
    OrderedListing,
    WalkedListing,
    read_directory,
)
from dxflow_async.providers.unit.protocol import Announced
from dxflow_async.providers.unit.requests import Requests, TusAnswer
from dxflow_async.providers.unit.sending import Sending
from dxflow_async.providers.unit.stat import Looks
from dxflow_async.providers.unit.tus import Tus
from dxflow_async.providers.unit.upload import FEW_PARTS, MAX_PARTS, PartsUpload, StreamedAtEnd, StreamUpload
from dxflow_async.streams import is_streamed

__all__ = ["UnitProvider"]

_NO_LIMIT = 1 << 62
_MAX_DELETERS = 8
_UNDO_SECONDS = 10.0
_MARKER = ".dx"
_ONE = "&recursive=false"


# Features


def _features(endpoint: str, announced: Announced) -> Features:
    ours, max_size = announced.ours, announced.max_size or _NO_LIMIT
    grouped = announced.in_parts and "group" in ours
    return Features(
        checksum=announced.checks_files,
        checksum_first=grouped,
        streams_parts="digest" in ours,
        directories=True,
        copy=True,
        rename="rename" in ours,
        resumable=True,
        mtime="mtime" in ours,
        mtime_listed="mtime" in ours,
        modes="mode" in ours,
        directory_mode=announced.directory_mode if "mode" in ours else None,
        ordered="order" in ours,
        ranges="range" in ours,
        # A server that accepts only one stream receives a file as one part of any size.
        min_part_size=1 if announced.in_parts else max_size,
        max_part_size=max_size,
        max_parts=MAX_PARTS if grouped else FEW_PARTS if announced.in_parts else 1,
        max_size=max_size,
        max_copy_size=_NO_LIMIT,
        versions="stat" in ours,
        conditions=True,
        atomic_create="absent" in ours,
        checksum_told="sum" in ours,
        endpoint=endpoint,
    )


# The provider


class UnitProvider(Provider):
    """The files of a compute unit.

    Args:
        name: the unit's name, as errors show it.
        url: the unit's address, `http://host:port`.
        secret: its RW secret, or its RO secret for reading only.
        http: the session's data plane; the provider does not close it.
        threads: the session's worker threads.
        announced: what the server can do beyond the core; `connect` asks it.

    Raises:
        ConfigurationError: the address is not valid.
    """

    name = "UNIT"

    def __init__(
        self, name: str, url: str, secret: str, http: HTTP, threads: Threads, announced: Announced | None = None
    ) -> None:
        self.unit = name
        self._requests = Requests(url, secret, http)
        self._threads = threads
        self._modes = DirectoryModesSeen()
        self._whole = WholeObjects(http.stall_timeout)
        self._limit = BodyLimit(self._buffers_bodies)
        self._learn(announced or Announced())

    def _learn(self, announced: Announced) -> None:
        self._announced = announced
        self._requests.echoes = "echo" in announced.ours
        self._looks = Looks(self._requests, announced)
        self._copies = PlainCopies(self._requests, self._looks, self._checksum_of)
        self._creation = Creation(announced="absent" in announced.ours, on_ignored=self._creates_with_a_look)
        self._tus = Tus(self._requests, announced, self._limit, self._looks, self._checksum_of, self._creation)
        self.features = _features(self._requests.endpoint.url, announced)

    async def connect(self) -> None:
        """Asks the server what it can do beyond the core: `features` say so from then on."""
        self._learn(await self._requests.announced(self._call("connect", "")))

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        listing: Listing | None = cursor
        if listing is None:
            ours, call = self._announced.ours, self._call("list", prefix)
            kind = OrderedListing if "order" in ours else WalkedListing
            times, modes = "mtime" in ours, self._modes if "mode" in ours else None
            listing = kind(self._requests, call, prefix, recursive=recursive, times=times, modes=modes)
        return await listing.page()

    async def list_directory(self, key: str) -> Sequence[Entry]:
        """Returns the entries of a directory, in the unit's order.

        Raises:
            NotFoundError: the directory does not exist.
        """
        call, features = self._call("list", key), self.features
        return await read_directory(self._requests, call, key, times=features.mtime_listed, modes=features.modes)

    async def stat(self, key: str) -> Entry:
        call = self._call("stat", key)
        if not key:
            return Entry("", directory=True)
        entry = await self._looks.look_up(call, key)
        if key.endswith("/") and not entry.directory:
            raise call.error(NotFoundError, "it is a file, not a directory; check the path")
        return entry

    async def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None, listed: Entry | None = None
    ) -> Reader:
        call = self._call("read", key)
        if not key or key.endswith("/"):
            raise call.error(NotFoundError, "it is a directory; name a file")
        ranged = start > 0 or end is not None

        async def open_whole() -> Reader:
            return await self.read(key, etag=etag, listed=listed)

        if ranged and self.range_support.missing:
            return await self._whole.read(call, key, start, end, etag, open_whole)
        response = await self._requests.ask(call, "GET", "download", key, download_headers(start, end, etag))
        try:
            return await self._reader(call, key, response, (start, end), (etag, listed))
        except IgnoredRangeError:
            response.close()
            if self.features.ranges:
                raise range_ignored(self, call, response.status) from None
            self.range_support.failed()
            return await self._whole.read(call, key, start, end, etag, open_whole)
        except ValueError as error:
            response.close()
            raise not_the_service(call, str(error), response.status) from error
        except BaseException:
            response.close()
            raise

    async def _reader(
        self,
        call: Call,
        key: str,
        response: Response,
        span: tuple[int, int | None],
        version: tuple[str | None, Entry | None],
    ) -> Reader:
        """Returns the reader of a response with the range `span`, given the requested version and the listed file."""
        (etag, listed), headers, known = version, response.headers, None
        if total_of(response.status, headers) is None:
            known = await size_of_version(self, call, key, stored_headers(headers)[0], listed)
        size, length = extent_of(response.status, headers, *span, known)
        if response.status == 206:
            self.range_support.worked()
        if response.status == 206 or (headers.get("accept-ranges") == "bytes" and not self.range_support.missing):
            self._knows_ranges()
        entry = downloaded(key, size, headers, times=self.features.mtime, modes=self.features.modes)
        await check_version(self, call, key, etag, entry.etag)
        return body_reader(entry, length, self._requests.http, call, response, entry.crc32c if length == size else None)

    async def tell_checksum(self, entry: Entry) -> int | None:
        call = self._call("read", entry.key)
        found = await self._looks.look_up(call, entry.key, summed=True)
        if not same_etag(entry.etag, found.etag):
            raise call.error(PreconditionFailedError, "the file was replaced in the meantime; start again")
        return found.crc32c

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        call = self._call("write", key)
        if not self._creation.decided_there(options):
            await check_condition(self, call, key, options)
        crc = body.crc32c
        if crc is None and self.features.checksum_first:
            crc = await self._measure(body)
        metadata = self._tus.metadata(call, key, options, crc)
        stored = None
        if self._creates_with_bytes(body.size):
            stored = await self._store(call, metadata, body, crc)
        answer, crc = stored or await self._write_plainly(call, key, metadata, body)
        await self._tus.confirm(call, key, body.size, certain=answer.certain)
        etag, told = stored_headers(answer.headers)
        return Entry(key, body.size, etag=etag, crc32c=crc if told is None else told)

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        call = self._call("write", key)
        if options.conditional:
            upload = await self._start_upload(call, key, size, options)
            decided = self._creation.decided_there(options)
            return upload if decided else ConditionalUpload(self, call, key, upload, options)
        return await self._start_upload(call, key, size, options)

    async def _start_upload(self, call: Call, key: str, size: int | None, options: ObjectOptions) -> Upload:
        if self._announced.in_parts:
            if "group" not in self._announced.ours:
                most = min(FEW_PARTS, await self._tus.most_parts(call))
                self.features = replace(self.features, max_parts=most)
                if size is None and most < FEW_PARTS:
                    return self._spooled(call, key, options)
            return PartsUpload(self._tus, call, key, options, self.features.max_parts)
        if size is None:
            return self._spooled(call, key, options)
        metadata = self._tus.metadata(call, key, options)
        sending = Sending(self._tus, call, size, metadata, partial=False, key=key)
        await sending.begin()
        return StreamUpload(call, key, sending, size)

    async def resume_upload(
        self, key: str, upload_id: str, receipts: Sequence[PartReceipt], options: ObjectOptions
    ) -> tuple[Upload, Sequence[PartReceipt]]:
        call = self._call("write", key)
        upload, kept = await self._resume_upload(call, key, upload_id, receipts, options)
        if options.conditional and not self._creation.decided_there(options):
            return ConditionalUpload(self, call, key, upload, options), kept
        return upload, kept

    async def _resume_upload(
        self, call: Call, key: str, upload_id: str, receipts: Sequence[PartReceipt], options: ObjectOptions
    ) -> tuple[Upload, Sequence[PartReceipt]]:
        if self._announced.in_parts:
            upload = PartsUpload(self._tus, call, key, options, self.features.max_parts, upload_id=upload_id)
            return upload, await upload.go_on(receipts)
        _, headers = await self._tus.offset(call, upload_id)
        length = headers.get("upload-length", "")
        if not re.fullmatch(r"[0-9]{1,18}", length):
            with suppress(StorageError):
                await self._tus.remove(call, upload_id, patiently=False)
            raise call.error(NotFoundError, "the server does not tell the length of the upload; start it again")
        size = int(length)
        metadata = self._tus.metadata(call, key, options)
        sending = Sending(self._tus, call, size, metadata, partial=False, address=upload_id, key=key)
        return StreamUpload(call, key, sending, size), ()

    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        failed = await delete_each(keys, lambda key: self._delete(key, all_of_it=key.endswith("/")), _MAX_DELETERS)
        if self._requests.echoes:
            return failed
        deleted = [key for key in keys if key not in failed]
        return failed | await self._looks.left_of(self._call("delete", ""), deleted)

    async def delete_matching(self, key: str, etag: str) -> None:
        await check_matching(self, self._call("delete", key), key, etag)
        await self.delete_one(key)

    async def copy(self, source: Entry, key: str, options: ObjectOptions) -> Entry:
        call = self._call("copy", source.key)
        if not self._creation.decided_there(options):
            await check_condition(self, call, key, options)
        if not self._requests.echoes:
            await self._copies.copy(call, source, key)
            await check_unchanged(self, call, source)
            return Entry(key, source.size, crc32c=source.crc32c)
        condition = if_match(source.etag)
        headers = None if condition is None else {"if-match": condition}
        new = self._creation.wanted(options)
        query = "&absent=true" if new else ""
        response = await self._requests.ask(
            call, "PUT", "transfer", source.key, headers, destination=key, query=query, slow=True
        )
        check_status(call, response, 200)
        item = await self._requests.document(call, response)
        stored = entry_of(call, item, "", times=self.features.mtime, modes=self.features.modes, key=key)
        if new:
            self._creation.answered(kept=item.get("absent") is True)
        if source.etag is not None and stored.size != source.size:
            raise contradiction(call, f"the copy has {stored.size} bytes, its source {source.size}")
        return stored if stored.crc32c is not None else replace(stored, crc32c=source.crc32c)

    async def rename(self, source: str, key: str) -> None:
        call = self._call("move", source)
        response = await self._requests.ask(call, "PUT", "rename", source, destination=key, repeatable=False)
        await self._requests.done(call, response)
        if not self._requests.echoes:
            await self.stat(key)

    async def mode_of_directory(self, key: str) -> int | None:
        known = self._modes.get(key)
        return (await self.stat(key)).mode if known is None else known

    async def make_directory(self, key: str, mode: int | None = None) -> None:
        call = self._call("make directory", key)
        if "directory" in self._announced.ours:
            query = f"&mode={format_mode(mode)}" if mode is not None and self.features.modes else ""
            await self._requests.done(call, await self._requests.ask(call, "PUT", "directory", key, query=query))
            if not self._requests.echoes:
                await self.stat(f"{key.removesuffix('/')}/")
            return
        directory = f"{key.removesuffix('/')}/"
        with suppress(NotFoundError):
            await self.stat(directory)
            return
        # The published SDK relies on this: a server creates the directories of an uploaded file.
        marker = f"{directory}{_MARKER}"
        await self.write(marker, Buffered((), 0, 0), ObjectOptions())
        await self.delete_one(marker)

    async def remove_directory(self, key: str) -> None:
        call = self._call("delete", key)
        if "prune" not in self._announced.ours:
            with suppress(NotFoundError):  # an earlier request, whose answer was lost, may have removed it
                if await read_directory(self._requests, call, key, times=False):
                    raise call.error(AlreadyExistsError, "the directory is not empty")
        await self._delete(f"{key.removesuffix('/')}/", all_of_it=False)
        if not self._requests.echoes:
            for error in (await self._looks.left_of(self._call("delete", ""), [key])).values():
                raise error

    async def aclose(self) -> None:
        await self._whole.aclose()

    def _call(self, operation: str, key: str) -> Call:
        return Call(self.name, operation, f"/{self.unit}/{key}")

    def _buffers_bodies(self) -> None:
        """Notes that bodies are sent in pieces from now on, each of which is in memory meanwhile."""
        self.features = replace(self.features, buffered_size=self._limit.piece_size)

    def _creates_with_bytes(self, size: int) -> bool:
        """Returns whether the request that creates an upload may hold a file of that size.

        A client that is cancelled in the middle of that request does not know the address of the upload. A server of
        this library removes it; others keep what arrived, so only small bodies, which leave at once, are sent so.
        """
        if "creation-with-upload" not in self._announced.tus or not self._limit.whole:
            return False
        return self._limit.allows(size) and (size <= MIN_BODY_SIZE or bool(self._announced.ours))

    def _creates_with_a_look(self) -> None:
        self.features = replace(self.features, atomic_create=False)

    def _knows_ranges(self) -> None:
        if not self.features.ranges:
            self.features = replace(self.features, ranges=True)

    async def _delete(self, key: str, *, all_of_it: bool) -> None:
        query = "" if all_of_it or "prune" not in self._announced.ours else _ONE
        if "prune" in self._announced.ours:
            query += f"&kind={'directory' if key.endswith('/') else 'file'}"
        with suppress(NotFoundError):
            call = self._call("delete", key)
            if "prune" not in self._announced.ours and key.endswith("/"):
                await self.stat(key)  # such a server ignores the slash, and would delete a file of that name
            await self._requests.done(
                call, await self._requests.ask(call, "DELETE", "items", key, query=query, slow=True)
            )

    async def _store(
        self, call: Call, metadata: Mapping[str, str], body: Body, crc: int | None
    ) -> tuple[TusAnswer, int | None] | None:
        """Stores a file in one request; returns None if it has to be sent in another way, and can be sent again."""
        try:
            stored = await self._tus.store(call, metadata, body, crc)
        except StorageError as error:
            if is_proxy_limit(error):
                error.progressed = error.retryable = self._limit.refused(body.size)
            elif isinstance(error.__cause__, ConnectionBrokenError) and error.path == call.path:
                error.progressed = self._limit.broken(call.path, body.size)
            if not error.progressed or is_streamed(body):
                raise
            return None
        self._limit.passed(call.path)
        return stored

    def _spooled(self, call: Call, key: str, options: ObjectOptions) -> Upload:
        """Returns an upload of unknown length for a server that must be told the length, or takes a few parts only."""
        return StreamedAtEnd(call, self._threads, lambda size: self.start_upload(key, size, options))

    async def _write_plainly(
        self, call: Call, key: str, metadata: Mapping[str, str], body: Body
    ) -> tuple[TusAnswer, int]:
        """Creates a file, then sends its bytes."""
        known = self._limit.size
        sending = Sending(self._tus, call, body.size, metadata, partial=False, key=key, once=is_streamed(body))
        try:
            crc = await sending.write(body)
        except BaseException as error:
            if isinstance(error, StorageError):  # bytes that were stored are removed; only a new limit remains
                error.progressed = error.retryable and self._limit.size != known
            with suppress(StorageError):
                await clean_up(sending.remove(), _UNDO_SECONDS)
            raise
        return TusAnswer(sending.headers, sending.certain), crc

    async def _checksum_of(self, entry: Entry) -> int:
        """Returns the CRC32C of a file: the server's, or else that of its bytes, which are read."""
        crc = entry.crc32c
        if crc is None and self.features.checksum_told:
            crc = await self.tell_checksum(entry)
        if crc is None:
            crc = 0
            async with await self.read(entry.key, etag=entry.etag, listed=entry) as reading:
                while chunk := await reading.read():
                    crc = await self._threads.run(checksum.crc32c, chunk, crc)
        return crc

    async def _measure(self, body: Body) -> int:
        """Reads a body once for its checksum. This reading does not count as progress."""
        crc = 0
        async for chunk in getattr(body, "uncounted", body):
            crc = await self._threads.run(checksum.crc32c, chunk, crc)
        return crc
