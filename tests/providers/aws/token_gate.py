"""A gate before an S3 server that refuses requests whose session token has expired."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Self

import aiohttp
from aiohttp import web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from tests.servers import SeaweedFS

__all__ = ["TokenGate"]


class TokenGate:
    """Stands before a server and lets the requests pass whose token is good; the others' tokens have expired.

    What passes is signed anew, as the server knows no tokens.

    Args:
        server: it stands before this one.
        is_good: whether a token is; asked once for each request, before its body comes.

    Attributes:
        refused: how many requests were.
    """

    def __init__(self, server: SeaweedFS, is_good: Callable[[str], bool]) -> None:
        self.refused = 0
        self._server, self._is_good = server, is_good
        self._signer = S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3", server.region)

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(auto_decompress=False)
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _forward(self, request: web.Request) -> web.Response:
        good = self._is_good(request.headers["x-amz-security-token"])
        body = await request.read()
        if not good:
            self.refused += 1
            return web.Response(status=400, body=b"<Error><Code>ExpiredToken</Code></Error>")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OURS}
        url = self._server.endpoint + request.raw_path
        again = AWSRequest(request.method, url, headers, body)
        self._signer.add_auth(again)
        signed, data = dict(again.headers), io.BytesIO(body)
        async with self._client.request(request.method, URL(url, encoded=True), headers=signed, data=data) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            return web.Response(status=answer.status, headers=headers, body=await answer.read())


_OURS = {"authorization", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256", "host", "content-length"}


_HOP = {"date", "server", "connection", "transfer-encoding"}
