"""A server that holds what it sends, while the process that reads it has a temporary file."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from tests.dialects.s3_exchange import Answer
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server
from tests.sessions import part_files

__all__ = ["HoldingServer"]


class HoldingServer(S3Server):
    """Sends half of an object, once, and the rest when `released` is set.

    Args:
        key: the object.
        top: the directory of the temporary file that it goes to.

    Attributes:
        held: half of it was sent, and its temporary file is there.
    """

    def __init__(self, key: str, top: Path) -> None:
        super().__init__(Quirks())
        self._key, self._top = key, top
        self.held, self.released = asyncio.Event(), asyncio.Event()

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if self.held.is_set() or request.method != "GET" or not request.path.endswith(self._key):
            return await super()._send(request, answer)
        data = self.objects()[self._key]
        response = web.StreamResponse(headers={**answer.headers, "Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        while not part_files(self._top):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        self.held.set()
        await self.released.wait()
        with suppress(ConnectionError):  # whoever reads it may have been killed
            await response.write(data[len(data) // 2 :])
        return response
