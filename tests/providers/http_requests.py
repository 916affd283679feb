"""Requests made without a provider."""

from __future__ import annotations

from dxflow_async.providers.contract import Body, Entry
from dxflow_async.providers.http import HTTP, Call, HTTPReader, Response

__all__ = ["CALL", "ask", "rest"]

CALL = Call("AWS", "read", "/bucket/key")


async def ask(http: HTTP, url: str, method: str = "GET", data: Body | bytes | None = None) -> tuple[Response, bytes]:
    """A response with its whole body."""
    response = await http.send(CALL, method, f"{url}/path?query=1", {"host": "127.0.0.1"}, data)
    return response, await rest(http, response)


async def rest(http: HTTP, response: Response) -> bytes:
    """What a response still brings."""
    async with HTTPReader(Entry("key"), -1, http, CALL, response) as reading:
        return b"".join([bytes(chunk) async for chunk in reading])
