"""A gateway in front of an S3 server that keeps neither metadata nor ETags, as JuiceFS's does not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from yarl import URL

__all__ = ["forgetful"]

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@asynccontextmanager
async def forgetful(endpoint: str) -> AsyncIterator[str]:
    """The gateway's URL. Reading and listing tell no user metadata, no checksum and no ETag; storing tells its ETag."""
    async with aiohttp.ClientSession(auto_decompress=False) as client:

        async def forward(request: web.Request) -> web.Response:
            url = URL(f"{endpoint}{request.raw_path}", encoded=True)
            data = await request.read()
            async with client.request(
                request.method, url, headers=request.headers, data=data, skip_auto_headers=("Content-Type",)
            ) as answer:
                body = await answer.read()
                headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            if request.method in ("GET", "HEAD"):
                body = re.sub(rb"<ETag>.*?</ETag>", b"<ETag></ETag>", body) if request.query.get("list-type") else body
                headers = {name: value for name, value in headers.items() if not _is_forgotten(name.lower())}
            if request.method == "HEAD" and answer.content_length is not None:
                headers["Content-Length"] = str(answer.content_length)
            return web.Response(status=answer.status, headers=headers, body=body)

        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def _is_forgotten(name: str) -> bool:
    return name == "etag" or name.startswith(("x-amz-meta-", "x-amz-checksum-"))
