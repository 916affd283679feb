"""`providers ...`: settings that wander with the account."""

from __future__ import annotations

from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.control.account import keep_provider
from dxflow_async.exceptions import ConfigurationError
from tests.cli.called_command import Command, s3_variables
from tests.servers.weed import SeaweedFS

KEPT = "access_key, addressing, anonymous, endpoint, region, requester_pays, secret_key, sign_payload, uniform_parts"


def test_settings_are_kept_used_and_forgotten(
    signed_in: Command, configured: SeaweedFS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What one machine keeps with the account, a machine without settings uses; no value is ever printed."""
    bucket = configured.create_bucket("wandering")
    kept = signed_in("providers", "keep", "aws")
    assert (kept.status, kept.stdout) == (
        0,
        f"kept for AWS: {KEPT}\n",
    )
    for name in s3_variables(configured):
        monkeypatch.delenv(name)
    (tmp_path / "file").write_bytes(b"bytes")
    assert signed_in("cp", "file", f"aws:/{bucket}/there").status == 0
    assert configured.client.get_object(Bucket=bucket, Key="there")["Body"].read() == b"bytes"
    listed = signed_in("providers", "list").stdout
    assert listed == f"AWS    {KEPT}\n"
    assert signed_in("providers", "forget", "AWS").status == 0
    assert signed_in("providers", "forget", "AWS").status == 1
    assert signed_in("ls", f"aws:/{bucket}/there").status == 3  # a local directory stands in again


def test_what_cannot_be_kept(command: Command, signed_in: Command) -> None:
    """Nothing, what is no provider, and nobody's."""
    for run, provider, text in (
        (signed_in, "gcp", "gcp.endpoint"),
        (signed_in, "other", "AWS, AZURE, GCP"),
    ):
        outcome = run("providers", "keep", provider)
        assert (outcome.status, text in outcome.stderr) == (2, True)
    outcome = command("providers", "list")
    assert (outcome.status, "dxflow-async login" in outcome.stderr) == (2, True)


async def kept(settings: Settings, tree: dict[str, str], provider: str = "AWS") -> AsyncSession:
    """A session that signs in to an account that has these settings."""
    session = AsyncSession("you@example.com", "password", settings=settings)

    async with AsyncSession("you@example.com", "password", settings=settings) as first:
        signed_in, hub = await first._account._signed_in_at("settings belong")
        async with await first._account._connect() as http:
            await keep_provider(http, hub, signed_in, provider, tree)
    return session


async def test_own_credentials_go_to_no_endpoint_of_the_hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that name an endpoint and no credentials are refused, for that provider alone; a hub keeps none."""
    with pytest.raises(ConfigurationError, match=r"AWS\.endpoint without credentials"):
        await kept(Settings(home=home), {"endpoint": "https://elsewhere.example.com"})
    monkeypatch.setattr("dxflow_async.server.hub.provider_settings.check_settings", lambda *_: None)  # as older hubs do
    async with await kept(Settings(home=home), {"endpoint": "https://elsewhere.example.com"}) as session:
        storage = session.get_storage_manager()
        with pytest.raises(ConfigurationError, match=r"elsewhere.*without credentials"):
            await storage.list("AWS")
        assert await storage.list("GCP") == []


async def test_this_machine_comes_first(home: Path, server: SeaweedFS) -> None:
    """What is configured here is used, whatever the account has; settings that cannot be used are told."""
    from tests.sessions import settings_for

    bad = {"endpoint": "https://elsewhere.example.com", "access_key": "a", "secret_key": "s"}
    async with await kept(settings_for(server, home), bad) as session:
        area = await session._resolver.area("AWS", "private")
        assert area.provider.features.endpoint is not None
        assert "elsewhere" not in area.provider.features.endpoint
    async with await kept(Settings(home=home), {"service_file": "/none/here.json"}, "GCP") as session:
        with pytest.raises(ConfigurationError, match=r"/none/here\.json"):
            await session.get_storage_manager().list("GCP")
