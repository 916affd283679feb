"""The sign-in of the AWS SDK over the session's data plane: certificates are verified, and proxies are used."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import S3Settings
from dxflow_async.exceptions import AccessDeniedError, NetworkError
from dxflow_async.net import ProxyRules, TLSOptions
from dxflow_async.providers.aws.credentials import CloudCredentials
from dxflow_async.providers.http import HTTP
from tests.servers import ProxyServer

pytestmark = pytest.mark.server

_ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAOFSTS</AccessKeyId>
<SecretAccessKey>hush</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""

_REFUSAL = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>InvalidIdentityToken</Code><Message>no such issuer</Message></Error></ErrorResponse>"""


@dataclass
class TokenService:
    """STS over TLS, as far as a web identity needs it.

    Attributes:
        url: its URL.
        asked: the forms that were posted.
        refuses: whether it refuses every token.
    """

    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    refuses: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        """Answers one request."""
        self.asked.append({name: str(value) for name, value in (await request.post()).items()})
        if self.refuses:
            return web.Response(status=400, text=_REFUSAL, content_type="text/xml")
        return web.Response(text=_ANSWER, content_type="text/xml")


@pytest.fixture
async def sts(
    certified: tuple[ssl.SSLContext, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[TokenService]:
    """A running STS, which the environment names together with a role."""
    service = TokenService()
    application = web.Application()
    application.router.add_post("/", service.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certified[0]).start()
    service.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "identity").write_text("a-web-identity")
    for name, value in {
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/transfer",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "identity"),
        "AWS_ENDPOINT_URL_STS": service.url,
        "AWS_REGION": "eu-central-1",
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


async def test_a_role_is_assumed_through_a_proxy(
    sts: TokenService, proxy: ProxyServer, certified: tuple[ssl.SSLContext, Path], threads: Threads, tmp_path: Path
) -> None:
    """STS is asked through the proxy of ALL_PROXY, which the SDK itself does not know, and its answer is used."""
    tls = TLSOptions(ca_bundle=bundle_of(tmp_path, certified[1], proxy.authority))
    rules = ProxyRules.from_environment({"ALL_PROXY": proxy.url_with("me:secret")})
    async with aclosing(HTTP(threads, tls=tls, proxies=rules)) as http:
        found = await CloudCredentials(S3Settings(), http, threads).credentials()
    assert (found.access_key, found.secret_key, found.token) == ("ASIAOFSTS", "hush", "token")
    assert sts.asked[0]["WebIdentityToken"] == "a-web-identity"
    assert await asyncio.to_thread(proxy.saw, "CONNECT", sts.url.partition("//")[2])


async def test_sts_must_be_trusted(sts: TokenService, proxy: ProxyServer, threads: Threads, tmp_path: Path) -> None:
    """A token is sent to no server whose certificate is not trusted, neither directly nor behind a proxy."""
    tls = TLSOptions(ca_bundle=bundle_of(tmp_path, proxy.authority)) if proxy.authority else TLSOptions()
    for environ in ({}, {"ALL_PROXY": proxy.url_with("me:secret")}):
        async with aclosing(HTTP(threads, tls=tls, proxies=ProxyRules.from_environment(environ))) as http:
            # Python before 3.11.8 and 3.12.2 loses the reason where TLS goes through TLS (gh-113214).
            with pytest.raises(
                NetworkError, match=r"AWS sign in .*(certificate of .* is not trusted|connection was closed)"
            ):
                await CloudCredentials(S3Settings(), http, threads).credentials()
    assert sts.asked == []


async def test_refusals_and_failures_are_told(
    sts: TokenService, certified: tuple[ssl.SSLContext, Path], threads: Threads
) -> None:
    """What STS says against a token reaches the user, and a proxy that is down is named."""
    tls = TLSOptions(ca_bundle=certified[1])
    sts.refuses = True
    async with aclosing(HTTP(threads, tls=tls)) as http:
        with pytest.raises(AccessDeniedError, match="no such issuer"):
            await CloudCredentials(S3Settings(), http, threads).credentials()
    rules = ProxyRules.from_environment({"ALL_PROXY": "http://127.0.0.1:1"})
    async with aclosing(HTTP(threads, tls=tls, proxies=rules)) as http:
        with pytest.raises(NetworkError, match=r"the proxy http://127\.0\.0\.1:1 \(ALL_PROXY\)"):
            await CloudCredentials(S3Settings(), http, threads).credentials()
