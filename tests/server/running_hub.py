"""A unit's server in this process, and what speaks to it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL

from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.common.unit_secrets import UnitSecrets
from dxflow_async.server.unit.app import CONNECTION_OPTIONS, create_unit_app
from tests.servers.process import Process, free_port

__all__ = ["BYTES", "SECRETS", "TUS", "Answer", "RunningUnit", "UnitProcess", "metadata", "running_unit"]

SECRETS = UnitSecrets("rw" * 16, "ro" * 16)

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


@dataclass(frozen=True)
class Answer:
    """What a server of this project said."""

    status: int
    headers: CIMultiDictProxy[str]
    content: bytes

    @property
    def tree(self) -> Any:
        """The content as JSON."""
        return json.loads(self.content)

    @property
    def code(self) -> str:
        """An error's code; it must have the form of errors."""
        assert self.tree.keys() == {"error"}
        assert self.tree["error"].keys() == {"code", "message"}
        return str(self.tree["error"]["code"])


@dataclass
class RunningUnit:
    """A unit that is served at `url`, whose volume is `root`."""

    url: str
    root: Path
    http: aiohttp.ClientSession
    app: web.Application = field(default_factory=web.Application)
    secrets: UnitSecrets = field(default=SECRETS)

    async def request(
        self,
        method: str,
        path: str,
        *,
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
    ) -> Answer:
        """The answer to a request; the path, or the URL, goes as it is. By default with the secret RW."""
        url = URL(path if path.startswith("http") else f"{self.url}{path}", encoded=True)
        given = {"X-SECRET-KEY": self.secrets.rw if secret is None else secret, **(headers or {})}
        if isinstance(data, bytes):
            data = io.BytesIO(data)  # which the client sends in pieces
        async with self.http.request(method, url, headers=given, data=data) as response:
            return Answer(response.status, response.headers, await response.read())

    async def create(self, name: str, length: int, **more: str) -> Answer:
        """A new upload, `more` of its metadata; keys with a dash are headers."""
        headers = {key: value for key, value in more.items() if "-" in key}
        pairs = {key: value for key, value in more.items() if "-" not in key}
        directory, _, last = name.rpartition("/")
        given = {
            **TUS,
            "Upload-Length": str(length),
            "Upload-Metadata": metadata(path=f"/{directory}", name=last, **pairs),
        }
        return await self.request("POST", "/storage/upload/", headers={**given, **headers})

    async def patch(self, url: str, offset: int, data: Any, **headers: str) -> Answer:
        """The next bytes of an upload."""
        return await self.request("PATCH", url, headers={**BYTES, "Upload-Offset": str(offset), **headers}, data=data)

    async def offset(self, url: str) -> int:
        """Where an upload is."""
        answer = await self.request("HEAD", url, headers=TUS)
        assert answer.status == 200, answer
        return int(answer.headers["Upload-Offset"])

    async def put(self, name: str, content: bytes, **more: str) -> Answer:
        """A whole file in one request."""
        directory, _, last = name.rpartition("/")
        given = metadata(path=f"/{directory}", name=last, **more)
        headers = {**BYTES, "Upload-Length": str(len(content)), "Upload-Metadata": given}
        return await self.request("POST", "/storage/upload/", headers=headers, data=content)

    async def get(self, name: str, **headers: str) -> Answer:
        """A file's bytes."""
        return await self.request("GET", f"/storage/download/?path=/{quote(name)}", headers=headers)

    def work_files(self) -> list[str]:
        """What is kept of uploads."""
        directory = self.root / ".dx-uploads"
        return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


@asynccontextmanager
async def running_unit(directory: Path, http: aiohttp.ClientSession) -> AsyncIterator[RunningUnit]:
    """A unit whose volume is `directory / "volume"`; `directory / "outside"` holds a file that it must not serve."""
    root = directory / "volume"
    root.mkdir()
    (directory / "outside").mkdir()
    (directory / "outside/secret.txt").write_text("outside")
    app = create_unit_app(root, SECRETS)
    server = Server(app, Listening(), CONNECTION_OPTIONS)
    yield RunningUnit(await server.start(), root, http, app)
    await server.aclose(1.0)


class UnitProcess:
    """`dxflow-async unit serve` in a process of its own, which may be killed and started again on the same port.

    Args:
        directory: for its volume, its secrets and its log.
    """

    def __init__(self, directory: Path) -> None:
        self.root = directory / "volume"
        self.root.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        (directory / "secrets.json").write_text(json.dumps(SECRETS.to_dict()))
        (directory / "secrets.json").chmod(0o600)
        self.log = directory / "unit.log"

    def start(self) -> Process:
        """Start, and wait until it answers."""
        command = [sys.executable, "-m", "dxflow_async.cli", "unit", "serve", "--root", str(self.root)]
        options = ["--port", str(self.port), "--secrets", str(self._directory / "secrets.json")]
        process = Process([*command, *options], self.log, {"DXFLOW_HOME": str(self._directory / "home")})
        process.wait_until(self.answers)
        return process

    def answers(self) -> bool:
        """Whether it takes connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False


def metadata(**pairs: str | bytes) -> str:
    """The header `Upload-Metadata`."""
    encoded = {key: value if isinstance(value, bytes) else value.encode() for key, value in pairs.items()}
    return ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in encoded.items())
