"""An item that is sent in parts: begun, or gone on with where an earlier process got to, then finished or removed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress

from dxflow_async.checksum import combine
from dxflow_async.exceptions import NotFoundError, StorageError
from dxflow_async.providers.base import Entry, ObjectOptions, Part, Receipt, Upload
from dxflow_async.transfer.jobfile import BegunUpload
from dxflow_async.transfer.moving import Moving, Place, Route, begin_upload
from dxflow_async.transfer.plan import part_size_for, split

__all__ = ["Multipart"]

_log = logging.getLogger("dxflow_async.transfer.multipart")


class Multipart(Moving):
    """What the items have in common that may be sent in parts; the journal, where there is one, knows the parts."""

    def __init__(self, route: Route, source: Place, destination: Place, size: int = 0) -> None:
        super().__init__(route, source, destination, size)
        self._upload: Upload | None = None
        self._receipts: list[Receipt] = []

    async def _begin_parts(self, source: Entry, wanted: int, options: ObjectOptions) -> Iterator[Part]:
        """The parts there are to do; an upload is begun for them.

        Args:
            source: the version that is moved.
            wanted: the size of parts in bytes, if the provider's limits allow.
            options: what is stored with the object.
        """
        provider, journal = self._destination.provider, self._route.journal
        part_size = part_size_for(source.size, wanted, provider.features)
        begun = None if journal is None else await journal.begun_upload(self)
        if begun is not None:
            left = await self._go_on(begun, source, options)
            if left is not None:
                return left
        self._receipts = []
        key, size = self._destination.key, source.size
        self._upload = upload = await self._try(lambda: begin_upload(provider, key, size, options))
        if journal is not None and provider.features.resumable:
            await journal.upload_begun(self, BegunUpload(key, upload.id, source.etag, size, part_size))
        return split(size, part_size)

    async def _go_on(self, begun: BegunUpload, source: Entry, options: ObjectOptions) -> Iterator[Part] | None:
        """What an earlier process left to do; None when it is to be begun anew."""
        provider = self._destination.provider
        same = source.etag is not None and (begun.version, begun.size) == (source.etag, source.size)
        receipts = begun.receipts if same else ()
        try:
            upload, kept = await self._try(lambda: provider.resume_upload(begun.key, begun.id, receipts, options))
        except NotFoundError:
            _log.warning("what was sent of %s is not there any more: it is sent again", self._source.shown)
            return None
        if not same:
            _log.warning("%s was changed since its upload began: it is sent again", self._source.shown)
            with suppress(StorageError):
                await self._try(upload.abort)
            return None
        self._upload = upload
        left, self._receipts = _left(split(begun.size, begun.part_size), kept)
        self._route.meter.sized(-sum(receipt.part.size for receipt in self._receipts))
        return iter(left)

    async def _keep(self, receipt: Receipt) -> None:
        """A part is stored."""
        self._receipts.append(receipt)
        if self._route.journal is not None and self._destination.provider.features.resumable:
            await self._route.journal.part_done(self, receipt)

    def _whole(self) -> int | None:
        """The checksum of all parts together, which are in their order then."""
        self._receipts.sort(key=lambda receipt: receipt.part.number)
        return combine((receipt.crc32c, receipt.part.size) for receipt in self._receipts)

    async def _finish_parts(self, upload: Upload, crc32c: int | None) -> Entry:
        """What is stored, put together."""
        stored = await self._try(lambda: upload.finish(self._receipts, crc32c))
        self._forget_upload()
        return stored

    async def abort(self) -> None:
        await super().abort()
        if self._upload is not None:
            upload = self._upload
            self._forget_upload()
            await upload.abort()

    def _forget_upload(self) -> None:
        self._upload = None
        if self._route.journal is not None:
            self._route.journal.upload_ended(self)


def _left(parts: Iterator[Part], kept: Sequence[Receipt]) -> tuple[list[Part], list[Receipt]]:
    """The parts to do, at least one, and the receipts of the others."""
    known = {receipt.part: receipt for receipt in kept}
    planned = list(parts)
    left = [part for part in planned if part not in known] or planned[-1:]
    return left, [known[part] for part in planned if part in known and part not in left]
