"""An item that is sent in parts: begun, or gone on with where an earlier process got to, then finished or removed."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress

from dxflow_async.checksum import combine
from dxflow_async.concurrency.shielded import finish_or_undo
from dxflow_async.exceptions import NotFoundError, StorageError, ThrottledError
from dxflow_async.providers.contract import Entry, ObjectOptions, Part, PartReceipt, Provider, Upload
from dxflow_async.security.redaction import printable
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.items.base import BaseItem
from dxflow_async.transfer.journal.records import BegunUpload
from dxflow_async.transfer.plan import part_size_for, split
from dxflow_async.transfer.retry import RetryPolicy, retry

__all__ = ["Multipart", "begin_upload", "unknown_uploads"]

_log = logging.getLogger("dxflow_async.transfer.multipart")

_CLOCK_SKEW = 15 * 60.0
"""Seconds that a service's clock may differ from ours: of requests that differ by more, S3 takes none."""

_CREATING_SECONDS = 60 * 60.0
"""For as long a creation may be tried again."""


class Multipart(BaseItem):
    """What the items have in common that may be sent in parts; the journal, where there is one, knows the parts."""

    def __init__(self, context: TransferContext, source: Place, destination: Place, size: int = 0) -> None:
        super().__init__(context, source, destination, size)
        self._upload: Upload | None = None
        self._receipts: list[PartReceipt] = []
        self._unsure = False  # whether there may be an upload that nobody was told of
        self._created_at: list[float] = []

    async def _begin_parts(self, source: Entry, wanted: int, options: ObjectOptions) -> Iterator[Part]:
        """The parts there are to do; an upload is begun for them.

        Args:
            source: the version that is moved.
            wanted: the size of parts in bytes, if the provider's limits allow.
            options: what is stored with the object.
        """
        provider, journal = self._destination.provider, self._context.journal
        part_size = part_size_for(source.size, wanted, provider.features)
        begun = None if journal is None else await journal.begun_upload(self)
        if begun is not None:
            left = await self._go_on(begun, source, options)
            if left is not None:
                return left
        self._receipts = []
        key, size = self._destination.key, source.size
        self._upload = upload = await self._create(key, size, options)
        if journal is not None and provider.features.resumable:
            await journal.upload_begun(self, BegunUpload(key, upload.id, source.etag, size, part_size))
        return split(size, part_size)

    async def _create(self, key: str, size: int, options: ObjectOptions) -> Upload:
        """A new upload. The journal knows its key while it is not certain that the id of each one made is known."""
        provider, journal = self._destination.provider, self._context.journal
        if journal is None or not provider.features.unfinished_uploads:
            return await self._try(lambda: begin_upload(provider, key, size, options, self._context.policy))

        async def create() -> Upload:
            try:
                return await begin_upload(provider, key, size, options, self._context.policy)
            except StorageError as error:
                self._unsure = self._unsure or _may_have_happened(error)
                raise

        self._created_at = [*await journal.wanted_before(key), time.time()]
        self._unsure = self._unsure or len(self._created_at) > 1
        journal.upload_wanted(key)
        try:
            upload = await self._try(create)
        except StorageError:
            if not self._unsure:
                journal.upload_certain(key)
            raise
        if not self._unsure:
            journal.upload_certain(key)
        return upload

    async def _go_on(self, begun: BegunUpload, source: Entry, options: ObjectOptions) -> Iterator[Part] | None:
        """What an earlier process left to do; None when it is to be begun anew."""
        provider = self._destination.provider
        same = source.etag is not None and (begun.version, begun.size) == (source.etag, source.size)
        receipts = begun.receipts if same else ()
        try:
            upload, kept = await self._try(lambda: provider.resume_upload(begun.key, begun.id, receipts, options))
        except NotFoundError:
            shown = printable(self._source.shown)
            _log.warning("what was sent of %s is not there any more: it is sent again", shown)
            self._forget_upload(begun.id)
            return None
        if not same:
            _log.warning("%s was changed since its upload began: it is sent again", printable(self._source.shown))
            with suppress(StorageError):
                await self._try(upload.abort)
                self._forget_upload(begun.id)
            return None
        self._upload = upload
        left, self._receipts = _left(split(begun.size, begun.part_size), kept)
        self._context.meter.sized(-sum(receipt.part.size for receipt in self._receipts))
        return iter(left)

    async def _keep(self, receipt: PartReceipt) -> None:
        """A part is stored."""
        self._receipts.append(receipt)
        if self._context.journal is not None and self._destination.provider.features.resumable:
            await self._context.journal.part_done(self, receipt)

    def _whole(self) -> int | None:
        """The checksum of all parts together, which are in their order then."""
        self._receipts.sort(key=lambda receipt: receipt.part.number)
        return combine((receipt.crc32c, receipt.part.size) for receipt in self._receipts)

    async def _finish_parts(self, upload: Upload, crc32c: int | None) -> Entry:
        """What is stored, put together."""
        stored = await self._try(lambda: upload.finish(self._receipts, crc32c))
        self._upload = None
        self._forget_upload(upload.id)
        await self._remove_unknown()
        return stored

    async def abort(self) -> None:
        await super().abort()
        upload, self._upload = self._upload, None
        if upload is not None:
            await self._try(upload.abort)
            self._forget_upload(upload.id)
        await self._remove_unknown()

    def _forget_upload(self, upload_id: str) -> None:
        """It is gone, and nobody has to go on with it."""
        if self._context.journal is not None:
            self._context.journal.upload_ended(self, self._destination.key, upload_id)

    async def _remove_unknown(self) -> None:
        """Removes uploads whose creation was not answered; what fails is left to `jobs clean`."""
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
    """`Provider.start_upload`, of which a cancellation leaves nothing: the answer is waited for, and undone."""
    return await finish_or_undo(provider.start_upload(key, size, options), lambda upload: retry(upload.abort, policy))


def _may_have_happened(error: StorageError) -> bool:
    """Whether a request that failed so may have been carried out all the same: only a refusal tells that it was not.

    Behind an answer that is not the service's, such as a page with status 200, the service's own may be lost.
    """
    refused = error.status is not None and 400 <= error.status < 500
    return not refused and not isinstance(error, ThrottledError)


async def unknown_uploads(
    provider: Provider, key: str, asked_at: Iterable[float], known: Collection[str]
) -> list[Upload]:
    """The unfinished uploads of a key that a creation without an answer may have made.

    Args:
        provider, key: where.
        asked_at: when a creation was asked for, each in seconds since the epoch.
        known: ids of uploads that are somebody else's.
    """
    spans = [(each - _CLOCK_SKEW, each + _CREATING_SECONDS + _CLOCK_SKEW) for each in asked_at]
    found = await provider.unfinished_uploads(key)
    return [
        each
        for each, began in found
        if each.id not in known and any(earliest <= began <= latest for earliest, latest in spans)
    ]


def _left(parts: Iterator[Part], kept: Sequence[PartReceipt]) -> tuple[list[Part], list[PartReceipt]]:
    """The parts to do, at least one, and the receipts of the others."""
    known = {receipt.part: receipt for receipt in kept}
    planned = list(parts)
    left = [part for part in planned if part not in known] or planned[-1:]
    return left, [known[part] for part in planned if part in known and part not in left]
