"""The program is killed while it gives up an upload whose parts were refused, and begins one with larger parts."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web

from tests.dialects.s3_exchange import Answer
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.faults.killed_processes import Program
from tests.sessions import MiB

LARGE = os.urandom(24 * MiB)
"""Five parts of the smallest size, where three are allowed."""


class HoldingServer(S3Server):
    """A server that allows three parts, and once leaves a request without an answer.

    Args:
        operation: whose request.
        number: which one of this operation.
        done: the server has carried the request out.

    Attributes:
        reached: that request has come.
        released: the client is gone.
    """

    def __init__(self, operation: str, number: int, *, done: bool) -> None:
        super().__init__(Quirks(max_parts=3))
        self.reached, self.released = asyncio.Event(), asyncio.Event()
        self._moment = operation, number
        self._done = done
        self._seen: Counter[str] = Counter()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        operation = _operation(request)
        self._seen[operation] += 1
        if not self._done and (operation, self._seen[operation]) == self._moment:
            self.reached.set()
            await self.released.wait()
            return web.Response(status=500)
        return await super()._serve(request)

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        operation = _operation(request)
        if self._done and (operation, self._seen[operation]) == self._moment and not self.reached.is_set():
            self.reached.set()
            await self.released.wait()
        return await super()._send(request, answer)


def _operation(request: web.BaseRequest) -> str:
    if "uploads" in request.query and request.method == "POST":
        return "create"
    if "uploadId" in request.query:
        return {"PUT": "part", "POST": "complete", "DELETE": "abort"}.get(request.method, "look")
    return "other"


MOMENTS = [
    pytest.param("abort", 1, False, id="before the first upload is aborted", marks=pytest.mark.long),
    pytest.param("abort", 1, True, id="the first upload is aborted, without an answer"),
    pytest.param("create", 2, False, id="between the two uploads", marks=pytest.mark.long),
    pytest.param("create", 2, True, id="the second upload is created, without an answer"),
    pytest.param("complete", 1, False, id="before the second upload is completed", marks=pytest.mark.long),
    pytest.param("complete", 1, True, id="the second upload is completed, without an answer", marks=pytest.mark.long),
]


@pytest.mark.parametrize(("operation", "number", "done"), MOMENTS)
async def test_killed_between_two_uploads(operation: str, number: int, done: bool, tmp_path: Path) -> None:
    """`jobs resume` stores the whole object, and leaves neither an upload nor a job."""
    (tmp_path / "large").write_bytes(LARGE)
    async with HoldingServer(operation, number, done=done) as server:
        program = Program(tmp_path / "home", aws_settings(server), part_size=5 * MiB)

        async def reached() -> None:
            await server.reached.wait()

        assert await program.kill("cp", str(tmp_path / "large"), "aws:/bucket/large", when=reached)
        server.released.set()
        (job,) = program.jobs
        await program.run("jobs", "resume", job)
        assert server.objects() == {"large": LARGE}
        assert server.unfinished() == []
        assert program.jobs == []
