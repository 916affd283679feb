"""Limits of the number and the sizes of parts, around the limit, for files, streams and resumed uploads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.aws.limits import part_limits
from dxflow_async.providers.aws.refusals import Refusal
from dxflow_async.providers.contract import Features
from dxflow_async.transfer.plan import part_size_for
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE, aws_settings
from tests.faults.killed_processes import Program
from tests.sessions import MiB

PARTS = 10


class HoldingParts(S3Server):
    """A server that leaves the fourth part without an answer once it has the first three, until it is `released`."""

    def __init__(self, quirks: Quirks) -> None:
        super().__init__(quirks)
        self._three = asyncio.Event()
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if int(request.query.get("partNumber", "0")) > 3:
            await self._three.wait()
            self.reached.set()
            await self.released.wait()
        answer = await super()._serve(request)
        if len(self.sizes()) == 3:
            self._three.set()
        return answer

    def sizes(self) -> list[int]:
        """Returns the sizes of the parts that were stored, by number."""
        sent = {int(each.query["partNumber"]): each.size for each in self.requests if each.operation == "UploadPart"}
        return [size for _, size in sorted(sent.items())]


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    """Yields data in pieces."""
    for start in range(0, len(data), 100_001):
        yield data[start : start + 100_001]


@pytest.mark.parametrize("limit", [PARTS - 1, PARTS, PARTS + 1])
@pytest.mark.parametrize("uniform", [False, True])
async def test_files_around_the_limit(tmp_path: Path, limit: int, *, uniform: bool) -> None:
    """A file with one part more than the limit is sent in larger ones; the next one needs no refusal."""
    data = os.urandom(PARTS * MiB)
    (tmp_path / "file").write_bytes(data)
    quirks = Quirks(max_parts=limit, uniform_parts=uniform)
    async with S3Server(quirks, min_part_size=PART_SIZE) as server, open_session(server, tmp_path / "home") as session:
        storage = session.get_storage_manager()
        await storage.upload(tmp_path / "file", "/bucket/first")
        assert bool(server.refused()) is (limit < PARTS)
        since = len(server.requests)
        await storage.upload(tmp_path / "file", "/bucket/second")
        assert server.refused(since) == []
        assert server.objects() == {"first": data, "second": data}
        assert server.unfinished() == []


@pytest.mark.parametrize(("limit", "size"), [(999, 2), (1000, 1), (1001, 1)])
async def test_a_thousand_parts(limit: int, size: int) -> None:
    """A refused part number is learned, and an object of 1,000 parts is planned within the limit."""
    refusal = Refusal(400, {}, "InvalidArgument", f"Part number must be between 1 and {limit}, inclusive", b"")
    learned = part_limits(refusal, Features(max_parts=10_000), limit + 1, MiB)
    features = Features(max_parts=learned["max_parts"], min_part_size=MiB)
    assert features.max_parts == limit
    assert part_size_for(1000 * MiB, MiB, features) == size * MiB
    assert -(-1000 * MiB // (size * MiB)) <= limit


@pytest.mark.parametrize("limit", [PARTS - 1, PARTS, PARTS + 1])
async def test_streams_around_the_limit(tmp_path: Path, limit: int) -> None:
    """A stream with more parts than the limit fails with a part size that fits; with that limit known, it is stored."""
    data = os.urandom(PARTS * MiB)
    quirks = Quirks(max_parts=limit)
    async with S3Server(quirks, min_part_size=PART_SIZE) as server, open_session(server, tmp_path / "home") as session:
        storage = session.get_storage_manager()
        if limit < PARTS:
            with pytest.raises(UnsupportedError, match="set part_size to"):
                await storage.write("/bucket/stream", pieces(data))
            assert server.objects() == {}
            assert server.unfinished() == []
        await storage.write("/bucket/stream", pieces(data))
        assert server.objects() == {"stream": data}


async def test_streams_with_parts_of_one_size(tmp_path: Path) -> None:
    """A stream has parts of one size where a service may want them."""
    data = os.urandom(PARTS * MiB + 17)
    quirks = Quirks(uniform_parts=True)
    async with S3Server(quirks, min_part_size=PART_SIZE) as server, open_session(server, tmp_path / "home") as session:
        await session.get_storage_manager().write("/bucket/stream", pieces(data))
        assert server.objects() == {"stream": data}
        assert server.refused() == []


@pytest.mark.parametrize("uniform", [pytest.param(False, marks=pytest.mark.long), True])
async def test_resumed_uploads_keep_their_part_size(tmp_path: Path, *, uniform: bool) -> None:
    """An upload goes on with parts of the size that it was begun with, although the setting is another one by now."""
    data = os.urandom(24 * MiB)
    (tmp_path / "file").write_bytes(data)
    async with HoldingParts(Quirks(uniform_parts=uniform)) as server:
        program = Program(tmp_path / "home", aws_settings(server), part_size=5 * MiB)

        async def reached() -> None:
            await server.reached.wait()
            await asyncio.sleep(0.5)  # the journal has the parts

        assert await program.kill("cp", str(tmp_path / "file"), "aws:/bucket/file", when=reached)
        server.released.set()
        since, (job,) = len(server.requests), program.jobs
        await Program(tmp_path / "home", aws_settings(server), part_size=9 * MiB).run("jobs", "resume", job)
        assert server.objects() == {"file": data}
        assert server.sizes() == [5 * MiB] * 4 + [4 * MiB]
        assert server.operations(since)["CreateMultipartUpload"] == 0
        assert server.unfinished() == []
