"""What the aiohttp lane keeps of connections that have ended."""

from __future__ import annotations

import asyncio
import gc

import pytest
from aiohttp.client_proto import ResponseHandler

from tests.net.exchanges import fetch
from tests.net.made_clients import MakeClient
from tests.scripted_server import ScriptedServer, answer, hang_up

pytestmark = pytest.mark.every_loop


@pytest.fixture
def transport() -> str:
    """The lane."""
    return "aiohttp"


async def test_nothing_is_kept_of_closed_connections(make_client: MakeClient) -> None:
    """Connections that their server closes, whether in good order or not, leave nothing behind."""
    client = make_client()
    async with ScriptedServer(answer(body=b"x", Connection="close"), hang_up) as server:
        for number in range(20):
            server.reply(answer(body=b"x", Connection="close") if number % 2 else hang_up)
            await asyncio.gather(fetch(client, server.url), return_exceptions=True)
        await server.closed()
    await asyncio.sleep(0.05)
    assert not client._aiohttp._connector.states  # type: ignore[union-attr]
    gc.collect()
    # By type, since `isinstance` asks a dead weak proxy for its class.
    assert not [each for each in gc.get_objects() if issubclass(type(each), ResponseHandler)]
