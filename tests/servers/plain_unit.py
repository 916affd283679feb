"""A small unit with the published storage routes only, whose slow and lost answers are switches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from aiohttp import web

__all__ = ["PlainUnit", "plain_unit"]

_STEP = 0.05


@dataclass
class PlainUnit:
    """The server and its switches.

    Attributes:
        copy_steps: steps of 50 ms that a copy takes; the destination grows with each.
        hidden: a copy shows the destination only at its end.
        stops_after: the step after which copies stop for good, without an answer; None: they do not.
        stopping: how many copies stop so.
        loses: how many answers to the next requests that change something are lost, after they were carried out.
        lists: whether listings are answered; else they are 502.
        late_words: the body of the answer to a copy, whose beginning comes early.
        breaks_off: that answer ends in the middle.
        ignores_copies: how many copies are answered and not made.
        files: contents by path.
        requests: methods and routes, in order.
    """

    copy_steps: int = 0
    hidden: bool = False
    stops_after: int | None = None
    stopping: int = 0
    loses: int = 0
    lists: bool = True
    late_words: bytes | None = None
    breaks_off: bool = False
    ignores_copies: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""
    writing: int = 0
    written_together: int = 0
    _times: dict[str, int] = field(default_factory=dict)
    _clock: count[int] = field(default_factory=count)
    _working: set[asyncio.Task[None]] = field(default_factory=set)

    def count(self, request: str) -> int:
        """Returns how often a request arrived, such as `"PUT transfer"`."""
        return self.requests.count(request)

    def put(self, path: str, data: bytes) -> None:
        """Stores a file."""
        self.files[path] = data
        self._times[path] = next(self._clock)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers a request."""
        route = request.path.split("/")[2]
        self.requests.append(f"{request.method} {route}")
        path = request.query.get("path", "/").strip("/")
        match request.method, route:
            case "GET", "items":
                return self._list(path)
            case "GET", "download":
                return web.Response(body=self.files[path]) if path in self.files else web.Response(status=404)
            case "DELETE", "items":
                return self._lost(request, web.Response() if self._remove(path) else web.Response(status=404))
            case "PUT", "transfer":
                return await self._copy(request, path, request.query["destination"].strip("/"))
        return web.Response(status=404)

    def _list(self, path: str) -> web.Response:
        if not self.lists:
            return web.Response(status=502)
        start, found = f"{path}/" if path else "", {}
        for name, data in self.files.items():
            if name.startswith(start):
                first, below, _ = name.removeprefix(start).partition("/")
                found[first] = {
                    "name": first,
                    "directory": bool(below),
                    "size": 0 if below else len(data),
                    "modification": self._times[name],
                }
        return web.json_response([*found.values()]) if found or not path else web.Response(status=404)

    def _remove(self, path: str) -> bool:
        gone = [name for name in self.files if name == path or name.startswith(f"{path}/")]
        for name in gone:
            del self.files[name]
        return bool(gone)

    async def _copy(self, request: web.Request, source: str, destination: str) -> web.StreamResponse:
        if self.ignores_copies:
            self.ignores_copies -= 1
            return web.Response()
        working = asyncio.create_task(self._write(source, destination))
        self._working.add(working)
        if self.late_words is not None:
            response = web.StreamResponse()
            await response.prepare(request)
            while not working.done():
                await response.write(b" ")
                await asyncio.wait([working], timeout=_STEP)
            if self.breaks_off:
                self.breaks_off = False
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(self.late_words)
            return response
        await working
        return self._lost(request, web.Response(text="OK"))

    async def _write(self, source: str, destination: str) -> None:
        data = self.files[source]
        self.writing += 1
        self.written_together = max(self.written_together, self.writing)
        for step in range(self.copy_steps):
            if self.stopping and step == self.stops_after:
                self.stopping -= 1
                self.writing -= 1
                await asyncio.sleep(1000)
            if not self.hidden:
                self.put(destination, data[: len(data) * step // self.copy_steps])
            await asyncio.sleep(_STEP)
        self.writing -= 1
        self.put(destination, data)

    def _lost(self, request: web.Request, response: web.Response) -> web.Response:
        if self.loses:
            self.loses -= 1
            assert request.transport is not None
            request.transport.abort()
        return response

    async def aclose(self) -> None:
        """Ends the copies that stopped."""
        for each in self._working:
            each.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)


@asynccontextmanager
async def plain_unit(server: PlainUnit) -> AsyncIterator[PlainUnit]:
    """Runs the server; `url` is where it listens."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await server.aclose()
        await runner.cleanup()
