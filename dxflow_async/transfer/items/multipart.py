"""Items that are sent in parts: an upload is created or resumed, and then finished or removed.

The journal knows an upload's id and stored parts from the moment they are certain until the upload is gone. While the
answer to a creation is outstanding it knows the key, because an answer that is lost leaves an upload that nobody knows.
Such uploads are found in the provider's own list of unfinished uploads, and removed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from dxflow_async.checksum import combine
from dxflow_async.concurrency.shielded import finish_or_undo
from dxflow_async.exceptions import NotFoundError, StorageError
from dxflow_async.providers.common.etags import same_etag
from dxflow_async.providers.contract import Entry, ObjectOptions, Part, PartReceipt, Provider, Upload
from dxflow_async.security.redaction import printable
from dxflow_async.transfer.items.base import BaseItem
from dxflow_async.transfer.items.own_writes import OwnWrites
from dxflow_async.transfer.journal.records import BegunUpload
from dxflow_async.transfer.plan import fits, part_size_for, split
from dxflow_async.transfer.retry import RetryPolicy, may_have_happened, retry

__all__ = ["Multipart", "begin_upload", "unknown_uploads"]

_log = logging.getLogger("dxflow_async.transfer.multipart")

_CLOCK_SKEW = 15 * 60.0
"""Seconds that a service's clock may differ from ours. S3 refuses requests that differ by more."""

_CREATING_SECONDS = 60 * 60.0
"""Seconds for which a creation may be retried."""


