"""A status 404 with a page of HTML, from a load balancer in front of a service."""

from __future__ import annotations

from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AWSSettings, AzureSettings, GCPSettings, Settings
from dxflow_async.exceptions import ServiceError
from dxflow_async.providers.common.confirm import FEW_ATTEMPTS
from tests.scripted_server import ScriptedServer, answer
from tests.sessions import retry_soon

_PAGE = answer("404 Not Found", b"<html><h1>404 no such route</h1></html>", Content_Type="text/html")


@pytest.mark.parametrize("verb", ["exists", "delete", "list"])
@pytest.mark.parametrize("remote", ["aws", "azure", "gcp"])
async def test_it_says_nothing_about_objects(tmp_path: Path, remote: str, verb: str) -> None:
    """It does not mean that an object is not there: the call fails, names the balancer, and is tried a few times."""
    async with ScriptedServer(_PAGE) as server:
        settings = Settings(
            home=tmp_path,
            aws=AWSSettings(endpoint=server.url, region="us-east-1", access_key="a", secret_key="b"),
            azure=AzureSettings(endpoint=server.url, account="account1", account_key="a2V5"),
            gcp=GCPSettings(endpoint=server.url, anonymous=True),
        )
        async with AsyncSession(settings=settings) as session:
            retry_soon(session)
            storage = session.get_storage_manager().at(remote)
            call = getattr(storage, verb)
            with pytest.raises(ServiceError, match="load balancer") as raised:
                await call("/bucket/dir/" if verb == "list" else "/bucket/name")
            provider = (await session._resolver.area(remote)).provider
            with pytest.raises(ServiceError, match="load balancer"):
                await provider.stat("bucket/name")
        assert raised.value.status == 404
        assert 1 < len(server.requests) <= 2 * FEW_ATTEMPTS + 2
