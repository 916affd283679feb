"""Who a request is made as: keys, signatures, tokens, and where each is found."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from dxflow_async.checksum import crc32c
from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AzureSettings
from dxflow_async.exceptions import AccessDeniedError, ConfigurationError, NetworkError, NotFoundError
from dxflow_async.providers.azure.credentials import CloudCredentials, Tokens
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.contract import ObjectOptions, Part
from dxflow_async.providers.http import HTTP
from tests.providers.azure.bearer_tokens import Token, jwt
from tests.providers.connected_providers import ConnectAzure
from tests.providers.in_memory_bodies import body, first_failure, read
from tests.scripted_server import ScriptedServer, answer
from tests.servers import Azurite

OPTIONS = ObjectOptions()


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of this machine is taken for a setting."""
    for name in ("CONNECTION_STRING", "ACCOUNT", "KEY", "SAS_TOKEN"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)


async def use(azure: AzureProvider, container: str) -> None:
    """Does everything once."""
    await azure.write(f"{container}/one", body(b"bytes"), OPTIONS)
    upload = await azure.start_upload(f"{container}/two", 5, OPTIONS)
    await upload.finish([await upload.write_part(Part(1, 0, 5), body(b"bytes"))], crc32c(b"bytes"))
    await azure.copy(await azure.stat(f"{container}/two"), f"{container}/three", OPTIONS)
    assert await read(azure, f"{container}/three", 1, 3) == b"yt"
    page = await azure.list_page(f"{container}/", recursive=True)
    assert [entry.key for entry in page.entries] == [f"{container}/{name}" for name in ("one", "three", "two")]
    await azure.delete([f"{container}/one"])
    await azure.delete([f"{container}/{name}" for name in ("two", "three", "four")])
    assert (await azure.list_page(f"{container}/", recursive=True)).entries == []


# Shared access signatures


def sas_of(azurite: Azurite, *, ends: timedelta = timedelta(hours=1)) -> str:
    """A signature for all that is done with objects."""
    return generate_account_sas(
        azurite.account,
        azurite.account_key,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(read=True, write=True, delete=True, list=True, create=True),
        datetime.now(UTC) + ends,
    )


@pytest.mark.parametrize("mark", ["", "?"])
async def test_sas_token(azurite: Azurite, connect_azure: ConnectAzure, container: str, mark: str) -> None:
    """A shared access signature lets everything be done, copies and batches too."""
    await use(connect_azure(azurite.endpoint, account_key=None, sas_token=mark + sas_of(azurite)), container)


async def test_sas_token_that_has_ended(azurite: Azurite, connect_azure: ConnectAzure, container: str) -> None:
    """A signature whose time is over is no access, says which setting to look at, and is not shown."""
    sas = sas_of(azurite, ends=-timedelta(hours=1))
    azure = connect_azure(azurite.endpoint, account_key=None, sas_token=sas)
    for attempt in (
        lambda: azure.read(f"{container}/x"),
        lambda: first_failure(azure, [f"{container}/a", f"{container}/b"]),
    ):
        with pytest.raises(AccessDeniedError, match="AZURE") as raised:
            await attempt()
        assert "sig=" not in str(raised.value)


async def test_deletion_that_fails_under_a_sas(azurite: Azurite, connect_azure: ConnectAzure, container: str) -> None:
    """Where there are no batches, what could not be deleted is named, and the others are gone."""
    azure = connect_azure(azurite.endpoint, account_key=None, sas_token=sas_of(azurite))
    names = [f"{number:02}" for number in range(30)]
    for name in names:
        azurite.client.get_blob_client(container, name).upload_blob(b"x")
    lease = azurite.client.get_blob_client(container, "05").acquire_lease()
    failed = await azure.delete([f"{container}/{name}" for name in names])
    assert [(key, type(error)) for key, error in failed.items()] == [(f"{container}/05", AccessDeniedError)]
    assert re.search(f"delete of /{container}/05 failed.* lease", str(failed[f"{container}/05"]))
    assert [entry.key for entry in (await azure.list_page(f"{container}/", recursive=True)).entries] == list(failed)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    lease.release()
    assert await azure.delete([f"{container}/{name}" for name in names]) == {}
    assert (await azure.list_page(f"{container}/", recursive=True)).entries == []


# Connection strings


def connection_string(azurite: Azurite, secret: str) -> str:
    return f"DefaultEndpointsProtocol=http;AccountName={azurite.account};{secret};BlobEndpoint={azurite.endpoint};"


async def test_connection_string(azurite: Azurite, http: HTTP, threads: Threads, container: str) -> None:
    """A connection string says it all, with a key or with a signature; URLs are signed with a key only."""
    http.stall_timeout = 30
    for secret, signs in (
        (f"AccountKey={azurite.account_key}", True),
        (f"SharedAccessSignature={sas_of(azurite)}", False),
    ):
        settings = AzureSettings(connection_string=connection_string(azurite, secret))
        azure = AzureProvider(settings, http, threads)
        await use(azure, container)
        assert azure.features.presign is signs
        if signs:
            assert "sig=" in await azure.presign(f"{container}/x", 60)