class Multipart(BaseItem):
    """The base of items that may be sent in parts."""

    _own_writes: OwnWrites | None = None  # of an item that is stored on a condition
    _upload: Upload | None = None
    _receipts: list[PartReceipt]  # from `_begin_parts` on
    _kept = 0  # bytes that an earlier process sent
    _unsure = False  # an upload may exist whose id is not known
    _created_at: Sequence[float] = ()

    async def _begin_parts(self, source: Entry, wanted: int, options: ObjectOptions) -> Iterator[Part]:
        """Creates or resumes an upload, and returns the parts that are left to move.

        Args:
            source: the version that is moved.
            wanted: the part size in bytes, if the provider's limits allow it.
            options: what is stored with the object.
        """
        provider, journal = self._destination.provider, self._context.journal
        part_size = part_size_for(source.size, wanted, provider.features)
        begun = None if journal is None else await journal.begun_upload(self)
        if begun is not None:
            left = await self._resume(begun, source, options)
            if left is not None:
                return left
        self._receipts = []
        key, size = self._destination.key, source.size
        self._upload = upload = await self._create(key, size, options)
        part_size = part_size_for(source.size, wanted, provider.features)  # creating it may have taught a limit
        if journal is not None and provider.features.resumable:
            await journal.upload_begun(self, BegunUpload(key, upload.id, source.etag, size, part_size))
        elif journal is not None:
            await journal.item_begun(self)
        return split(size, part_size)

    async def _create(self, key: str, size: int, options: ObjectOptions) -> Upload:
        """Creates an upload. The journal notes its key until the id of every upload that was created is known."""
        provider, journal = self._destination.provider, self._context.journal
        if journal is None or not provider.features.unfinished_uploads:
            return await self._try(lambda: begin_upload(provider, key, size, options, self._context.policy))

        async def create() -> Upload:
            try:
                return await begin_upload(provider, key, size, options, self._context.policy)
            except StorageError as error:
                self._unsure = self._unsure or may_have_happened(error)
                raise

        self._created_at = [*await journal.wanted_before(key), time.time()]
        self._unsure = self._unsure or len(self._created_at) > 1
        await journal.upload_wanted(key)
        try:
            upload = await self._try(create)
        except StorageError:
            if not self._unsure:
                journal.upload_certain(key)
            raise
        if not self._unsure:
            journal.upload_certain(key)
        return upload

    async def _resume(self, begun: BegunUpload, source: Entry, options: ObjectOptions) -> Iterator[Part] | None:
        """Returns the parts that an earlier process left; None if the item has to start anew."""
        provider = self._destination.provider
        named = None not in (begun.version, source.etag)
        same = named and same_etag(begun.version, source.etag) and begun.size == source.size
        usable = same and fits(begun.size, begun.part_size, provider.features)
        receipts = begun.receipts if usable else ()
        try:
            upload, kept = await self._try(lambda: provider.resume_upload(begun.key, begun.id, receipts, options))
        except NotFoundError:
            shown = printable(self._source.shown)
            _log.warning("the parts that were sent of %s are gone: it is sent again", shown)
            self._forget_upload(begun.id)
            return None
        if not usable:
            reason = "its parts are too many" if same else "it was changed since its upload began"
            _log.warning("%s is sent again: %s", printable(self._source.shown), reason)
            with suppress(StorageError):
                await self._try(upload.abort)
                self._forget_upload(begun.id)
            return None
        self._upload = upload
        left, self._receipts = _left(split(begun.size, begun.part_size), kept)
        self._kept = sum(receipt.part.size for receipt in self._receipts)
        self._context.meter.sized(-self._kept)
        return iter(left)

    async def _keep(self, receipt: PartReceipt) -> None:
        """Notes that a part is stored."""
        self._receipts.append(receipt)
        if self._context.journal is not None and self._destination.provider.features.resumable:
            await self._context.journal.part_done(self, receipt)

    async def _take_over_parts(self, upload: Upload, options: ObjectOptions) -> None:
        """Learns from the service which parts of an upload other processes have stored.

        Raises:
            StorageError: a part is gone; the item starts anew when it is transferred again.
        """
        provider, key, receipts = self._destination.provider, self._destination.key, self._receipts
        if provider.local_disk is not None:
            return
        self._upload, kept = await self._try(lambda: provider.resume_upload(key, upload.id, receipts, options))
        if len(kept) != len(receipts):
            raise self._failed(StorageError, f"the service lost {len(receipts) - len(kept)} of its parts; try again")

    def _whole(self) -> int | None:
        """Sorts the receipts and returns the checksum of all parts together; None if a part's checksum is not known."""
        self._receipts.sort(key=lambda receipt: receipt.part.number)
        return combine((receipt.crc32c, receipt.part.size) for receipt in self._receipts)

    async def _finish_parts(self, upload: Upload, crc32c: int | None) -> Entry:
        """Puts the parts together and returns what is stored."""
        own = self._own_writes
        if own is None:
            stored = await self._try(lambda: upload.finish(self._receipts, crc32c), kind="finish")
        else:
            size = sum(receipt.part.size for receipt in self._receipts)
            finish = partial(own.attempt, lambda: upload.finish(self._receipts, crc32c), size, crc32c)
            stored = await self._try(finish, kind="finish")
        self._upload = None
        self._forget_upload(upload.id)
        await self._remove_unknown()
        return stored

    async def abort(self) -> None:
        await super().abort()
        kept, self._kept = self._kept, 0
        self._context.meter.sized(kept)
        upload, self._upload = self._upload, None
        if upload is not None:
            await self._try(upload.abort)
            self._forget_upload(upload.id)
        await self._remove_unknown()

    async def suspend(self) -> None:
        """Frees what the item holds in this process. The parts that are stored stay, if the journal knows them."""
        if self._context.journal is not None and self._destination.provider.features.resumable:
            self._upload = None  # so `abort` leaves it
        await self.abort()

    def _forget_upload(self, upload_id: str) -> None:
        """Notes that an upload is gone."""
        if self._context.journal is not None:
            self._context.journal.upload_ended(self, self._destination.key, upload_id)

    async def _remove_unknown(self) -> None:
        """Removes uploads whose creation was never answered. What fails is left to `jobs clean`."""
        journal, place = self._context.journal, self._destination
        if not self._unsure or journal is None:
            return
        self._unsure = False
        others = await journal.others()
        if others is None:
            return
        try:
            for upload in await self._try(lambda: unknown_uploads(place.provider, place.key, self._created_at, others)):
                await self._try(upload.abort)
        except StorageError as error:
            _log.info("%s", error, extra={"fields": error.fields()})
        else:
            journal.upload_certain(place.key)


async def begin_upload(
    provider: Provider, key: str, size: int | None, options: ObjectOptions, policy: RetryPolicy
) -> Upload:
    """Starts an upload. A cancellation leaves nothing: it waits for the answer and removes the upload."""
    return await finish_or_undo(provider.start_upload(key, size, options), lambda upload: retry(upload.abort, policy))


async def unknown_uploads(
    provider: Provider, key: str, asked_at: Iterable[float], known: Collection[str]
) -> list[Upload]:
    """Returns the unfinished uploads of a key that a creation without an answer may have left.

    Args:
        provider, key: the object.
        asked_at: when each creation was requested, in seconds since the epoch.
        known: the ids of uploads that other jobs have begun.
    """
    spans = [(each - _CLOCK_SKEW, each + _CREATING_SECONDS + _CLOCK_SKEW) for each in asked_at]
    found = await provider.unfinished_uploads(key)
    return [
        each
        for each, began in found
        if each.id not in known and any(earliest <= began <= latest for earliest, latest in spans)
    ]


def _left(parts: Iterator[Part], kept: Sequence[PartReceipt]) -> tuple[list[Part], list[PartReceipt]]:
    """Returns the parts that are left to move, at least one, and the receipts of the other parts."""
    known = {receipt.part: receipt for receipt in kept}
    planned = list(parts)
    left = [part for part in planned if part not in known] or planned[-1:]
    return left, [known[part] for part in planned if part in known and part not in left]
