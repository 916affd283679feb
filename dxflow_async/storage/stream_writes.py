"""Stores a stream of unknown length, if the object may be replaced."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator
from dataclasses import replace

from dxflow_async.exceptions import ConfigurationError, StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import ObjectOptions, Part
from dxflow_async.storage.write_rules import WriteRules
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.object_options import content_type_of
from dxflow_async.transfer.items.overwriting import OverwritingItem
from dxflow_async.transfer.items.stream_writer import StreamWriter

__all__ = ["write_stream"]


async def write_stream(
    context: TransferContext, place: Place, rules: WriteRules, data: AsyncIterable[bytes], *, public: bool
) -> TransferResult:
    """Stores a stream under a place.

    Raises:
        ConfigurationError: the rules compare a stream, which has neither a time nor a size.
        AlreadyExistsError, PreconditionFailedError: the object must not be replaced.
        StorageError: the stream could not be stored.
    """
    options = rules.without_key().options
    options = replace(options, content_type=options.content_type or content_type_of(place.key), public=public)
    if rules.overwrite is True and options.if_match is None:
        return await StreamWriter(context, place, options).write(data)
    if rules.overwrite not in (True, False, "skip"):
        raise ConfigurationError(f"overwrite = {rules.overwrite!r} is not allowed for a stream, which has no time")
    source = Place(place.provider, "", "stream")

    def make(options: ObjectOptions) -> TransferItem:
        return _StreamItem(StreamWriter(context, place, options), data, (source.shown, place.shown))

    item = OverwritingItem(context, source, place, None, options, rules.overwrite, make)
    for part in await item.open():
        await item.move(part)
    return await item.finish()


class _StreamItem(TransferItem):
    """A stream as an item of one part; the writer cleans up after itself."""

    def __init__(self, writer: StreamWriter, data: AsyncIterable[bytes], ends: tuple[str, str]) -> None:
        self._writer = writer
        self._data = data
        self._ends = ends
        self._result: TransferResult | None = None

    @property
    def ends(self) -> tuple[str, str]:
        return self._ends

    async def open(self) -> Iterator[Part]:
        return iter((Part(1, 0, 0),))

    async def move(self, part: Part) -> None:
        self._result = await self._writer.write(self._data)

    async def finish(self) -> TransferResult:
        assert self._result is not None
        return self._result

    async def abort(self) -> None:
        return None

    def result(self, error: StorageError | None) -> TransferResult:
        return self._writer.result(error)
