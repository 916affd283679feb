"""Credentials that a function of the program returns, at real servers: asked for, renewed, revoked."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, time
from uuid import uuid4

import pytest

from dxflow_async import (
    AccessDeniedError,
    AccessKeys,
    AsyncSession,
    AzureSettings,
    BearerToken,
    ConfigurationError,
    GCSSettings,
    S3Settings,
    SASToken,
    Settings,
    UnsupportedError,
)
from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.contract import ObjectOptions, Provider
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP
from tests.providers.aws.token_gate import TokenGate
from tests.providers.azure.bearer_tokens import jwt
from tests.providers.in_memory_bodies import body, read
from tests.servers import Azurite, SeaweedFS
from tests.servers.resumable import ResumableServer

LIFE = 1.0


async def work(provider: Provider, top: str, *, seconds: float = 3 * LIFE) -> None:
    """Writes, stats and reads for some lives of the credentials, four at a time."""
    stop = monotonic() + seconds

    async def each(key: str) -> None:
        done = 0
        while monotonic() < stop:
            data = b"%d" % done
            await provider.write(key, body(data), ObjectOptions())
            assert (await provider.stat(key)).size == len(data)
            assert await read(provider, key) == data
            done += 1
            await asyncio.sleep(0.02)

    await asyncio.gather(*(each(f"{top}/{name}") for name in "abcd"))


class Keys:
    """Gives the keys of a server with tokens that end, or that are revoked before their announced end."""

    def __init__(self, weed: SeaweedFS, announced: float) -> None:
        self.calls = 0
        self._weed, self._announced = weed, announced
        self._ends = 0.0

    async def __call__(self) -> AccessKeys:
        self.calls += 1
        self._ends = time() + LIFE
        keys = AccessKeys(self._weed.access_key, self._weed.secret_key, f"token-{self.calls}")
        return replace(keys, expires=datetime.now(UTC) + timedelta(seconds=self._announced))

    def is_good(self, token: str) -> bool:
        """Whether a token is the last one, or the one before, and has not ended."""
        return token in (f"token-{self.calls}", f"token-{self.calls - 1}") and time() < self._ends


@pytest.mark.parametrize("announced", [LIFE, 3600.0])
async def test_keys_are_renewed(weed: SeaweedFS, bucket: str, tmp_path: Path, announced: float) -> None:
    """An upload and a download outlive their keys, whether these end when they say or are revoked before."""
    keys = Keys(weed, announced)
    (tmp_path / "tree").mkdir()
    for number in range(40):
        (tmp_path / f"tree/{number}").write_bytes(b"%d" % number * 100_000)
    async with TokenGate(weed, keys.is_good) as gate:
        aws = S3Settings(endpoint=gate.url, region=weed.region, credentials=keys)
        settings = Settings(home=tmp_path / "home", aws=aws, max_bandwidth=2 << 20, max_concurrency=4)
        async with AsyncSession(settings=settings) as session:
            there = f"aws:/{bucket}/{uuid4().hex}/"
            assert (await session.copy(f"{tmp_path}/tree/", there)).ok
            assert (await session.copy(there, f"{tmp_path}/back/")).ok
    assert {each.name: each.read_bytes() for each in (tmp_path / "back").iterdir()} == {
        each.name: each.read_bytes() for each in (tmp_path / "tree").iterdir()
    }
    assert 2 <= keys.calls <= 12
    assert gate.refused <= 8 * keys.calls


async def test_revoked_keys_are_asked_for_again(weed: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """Keys that the server does not know are asked for again, once; the same keys again are an error."""
    good = AccessKeys(weed.access_key, weed.secret_key)
    answers = [AccessKeys("AKIAREVOKED", "hush-hush"), good]

    async def keys() -> AccessKeys:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    aws = S3Settings(endpoint=weed.endpoint, region=weed.region, credentials=keys)
    settings = Settings(home=tmp_path / "home", aws=aws)
    (tmp_path / "file").write_bytes(b"bytes")
    async with AsyncSession(settings=settings) as session:
        assert (await session.copy(tmp_path / "file", f"aws:/{bucket}/{uuid4().hex}")).ok
    answers[:] = [AccessKeys("AKIAREVOKED", "hush-hush")]
    async with AsyncSession(settings=settings) as session:
        with pytest.raises(AccessDeniedError) as raised:
            await session.get_storage_manager().stat(f"/{bucket}/file", provider="AWS")
    assert "hush" not in str(raised.value)


async def test_presigned_urls_are_signed_with_them(weed: SeaweedFS, tmp_path: Path) -> None:
    """A presigned URL carries the id of the function's keys."""

    async def keys() -> AccessKeys:
        return AccessKeys("AKIDOFFUNCTION", "hush")

    aws = S3Settings(endpoint=weed.endpoint, region=weed.region, credentials=keys)
    async with AsyncSession(settings=Settings(home=tmp_path, aws=aws)) as session:
        assert "AKIDOFFUNCTION" in await session.get_storage_manager().presign("/bucket/key", provider="AWS")


