"""Copies one object from one provider to another: uploads, downloads and cloud-to-cloud copies are the same work.

`PartPolicy` decides how the object becomes parts, `SourceReads` opens the reads, `Verification` compares checksums;
`CopyItem` moves the bytes between them. A destination that wants a checksum first (the clouds) gets each body from
memory, or from a file that is read twice, so that it can be sent again. Every other destination takes the bytes as
they arrive.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from dxflow_async.digests import ExpectedDigest
from dxflow_async.exceptions import ChecksumMismatchError, SourceChangedError, StorageError
from dxflow_async.models import TransferResult
from dxflow_async.presumed_digests import PresumedDigest
from dxflow_async.providers.common.reread_body import RereadBody
from dxflow_async.providers.contract import (
    Body,
    Entry,
    Features,
    ObjectOptions,
    Part,
    PartLimitError,
    PartReceipt,
    RangeIgnoredError,
    Reader,
    Staged,
    Upload,
)
from dxflow_async.transfer.adaptive_limit import LARGE_SIZE
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.executor.shard import ItemRecord, PartRange, ShardPlace
from dxflow_async.transfer.items.checksums import stored_checksum
from dxflow_async.transfer.items.composite_digests import CompositeDigests
from dxflow_async.transfer.items.multipart import Multipart
from dxflow_async.transfer.items.object_options import complete_options
from dxflow_async.transfer.items.own_writes import OwnWrites
from dxflow_async.transfer.items.resumed_reader import look_again
from dxflow_async.transfer.items.source_reads import SourceReads
from dxflow_async.transfer.items.verification import PartDigests, Verification
from dxflow_async.transfer.progress import MeteredBody, MeteredReader
from dxflow_async.transfer.retry import Attempts, retry_after

__all__ = ["CopyItem"]

T = TypeVar("T")

_PARTS_IN_MEMORY = 4
"""Parts as large as those of the source are moved only if so many of them fit into memory."""

_COUNTED_WHOLE = 64 << 10
"""A body of up to this many bytes is counted once it was sent, not while it is sent."""


class CopyItem(Multipart, TransferItem):
    """One object that is read from its source and written to its destination.

    Args:
        context: limits, retries, progress and journal of the call.
        source, destination: where the object is read and written.
        options: what is stored with the copy; what they do not say is taken from the source.
        entry: the source as a listing described it, if it was listed. It saves a request.
        delete_source: deletes the source once the copy is known to be stored.
    """

    _checks: Verification
    _stored: Entry | None = None
    _staged: Staged | None = None
    _tags: Mapping[str, str] | None = None
    _whole_size = 0  # up to this size the object moves as one part

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
        if self._sides.writes_to is not destination.provider:
            self._destination = destination._replace(provider=self._sides.writes_to)
        self._moves = delete_source
        self._options = options
        if options.conditional:
            self._own_writes = OwnWrites(context, destination)
        self._reads = SourceReads(context, source, self._sides.source_limit, entry)

    async def open(self) -> Iterator[Part]:
        self._begin()
        self._decide()
        self._checks = Verification(self._sides.source, self._sides.destination)
        if (journal := self._context.journal) is not None and journal.resuming:
            await journal.sweep(self._destination.provider, self._destination.key)
        self._reads.entry = entry = await self._look()
        if entry.size <= self._whole_size:
            return iter((Part(1, 0, entry.size),))
        self._decide()  # the answer may have taught the provider something
        await self._reads.aclose()
        if entry.presumed is not None:
            provider = self._source.provider
            entry = self._reads.entry = await self._try(partial(provider.complete_digest, entry), self._source)
        self._checks.begin_parts(entry)
        await self._try(self._take_tags, self._source)
        features, wanted = self._destination.provider.features, self._sides.policy.wanted_size(entry.size)
        self.waits_for_disk = features.stages
        if self._destination.provider.local_disk is None and not self._shares_parts:
            largest = self._context.limits.max_memory_bytes // _PARTS_IN_MEMORY
            wanted = self._checks.align_parts(entry, features, largest) or wanted
        return await self._begin_parts(entry, wanted, self._completed_options())

    def _decide(self) -> None:
        """Decides how the object becomes parts, by what is known of both providers now."""
        self._sides = self._context.sides(self._source.provider, self._destination.provider)
        self._whole_size = self._sides.policy.largest_whole(self._context.meter.left)

    async def seen(self) -> str | None:
        listed = self._reads.listed
        return await super().seen() if listed is None else listed.etag

    async def _look(self) -> Entry:
        """Returns what there is to move. A small object of known size is not looked at before it is read."""
        source, listed = self._source.provider, self._reads.listed
        if listed is not None:
            if listed.size <= self._whole_size or _is_complete(source.features, listed):
                return listed
            return await self._try(partial(look_again, source, self._source.key, listed), self._source)
        if self._sides.policy.buffers:
            entry = await self._try(partial(look_again, source, self._source.key, None), self._source)
        else:
            attempts = Attempts()
            entry = await self._reads.open_first(self._sides.policy.memory_for(self._whole_size), attempts)
            self._retries += attempts.retries
        self._context.meter.sized(entry.size - self.size)
        self.size = entry.size
        return entry

    async def move(self, part: Part) -> None:
        upload = self._upload
        if self._checks.rereads:
            await self._read_again(part)
        elif upload is not None:
            if self._shares_parts:
                await self._keep(await self._move_elsewhere(part, upload))
            else:
                await self._keep(await self._send(part, partial(upload.write_part, part)))
            if self._checks.ordered is not None:
                await self._checks.ordered.stored(part, upload)
        elif self._sides.destination.stages:
            self._staged = await self._send(part, self._stage)
            self._stored, self.waits_for_disk = self._staged.entry, self._staged.waits
        else:
            self._stored = await self._send(part, self._write if self._own_writes is None else self._write_on_condition)

    def _stage(self, body: Body) -> Awaitable[Staged]:
        return self._destination.provider.stage(self._destination.key, body, self._completed_options())

    def _write(self, body: Body) -> Awaitable[Entry]:
        if self._sides.tagged:
            return self._write_with_tags(body)
        return self._destination.provider.write(self._destination.key, body, self._completed_options())

    async def _write_with_tags(self, body: Body) -> Entry:
        await self._take_tags()
        return await self._destination.provider.write(self._destination.key, body, self._completed_options())

    async def _write_on_condition(self, body: Body) -> Entry:
        await self._take_tags()
        provider, key, options = self._destination.provider, self._destination.key, self._completed_options()
        assert self._own_writes is not None
        return await self._own_writes.attempt(lambda: provider.write(key, body, options), body.size, body.crc32c)

    def record(self) -> ItemRecord | None:
        self._decide()
        if self.size > self._whole_size or self._is_view:
            return None
        ends = ShardPlace.of(*self._source), ShardPlace.of(*self._destination)
        return ItemRecord("copy", *ends, self._reads.listed, self._options, self._moves)

    @property
    def _shares_parts(self) -> bool:
        shared = self._context.part_mover is not None and self._destination.provider.features.resumable
        return shared and not self._is_view

    async def _move_elsewhere(self, part: Part, upload: Upload) -> PartReceipt:
        """Has a worker of an executor move a part. This process does it where the part shows another limit."""
        mover, entry = self._context.part_mover, self._reads.entry
        assert mover is not None
        assert entry is not None
        ends = ShardPlace.of(*self._source), ShardPlace.of(*self._destination)
        try:
            moved = await mover.move(PartRange(*ends, entry, self._completed_options(), upload.id, ()), part)
        except (PartLimitError, RangeIgnoredError):
            return await self._send(part, partial(upload.write_part, part))
        if isinstance(self._checks.digests, PartDigests) and moved.digest is not None:
            self._checks.digests.values[part.number] = moved.digest
        self._moved += part.size
        self._context.meter.moved(part.size)
        return moved.receipt

    async def finish(self) -> TransferResult:
        if self._upload is not None:
            if self._shares_parts:
                await self._take_over_parts(self._upload, self._completed_options())
            await self._finish_upload(self._upload)
        else:
            assert self._stored is not None
            # An object that moved as one part is compared before a staged one gets its name.
            self._judge(self._stored.crc32c if self._crc32c is None else self._crc32c)
            if self._staged is not None:
                await self._staged.commit()
                self._staged = None
        entry = self._reads.entry
        assert entry is not None
        self.version = entry.etag
        if self._moves:
            await self._delete_source(entry, self._stored)
        return self.result(None)

    async def _finish_upload(self, upload: Upload) -> None:
        """Compares the parts with the source before they are put together, and what was stored after."""
        provider, entry = self._source.provider, self._reads.entry
        assert entry is not None
        if entry.crc32c is None:
            told = await stored_checksum(provider, entry, lambda ask: self._try(ask, self._source))
            self._reads.entry = entry = replace(entry, crc32c=told)
        whole = self._whole()
        if None not in (whole, entry.crc32c) and whole != entry.crc32c:
            raise self._mismatch()
        self._checks.compared = await self._compare_digest(upload, entry)
        self._stored = await self._finish_parts(upload, whole)
        self._judge(whole)

    async def _compare_digest(self, upload: Upload, entry: Entry) -> bool:
        """Returns whether all bytes are known to have the digest that the source reports instead of a CRC32C.

        Where the parts' digests do not tell, the destination reads what it stored again, if that costs little.

        Raises:
            ChecksumMismatchError: they have another digest.
        """
        expected, digests, ordered = entry.digest, self._checks.digests, self._checks.ordered
        if isinstance(digests, CompositeDigests):
            return self._is_expected(digests.expected, digests.combined(self._receipts))
        if ordered is not None:
            computed = await self._try(lambda: ordered.value(upload, self._receipts), kind="digest")
            return self._is_expected(ordered.expected, computed)
        if expected is None:
            return False
        found = None if digests is None else digests.combined(self._receipts)
        if found is None and digests is not None:
            found = await self._try(lambda: upload.digest(expected.algorithm), kind="digest")
        if found not in (None, expected.value):
            raise self._mismatch()
        return found is not None

    def _is_expected(self, expected: ExpectedDigest | PresumedDigest, computed: bytes | None) -> bool:
        """Returns whether a digest proves all bytes.

        Raises:
            ChecksumMismatchError: it proves that some are wrong.
        """
        self._checks.computed = computed is not None
        verdict = None if computed is None else expected.judge(self._source.key, computed, again=True)
        if verdict is False:
            raise self._mismatch()
        return verdict is True

    async def mend(self) -> Iterator[Part] | None:
        entry = self._reads.entry
        wrong = None
        if self._upload is not None and entry is not None:
            wrong = self._checks.wrong_parts(self._receipts, entry)
        if wrong is None:
            return None
        if not wrong:
            return iter([receipt.part for receipt in self._receipts])
        self._retries += 1
        for receipt in wrong:
            self._receipts.remove(receipt)
            self._count(-receipt.part.size)
        return iter([receipt.part for receipt in wrong])

    async def _read_again(self, part: Part) -> None:
        """Reads a part only for its checksum."""
        budget, attempts = self._context.limits.memory, Attempts()
        memory = await budget.take(self._sides.policy.stream_memory(part.size))
        try:
            async with await self._open(part, attempts) as reading:
                await self._checks.read_again(part.number, reading, self._context.threads)
        finally:
            self._retries += attempts.retries
            budget.give(memory)

    async def abort(self) -> None:
        await self._reads.aclose()
        staged, self._staged = self._staged, None
        if staged is not None:
            await staged.discard()
        if self._upload is not None and self._shares_parts:
            with suppress(StorageError):  # what is known of the upload is removed anyway
                await self._take_over_parts(self._upload, self._completed_options())
        await super().abort()

    async def _take_tags(self) -> None:
        """Looks up the tags of the source, which only requests for them report, unless the call gives others."""
        entry = self._reads.entry
        if self._sides.tagged and self._tags is self._options.tags is None and entry is not None:
            self._tags = await self._source.provider.stored_tags(entry)

    def _completed_options(self) -> ObjectOptions:
        sides, reads = self._sides, self._reads
        options = self._options if not self._tags else replace(self._options, tags=self._tags)
        key = self._destination.key
        return complete_options(options, key, sides.source, sides.destination, reads.listed, reads.entry)

    def _judge(self, moved: int | None) -> None:
        """Compares the CRC32C of the bytes that moved with what both sides report.

        Raises:
            ChecksumMismatchError: one of them differs.
        """
        assert self._reads.entry is not None
        assert self._stored is not None
        self._crc32c = moved
        verdict = self._checks.verdict(moved, self._reads.entry, self._stored)
        if verdict is False:
            raise self._mismatch()
        self._verified, self._unverified = verdict is True, self._checks.unverified

    async def _send(self, part: Part, deliver: Callable[[Body], Awaitable[T]]) -> T:
        """Reads a part and delivers it, as often as the retry policy allows."""
        ahead = self._sides.read_ahead
        held = None if ahead is None or part.size < LARGE_SIZE else await ahead.enter()
        attempts, policy, budget = Attempts(), self._context.policy, self._sides.memory
        memory = self._reads.take_reserved()
        try:
            if not memory:
                wanted = self._sides.policy.memory_for(part.size)
                memory = budget.try_take(wanted) or await budget.take(wanted)
            if not self._sides.policy.buffers:
                try:
                    return await self._stream(part, deliver, attempts)
                except StorageError as error:
                    failure = error
                return await retry_after(failure, partial(self._stream, part, deliver, attempts), policy, attempts)
            if held is not None:
                held.begins()
                attempts.on_failure = held.failed
            try:
                body = await self._buffer(part, attempts)
            except StorageError as error:
                failure = error
                body = await retry_after(failure, partial(self._buffer, part, attempts), policy, attempts)
            if held is not None:
                held.ends()
                deliver = partial(held.write, deliver)
            if body.size <= _COUNTED_WHOLE:
                delivered = await self._try(partial(deliver, body), size=part.size)
                self._count(body.size)
                return delivered
            metered = MeteredBody(body, self._count)
            return await self._try(partial(deliver, metered), size=part.size)
        finally:
            if held is not None:
                held.leave()
            self._retries += attempts.retries
            budget.give(memory)

    async def _stream(self, part: Part, deliver: Callable[[Body], Awaitable[T]], attempts: Attempts) -> T:
        """Delivers a part while it is read."""
        digests = None if self._upload is None else self._checks.digests
        opened = await self._open(part, attempts)
        try:
            watched = None if digests is None else digests.watch(opened)
            reading: Reader = opened if watched is None else watched
            body = MeteredReader(reading, self._count)
            try:
                delivered = await deliver(body)
            except StorageError:
                attempts.progressed_to(part.offset + body.counted)
                body.forget()
                raise
            if digests is not None and watched is not None:
                digests.keep(part.number, watched)
            self._checks.compared = reading.verified
            return delivered
        finally:
            await opened.aclose()

    async def _buffer(self, part: Part, attempts: Attempts) -> Body:
        """Returns a part as a body that can be sent more than once."""
        upload = self._upload
        if upload is not None and self._sides.policy.streams_parts:
            assert self._reads.entry is not None
            return RereadBody(self._source.provider, self._reads.entry, part.offset, part.size)
        disk = self._sides.source_disk
        cached = None if disk is None or upload is not None else self._reads.cached(disk)
        expected, body = cached or await self._read_body(part, attempts)
        if upload is not None and self._checks.digests is not None:
            await self._checks.digests.keep_body(part.number, body, self._context.threads)
        if expected is not None and expected != body.crc32c:
            raise self._mismatch()
        if upload is None:
            self._crc32c = body.crc32c
        return body

    async def _read_body(self, part: Part, attempts: Attempts) -> tuple[int | None, Body]:
        """Returns the CRC32C that a part should have, where it is known, and its body."""
        reading = await self._open(part, attempts)
        try:
            expected = reading.crc32c
            body = await reading.buffer_or_reopen()
            self._checks.compared = reading.verified
        finally:
            await reading.aclose()
        return expected, body

    async def _open(self, part: Part, attempts: Attempts) -> Reader:
        """Opens a part of an upload; without an upload, the whole object in the version that is there now.

        Raises:
            SourceChangedError: the whole object is too large by now to move as one part.
        """
        if self._upload is not None:
            return await self._reads.open_part(part, attempts)
        reading = await self._reads.open_whole(attempts)
        if reading.size > max(part.size, self._whole_size):
            await reading.aclose()
            raise self._failed(SourceChangedError, "it grew while it was transferred; try again")
        if reading.crc32c is None and self._sides.source.checksum_told:
            await self._reads.add_checksum(reading, attempts)
        return reading

    def _mismatch(self) -> StorageError:
        text = (
            "the bytes that arrived have another checksum than the source; try again, and check memory and network "
            "when it happens again"
        )
        return self._failed(ChecksumMismatchError, text)


def _is_complete(features: Features, listed: Entry) -> bool:
    """Returns whether a listing tells everything that is needed to copy an object in parts.

    No listing has the HTTP headers that are stored with an object.
    """
    if features.options:
        return False
    return (listed.crc32c is not None or not features.checksum) and (
        listed.mtime is not None or features.mtime_listed or not features.mtime
    )
