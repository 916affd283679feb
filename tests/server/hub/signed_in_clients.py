"""Clients of a hub that are signed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

__all__ = ["ME", "YOU", "Hub", "signed_in"]

ME = {"email": "me@example.org", "password": "correct horse", "namespace": "diphyx"}


YOU = {**ME, "email": "you@example.org"}


class Hub:
    """Speaks to a hub as somebody who is signed in."""

    def __init__(self, url: str, http: aiohttp.ClientSession, user: Mapping[str, str]) -> None:
        self.url = url
        self._http = http
        self._user = user

    async def request(self, method: str, path: str, *, secret: str | None = None, body: Any = None) -> tuple[int, Any]:
        """Status and JSON; a path without a leading slash is below the user's own."""
        url = f"{self.url}{path}" if path.startswith("/") else f"{self.url}/users/{self._user['pointer']}/{path}"
        headers = {"X-SECRET-KEY": self._user["secret"] if secret is None else secret}
        async with self._http.request(method, url, headers=headers, json=body) as response:
            return response.status, await response.json()

    async def units(self, query: str = "") -> list[dict[str, Any]]:
        """The units that are listed."""
        status, tree = await self.request("GET", f"compute/units/{query}")
        assert (status, tree["total"]) == (200, len(tree["list"]))
        listed: list[dict[str, Any]] = tree["list"]
        return listed


async def signed_in(url: str, http: aiohttp.ClientSession, who: Mapping[str, str] = ME) -> Hub:
    """As one of them."""
    async with http.post(f"{url}/auth/login/", json=dict(who)) as response:
        return Hub(url, http, (await response.json())["user"])
