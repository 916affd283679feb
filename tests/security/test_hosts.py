"""Names that become a part of a host or a path never lead a request, and its credentials, to somewhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings, AzureSettings, GCPSettings
from dxflow_async.exceptions import ConfigurationError, DxflowError
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.contract import Entry, ObjectOptions, Provider
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer

ODD = [
    "evil.example#",
    "evil.example?",
    "evil.example:80",
    "evil.example:80#",
    "a@evil.example",
    "a:b@evil.example",
    "evil.example\\",
    "evil.example%2f",
    "evil.example\u2044x",
    "ev\u0131l.example",
    "\uff41",
    "..",
    ".",
    "a..b",
    ".a",
    "a.",
    "a b",
    "a\tb",
    "a\r\nHost: evil.example",
    "a\0",
    "[::1]",
    "x" * 64,
]


class SentError(DxflowError):
    """A request came this far."""


class Recording(HTTP):
    """Keeps what is to be sent, and sends nothing."""

    def __init__(self, threads: Threads) -> None:
        super().__init__(threads)
        self.sent: list[tuple[str, str]] = []

    async def send(self, call: Any, method: str, url: str, headers: Mapping[str, str], *_: Any, **__: Any) -> Any:
        self.sent.append((url, headers["host"]))
        raise SentError("sent")


async def every_verb(provider: Provider, bucket: str) -> None:
    """Asks for everything below a name; whatever is refused is refused."""
    key = f"{bucket}/key"
    for attempt in (
        provider.stat(key),
        provider.list_page(f"{bucket}/", recursive=True),
        provider.read(key),
        provider.write(key, body(b"x"), ObjectOptions()),
        provider.delete_one(key),
        provider.copy(Entry(key, 1), f"{bucket}/other", ObjectOptions()),
    ):
        with pytest.raises((DxflowError, ValueError)):
            await attempt


@pytest.mark.parametrize("addressing", ["auto", "path", "virtual"])
@pytest.mark.parametrize("endpoint", [None, "https://storage.example"])
async def test_s3_buckets(addressing: str, endpoint: str | None, threads: Threads) -> None:
    """Whatever a bucket is called, requests go to the endpoint's host or one below it, and the path begins with it."""
    http = Recording(threads)
    settings = AWSSettings(
        endpoint=endpoint, region="eu-central-1", access_key="a", secret_key="s", addressing=addressing
    )
    provider = AWSProvider(settings, http, threads)
    for bucket in ODD:
        await every_verb(provider, bucket)
    own = "storage.example" if endpoint else "s3.eu-central-1.amazonaws.com"
    assert http.sent
    for url, host in http.sent:
        assert urlsplit(url).hostname == host, url
        assert host == own or host.endswith(f".{own}"), url
        assert url.startswith(f"https://{host}/"), url
        assert not urlsplit(url).path.startswith(("/../", "/./")), url


async def test_s3_buckets_that_are_no_hosts_go_in_the_path(threads: Threads) -> None:
    """A bucket that cannot be a part of a host is named in the path, as botocore does it, whatever the setting says."""
    settings = AWSSettings(endpoint="https://a.example", access_key="a", secret_key="s", addressing="virtual")
    http = Recording(threads)
    provider = AWSProvider(settings, http, threads)
    for key in ("evil.example#/key", "my.bucket-1/key"):
        with pytest.raises(SentError):
            await provider.stat(key)
    assert [url.partition("?")[0] for url, _ in http.sent] == [
        "https://a.example/evil.example%23/key",
        "https://a.example/my.bucket-1/key",
    ]


async def test_containers_and_google_buckets(threads: Threads) -> None:
    """Azure's containers and Google's buckets have names that cannot be anything else: others are not asked for."""
    http = Recording(threads)
    azure = AzureProvider(AzureSettings(endpoint="https://storage.example", sas_token="sv=1&sig=x"), http, threads)
    async with ScriptedServer(answer("403 Forbidden")) as server:
        google = GCPProvider(GCPSettings(endpoint=server.url), HTTP(threads), threads)
        for name in ODD:
            await every_verb(azure, name)
            await every_verb(google, name)
        assert server.requests == []
    assert http.sent == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://user:HUSH@host",
        "https://HUSH@host",
        "https://host\\@evil.example",
        "https://host:99999",
        "https://host:x",
        "https://[::1",
        "https://:80",
        "https://host/ HUSH",
        "",
    ],
)
def test_endpoints(endpoint: str, tmp_path: Path) -> None:
    """An endpoint with a user in it, or that different readers read differently, is refused and not shown."""
    (tmp_path / "x").touch()
    for settings in (AWSSettings, AzureSettings, GCPSettings):
        with pytest.raises(ConfigurationError, match=r"\.endpoint") as raised:
            settings(endpoint=endpoint)
        assert "HUSH@" not in str(raised.value)