async def test_signatures_are_renewed(azurite: Azurite, container: str, threads: Threads) -> None:
    """Azure's shared access signatures are renewed while requests go on; their question mark does no harm."""
    from azure.storage.blob import generate_account_sas

    given: list[str] = []

    async def signature() -> SASToken:
        end = datetime.now(UTC) + timedelta(seconds=LIFE)
        later = end + timedelta(seconds=1)  # a signature's end has no fractions
        text = generate_account_sas(azurite.account, azurite.account_key, "sco", "rwdlac", later)
        given.append(text)
        return SASToken(f"?{text}" if len(given) % 2 else text, end)

    async with aclosing(HTTP(threads)) as http:
        settings = AzureSettings(endpoint=azurite.endpoint, credentials=signature)
        provider = AzureProvider(settings, http, threads)
        await work(provider, container)
        assert await provider.delete([f"{container}/a", f"{container}/b"]) == {}
        with pytest.raises(UnsupportedError, match="account_key"):
            await provider.presign(f"{container}/a", 60)
    assert 2 <= len(given) <= 12


async def test_bearer_tokens_are_renewed_at_azure(tmp_path: Path, threads: Threads) -> None:
    """Bearer tokens of a function go to Azure over https, and are refused before they are sent in the clear."""
    given: list[float] = []

    async def bearer() -> BearerToken:
        given.append(time())
        return BearerToken(jwt(LIFE + 1), time() + LIFE)

    with Azurite.start(tmp_path, tls=True) as server:
        server.create_container("container")
        async with aclosing(HTTP(threads, ca_bundle=server.ca_bundle)) as http:
            await work(
                AzureProvider(AzureSettings(endpoint=server.endpoint, credentials=bearer), http, threads), "container"
            )
    assert 2 <= len(given) <= 12
    async with aclosing(HTTP(threads)) as http:
        provider = AzureProvider(
            AzureSettings(endpoint="http://127.0.0.1:1/account", credentials=bearer), http, threads
        )
        with pytest.raises(ConfigurationError, match="bearer tokens go over https only"):
            await provider.stat("container/a")


async def test_bearer_tokens_are_renewed_at_google(threads: Threads) -> None:
    """Bearer tokens of a function go to Google; one that the service revokes is asked for again."""
    async with ResumableServer() as google:
        given: list[str] = []
        life = LIFE

        async def bearer() -> BearerToken:
            given.append(f"token-{len(given)}")
            google.tokens.add(given[-1])
            return BearerToken(given[-1], time() + life)

        async with aclosing(HTTP(threads)) as http:
            provider = GCPProvider(GCSSettings(endpoint=google.url, credentials=bearer), http, threads)
            await work(provider, "bucket")
            assert 2 <= len(given) <= 12
            assert google.requests["refused"] == 0
            life = 3600.0
            await asyncio.sleep(LIFE)
            await provider.stat("bucket/a")  # with a token that is good for long
            google.tokens.clear()
            with pytest.raises(AccessDeniedError) as raised:
                await provider.stat("bucket/a")
            assert raised.value.retryable
            assert (await provider.stat("bucket/a")).size > 0
            with pytest.raises(UnsupportedError, match="service account"):
                await provider.presign("bucket/a", 60)


async def test_an_emulator_that_gets_a_function_gets_its_token(threads: Threads) -> None:
    """A server on this machine is anonymous only where no credentials are given; a function is some."""

    async def refuse() -> BearerToken:
        raise PermissionError("no token for you")

    async with aclosing(HTTP(threads)) as http:
        provider = GCPProvider(GCSSettings(endpoint="http://127.0.0.1:1", credentials=refuse), http, threads)
        with pytest.raises(Exception, match="no token for you"):
            await provider.stat("bucket/a")
