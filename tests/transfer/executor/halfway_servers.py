"""Servers that stop or kill the worker which reads from them, while the worker has a temporary file."""

from __future__ import annotations

import asyncio
import os
import signal
from abc import abstractmethod
from multiprocessing import active_children
from pathlib import Path

from aiohttp import web

from tests.dialects.s3_exchange import Answer, Ask, S3Error
from tests.dialects.s3_operations import Operation
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server
from tests.sessions import part_files
from tests.transfer.executor.process_relay import process_of

__all__ = ["KillingServer", "StoppingServer"]


class HalfwayServer(S3Server):
    """Sends half of an object, waits for the temporary file that it goes to, and then calls `_halfway`.

    Args:
        key: the object.
        top: the directory of the temporary file.

    Attributes:
        left: the temporary files that the worker has left.
    """

    def __init__(self, key: str, top: Path) -> None:
        super().__init__(Quirks(page_size=10))
        self._key = key
        self._top = top
        self.left: list[str] = []

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if self.left or request.method != "GET" or not request.path.endswith(self._key):
            return await super()._send(request, answer)
        data = self.objects()[f"source/{self._key}"]
        response = web.StreamResponse(headers={**answer.headers, "Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        for _ in range(200):
            self.left = part_files(self._top)
            if self.left:
                break
            await asyncio.sleep(0.05)
        self._halfway(request)
        await response.write(data[len(data) // 2 :])
        return response

    @abstractmethod
    def _halfway(self, request: web.BaseRequest) -> None:
        """Does something to the worker that has half of the object."""


class StoppingServer(HalfwayServer):
    """Stops the worker."""

    def _halfway(self, request: web.BaseRequest) -> None:
        os.kill(process_of(request), signal.SIGSTOP)


class KillingServer(HalfwayServer):
    """Kills the worker.

    Args:
        key, top: as for `HalfwayServer`.
        then: what happens to requests after that: `"answered"`, listings are `"refused"`, or those of the next worker
            are `"held"`.

    Attributes:
        killed: it is killed.
        holds: a request is held.
    """

    def __init__(self, key: str, top: Path, then: str = "answered") -> None:
        super().__init__(key, top)
        self._then = then
        self.killed, self.holds, self.released = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def _answer(self, operation: Operation, ask: Ask) -> Answer:
        if self.left and self._then == "refused" and operation.name == "ListObjects":
            raise S3Error(403, "AccessDenied", "Access Denied")
        return super()._answer(operation, ask)

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if self.left and self._then == "held" and process_of(request) not in (0, os.getpid()):
            self.holds.set()
            await self.released.wait()
        return await super()._send(request, answer)

    def _halfway(self, request: web.BaseRequest) -> None:
        (worker,) = active_children()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        self.killed.set()
        raise ConnectionResetError
