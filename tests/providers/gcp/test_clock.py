"""A machine whose clock is wrong signs in at Google, and signs URLs, with Google's time."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from time import time
from urllib.parse import parse_qs, urlsplit

import pytest

from dxflow_async.exceptions import AccessDeniedError
from tests.providers.connected_providers import ConnectGCP
from tests.providers.gcp.account_server import AccountServer
from tests.servers.resumable import ResumableServer, private_key


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The project whose buckets are listed."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project-one")


@pytest.fixture
async def accounts() -> AsyncIterator[AccountServer]:
    """The token server, which knows the key of the service account."""
    async with AccountServer(key=private_key().public_key()) as server:
        yield server


def service_file(accounts: AccountServer, tmp_path: Path) -> Path:
    """The service account's file."""
    return ResumableServer().service_file(tmp_path, token_uri=f"{accounts.url}/assertion")


@pytest.mark.parametrize("offset", [7200.0, -7200.0])
async def test_assertions_and_urls_have_googles_time(
    accounts: AccountServer, connect_gcp: ConnectGCP, tmp_path: Path, caplog: pytest.LogCaptureFixture, offset: float
) -> None:
    """A refused assertion is signed once more with the server's time, a log line says so, and URLs have that time."""
    accounts.offset = offset
    provider = connect_gcp(accounts.url, service_file=service_file(accounts, tmp_path))
    with caplog.at_level(logging.WARNING, "dxflow_async.providers"):
        await provider.list_page("", recursive=False)
    assert accounts.asked == ["/assertion", "/assertion", "/storage/v1/b"]
    assert abs(int(accounts.forms[1]["iat"]) - time() - offset) < 60
    assert "requests are signed with the service's time" in caplog.text
    query = parse_qs(urlsplit(await provider.presign("bucket/name", 60)).query)
    signed = datetime.strptime(query["X-Goog-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    assert abs(signed - time() - offset) < 60


async def test_a_clock_that_is_right_is_left_alone(
    accounts: AccountServer, connect_gcp: ConnectGCP, tmp_path: Path
) -> None:
    """Another refusal is not tried again, and changes no time."""
    accounts.refusals["/assertion"] = 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    provider = connect_gcp(accounts.url, service_file=service_file(accounts, tmp_path))
    with pytest.raises(AccessDeniedError, match="Invalid JWT Signature"):
        await provider.list_page("", recursive=False)
    assert accounts.asked == ["/assertion"]
    assert provider._identity.clock.offset == 0.0
