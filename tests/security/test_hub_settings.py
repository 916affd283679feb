"""What a hub tells of an account's providers never makes this machine's own credentials go to where the hub says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.config.account_settings import with_account
from dxflow_async.config.settings import AWSSettings, AzureSettings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.server.hub.provider_settings import check_settings
from tests.scripted_server import ScriptedServer, answer
from tests.security.visible_text import MARK, service_file

KEY = "bWFjaGluZQ=="
LOGIN = {"user": {"pointer": "u", "secret": "s" * 16}, "namespace": {"pointer": "n", "secret": "t" * 16}}
OWN = {
    "AWS_ACCESS_KEY_ID": f"{MARK}ID",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}SECRET",
    "AWS_SESSION_TOKEN": f"{MARK}TOKEN",
    "AZURE_STORAGE_ACCOUNT": "machine",
    "AZURE_STORAGE_KEY": KEY,
    "AZURE_STORAGE_CONNECTION_STRING": f"AccountName=machine;AccountKey={KEY}",
    "AZURE_TENANT_ID": "t",
    "AZURE_CLIENT_ID": "c",
    "AZURE_CLIENT_SECRET": f"{MARK}CLIENT",
}

# With EVIL in the place of an endpoint. None of them holds credentials for it.
TAKING: list[tuple[str, dict[str, Any]]] = [
    ("AWS", {"endpoint": "EVIL"}),
    ("AWS", {"endpoint": "EVIL", "access_key": "", "secret_key": "x"}),
    ("AWS", {"endpoint": "EVIL", "access_key": "x", "secret_key": ""}),
    ("AWS", {"endpoint": "EVIL", "access_key": " ", "secret_key": " "}),
    ("AWS", {"endpoint": "EVIL", "session_token": "x"}),
    ("AWS", {"endpoint": "EVIL", "profile": "default"}),
    ("AWS", {"endpoint": "EVIL", "profile": "default", "access_key": "x", "secret_key": "x"}),
    ("AWS", {"endpoint": "EVIL", "access_key": [], "secret_key": [1]}),
    ("AZURE", {"endpoint": "EVIL"}),
    ("AZURE", {"endpoint": "EVIL", "account": "machine"}),
    ("AZURE", {"endpoint": "EVIL", "sas_token": ""}),
    ("AZURE", {"endpoint": "EVIL", "sas_token": "?"}),
    ("AZURE", {"endpoint": "EVIL", "connection_string": ""}),
    ("AZURE", {"endpoint": "EVIL", "account": "machine", "account_key": ""}),
    ("AZURE", {"connection_string": "BlobEndpoint=EVIL"}),
    ("AZURE", {"connection_string": "BlobEndpoint=EVIL;AccountName=machine"}),
    ("AZURE", {"connection_string": "BlobEndpoint=EVIL;AccountName=machine;AccountKey="}),
    ("AZURE", {"connection_string": "BlobEndpoint=EVIL;SharedAccessSignature="}),
    ("AZURE", {"connection_string": "BlobEndpoint=EVIL;SharedAccessSignature=?"}),
    ("AZURE", {"connection_string": "blobendpoint=EVIL; ;"}),
    ("AZURE", {"connection_string": "AccountName=machine;EndpointSuffix=evil.example"}),
    ("AZURE", {"connection_string": "BlobEndpoint=EVIL;BlobSecondaryEndpoint=EVIL;AccountName=machine"}),
    ("GCP", {"endpoint": "EVIL"}),
    ("GCP", {"endpoint": "EVIL", "service_file": "KEYFILE"}),
    ("GCP", {"endpoint": "EVIL", "project": "p"}),
]


@pytest.mark.parametrize(("provider", "given"), TAKING)
async def test_an_endpoint_without_credentials_gets_none(
    provider: str, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that a hub names without credentials is refused before anything is sent there, and by the hub."""
    (tmp_path / "config").write_text(f"[default]\naws_access_key_id = {MARK}\naws_secret_access_key = {MARK}\n")
    key_file = service_file(tmp_path / "key.json", "http://127.0.0.1:9/token")
    for name, value in (*OWN.items(), ("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "config"))):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
    async with ScriptedServer(answer("403 Forbidden")) as evil:
        text = json.dumps(given).replace("EVIL", evil.url).replace("KEYFILE", str(key_file))
        told = [answer(body=json.dumps(tree).encode()) for tree in (LOGIN, {provider: json.loads(text)})]
        async with ScriptedServer(*told) as hub:
            settings = Settings(home=tmp_path / "home", max_attempts=1)
            async with AsyncSession("me@example.org", "pw", hub=hub.url, settings=settings) as session:
                with pytest.raises(ConfigurationError) as raised:
                    await session.get_storage_manager().list(provider, "/bucket/")
        assert evil.requests == []
    assert MARK not in str(raised.value)
    with pytest.raises(ConfigurationError):
        check_settings(provider, json.loads(text))


@pytest.mark.parametrize(
    ("provider", "given"),
    [
        ("AWS", {"endpoint": "EVIL", "access_key": "hubs", "secret_key": "hubs"}),
        ("AZURE", {"endpoint": "EVIL", "sas_token": "sv=1&sig=hubs"}),
        ("AZURE", {"connection_string": f"BlobEndpoint=EVIL;AccountName=hubs;AccountKey={KEY}"}),
        ("AZURE", {"connection_string": "BlobEndpoint=EVIL;SharedAccessSignature=sv=1&sig=hubs"}),
    ],
)
async def test_an_endpoint_with_credentials_gets_these(
    provider: str, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that a hub names together with credentials is used with them, and with nothing of this machine's."""
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)
    async with ScriptedServer(answer("403 Forbidden")) as other:
        tree = json.loads(json.dumps(given).replace("EVIL", other.url))
        check_settings(provider, tree)
        told = [answer(body=json.dumps(each).encode()) for each in (LOGIN, {provider: tree})]
        async with ScriptedServer(*told) as hub:
            settings = Settings(home=tmp_path / "home", max_attempts=1)
            async with AsyncSession("me@example.org", "pw", hub=hub.url, settings=settings) as session:
                with pytest.raises(PermissionError):
                    await session.get_storage_manager().list(provider, "/bucket/")
        seen = str([(each.target, each.headers) for each in other.requests])
    assert "hubs" in seen
    assert MARK not in seen
    assert "machine" not in seen


@pytest.mark.parametrize("name", ["AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_KEY"])
async def test_a_signature_without_an_account_is_not_a_hubs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key or a signature of the environment goes to the account of this machine's settings, never to a hub's."""
    monkeypatch.setenv(name, KEY)
    told = [answer(body=json.dumps(tree).encode()) for tree in (LOGIN, {"AZURE": {"account": "evil"}})]
    for own, used in ((AzureSettings(account="mine12"), True), (AzureSettings(), False)):
        async with ScriptedServer(*told) as hub:
            settings = Settings(home=tmp_path / "home", azure=own)
            async with AsyncSession("me@example.org", "pw", hub=hub.url, settings=settings) as session:
                remote = await session._resolver._remotes.find("AZURE")
        assert isinstance(remote.settings, AzureSettings)
        assert remote.settings.account == (own.account or "evil")
        assert (KEY in (remote.settings.account_key, remote.settings.sas_token)) is used


def test_this_machines_settings_win_whole() -> None:
    """Where this machine configures a provider nothing of the hub's is mixed in."""
    settings = Settings(aws=AWSSettings(region="eu-central-1"), azure=AzureSettings(account="mine12"))
    for provider, given in (("AWS", {"endpoint": "https://evil.example"}), ("AZURE", {"sas_token": "sv=1"})):
        assert with_account(settings, provider, given) is settings


def test_settings_that_name_no_endpoint() -> None:
    """A region, a profile or a bucket of the account's is used with this machine's credentials, at the real service."""
    made = with_account(Settings(), "AWS", {"region": "eu-central-1", "private": "bucket/prefix"})
    assert (made.aws.region, made.aws.endpoint) == ("eu-central-1", None)
    for region in ("evil.example/", "a@b", "x#", "", "eu central"):
        with pytest.raises(ConfigurationError, match=r"AWS\.region"):
            with_account(Settings(), "AWS", {"region": region})
    with pytest.raises(ConfigurationError, match="endpoint"):
        with_account(Settings(), "AWS", {"endpoint": "https://user:pw@evil.example"})
