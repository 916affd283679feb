"""Servers of the page on a thread of their own: Playwright's blocking interface needs the loop of the tests' thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

__all__ = ["behind_a_prefix", "on_a_thread"]

_T = TypeVar("_T")

_CONNECTION_HEADERS = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "upgrade"}


@contextmanager
def on_a_thread(opened: AbstractAsyncContextManager[_T]) -> Iterator[_T]:
    """Keeps an asynchronous context open on a thread.

    Args:
        opened: the context; what it gives is given here.
    """
    started = threading.Event()
    made: list[tuple[_T, asyncio.AbstractEventLoop, asyncio.Event]] = []
    failures: list[BaseException] = []

    async def serve() -> None:
        ending = asyncio.Event()
        async with opened as given:
            made.append((given, asyncio.get_running_loop(), ending))
            started.set()
            await ending.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised again on the thread of the test
            failures.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="page")
    thread.start()
    try:
        assert started.wait(30)
        if failures:
            raise failures[0]
        yield made[0][0]
    finally:
        for _, loop, ending in made:
            with suppress(RuntimeError):  # it has ended by itself, with an error
                loop.call_soon_threadsafe(ending.set)
        thread.join()
    if failures:
        raise failures[0]


class behind_a_prefix(AbstractAsyncContextManager[str]):  # noqa: N801 - used as a function
    """A proxy that serves a page below `/some/prefix/`, as nginx with `proxy_pass` does.

    Args:
        url: the base URL of the page.
    """

    PREFIX = "/some/prefix"

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.seen: list[str] = []

    async def __aenter__(self) -> str:
        self._http = aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}{self.PREFIX}/"

    async def __aexit__(self, *_error: object) -> None:
        assert self._http is not None
        assert self._runner is not None
        await self._runner.cleanup()
        await self._http.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        """Passes a request on without the prefix; what is outside it is not there."""
        assert self._http is not None
        if not request.raw_path.startswith(self.PREFIX + "/"):
            return web.Response(status=404, text="outside the prefix")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _CONNECTION_HEADERS}
        headers["Host"] = urlsplit(self._url).netloc
        if "Origin" in headers:
            headers["Origin"] = self._url
        path = request.raw_path.removeprefix(self.PREFIX)
        body = request.content if request.can_read_body else None
        async with self._http.request(
            request.method, self._url + path, headers=headers, data=body, allow_redirects=False
        ) as answer:
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _CONNECTION_HEADERS]
            response = web.StreamResponse(status=answer.status)
            response.headers.extend(kept)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            return response
