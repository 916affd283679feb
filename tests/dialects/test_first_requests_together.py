"""Requests that are under way while another one learns what the service refuses: none of them fails of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from dxflow_async import AzureSettings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.aws import dialects
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.contract import Buffered, ObjectOptions
from dxflow_async.providers.http import HTTP
from tests.dialects.azure_quirks import AzureQuirks
from tests.dialects.azure_server import AzureServer
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import MiB

SWITCHES = {
    "checksums refused": Quirks(refuses_checksums=(501, "NotImplemented")),
    "checksum mode refused": Quirks(refuses_checksum_mode=True),
    "signed bodies": Quirks(refuses_unsigned="bodies"),
    "signed requests": Quirks(refuses_unsigned="all"),
    "DeleteObjects not implemented": Quirks(refuses_delete_objects=(501, "NotImplemented")),
    "version 2 listings refused": Quirks(v1_only="refused"),
    "conditions refused": Quirks(conditions="refused"),
    "composite checksums": Quirks(composite_only=True),
    "HEAD refused": Quirks(refuses_head=405),
}


async def _body(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize("switch", list(SWITCHES))
async def test_s3(switch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight calls of each kind begin together at an endpoint of which nothing is known, and all succeed."""
    monkeypatch.setattr(dialects, "_PATIENCE", 0.0)  # as if the first answer took longer than others wait for it
    async with (
        S3Server(SWITCHES[switch], min_part_size=PART_SIZE) as server,
        open_session(server, tmp_path / "home") as session,
    ):
        storage = session.get_storage_manager().at("aws")
        for number in range(8):
            server.store(f"there/{number}", b"there")
            server.store(f"gone/{number}/a", b"gone")
            server.store(f"gone/{number}/b", b"gone")
        large = bytes(range(250)) * 12_000

        async def read(number: int) -> bytes:
            return b"".join([bytes(chunk) async for chunk in storage.read(f"/bucket/there/{number}")])

        await asyncio.gather(*(storage.list(f"/bucket/there/{number}") for number in range(8)))
        assert await asyncio.gather(*(read(number) for number in range(8))) == [b"there"] * 8
        await asyncio.gather(*(storage.stat(f"/bucket/there/{number}") for number in range(8)))
        await asyncio.gather(
            *(storage.write(f"/bucket/new/{number}", _body(b"new"), overwrite=False) for number in range(8))
        )
        await asyncio.gather(*(storage.write(f"/bucket/large/{number}", _body(large)) for number in range(8)))
        await asyncio.gather(*(storage.delete(f"/bucket/gone/{number}/") for number in range(8)))
        expected = {f"{top}/{number}" for top in ("there", "new", "large") for number in range(8)}
        assert server.objects().keys() == expected
        assert server.objects()["large/7"] == large
        assert len(large) > MiB


class LateRefusals(AzureServer):
    """A server that holds back the refusal of the blob `late` until `released` is set; `refused` is set before."""

    def __init__(self, quirks: AzureQuirks) -> None:
        super().__init__(quirks)
        self.refused, self.released = asyncio.Event(), asyncio.Event()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        response = await super()._handle(request)
        if request.path.endswith("/late") and response.status == 400:
            self.refused.set()
            await self.released.wait()
        return response


@pytest.mark.parametrize("words", ["azurite", "service", "none"])
async def test_azure_versions(words: str, http: HTTP, threads: Threads) -> None:
    """A request whose version is refused after another one has found out an older version is sent with that."""
    async with LateRefusals(AzureQuirks(newest_version="2019-07-07", version_words=words)) as server:
        settings = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5")
        provider = AzureProvider(settings, http, threads)
        http.stall_timeout = 30.0
        late = asyncio.create_task(provider.write("container/late", Buffered((b"late",), 4), ObjectOptions()))
        await server.refused.wait()
        await provider.write("container/early", Buffered((b"early",), 5), ObjectOptions())
        server.released.set()
        await late
        assert server.files == {"early": b"early", "late": b"late"}
        await provider.aclose()
