"""A relay before an HTTP server that knows which process of this test sends each request, and can kill it."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import active_children
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web
from yarl import URL

__all__ = ["ProcessRelay", "Sent", "process_of"]

_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "content-length"})


class Sent(NamedTuple):
    """A request.

    Attributes:
        pid: the process that sent it.
        method: its method.
        path: its path and query.
    """

    pid: int
    method: str
    path: str


class ProcessRelay:
    """Passes requests on to a server of this machine.

    Args:
        upstream: the server's URL.

    Attributes:
        sent: all requests.
        kills_before: says whether the process that sends a request is killed before the request is passed on.
        kills_after: the same, once the server has done what was asked, and before it is answered.
        kills: how many processes were killed.
        stops: says whether the process that sends a request is stopped, before the request is passed on.
        stopped: the processes that were stopped.
        holds_before: says whether a request is held before it is passed on, until `released` is set.
        holds_after: the same, once the server has done what was asked.
        held: a request is held.
        sees: called with each request as it comes.
        endpoint: its URL.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._owners: dict[asyncio.Transport, int] = {}
        self._busy: dict[int, tuple[web.Request, Sent]] = {}
        self.sent: list[Sent] = []
        self.kills = 0
        self.endpoint = ""
        self.reset()

    def reset(self) -> None:
        """Forgets the requests, and kills nobody."""
        self.sent.clear()
        self.kills = 0
        self.kills_before: Callable[[Sent], bool] = lambda _: False
        self.kills_after: Callable[[Sent], bool] = lambda _: False
        self.stops: Callable[[Sent], bool] = lambda _: False
        self.stopped: list[int] = []
        self.holds_before: Callable[[Sent], bool] = lambda _: False
        self.holds_after: Callable[[Sent], bool] = lambda _: False
        self.held, self.released = asyncio.Event(), asyncio.Event()
        self.sees: Callable[[Sent], object] = lambda _: None

    async def __aenter__(self) -> Self:
        connector = TCPConnector(limit=0, force_close=False)
        self._client = ClientSession(connector=connector, auto_decompress=False, cookie_jar=DummyCookieJar())
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._count)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def idle(self) -> None:
        """Waits until no request is under way, also of those whose sender has gone."""
        while self._busy:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def waited_for(self) -> list[Sent]:
        """The requests under way whose sender has not gone."""
        return [sent for request, sent in self._busy.values() if request.transport is not None]

    async def _count(self, request: web.Request) -> web.StreamResponse:
        sent = Sent(self._owner_of(request), request.method, request.raw_path)
        self.sees(sent)
        self._busy[id(request)] = (request, sent)
        try:
            return await self._pass(request, sent)
        finally:
            del self._busy[id(request)]

    async def _pass(self, request: web.Request, sent: Sent) -> web.StreamResponse:
        self.sent.append(sent)
        if self.kills_before(sent):
            return self._kill(sent)
        if self.stops(sent):
            self.stopped.append(sent.pid)
            os.kill(sent.pid, signal.SIGSTOP)
        body = await request.read()
        if self.holds_before(sent):
            await self._hold()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = URL(self._upstream + request.raw_path, encoded=True)
        async with self._client.request(
            request.method,
            url,
            headers=headers,
            data=io.BytesIO(body),
            allow_redirects=False,
            skip_auto_headers=("User-Agent",),
        ) as found:
            content = await found.read()
            if self.holds_after(sent):
                await self._hold()
            if self.kills_after(sent):
                return self._kill(sent)
            kept = {name: value for name, value in found.headers.items() if name.lower() not in _HOP}
            if request.method == "HEAD" and "Content-Length" in found.headers:
                kept["Content-Length"] = found.headers["Content-Length"]
            return web.Response(status=found.status, headers=kept, body=content or None)

    async def _hold(self) -> None:
        self.held.set()
        await self.released.wait()

    def _kill(self, sent: Sent) -> web.Response:
        assert sent.pid not in {0, os.getpid()}
        self.kills += 1
        with suppress(ProcessLookupError):
            os.kill(sent.pid, signal.SIGKILL)
        return web.Response(status=500)

    def _owner_of(self, request: web.Request) -> int:
        """Returns the process that holds the other end of a request's connection."""
        transport = request.transport
        assert transport is not None
        if transport not in self._owners:  # it is kept, so that no later connection is taken for it
            self._owners[transport] = process_of(request)
        return self._owners[transport]


def process_of(request: web.BaseRequest) -> int:
    """The process of this test that sends a request; 0 if it is none of them."""
    assert request.transport is not None
    ends = [int(request.transport.get_extra_info(end)[1]) for end in ("peername", "sockname")]
    return _process_with(_inode_of(*ends))


def _inode_of(port: int, server: int) -> str:
    """The socket with a port that is connected to the server's; connections to other places may have the same port."""
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(name).read_text().splitlines()[1:]:
            fields = line.split()
            if [int(end.rpartition(":")[2], 16) for end in fields[1:3]] == [port, server] and fields[9] != "0":
                return fields[9]
    return ""


def _process_with(inode: str) -> int:
    for pid in (os.getpid(), *(child.pid for child in active_children() if child.pid is not None)):
        if f"socket:[{inode}]" in _open_files(pid):
            return pid
    return 0


def _open_files(pid: int) -> set[str]:
    """What a process has open. Some of it is closed meanwhile, such as the directory that tells it."""
    found = set[str]()
    with suppress(OSError):
        for each in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{each}"))
    return found
