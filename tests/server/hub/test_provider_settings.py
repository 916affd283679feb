"""An account's settings of its providers: given to their owner, sealed at rest, checked when they are set."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import create_app
from dxflow_async.server.hub.vault import Vault
from tests.server.hub.signed_in_clients import ME, YOU, Hub, signed_in

AWS = {"region": "eu-central-1", "access_key": "AKIDEXAMPLE", "secret_key": "hidden-key", "sign_payload": True}


@pytest.fixture
async def mine(tmp_path: Path, http: aiohttp.ClientSession) -> AsyncIterator[Hub]:
    """Somebody at a hub whose data is in `tmp_path / "home"`."""
    server = Server(create_app(tmp_path / "home"), Listening())
    yield await signed_in(await server.start(), http, ME)
    await server.aclose(1.0)


async def test_set_and_forget(mine: Hub) -> None:
    """What is set is given back, provider by provider; it is replaced as a whole, and forgotten."""
    assert await mine.request("GET", "providers/") == (200, {})
    azure = {"account": "account1", "sas_token": "sv=1"}
    gcp = {"service_file": "/somewhere/of/the/client.json", "project": "p"}
    for provider, settings in (("AWS", {"region": "x"}), ("AWS", AWS), ("AZURE", azure), ("GCP", gcp)):
        assert await mine.request("PUT", f"providers/{provider}/", body=settings) == (200, {})
    assert await mine.request("GET", "providers/") == (200, {"AWS": AWS, "AZURE": azure, "GCP": gcp})
    assert (await mine.request("DELETE", "providers/AZURE/"))[0] == 200
    assert (await mine.request("DELETE", "providers/AZURE/"))[0] == 404
    assert (await mine.request("GET", "providers/"))[1].keys() == {"AWS", "GCP"}


async def test_they_are_their_owners_only(mine: Hub, http: aiohttp.ClientSession) -> None:
    """Another account sees nothing of them, and its secret opens no other's."""
    await mine.request("PUT", "providers/AWS/", body=AWS)
    other = await signed_in(mine.url, http, YOU)
    assert await other.request("GET", "providers/") == (200, {})
    for method, path in (("GET", "providers/"), ("PUT", "providers/AWS/"), ("DELETE", "providers/AWS/")):
        assert (await mine.request(method, path, secret=other._user["secret"], body={}))[0] == 401
    assert (await mine.request("GET", "providers/"))[1] == {"AWS": AWS}


@pytest.mark.parametrize(
    ("provider", "settings"),
    [
        ("AWS", {"secret_key": "hidden-key"}),
        ("AWS", {"colour": "hidden-key"}),
        ("AWS", {"region": 1}),
        ("AWS", {"region": None}),
        ("AWS", {"sign_payload": "yes"}),
        ("AWS", {"endpoint": "ftp://hidden-key"}),
        ("AWS", {"region": "x" * 9000}),
        ("AZURE", {"account": "NOT ALLOWED"}),
        ("GCP", {"endpoint": "nothing"}),
        ("aws", {}),
        ("OTHER", {}),
    ],
)
async def test_bad_settings(mine: Hub, provider: str, settings: dict[str, Any]) -> None:
    """Settings that cannot be are a 400 that names them and not their values; nothing is kept."""
    status, tree = await mine.request("PUT", f"providers/{provider}/", body=settings)
    assert (status, tree["error"]["code"]) == (400, "invalid_field")
    assert "hidden-key" not in str(tree)
    assert await mine.request("GET", "providers/") == (200, {})


async def test_sealed_at_rest(mine: Hub, tmp_path: Path) -> None:
    """No credential can be read from the hub's files, and the key is its owner's only."""
    await mine.request("PUT", "providers/AWS/", body=AWS)
    files = {path.name: path for path in (tmp_path / "home").iterdir()}
    assert b"hidden-key" not in b"".join(path.read_bytes() for path in files.values())
    assert stat.S_IMODE(files["hub.key"].stat().st_mode) == 0o600
    assert files["hub.key"].stat().st_size == 32


async def test_signing_out(mine: Hub, http: aiohttp.ClientSession) -> None:
    """A sign-in that was ended opens nothing any more; others of the account do."""
    again = await signed_in(mine.url, http, ME)
    assert (await mine.request("DELETE", "sign-in/"))[0] == 200
    assert (await mine.request("GET", "providers/"))[0] == 401
    assert (await mine.request("DELETE", "sign-in/"))[0] == 401
    assert (await again.request("GET", "namespaces/"))[1]["list"][0]["name"] == "diphyx"


def test_vault(tmp_path: Path) -> None:
    """What is sealed opens with the same key and for the same place only, and never looks the same twice."""
    vault = Vault(tmp_path / "home")
    sealed = vault.seal("here", {"a": 1})
    assert Vault(tmp_path / "home").open("here", sealed) == {"a": 1}
    assert sealed != vault.seal("here", {"a": 1})
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for opener, place, content in (
        (vault, "there", sealed),
        (vault, "here", changed),
        (Vault(tmp_path / "other"), "here", sealed),
    ):
        with pytest.raises(ConfigurationError, match="another key"):
            opener.open(place, content)


def test_vault_key_mode(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The key is made for its owner only whatever the umask, a wider one is warned of, and a damaged one refused."""
    before = os.umask(0)
    try:
        Vault(tmp_path)
    finally:
        os.umask(before)
    key = tmp_path / "hub.key"
    assert [path.name for path in tmp_path.iterdir()] == ["hub.key"]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o644)
    Vault(tmp_path)
    assert f"chmod 600 {key}" in caplog.text
    key.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="has 5 bytes, not 32"):
        Vault(tmp_path)
