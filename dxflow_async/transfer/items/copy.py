"""Moving one object from a provider to a provider: up, down and across are the same work.

A destination on the network gets each body from memory, with its checksum, so that it can be sent again; a local one
takes the bytes as they arrive. The checksums of the parts make the checksum of the whole, which is compared with
what either side reports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from dxflow_async.checksum import crc32c, joined
from dxflow_async.exceptions import ChecksumMismatchError, SourceChangedError, StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.common.mtime import NAME, changed_at
from dxflow_async.providers.common.reread_body import RereadBody
from dxflow_async.providers.contract import Body, Entry, Features, ObjectOptions, Part, Reader, Staged, Upload
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.content_type import content_type_of
from dxflow_async.transfer.items.multipart import Multipart
from dxflow_async.transfer.items.part_digests import PartDigests
from dxflow_async.transfer.items.repair import Join, PartChecksums, whole_of
from dxflow_async.transfer.items.resumed_reader import ResumedReader, look_again
from dxflow_async.transfer.progress import MeteredBody, MeteredReader
from dxflow_async.transfer.retry import Attempts, retry

__all__ = ["CopyItem"]

T = TypeVar("T")

_STREAM_SIZE = 2 << 20
"""Bytes of memory a part takes that is streamed to a disk."""

_READ_SIZE = 256 << 10

_COUNTED_WHOLE = 64 << 10
"""Bytes of a body whose progress is not worth counting on the way."""

_STREAMED_PARTS = 32
_LARGEST_STREAMED = 4  # times the wanted size
_LARGEST_WHOLE = 8  # times the wanted size, among many

_MANY = 100
"""Items that are left to do beside one that so is not worth cutting: each has a request of its own in flight."""

_MiB = 1 << 20


class CopyItem(Multipart, TransferItem):
    """One object, read here and written there.

    Args:
        route: budgets, retries, progress.
        source, destination: the two ends; the entry of a listing, where there is one, saves a request.
        options: what is stored with it; the media type and the time that are not given are the source's.
        entry: what is known of the source.
        delete_source: of a move, once the copy is known to be stored.
    """

    def __init__(
        self,
        context: TransferContext,
        source: Place,
        destination: Place,
        options: ObjectOptions,
        entry: Entry | None = None,
        *,
        delete_source: bool = False,
    ) -> None:
        super().__init__(context, source, destination, 0 if entry is None else entry.size)
        self._moves = delete_source
        self._options = options
        self._listed = entry
        self._entry = entry
        self._first: Reader | None = None
        self._reserved = 0
        self._stored: Entry | None = None
        self._compared = False  # the whole that was read, with a checksum of another kind than CRC32C
        self._digests: PartDigests | None = None  # of the parts of such a whole
        self._staged: Staged | None = None
        features = destination.provider.features
        # Whether the bytes of a part are read once, as they are sent.
        self._streams_parts = features.streams_parts and source.provider.features.cheap_reread
        costly = features.parts_are_objects and self._streams_parts
        self._part_size = context.part_size * (_LARGEST_STREAMED if costly else 1)
        self._to_disk = features.endpoint is None and not features.checksum_first
        self._whole_size = 0  # of an object that moves as one, at the most

    async def open(self) -> Iterator[Part]:
        self._begin()
        among_many = self._to_disk and self._context.meter.left >= _MANY
        self._whole_size = self._part_size * (_LARGEST_WHOLE if among_many else 2)
        self._receipts, self._readings, self._mends = [], PartChecksums(), False
        if self._context.journal is not None:
            await self._context.journal.sweep(self._destination.provider, self._destination.key)
        self._entry = entry = await self._look()
        if entry.size <= self._whole_size:
            return iter((Part(1, 0, entry.size),))
        await self._drop_first()
        self._digests = PartDigests.of(entry)
        self.waits_for_disk = self._destination.provider.features.stages
        return await self._begin_parts(entry, self._wanted_size(entry.size), self._described())

    async def seen(self) -> str | None:
        return await super().seen() if self._listed is None else self._listed.etag

    def _wanted_size(self, size: int) -> int:
        """Bytes of a part; the whole of a source that brings with each range what is before it."""
        source, destination = self._source.provider.features, self._destination.provider.features
        wanted = self._part_size
        if not source.ranges and not destination.checksum_first:
            return min(size, destination.max_part_size)
        if self._streams_parts or self._to_disk:  # a larger one takes no more memory, and fewer cost less
            return max(wanted, min(size // _STREAMED_PARTS, _LARGEST_STREAMED * self._context.part_size) // _MiB * _MiB)
        return wanted

    async def _look(self) -> Entry:
        """What there is to move. A small object of known size is only looked at when it is read."""
        source, listed = self._source.provider, self._listed
        if listed is not None and (listed.size <= self._whole_size or _told(source.features, listed)):
            return listed
        if listed is None and not self._destination.provider.features.checksum_first:
            # The request that tells the size brings a small object's bytes too. Whoever has a place among the
            # requests never waits for memory, or all could wait for each other.
            self._reserved = await self._context.limits.memory.take(_STREAM_SIZE)
            attempts = Attempts()
            self._first = await self._open(None, attempts)
            self._retries += attempts.retries
            entry = self._first.entry
        else:
            entry = await self._try(lambda: look_again(source, self._source.key, listed), self._source)
        if listed is None:
            self._context.meter.sized(entry.size - self.size)
            self.size = entry.size
        return entry

    async def move(self, part: Part) -> None:
        upload = self._upload
        if self._mends:
            await self._read_again(part)
        elif upload is not None:
            await self._keep(await self._send(part, lambda body: upload.write_part(part, body)))
        elif self._destination.provider.features.stages:
            stage = self._destination.provider.stage
            self._staged = await self._send(part, lambda body: stage(self._destination.key, body, self._described()))
            self._stored, self.waits_for_disk = self._staged.entry, self._staged.waits
        else:
            write = self._destination.provider.write
            self._stored = await self._send(part, lambda body: write(self._destination.key, body, self._described()))

    async def finish(self) -> TransferResult:
        assert self._entry is not None
        if self._upload is not None and self._entry.crc32c is None and self._source.provider.features.checksum_told:
            entry = self._entry
            told = await self._try(lambda: self._source.provider.tell_checksum(entry), self._source)
            self._entry = replace(entry, crc32c=told)
        if self._upload is None:
            assert self._stored is not None
            self._judge(self._stored.crc32c if self._crc32c is None else self._crc32c)
            if self._staged is not None:
                await self._staged.commit()
                self._staged = None
            return await self._settle()
        whole = self._whole()
        expected = self._entry.crc32c
        if None not in (whole, expected) and whole != expected:
            raise self._mismatch()
        self._compared = await self._compare_digest(self._upload)
        self._stored = await self._finish_parts(self._upload, whole)
        self._judge(whole)
        return await self._settle()

    async def _compare_digest(self, upload: Upload) -> bool:
        """Whether all bytes are known to have the digest that is told of them, where that is no CRC32C.

        Where the parts do not tell it, what was written is read again if that costs little: of a move, and where an
        earlier process moved some of the parts.

        Raises:
            ChecksumMismatchError: they have another one.
        """
        assert self._entry is not None
        digest = self._entry.digest
        if digest is None:
            return False
        found = None if self._digests is None else self._digests.combined(self._receipts)
        if found is None and (self._moves or self._digests is not None):
            found = await self._try(lambda: upload.digest(digest.algorithm))
        if found not in (None, digest.value):
            raise self._mismatch()
        return found is not None

    async def mend(self) -> Iterator[Part] | None:
        values: Mapping[int, int | None] = {receipt.part.number: receipt.crc32c for receipt in self._receipts}
        expected = None if self._entry is None else self._entry.crc32c
        join: Join = joined
        if self._digests is not None:
            values, expected, join = self._digests.values, self._digests.expected, self._digests.join
        whole = whole_of(self._receipts, values, join)
        if self._upload is None or expected is None or whole in (None, expected):
            return None
        wrong = self._readings.wrong(self._receipts, values, expected, join)
        self._mends = not wrong
        if not wrong:
            return iter([receipt.part for receipt in self._receipts])
        self._retries += 1
        for receipt in wrong:
            self._receipts.remove(receipt)
            self._count(-receipt.part.size)
        return iter([receipt.part for receipt in wrong])

    async def _read_again(self, part: Part) -> None:
        """Reads a part for nothing but its checksum."""
        memory, attempts = await self._context.limits.memory.take(min(part.size, _STREAM_SIZE)), Attempts()
        try:
            async with await self._open(part, attempts) as reading:
                buffer, crc = memoryview(bytearray(_READ_SIZE)), 0
                if self._digests is not None:
                    crc = await self._digests.read(reading, buffer, self._context.threads)
                else:
                    while size := await reading.readinto(buffer):
                        crc = crc32c(buffer[:size], crc)
            self._readings.add(part.number, crc)
        finally:
            self._retries += attempts.retries
            self._context.limits.memory.give(memory)

    async def _settle(self) -> TransferResult:
        assert self._entry is not None
        self.version = self._entry.etag
        if self._moves:
            await self._delete_source(self._entry, self._stored)
        return self.result(None)

    async def abort(self) -> None:
        await self._drop_first()
        staged, self._staged = self._staged, None
        if staged is not None:
            await staged.discard()
        await super().abort()

    async def _drop_first(self) -> None:
        first, self._first = self._first, None
        reserved, self._reserved = self._reserved, 0
        self._context.limits.memory.give(reserved)
        if first is not None:
            await first.aclose()

    def _described(self) -> ObjectOptions:
        """What is stored with the object, completed by what is known of the source. The user's own metadata wins."""
        options, listed, seen = self._options, self._listed, self._entry
        content_type = options.content_type
        if content_type is None:
            told = (seen and seen.content_type) or (listed and listed.content_type)
            content_type = told or content_type_of(self._destination.key)
        modified = options.modified
        if modified is None and not (options.metadata and NAME in map(str.lower, options.metadata)):
            modified = changed_at(self._source.provider.features, listed, seen)
        mode = options.mode
        if mode is None and self._destination.provider.features.modes:
            mode = next((each.mode for each in (seen, listed) if each is not None), None)
        return ObjectOptions(content_type, options.metadata, options.public, modified, mode)

    def _judge(self, moved: int | None) -> None:
        """Compares the checksum of what moved with what the network's side says it has."""
        assert self._entry is not None
        assert self._stored is not None
        self._crc32c = moved
        said = []
        if self._source.provider.features.checksum:
            said.append(moved if self._compared else self._entry.crc32c)
        if self._destination.provider.features.checksum:
            said.append(self._stored.crc32c)
        for value in said:
            if value is not None and value != moved:
                raise self._mismatch()
        self._verified = bool(said) and moved is not None and None not in said

    async def _send(self, part: Part, deliver: Callable[[Body], Awaitable[T]]) -> T:
        """Reads a part and delivers it, as often as the policy allows."""
        buffered = self._destination.provider.features.checksum_first
        whole = buffered and not self._source.provider.features.cheap_reread
        memory, self._reserved = self._reserved, 0
        if not memory:
            memory = await self._context.limits.memory.take(part.size if whole else min(part.size, _STREAM_SIZE))
        attempts = Attempts()
        try:
            if not buffered:
                return await retry(lambda: self._stream(part, deliver, attempts), self._context.policy, attempts)
            body = await retry(lambda: self._buffer(part, attempts), self._context.policy, attempts)
            if body.size <= _COUNTED_WHOLE:
                taken = await self._try(lambda: deliver(body), size=part.size)
                self._count(body.size)
                return taken
            metered = MeteredBody(body, self._count)
            return await self._try(lambda: deliver(metered), size=part.size)
        finally:
            self._retries += attempts.retries
            self._context.limits.memory.give(memory)

    async def _stream(self, part: Part, deliver: Callable[[Body], Awaitable[T]], attempts: Attempts) -> T:
        async with await self._open(part, attempts) as opened:
            watched = None if self._upload is None or self._digests is None else self._digests.watch(opened)
            reading: Reader = opened if watched is None else watched
            body = MeteredReader(reading, self._count)
            try:
                taken = await deliver(body)
            except StorageError:
                attempts.progressed_to(part.offset + body.counted)
                body.forget()
                raise
            if self._digests is not None and watched is not None:
                self._digests.values[part.number] = self._digests.value_of(watched)
            self._compared = reading.verified
            return taken

    async def _buffer(self, part: Part, attempts: Attempts) -> Body:
        if self._upload is not None and self._streams_parts:
            assert self._entry is not None
            return RereadBody(self._source.provider, self._entry, part.offset, part.size)
        async with await self._open(part, attempts) as reading:
            expected = reading.crc32c
            body = await reading.buffer_or_reopen()
            self._compared = reading.verified
        if self._upload is not None and self._digests is not None:
            await self._digests.keep_body(part.number, body, self._context.threads)
        if expected is not None and expected != body.crc32c:
            raise self._mismatch()
        if self._upload is None:
            self._crc32c = body.crc32c
        return body

    async def _open(self, part: Part | None, attempts: Attempts) -> Reader:
        """A part of the version that was looked at; or the whole of whichever is there now."""
        if self._first is not None and part is not None and part.number == 1:
            first, self._first = self._first, None
            return await self._told(first, attempts)
        pinned = self._entry if self._upload is not None else None
        if part is None or pinned is None:
            reading = await self._read(0, None, None, self._listed, attempts)
        else:
            reading = await self._read(part.offset, part.offset + part.size, pinned.etag, pinned, attempts)
        if pinned is None:
            self._entry = reading.entry
            if part is not None and reading.size > max(part.size, self._whole_size):
                await reading.aclose()
                raise self._changed()
            if part is not None:
                return await self._told(reading, attempts)
        return reading

    async def _told(self, reading: Reader, attempts: Attempts) -> Reader:
        """The same, with the checksum that the provider computes where its answer had none: nothing else is stored."""
        provider, entry = self._source.provider, reading.entry
        if reading.crc32c is None and reading.size and provider.features.checksum_told:
            try:
                reading.crc32c = await retry(lambda: provider.tell_checksum(entry), self._context.policy, attempts)
            except BaseException:
                await reading.aclose()
                raise
            self._entry = replace(entry, crc32c=reading.crc32c)
        return reading

    async def _read(
        self, start: int, end: int | None, etag: str | None, listed: Entry | None, attempts: Attempts
    ) -> Reader:
        provider, key, limit = self._source.provider, self._source.key, self._source_limit
        if limit is None:  # a disk: what it refuses once it refuses again
            whole = listed if end is None else None
            return await provider.read(key, start, end, etag=etag, listed=whole)
        reading = ResumedReader(provider, key, start, end, etag, limit, self._context.policy, attempts, listed)
        await reading.open()
        return reading

    def _mismatch(self) -> StorageError:
        text = (
            "the bytes that arrived have another checksum than the source; try again, and check memory and network "
            "when it happens again"
        )
        return self._failed(ChecksumMismatchError, text)

    def _changed(self) -> StorageError:
        return self._failed(SourceChangedError, "it grew while it was transferred; try again")


def _told(features: Features, listed: Entry) -> bool:
    """Whether a listing says all that there is to know before an object is read in parts."""
    return (listed.crc32c is not None or not features.checksum) and (
        listed.mtime is not None or features.mtime_listed or not features.mtime
    )
