"""Servers of the page on a thread of their own: Playwright's blocking interface needs the loop of the tests' thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

__all__ = ["Relay", "behind_a_prefix", "on_a_thread"]

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


class Relay:
    """A network between a browser and a page that can break.

    Args:
        url: the base URL of the page.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._listen()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._break()

    @property
    def url(self) -> str:
        """The base URL for the browser."""
        return f"http://127.0.0.1:{self._port}/"

    def cut(self) -> None:
        """Breaks all connections, and refuses new ones. Blocks; for other threads than the relay's."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._break(), self._loop).result(30)

    def mend(self) -> None:
        """Accepts connections again. Blocks; for other threads than the relay's."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _break(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(_pass_bytes(reader, back), _pass_bytes(there, writer))
        finally:
            self._writers -= {writer, back}


async def _pass_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes bytes on to the end of either side."""
    with suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    writer.close()