@pytest.mark.parametrize("text", ["", "nonsense", "AccountKey=c2VjcmV0", "AccountName=a;AccountKey"])
async def test_connection_string_that_is_none(http: HTTP, threads: Threads, text: str) -> None:
    """What is no connection string is a wrong setting, and is not shown."""
    with pytest.raises(ConfigurationError, match=r"AZURE\.connection_string") as raised:
        await AzureProvider(AzureSettings(connection_string=text), http, threads).stat("container/x")
    assert "c2VjcmV0" not in str(raised.value)


async def test_key_that_is_none(connect_azure: ConnectAzure) -> None:
    """A key that is not base64 is a wrong setting, and is not shown."""
    with pytest.raises(ConfigurationError, match=r"AZURE\.account_key") as raised:
        await connect_azure("http://127.0.0.1:9", account_key="not base64!").stat("container/x")
    assert "not base64!" not in str(raised.value)


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"ACCOUNT": "env1", "KEY": "a2V5"}, ("https://env1.blob.core.windows.net", True, "")),
        ({"ACCOUNT": "env1", "SAS_TOKEN": "?sv=1"}, ("https://env1.blob.core.windows.net", False, "sv=1")),
        (
            {"CONNECTION_STRING": "AccountName=env2;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn"},
            ("https://env2.blob.core.chinacloudapi.cn", True, ""),
        ),
    ],
)
async def test_variables_of_azure(
    http: HTTP,
    threads: Threads,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    place: tuple[str, bool, str],
) -> None:
    """Where the settings name no account, Azure's own variables do; where they name one, these do not count."""
    for name, value in variables.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    account = await CloudCredentials(AzureSettings(), http, threads).account()
    assert (account.origin, account.key is not None, account.sas) == place
    other = await CloudCredentials(AzureSettings(account="other1", account_key="a2V5"), http, threads).account()
    assert other.host == "other1.blob.core.windows.net"


