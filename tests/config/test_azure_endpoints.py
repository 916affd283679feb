"""Endpoints of Azure Storage in all their forms."""

from __future__ import annotations

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AzureSettings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.azure.credentials import CloudCredentials
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.http import HTTP

MEANT = {
    "https://a23.blob.core.windows.net/": "https://a23.blob.core.windows.net",
    "HTTPS://A23.Blob.Core.Windows.Net:443": "https://a23.blob.core.windows.net",
    "https://a23.blob.core.windows.net.": "https://a23.blob.core.windows.net",
    "https://a23.dfs.core.windows.net": "https://a23.blob.core.windows.net",
    "https://a23.dfs.core.windows.net:8443": "https://a23.blob.core.windows.net:8443",
    "https://a23.privatelink.blob.core.windows.net": "https://a23.blob.core.windows.net",
    "https://a23.privatelink.dfs.core.windows.net/": "https://a23.blob.core.windows.net",
    "https://a23-secondary.blob.core.windows.net": "https://a23-secondary.blob.core.windows.net",
    "https://a23-secondary.dfs.core.windows.net": "https://a23-secondary.blob.core.windows.net",
    "https://a23.z12.blob.storage.azure.net": "https://a23.z12.blob.storage.azure.net",
    "https://a23.z12.dfs.storage.azure.net": "https://a23.z12.blob.storage.azure.net",
    "https://a23.blob.core.chinacloudapi.cn": "https://a23.blob.core.chinacloudapi.cn",
    "https://a23.dfs.core.usgovcloudapi.net": "https://a23.blob.core.usgovcloudapi.net",
    "https://data.example.org": "https://data.example.org",
    "https://data.dfs.example.org/": "https://data.dfs.example.org",
    "http://10.0.0.5:10000/a23/": "http://10.0.0.5:10000/a23",
    "http://[fd00::5]:10000/a23": "http://[fd00::5]:10000/a23",
    "https://proxy.example.org/azure/a23": "https://proxy.example.org/azure/a23",
}


@pytest.mark.parametrize("written", MEANT)
def test_meant(written: str) -> None:
    """Every form stands for the URL of the blob service."""
    assert AzureSettings(endpoint=written, account="a23", account_key="a2V5").endpoint == MEANT[written]


@pytest.mark.parametrize("question", ["?", "/?", "/"])
def test_signature_in_the_endpoint(question: str) -> None:
    """A shared access signature in the endpoint is used as one, and never shown."""
    query = "sv=2023-11-03&sp=rl&sig=TOPSECRET%3D"
    endpoint = f"https://a23.blob.core.windows.net{question}{query}".replace(f"/{query}", f"/?{query}")
    settings = AzureSettings(endpoint=endpoint)
    assert settings.endpoint == "https://a23.blob.core.windows.net"
    assert settings.sas_token is not None
    assert settings.sas_token[:] == query
    assert "TOPSECRET" not in repr(settings)
    with pytest.raises(ConfigurationError) as caught:
        AzureSettings(endpoint=endpoint, sas_token="sv=1&sig=OTHER")
    assert "TOPSECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("https://a23.file.core.windows.net", "file service; write https://a23.blob.core.windows.net"),
        ("https://a23.z6.web.core.windows.net", "web service"),
        ("https://a23.blob.core.windows.net/box", "path /box; leave it out"),
        ("https://a23.blob.core.windows.net/?comp=list", "no shared access signature"),
        ("https://user:hush@a23.blob.core.windows.net", "user or a password"),
        ("a23.blob.core.windows.net", r"http\(s\)://"),
    ],
)
def test_refused(endpoint: str, words: str) -> None:
    """The endpoint of another service, or with more in it, is an error that says what to write."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        AzureSettings(endpoint=endpoint)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    ["https://a23.blob.core.windows.net", "https://a23-secondary.dfs.core.windows.net", "http://10.0.0.5:10000/a23"],
)
def test_account_in_the_endpoint(endpoint: str) -> None:
    """A key needs no account beside an endpoint that names it."""
    assert AzureSettings(endpoint=endpoint, account_key="a2V5").account == "a23"
    with pytest.raises(ConfigurationError, match=r"AZURE\.account"):
        AzureSettings(endpoint="https://data.example.org", account_key="a2V5")


def test_connection_strings_are_told_apart(http: HTTP, threads: Threads) -> None:
    """The accounts of two connection strings are two services, whatever the form of their endpoints."""
    texts = [
        "AccountName=a23;AccountKey=a2V5",
        "AccountName=b23;AccountKey=a2V5",
        "BlobEndpoint=https://a23.dfs.core.windows.net;SharedAccessSignature=sv=1&sig=x",
    ]
    ends = [AzureProvider(AzureSettings(connection_string=text), http, threads).features.endpoint for text in texts]
    assert ends == [f"https://{name}.blob.core.windows.net" for name in ("a23", "b23", "a23")]


@pytest.mark.parametrize(
    ("endpoint", "authority"),
    [
        ("https://a23.blob.core.windows.net", None),
        ("https://a23.blob.core.chinacloudapi.cn", "login.chinacloudapi.cn"),
        ("https://a23.blob.core.usgovcloudapi.net", "login.microsoftonline.us"),
        ("https://chinacloudapi.cn.example.org", None),
    ],
)
async def test_sovereign_clouds_sign_in_at_home(
    http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch, endpoint: str, authority: str | None
) -> None:
    """Users of another cloud sign in there, unless the environment names where."""
    identity = pytest.importorskip("azure.identity.aio")
    asked: list[str | None] = []

    class Chain:
        def __init__(self, **options: object) -> None:
            asked.append(str(options["authority"]) if "authority" in options else None)

        async def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(identity, "DefaultAzureCredential", Chain)
    for variable in (None, "login.example.org"):
        if variable is not None:
            monkeypatch.setenv("AZURE_AUTHORITY_HOST", variable)
        credentials = CloudCredentials(AzureSettings(endpoint=endpoint), http, threads)
        await credentials.account()
        await credentials.aclose()
    assert asked == [authority, None]
