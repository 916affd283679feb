"""Sends files to one unit by the engine, for the tests of odd servers."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

from dxflow_async.exceptions import TransferError
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.copy import CopyItem
from dxflow_async.transfer.items.stream_writer import StreamWriter
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.resources import Resources

__all__ = ["Client"]


class Client:
    """Sends files to one server."""

    def __init__(self, resources: Resources, unit: UnitProvider, source: Path) -> None:
        self._resources, self._source = resources, source
        self.unit = unit

    async def send(self, data: bytes, name: str = "file") -> None:
        """Sends bytes as a local file, by the engine.

        Raises:
            StorageError: the item's error.
        """
        self._source.mkdir(exist_ok=True)
        (self._source / name).write_bytes(data)
        local = LocalProvider(self._source, self._resources.threads)

        async def plan(context: TransferContext) -> AsyncIterator[TransferItem]:
            yield CopyItem(context, Place(local, name, name), Place(self.unit, name, name), ObjectOptions())

        call = self._resources.begin(JobSpec("copy", name, name), None)
        try:
            await call.run(plan(call.context))
        except TransferError as error:
            (failed,) = error.report
            assert failed.error is not None
            raise failed.error from error

    async def stream(self, data: AsyncIterable[bytes], name: str) -> None:
        """Stores a stream of unknown length.

        Raises:
            StorageError: it was not stored.
        """
        call = self._resources.begin(JobSpec("write", name, name), None)
        await StreamWriter(call.context, Place(self.unit, name, name), ObjectOptions()).write(data)
