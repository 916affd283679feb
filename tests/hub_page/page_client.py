"""Browsers, as far as the page's server can tell, and the servers that they speak to."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from dxflow_async import AsyncSession, Settings
from dxflow_async.hub_page.doors import AccountDoor, MachineDoor
from dxflow_async.hub_page.page import create_page_app, mount_page
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import create_app
from tests.server.running_hub import Answer as HubAnswer

__all__ = ["ME", "YOU", "Answer", "Browser", "browser", "own_page", "running_hub", "running_page"]

BYTES = "application/offset+octet-stream"

ME = {"email": "me@example.org", "password": "correct horse", "namespace": "diphyx"}
YOU = {**ME, "email": "you@example.org"}


class Answer(HubAnswer):
    """What the page's server said."""

    @property
    def lines(self) -> list[Any]:
        """The content as JSON lines."""
        return [json.loads(line) for line in self.content.splitlines()]


@dataclass
class Browser:
    """Keeps cookies and the token, and says where its requests are from.

    Attributes:
        base: the URL of the page, with a slash at its end.
    """

    base: str
    http: aiohttp.ClientSession
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, data: Any = None, **query: str
    ) -> Answer:
        """Sends a request, and reads its answer."""
        async with self.open(method, path, headers=headers, data=data, **query) as response:
            return Answer(response.status, response.headers, await response.read())

    def open(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, data: Any = None, **query: str
    ) -> Any:
        """Sends a request."""
        url = URL(self.base + path).with_query(query)
        given = {"Origin": str(URL(self.base).origin()), "Sec-Fetch-Site": "same-origin", **self.headers}
        if method not in ("GET", "HEAD"):
            given["X-CSRF-Token"] = self.csrf
        if isinstance(data, dict):
            data, given["Content-Type"] = json.dumps(data), "application/json"
        given |= headers or {}
        return self.http.request(
            method, url, headers={k: v for k, v in given.items() if v}, data=data, allow_redirects=False
        )

    async def get(self, path: str, **query: str) -> Answer:
        """A GET."""
        return await self.request("GET", path, headers=None, data=None, **query)

    async def post(self, path: str, tree: dict[str, Any] | None = None) -> Answer:
        """A POST of JSON."""
        return await self.request("POST", path, data={} if tree is None else tree)

    async def sign_in(self, who: Mapping[str, str] = ME) -> Answer:
        """Signs in, and keeps the token."""
        answer = await self.post("page/session", dict(who))
        self.csrf = answer.tree.get("csrf", "")
        return answer

    async def create(self, location: str, length: int, *, body: bytes | None = None, **fields: str) -> Answer:
        """Begins an upload, with its first bytes."""
        pairs = {"location": location, **fields}
        encoded = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
        headers = {"Upload-Length": str(length), "Upload-Metadata": encoded, "Tus-Resumable": "1.0.0"}
        if body is not None:
            headers["Content-Type"] = BYTES
        return await self.request("POST", "page/uploads/", headers=headers, data=None if body is None else stream(body))

    async def patch(self, upload: str, offset: int, data: Any, **headers: str) -> Answer:
        """Sends the next bytes of an upload."""
        given = {"Upload-Offset": str(offset), "Tus-Resumable": "1.0.0", "Content-Type": BYTES, **headers}
        data = stream(data) if isinstance(data, bytes) else data
        return await self.request("PATCH", f"page/uploads/{upload}", headers=given, data=data)

    async def offset(self, upload: str) -> int | None:
        """Returns how many bytes of an upload have come; None if there is no such upload."""
        answer = await self.request("HEAD", f"page/uploads/{upload}", headers={"Tus-Resumable": "1.0.0"})
        return int(answer.headers["Upload-Offset"]) if answer.status == 200 else None

    async def upload(self, location: str, content: bytes, **fields: str) -> Answer:
        """Uploads a file in one request."""
        return await self.create(location, len(content), body=content, **fields)

    async def enter(self, ticket: str) -> None:
        """Comes in with a ticket, and keeps the token."""
        assert (await self.get("", ticket=ticket)).status == 303
        self.csrf = (await self.get("page/session")).tree["csrf"]


def stream(content: bytes) -> io.BytesIO:
    """Bytes that the client sends in pieces."""
    return io.BytesIO(content)


@contextlib.asynccontextmanager
async def browser(url: str) -> AsyncIterator[Browser]:
    """A browser that is not signed in."""
    jar = aiohttp.CookieJar(unsafe=True)  # which also keeps the cookies of addresses
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        yield Browser(f"{url.rstrip('/')}/", http)


@contextlib.asynccontextmanager
async def running_hub(home: Path, *, listening: Listening | None = None, **options: Any) -> AsyncIterator[str]:
    """The base URL of a hub with its page."""
    door = AccountDoor(home, **options)
    server = Server(create_app(home, page=mount_page(door)), listening or Listening())
    yield await server.start()
    await server.aclose(5.0)


@contextlib.asynccontextmanager
async def own_page(settings: Settings, **account: Any) -> AsyncIterator[tuple[str, MachineDoor]]:
    """The base URL of the page of this machine's user, and its door."""
    door = MachineDoor(lambda: AsyncSession(settings=settings, **account))
    server = Server(create_page_app(door), Listening())
    yield await server.start(), door
    await server.aclose(5.0)


@contextlib.asynccontextmanager
async def running_page(settings: Settings, **account: Any) -> AsyncIterator[Browser]:
    """A browser with the page of this machine's user."""
    async with own_page(settings, **account) as (url, door), browser(url) as user:
        await user.enter(door.new_ticket())
        yield user
