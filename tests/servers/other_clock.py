"""Small services whose clock is not that of this machine, and that refuse signatures by it as the real ones do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from time import time
from types import TracebackType
from typing import Self

from aiohttp import web

__all__ = ["OtherClockServer"]

_ALLOWED = 900.0


class OtherClockServer:
    """An S3 or an Azure service with an object `name` in `bucket`.

    Args:
        service: `"s3"` or `"azure"`.
        shift: seconds that its clock is ahead of this machine's.
        refusal: the code of every answer, whatever the time; None: only a wrong time is refused.
        quiet: send no date.

    Attributes:
        asked: the times that requests were signed with, in seconds since the epoch.
    """

    def __init__(self, service: str, shift: float = 0.0, refusal: str | None = None, *, quiet: bool = False) -> None:
        self.shift = shift
        self.refusal = refusal
        self.asked: list[float] = []
        self._quiet = quiet
        self._answer: Callable[[web.Request], web.Response] = self._s3 if service == "s3" else self._azure

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def now(self) -> float:
        """The time of the service."""
        return time() + self.shift

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._serve))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        response = self._answer(request)  # type: ignore[arg-type]
        response.headers["Date"] = "" if self._quiet else formatdate(self.now(), usegmt=True)
        return response

    def _s3(self, request: web.Request) -> web.Response:
        signed = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        self.asked.append(signed)
        code = self.refusal or ("RequestTimeTooSkewed" if abs(signed - self.now()) > _ALLOWED else None)
        if code is None:
            return web.Response(body=b"x", headers={"ETag": '"1"', "x-amz-request-id": "1"})
        if request.method == "HEAD":
            return web.Response(status=403)
        told = datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = f"<Error><Code>{code}</Code><Message>said so</Message><ServerTime>{told}</ServerTime></Error>"
        return web.Response(status=403, text=text, content_type="application/xml")

    def _azure(self, request: web.Request) -> web.Response:
        signed = parsedate_to_datetime(request.headers["x-ms-date"]).timestamp()
        self.asked.append(signed)
        code = self.refusal or ("AuthenticationFailed" if abs(signed - self.now()) > _ALLOWED else None)
        headers = {"x-ms-version": "2023-11-03", "x-ms-request-id": "1"}
        if code is None:
            kept = {"ETag": '"1"', "x-ms-blob-type": "BlockBlob", "Last-Modified": formatdate(self.now(), usegmt=True)}
            return web.Response(body=b"x", headers={**headers, **kept})
        text = (
            f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Server failed to authenticate.\nTime:1</Message>"
        )
        text = f"{text}<AuthenticationErrorDetail>The MAC signature found does not match.</AuthenticationErrorDetail>"
        return web.Response(
            status=403,
            text=None if request.method == "HEAD" else f"{text}</Error>",
            content_type="application/xml",
            headers={**headers, "x-ms-error-code": code},
        )
