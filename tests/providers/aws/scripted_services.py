"""Small servers that answer requests of S3 by a function of the request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.scripted_server import Request, ScriptedServer, answer

__all__ = ["STORED", "Service", "refusal"]

STORED = answer(x_amz_request_id="1", ETag='"1"')
"""The answer to a body that was stored."""


def refusal(status: str, code: str, message: str = "said so", extra: str = "", **headers: str) -> bytes:
    """S3's way to refuse."""
    document = f"<Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>"
    return answer(status, document.encode(), **headers)


class Service(ScriptedServer):
    """A server that answers each request by a function of it."""

    def __init__(self, reply: Callable[[Request], bytes]) -> None:
        async def judge(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = self.requests[-1]
            said = reply(request)
            writer.write(said.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.method == "HEAD" else said)

        super().__init__(judge)
