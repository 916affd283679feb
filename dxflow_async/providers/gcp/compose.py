"""Sends one large object over several connections: parts are temporary objects that the service composes.

Source: https://cloud.google.com/storage/docs/parallel-composite-uploads and
https://cloud.google.com/storage/docs/composite-objects
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from dxflow_async import checksum
from dxflow_async.concurrency.pool import results_of
from dxflow_async.concurrency.shielded import finish_or_undo
from dxflow_async.exceptions import AccessDeniedError, ChecksumMismatchError, StorageError
from dxflow_async.providers.common.conditions import refused
from dxflow_async.providers.contract import Body, Buffer, Entry, ObjectOptions, Part, PartReceipt, Reader, Upload
from dxflow_async.providers.gcp.bucket_rules import BucketRules
from dxflow_async.providers.gcp.joined_parts import JoinedParts, Piece, refuses_compose
from dxflow_async.providers.gcp.objects import SINGLE_SIZE, resource_of
from dxflow_async.providers.gcp.resumable import ResumableUpload
from dxflow_async.providers.gcp.store import Sent, Store, Version, acl, condition, managed_key
from dxflow_async.providers.http import Call

__all__ = ["COMPOSE_SIZE", "PARTS_PREFIX", "ComposeUpload"]

_log = logging.getLogger("dxflow_async.providers.gcp")

PARTS_PREFIX = ".dxflow-parts/"
"""The prefix of parts in every bucket; listings omit them."""

COMPOSE_SIZE = 32
"""The most objects that can be composed at a time."""

_COMPOSING = 8
_CLEAN_UPS = 3
_PLAIN = ObjectOptions()


class ComposeUpload(Upload):
    """A parallel composite upload. Its parts are `.dxflow-parts/<id>/<number>` of the same bucket, deleted at its end.

    The checksum of each part is compared when it is written, and that of the whole before anything is composed, so a
    corrupt part leaves the key as it was. The last step states the checksum of the whole, and the service refuses to
    compose anything else. If a server does so anyway, the result is deleted and the error says so.

    A server that does not compose objects gets the whole in one more upload, for which the parts are read again.
    Later uploads to it have no parts.

    A program that is killed leaves its parts behind; a lifecycle rule for the prefix `.dxflow-parts/` removes them.
    Buckets that keep deleted objects (soft delete, retention) keep the parts, too.
    """

    def __init__(
        self,
        store: Store,
        rules: BucketRules,
        key: str,
        options: ObjectOptions,
        read: Callable[[str, str | None], Awaitable[Reader]],
        upload_id: str | None = None,
    ) -> None:
        self.id = upload_id or secrets.token_hex(12)
        self._store = store
        self._rules = rules
        self._key = key
        self._bucket, _, self._name = key.partition("/")
        self._options = options
        self._read = read
        self._directory = f"{PARTS_PREFIX}{self.id}/"
        self._begun: dict[str, ResumableUpload] = {}
        # What has to be deleted: names and, where known, generations.
        self._temporary: dict[str, str | None] = {}
        self._stored: Entry | None = None
        self._clean_ups = 0

    @property
    def directory(self) -> str:
        """The prefix of the keys of the parts."""
        return f"{self._bucket}/{self._directory}"

    def go_on(self, found: Sequence[Entry], receipts: Sequence[PartReceipt]) -> Sequence[PartReceipt]:
        """Continues an upload of another process; returns the receipts whose parts exist."""
        entries = {entry.key.partition("/")[2]: entry for entry in found}
        self._temporary = {name: entry.etag for name, entry in entries.items()}
        return [each for each in receipts if _is_stored(each, entries.get(self._name_of(each.part)))]

    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        name = self._name_of(part)
        call = Call(self._store.remote, "write", f"/{self._key} (part {part.number})")
        resource = resource_of(name, _PLAIN, body.crc32c)
        self._temporary.setdefault(name, None)
        stored, crc32c = await self._send(call, resource, body)
        self._temporary[name] = stored.etag
        return PartReceipt(part, stored.etag, crc32c, verified=crc32c == stored.crc32c is not None)

    async def _send(self, call: Call, resource: Mapping[str, Any], body: Body) -> Sent:
        """Stores a part. A cancellation waits for the response if the service has the whole part: it exists then."""
        name, read = resource["name"], _Read(body)
        if body.size <= SINGLE_SIZE:
            sending = self._store.put(call, self._bucket, resource, read)
        else:
            # Another attempt of a broken part continues from where it was.
            begun = self._begun.get(name) or ResumableUpload(self._store.requests, call, self._bucket, resource)
            self._begun[name] = begun
            sending = self._store.put_resumable(call, self._bucket, begun, read)

        async def note(sent: Sent) -> None:
            self._temporary[name] = sent.entry.etag

        sent = await finish_or_undo(sending, note, lambda: read.ended)
        self._begun.pop(name, None)
        return sent

    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        if self._stored is None:
            self._stored = await self._put_together(receipts, crc32c)
        await self._clean_up()
        return self._stored

    async def abort(self) -> None:
        try:
            for name, each in list(self._begun.items()):
                await each.cancel()
                self._begun.pop(name, None)
        finally:
            await self._remove_temporary()

    async def _put_together(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        call = Call(self._store.remote, "write", f"/{self._key}")
        try:
            return await self._put_pieces_together(call, receipts, crc32c)
        except StorageError as error:
            raise refused(call, self._options, error) from error

    async def _put_pieces_together(self, call: Call, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        pieces = [Piece(Version(self._name_of(each.part), each.etag), each.part.size, each.crc32c) for each in receipts]
        whole = _crc32c(pieces)
        if None not in (whole, crc32c) and whole != crc32c:
            raise call.error(ChecksumMismatchError, "its parts are not those of the whole; nothing was replaced")
        resource = resource_of(self._name, self._options, crc32c if whole is None else whole)
        if not self._store.composes:
            return await self._join(call, pieces, resource)
        try:
            return await self._compose_all(call, pieces, resource)
        except StorageError as error:
            if not refuses_compose(error):
                raise
            self._store.note_refusal("compose", error)
        return await self._join(call, pieces, resource)

    async def _join(self, call: Call, pieces: Sequence[Piece], resource: Mapping[str, Any]) -> Entry:
        """Stores the whole by one upload. Another attempt continues from where it was."""
        begun = self._begun.get(self._name)
        if begun is None:
            query = (
                acl("predefinedAcl", public=self._options.public)
                + condition(self._options)
                + managed_key(self._options)
            )
            begun = ResumableUpload(self._store.requests, call, self._bucket, resource, query)
            self._begun[self._name] = begun

        async def read(version: Version) -> Reader:
            return await self._read(f"{self._bucket}/{version.name}", version.generation)

        body = JoinedParts(read, pieces, checksum.decode(resource.get("crc32c")))
        stored = (await self._store.put_resumable(call, self._bucket, begun, body)).entry
        self._begun.pop(self._name, None)
        return stored

    async def _compose_all(self, call: Call, pieces: list[Piece], resource: Mapping[str, Any]) -> Entry:
        level = 0
        while len(pieces) > COMPOSE_SIZE:
            level += 1
            pieces = await self._compose_level(call, level, pieces)
        query = (
            acl("destinationPredefinedAcl", public=self._options.public)
            + condition(self._options)
            + managed_key(self._options)
        )
        return await self._compose(call, pieces, resource, query)

    async def _compose_level(self, call: Call, level: int, pieces: Sequence[Piece]) -> list[Piece]:
        """Composes each 32 pieces into one."""
        groups = [pieces[start : start + COMPOSE_SIZE] for start in range(0, len(pieces), COMPOSE_SIZE)]
        names = [f"{self._directory}{level}-{number:05}" for number in range(len(groups))]
        composing = [partial(self._compose_piece, call, name, some) for name, some in zip(names, groups, strict=True)]
        return await results_of(composing, _COMPOSING)

    async def _compose_piece(self, call: Call, name: str, pieces: Sequence[Piece]) -> Piece:
        self._temporary.setdefault(name, None)
        stored = await self._compose(call, pieces, resource_of(name, _PLAIN, _crc32c(pieces)))
        self._temporary[name] = stored.etag
        return Piece(Version(name, stored.etag), stored.size, stored.crc32c)

    async def _compose(
        self, call: Call, pieces: Sequence[Piece], resource: Mapping[str, Any], query: str = ""
    ) -> Entry:
        versions, size = [piece.version for piece in pieces], sum(piece.size for piece in pieces)
        return await self._store.compose(call, self._bucket, versions, resource, size, query)

    async def _clean_up(self) -> None:
        """Deletes the parts of a stored object. Failing to do so is not a failure of the object."""
        try:
            await self._remove_temporary()
        except StorageError as error:
            self._clean_ups += 1
            if error.retryable and self._clean_ups < _CLEAN_UPS:
                raise
            text = "/%s is stored, but its parts could not be removed: delete /%s/%s (%s)"
            _log.warning(text, self._key, self._bucket, self._directory, error)

    async def _remove_temporary(self) -> None:
        call = Call(self._store.remote, "delete", f"/{self._bucket}/{self._directory}")
        versions = [Version(name, generation) for name, generation in self._temporary.items()]
        failed = await self._store.remove(call, self._bucket, versions)
        self._temporary = {name: self._temporary[name] for name in failed}
        if failed:
            error = next(iter(failed.values()))
            if isinstance(error, AccessDeniedError):
                self._rules.note(self._bucket, f"parts could not be deleted ({error.code or error.status})")
            raise error

    def _name_of(self, part: Part) -> str:
        return f"{self._directory}{part.number:05}"


def _is_stored(receipt: PartReceipt, entry: Entry | None) -> bool:
    return entry is not None and (entry.etag, entry.size) == (receipt.etag, receipt.part.size)


class _Read:
    """A body that records whether it was last read to its end."""

    def __init__(self, body: Body) -> None:
        self.size = body.size
        self.crc32c = body.crc32c
        self.ended = False
        self._body = body

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        self.ended = False
        async for chunk in self._body:
            yield chunk
        self.ended = True


def _crc32c(pieces: Sequence[Piece]) -> int | None:
    return checksum.combine((piece.crc32c, piece.size) for piece in pieces)
