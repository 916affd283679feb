"""Which error each status of a hub becomes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aioresponses import aioresponses
from yarl import URL

from dxflow_async.control.account import sign_in
from dxflow_async.exceptions import AuthenticationError, DxflowError, NetworkError, ServiceError


class Answer(aiohttp.ClientResponse):
    """As aiohttp wants it since 3.14, which aioresponses 0.7.9 does not know."""

    def __init__(self, method: str, url: URL, **options: Any) -> None:
        super().__init__(method, url, stream_writer=cast("Any", SimpleNamespace(output_size=0)), **options)


HUB = "http://hub.example.com"


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (401, AuthenticationError, "password"),
        (403, AuthenticationError, "password"),
        (429, AuthenticationError, "7"),
        (500, ServiceError, "500"),
        (503, ServiceError, "503"),
        (404, ServiceError, "404"),
        (302, ServiceError, "redirects"),
    ],
)
async def test_status_becomes_error(status: int, error: type[DxflowError], text: str) -> None:
    """A status is the error that says what to do about it."""
    with aioresponses() as hub:
        url, headers = f"{HUB}/auth/login/", {"Retry-After": "7"}
        hub.post(url, status=status, headers=headers, payload={}, response_class=Answer)
        async with aiohttp.ClientSession() as http:
            with pytest.raises(error, match=text):
                await sign_in(http, HUB, "you@example.com", "secret", "diphyx")


async def test_broken_connection_becomes_network_error() -> None:
    """A connection that breaks is a NetworkError that names the hub."""
    with aioresponses() as hub:
        hub.post(f"{HUB}/auth/login/", exception=aiohttp.ServerDisconnectedError())
        async with aiohttp.ClientSession() as http:
            with pytest.raises(NetworkError, match=r"hub\.example\.com"):
                await sign_in(http, HUB, "you@example.com", "secret", "diphyx")
