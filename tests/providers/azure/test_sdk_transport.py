"""The sign-in of azure-identity over the session's data plane: certificates are verified, and proxies are used."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AzureSettings
from dxflow_async.exceptions import AccessDeniedError, StorageError
from dxflow_async.net import ProxyRules, TLSOptions
from dxflow_async.providers.azure.credentials import CloudCredentials
from dxflow_async.providers.http import HTTP
from tests.servers import ProxyServer

pytestmark = pytest.mark.server


@dataclass
class SignIn:
    """Microsoft's sign-in service over TLS, as far as a client secret needs it.

    Attributes:
        url: its URL.
        asked: the forms that were posted for tokens.
        refuses: whether it refuses the secret.
    """

    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    refuses: bool = False

    async def token(self, request: web.Request) -> web.Response:
        """Gives a token."""
        self.asked.append({name: str(value) for name, value in (await request.post()).items()})
        if self.refuses:
            error = {"error": "invalid_client", "error_description": "AADSTS7000215: the secret is wrong"}
            return web.json_response(error, status=401)
        return web.json_response({"token_type": "Bearer", "expires_in": 3600, "access_token": "a-token"})


@pytest.fixture
async def sign_in(certified: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SignIn]:
    """A running service, which the environment names together with a client."""
    service = SignIn()
    application = web.Application()
    application.router.add_post("/tenant/oauth2/v2.0/token", service.token)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certified[0]).start()
    service.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    for name in [name for name in os.environ if name.startswith(("AZURE_", "IDENTITY_", "MSI_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "AZURE_AUTHORITY_HOST": service.url,
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client",
        "AZURE_CLIENT_SECRET": "hush-hush",
        "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
    }.items():
        monkeypatch.setenv(name, value)
    yield service
    await runner.cleanup()


@pytest.fixture(params=["http", "https"])
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProxyServer]:
    """A proxy that wants a password."""
    (tmp_path / "proxy").mkdir()
    with ProxyServer.start(tmp_path / "proxy", credentials="me:secret", tls=request.param == "https") as server:
        yield server


def bundle_of(tmp_path: Path, *authorities: Path | None) -> Path:
    """A directory of authorities."""
    (tmp_path / "bundle").mkdir()
    for number, authority in enumerate(authorities):
        if authority is not None:
            shutil.copy(authority, tmp_path / f"bundle/{number}.pem")
    return tmp_path / "bundle"


async def token(http: HTTP, threads: Threads) -> str:
    """The token that requests to an account would carry."""
    async with aclosing(CloudCredentials(AzureSettings(account="account1"), http, threads)) as credentials:
        return (await (await credentials.account()).access()).token


async def test_a_token_comes_through_a_proxy(
    sign_in: SignIn, proxy: ProxyServer, certified: tuple[ssl.SSLContext, Path], threads: Threads, tmp_path: Path
) -> None:
    """The sign-in service is asked through the proxy of ALL_PROXY, and trusted by `ca_bundle`."""
    tls = TLSOptions(ca_bundle=bundle_of(tmp_path, certified[1], proxy.authority))
    rules = ProxyRules.from_environment({"ALL_PROXY": proxy.url_with("me:secret")})
    async with aclosing(HTTP(threads, tls=tls, proxies=rules)) as http:
        assert await token(http, threads) == "a-token"
    assert sign_in.asked[0]["client_secret"] == "hush-hush"
    assert await asyncio.to_thread(proxy.saw, "CONNECT", sign_in.url.partition("//")[2])


@pytest.mark.parametrize("kind", ["certificate", "workload identity"])
async def test_assertions_of_the_environment(
    sign_in: SignIn,
    certified: tuple[ssl.SSLContext, Path],
    threads: Threads,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """A client's certificate, and the federated token of a workload, are exchanged for a token; both are proofs."""
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    if kind == "certificate":
        monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", str(client_certificate(tmp_path)))
    else:
        (tmp_path / "federated").write_text("federated-assertion")
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "federated"))
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "WorkloadIdentityCredential")
    async with aclosing(HTTP(threads, tls=TLSOptions(ca_bundle=certified[1]))) as http:
        assert await token(http, threads) == "a-token"
        assertion = sign_in.asked[0]["client_assertion"]
        assert assertion.startswith("eyJ") if kind == "certificate" else assertion == "federated-assertion"
        sign_in.refuses = True
        with pytest.raises(AccessDeniedError, match="AADSTS7000215") as raised:
            await token(http, threads)
    assert assertion not in str(raised.value)


def client_certificate(directory: Path) -> Path:
    """A PEM file with a certificate and its RSA key, which Microsoft's service wants."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    certificate = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, SHA256())
    path = directory / "client.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + pem)
    return path


async def test_the_service_must_be_trusted(sign_in: SignIn, threads: Threads) -> None:
    """The secret is sent to no server whose certificate is not trusted."""
    async with aclosing(HTTP(threads, tls=TLSOptions())) as http:
        with pytest.raises(StorageError, match=r"certificate of 127\.0\.0\.1:\d+ is not trusted"):
            await token(http, threads)
    assert sign_in.asked == []


async def test_a_refusal_is_told(sign_in: SignIn, certified: tuple[ssl.SSLContext, Path], threads: Threads) -> None:
    """What the service says against a secret reaches the user, without the secret."""
    sign_in.refuses = True
    async with aclosing(HTTP(threads, tls=TLSOptions(ca_bundle=certified[1]))) as http:
        with pytest.raises(AccessDeniedError, match="AADSTS7000215") as raised:
            await token(http, threads)
    assert "hush" not in str(raised.value)
