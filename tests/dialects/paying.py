"""Servers that refuse each request which does not say who pays, and sessions at them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from aiohttp import ClientSession, web
from multidict import CIMultiDict
from yarl import URL

from dxflow_async import AsyncSession, GCPSettings, Settings
from tests.dialects.google_quirks import GoogleQuirks
from tests.dialects.google_server import GoogleServer
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import MiB, retry_soon

__all__ = ["PAYER", "PayingFront", "opened"]

PAYER = "payer-7"
"""The project that pays at Google."""


@asynccontextmanager
async def opened(
    remote: str, home: Path, *, pays: bool = True, **quirks: Any
) -> AsyncIterator[tuple[AsyncSession, S3Server | GoogleServer]]:
    """A session at a server whose requester pays.

    Args:
        remote: `"aws"` or `"gcp"`.
        home: of the session, in a directory that exists.
        pays: whether the session's settings say that it pays.
        quirks: of the server.
    """
    if remote == "aws":
        async with (
            S3Server(Quirks(requester_pays=True, **quirks), min_part_size=PART_SIZE) as s3,
            open_session(s3, home, requester_pays=pays) as session,
        ):
            yield session, s3
        return
    async with GoogleServer(GoogleQuirks(user_project=PAYER, rewrite_size=4 * MiB, **quirks)) as server:
        given: dict[str, Any] = {"user_project": PAYER} if pays else {}
        gcp = GCPSettings(endpoint=server.url, service_file=server.service_file(home.parent), **given)
        async with AsyncSession(settings=Settings(home=home, gcp=gcp, part_size=5 * MiB)) as session:
            retry_soon(session)
            yield session, server


class PayingFront:
    """Stands before an emulator, and lets only those requests through that say who pays; use it with `async with`.

    Args:
        endpoint: of the emulator.

    Attributes:
        url: its own.
        passed: methods and paths of the requests that it let through, with their queries.
        refused: those of the others.
    """

    def __init__(self, endpoint: str) -> None:
        self.url = ""
        self.passed: list[str] = []
        self.refused: list[str] = []
        self._endpoint = endpoint
        server = web.Server(self._serve, access_log=None, auto_decompress=False)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        self._client = ClientSession(auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        said = request.headers.get("x-amz-request-payer"), request.query.get("userProject")
        line = f"{request.method} {request.raw_path}"
        if said not in (("requester", None), (None, PAYER)):
            self.refused.append(line)
            return web.Response(status=403)
        self.passed.append(line)
        hop = ("host", "connection", "transfer-encoding")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in hop}
        url = URL(self._endpoint + request.raw_path, encoded=True)
        async with self._client.request(
            request.method, url, headers=headers, data=await request.read(), allow_redirects=False
        ) as answer:
            told = [(name, value) for name, value in answer.headers.items() if name.lower() not in hop]
            return web.Response(status=answer.status, body=await answer.read(), headers=CIMultiDict(told))
