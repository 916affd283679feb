"""A small dxflow engine: sign-in and artifact storage over a directory, with switches for what is unknown of real ones.

The defaults follow the documentation: https://github.com/dxflow-ai/docs (04.api). No real engine can be run in tests.
The parts are in layers, each a subclass of the one before: `engine_answers`, `engine_access`, `engine_listing`,
`engine_bodies`, `engine_changes`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web

from tests.servers.certificate import make_certificate
from tests.servers.engine_access import Handler
from tests.servers.engine_answers import RefusalError
from tests.servers.engine_changes import Changes
from tests.servers.engine_switches import Switches

__all__ = ["EngineServer", "RefusalError"]


class EngineServer(Changes):
    """An engine in this process.

    Args:
        root: the volume.
        switches: how it behaves; they may be changed while it runs, except `transport` and `slashless`.

    Attributes:
        url: its address, while it is served.
        authority: the certificate to trust, where it is served with TLS.
    """

    def __init__(self, root: Path, switches: Switches | None = None) -> None:
        super().__init__(root, Switches() if switches is None else switches)
        self.url = ""
        self.authority: Path | None = None

    @asynccontextmanager
    async def serve(self, *, socket: Path | None = None, prefix: str = "") -> AsyncIterator[EngineServer]:
        """Serves it, while in it.

        Args:
            socket: the path of a Unix socket, over which no token is needed.
            prefix: of all paths, as behind a proxy.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        transport = self.switches.transport
        prefix = "/lab/one" if transport == "prefix" else prefix
        app = web.Application(client_max_size=1 << 40)
        self._routes(app, prefix)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        with TemporaryDirectory(prefix="engine") as folder:
            if transport == "unix":
                socket = Path(folder) / "s"
            self._trusted = socket is not None
            try:
                if socket is not None:
                    await web.UnixSite(runner, str(socket)).start()
                    self.url = f"unix://{socket}"
                else:
                    context = self._tls(Path(folder)) if transport == "tls" else None
                    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
                    scheme = "http" if context is None else "https"
                    self.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}{prefix}"
                yield self
            finally:
                self._ending.set()
                await runner.cleanup()

    def _tls(self, folder: Path) -> ssl.SSLContext:
        certificate, key, self.authority = make_certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def _routes(self, app: web.Application, before: str) -> None:
        self._add(app, "GET", f"{before}/api/auth/challenge/", self._open(self._challenge, "sign_in"))
        self._add(app, "POST", f"{before}/api/auth/verify/", self._open(self._verify, "sign_in"))
        self._add(app, "GET", f"{before}/api/auth/inspect/", self._signed(self._inspect))
        self._add(app, "GET", f"{before}/api/engine/healthcheck/", self._open(self._healthcheck))
        self._add(app, "GET", f"{before}/api/engine/parameter/", self._signed(self._parameter))
        self._add(app, "GET", f"{before}/api/shell/", self._signed(self._list_shells))
        self._add(app, "POST", f"{before}/api/shell/", self._signed(self._make_shell))
        self._add(app, "DELETE", f"{before}/api/shell/", self._signed(self._remove_shell))
        self._add(app, "PUT", f"{before}/api/shell/execute/", self._signed(self._run_shell))
        for prefix in self._prefixes():
            self._storage_routes(app, f"{before}{prefix}")

    def _storage_routes(self, app: web.Application, start: str) -> None:
        self._add(app, "GET", start, self._signed(self._list, "list"))
        self._add(app, "POST", start, self._signed(self._create, "create", writes=True))
        self._add(app, "DELETE", start, self._signed(self._delete, "delete", writes=True))
        self._add(app, "DELETE", f"{start}batch/", self._signed(self._batch, "batch", writes=True))
        self._add(app, "PUT", f"{start}upload/", self._signed(self._upload, "upload", writes=True))
        self._add(app, "GET", f"{start}download/", self._signed(self._download, "download"))
        self._add(app, "HEAD", f"{start}download/", self._signed(self._head, "download"))
        self._add(app, "PUT", f"{start}rename/", self._signed(self._rename, "rename", writes=True))
        self._add(app, "PUT", f"{start}share/", self._signed(self._share, writes=True))
        self._add(app, "PUT", f"{start}zip/", self._signed(self._zip))
        self._add(app, "PUT", f"{start}unzip/", self._signed(self._unzip, writes=True))
        self._add(app, "GET", f"{start}presigned/download/", self._open(self._presigned_download))
        self._add(app, "PUT", f"{start}presigned/upload/", self._open(self._presigned_upload))

    def _add(self, app: web.Application, method: str, path: str, handler: Handler) -> None:
        """Adds a route. Without its last slash it is missing, or an answer that leads to it."""
        app.router.add_route(method, path, handler)
        if self.switches.slashless != 404:
            app.router.add_route(method, path.removesuffix("/"), self._open(self._add_slash))

    async def _add_slash(self, request: web.Request) -> web.StreamResponse:
        location = request.rel_url.with_path(f"{request.path}/").with_query(request.query)
        return web.Response(status=self.switches.slashless, headers={"Location": str(location)})

    def _prefixes(self) -> list[str]:
        named = {"artifact": ["/api/artifact/"], "object": ["/api/object/fs/"]}
        return named.get(self.switches.generation, ["/api/artifact/", "/api/object/fs/"])