async def test_no_account(http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an account, and without credentials where azure-identity is missing, the error says what to set."""
    with pytest.raises(ConfigurationError, match=r"AZURE\.account"):
        await CloudCredentials(AzureSettings(private="container"), http, threads).account()
    monkeypatch.setitem(sys.modules, "azure.identity.aio", None)
    with pytest.raises(ConfigurationError, match=r"dxflow-async\[azure-identity\]"):
        await CloudCredentials(AzureSettings(account="account1"), http, threads).account()


async def test_secrets_are_not_shown(http: HTTP, threads: Threads) -> None:
    """A representation of an account has no secret in it."""
    account = await CloudCredentials(AzureSettings(account="account1", sas_token="sig=hidden"), http, threads).account()
    assert "hidden" not in repr(account)


# Bearer tokens


@dataclass
class Credential:
    """Gives these tokens, or raises these errors, one after the other, the last one again and again."""

    answers: list[Token | Exception]
    pause: float = 0.0
    scopes: list[str] = field(default_factory=list)

    async def get_token(self, *scopes: str, **_: Any) -> Token:
        self.scopes += scopes
        await asyncio.sleep(self.pause)
        reply = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.fixture(scope="module")
def tls_azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """An Azurite that takes bearer tokens."""
    with Azurite.start(tmp_path_factory.mktemp("azurite-tls"), tls=True) as server:
        server.create_container("container")
        yield server


@pytest.fixture
async def tls_http(tls_azurite: Azurite, threads: Threads) -> AsyncIterator[HTTP]:
    """A data plane that trusts it."""
    http = HTTP(threads, ca_bundle=tls_azurite.ca_bundle)
    yield http
    await http.aclose()


async def test_bearer_token(tls_azurite: Azurite, tls_http: HTTP, threads: Threads) -> None:
    """A credential's token lets everything be done; it is fetched once for many requests at a time."""
    credential = Credential([Token(jwt(3600), time() + 3600)], pause=0.05)
    settings = AzureSettings(endpoint=tls_azurite.endpoint)
    azure = AzureProvider(settings, tls_http, threads, credential=credential)
    await asyncio.gather(*(azure.stat("container/") for _ in range(20)))
    await use(azure, "container")
    assert credential.scopes == ["https://storage.azure.com/.default"]
    assert not azure.features.presign


async def test_token_that_ends_in_mid_transfer(tls_azurite: Azurite, tls_http: HTTP, threads: Threads) -> None:
    """A token that the service takes no more, whatever was said of its time, is renewed, and the transfer goes on."""
    short = jwt(1)
    credential = Credential([Token(short, time() + 3600), Token(jwt(3600), time() + 3600)])
    azure = AzureProvider(AzureSettings(endpoint=tls_azurite.endpoint), tls_http, threads, credential=credential)
    upload = await azure.start_upload("container/parts", None, OPTIONS)
    receipts = [await upload.write_part(Part(1, 0, 1), body(b"1"))]
    await asyncio.sleep(2.1)
    receipts += await asyncio.gather(*(upload.write_part(Part(n, n - 1, 1), body(b"%d" % n)) for n in range(2, 6)))
    await upload.finish(receipts, crc32c(b"12345"))
    assert await read(azure, "container/parts") == b"12345"
    assert len(credential.scopes) == 2


async def test_token_that_ends_before_a_batch(tls_azurite: Azurite, tls_http: HTTP, threads: Threads) -> None:
    """Of a batch, each deletion has the renewed token."""
    credential = Credential([Token(jwt(-10), time() + 3600), Token(jwt(3600), time() + 3600)])
    azure = AzureProvider(AzureSettings(endpoint=tls_azurite.endpoint), tls_http, threads, credential=credential)
    for name in "ab":
        tls_azurite.client.get_blob_client("container", name).upload_blob(b"x", overwrite=True)
    await azure.delete(["container/a", "container/b"])
    for name in "ab":
        with pytest.raises(NotFoundError):
            await azure.stat(f"container/{name}")


async def test_token_that_is_never_good(tls_azurite: Azurite, tls_http: HTTP, threads: Threads) -> None:
    """A renewed token that is refused too is no access; it is not shown."""
    credential = Credential([Token(jwt(-10), time() + 3600)])
    azure = AzureProvider(AzureSettings(endpoint=tls_azurite.endpoint), tls_http, threads, credential=credential)
    with pytest.raises(AccessDeniedError) as raised:
        await azure.stat("container/")
    with pytest.raises(AccessDeniedError):
        await first_failure(azure, ["container/a", "container/b"])
    assert jwt(-10) not in str(raised.value)


async def test_renewed_before_the_end() -> None:
    """A token is renewed minutes before its end, by one caller, while the others go on with the old one."""
    credential = Credential([Token("old", time() + 3600), Token("new", time() + 3600)], pause=0.05)
    tokens = Tokens(credential)
    assert await tokens.token() == "old"
    tokens._renew_at = time() - 1
    renewed = await asyncio.gather(*(tokens.token() for _ in range(5)))
    assert renewed == ["new", "old", "old", "old", "old"]
    assert await tokens.token() == "new"
    assert len(credential.scopes) == 2


@pytest.mark.parametrize(("lives", "renewed_after"), [(3600, 3300), (400, 200), (10, 5)])
async def test_when_a_token_is_renewed(lives: int, renewed_after: int) -> None:
    """Five minutes before its end; one that lives shorter, after half its life."""
    tokens = Tokens(Credential([Token("x", time() + lives)]))
    await tokens.token()
    assert tokens._renew_at - time() == pytest.approx(renewed_after, abs=1)


async def test_renewal_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """While the old token is good it serves, and not every request tries again; after its end the failure is raised."""
    credential = Credential([Token("old", time() + 3600), ClientAuthenticationError("please sign in\nsecret details")])
    tokens = Tokens(credential)
    await tokens.token()
    tokens._renew_at = time() - 1
    assert [await tokens.token() for _ in range(3)] == ["old"] * 3
    assert len(credential.scopes) == 2
    assert [record.message for record in caplog.records] == ["the Azure token could not be renewed yet: please sign in"]
    tokens.forget("old")
    with pytest.raises(AccessDeniedError, match="please sign in; sign in again"):
        await tokens.token()


async def test_credential_that_cannot_be_reached() -> None:
    """A sign-in that found no way is a network's failure, which may be tried again."""
    with pytest.raises(NetworkError, match="no route") as raised:
        await Tokens(Credential([ServiceRequestError("no route")])).token()
    assert raised.value.retryable


async def test_cancelled_renewal() -> None:
    """Who waits for a token that somebody else fetched, and was cancelled at, fetches it."""
    credential = Credential([Token("x", time() + 3600)], pause=0.05)
    tokens = Tokens(credential)
    first, second = asyncio.ensure_future(tokens.token()), asyncio.ensure_future(tokens.token())
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second == "x"


async def test_tokens_go_over_https_only(http: HTTP, threads: Threads) -> None:
    """A token is never sent where anybody could read it."""
    azure = AzureProvider(AzureSettings(endpoint="http://127.0.0.1:9"), http, threads)
    with pytest.raises(ConfigurationError, match="https only"):
        await azure.stat("container/")


async def test_default_chain(
    tls_azurite: Azurite, tls_http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials in the settings azure-identity finds those of the machine: here a managed identity."""
    reply = {"access_token": jwt(3600), "expires_on": str(int(time()) + 3600), "token_type": "Bearer", "resource": "x"}
    async with ScriptedServer(answer(body=json.dumps(reply).encode(), Content_Type="application/json")) as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "x")
        azure = AzureProvider(AzureSettings(endpoint=tls_azurite.endpoint), tls_http, threads)
        await azure.stat("container/")
        await azure.aclose()
        await azure.aclose()
        await tls_http.aclose()
        await server.closed()
    assert "storage.azure.com" in server.requests[-1].target
