"""Connection strings of Azure are taken apart as its own SDK does, and nothing in them is shown."""

from __future__ import annotations

import pytest

from dxflow_async.config.connection_string import parse_connection_string
from dxflow_async.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "DefaultEndpointsProtocol=https;AccountName=a23;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net",
            {"endpoint": "https://a23.blob.core.windows.net", "account": "a23", "account_key": "c2VjcmV0"},
        ),
        (
            "AccountName=a23;AccountKey=c2Vjcg==;",
            {"endpoint": "https://a23.blob.core.windows.net", "account": "a23", "account_key": "c2Vjcg=="},
        ),
        (
            "BlobEndpoint=https://a23.blob.core.windows.net/;SharedAccessSignature=?sv=1&sig=a%3D",
            {"endpoint": "https://a23.blob.core.windows.net", "sas_token": "sv=1&sig=a%3D"},
        ),
        (
            "accountname=a23;accountkey=c2VjcmV0;blobendpoint=http://127.0.0.1:1/a23;SharedAccessSignature=sv=1",
            {"endpoint": "http://127.0.0.1:1/a23", "account": "a23", "account_key": "c2VjcmV0"},
        ),
        ("BlobEndpoint=https://host", {"endpoint": "https://host"}),
        ("BlobEndpoint=https://host?sv=1&sig=2", {"endpoint": "https://host", "sas_token": "sv=1&sig=2"}),
        (
            ";AccountKey = c2Vjcg== ; AccountName = a23;;\tblobENDPOINT = HTTPS://Own.example/ ; ",
            {"endpoint": "https://Own.example", "account": "a23", "account_key": "c2Vjcg=="},
        ),
        (
            "EndpointSuffix=.core.usgovcloudapi.net;SharedAccessSignature=sv=1&sig=a%3D;AccountName=a23",
            {"endpoint": "https://a23.blob.core.usgovcloudapi.net", "sas_token": "sv=1&sig=a%3D"},
        ),
        (
            "AccountName=a23;AccountName=a23;AccountKey=c2Vjcg==;TableEndpoint=https://t.example;QueueEndpoint=x",
            {"endpoint": "https://a23.blob.core.windows.net", "account": "a23", "account_key": "c2Vjcg=="},
        ),
        ("UseDevelopmentStorage=false;AccountName=a23", {"endpoint": "https://a23.blob.core.windows.net"}),
        (
            " DefaultEndpointsProtocol=HTTP ;\n AccountName=a23 ; EndpointSuffix=core.chinacloudapi.cn ",
            {"endpoint": "http://a23.blob.core.chinacloudapi.cn"},
        ),
    ],
)
def test_what_they_stand_for(text: str, found: dict[str, str]) -> None:
    """Each part becomes the setting that it is; of a key and a signature the key counts."""
    assert parse_connection_string(text) == found
    assert "c2Vjcm" not in repr(parse_connection_string(text))


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1"),
        (" usedevelopmentstorage = True ; ", "http://127.0.0.1:10000/devstoreaccount1"),
        (
            "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite",
            "http://azurite:10000/devstoreaccount1",
        ),
        (
            "DevelopmentStorageProxyUri=HTTP://[::1]:8888/;UseDevelopmentStorage=true",
            "http://[::1]:10000/devstoreaccount1",
        ),
    ],
)
def test_the_emulator(text: str, endpoint: str) -> None:
    """`UseDevelopmentStorage=true` is the emulator on this machine, or on the host that the proxy's URI names."""
    found = parse_connection_string(text)
    assert (found["endpoint"], found["account"]) == (endpoint, "devstoreaccount1")
    assert repr(found["account_key"]) == "'***'"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "HUSH",
        "AccountKey=HUSH",
        "AccountName=a23;AccountKey",
        "AccountName=a23;AccountKey=",
        "AccountName=a23;AccountKey= ",
        "AccountName=;AccountKey=HUSH",
        "AccountName=a23;SharedAccessSignature=?",
        "BlobEndpoint=HUSH",
        "BlobEndpoint=ftp://HUSH",
        "BlobEndpoint=https://HUSH@host;SharedAccessSignature=sv=1",
        "BlobEndpoint=;AccountName=a23",
        "BlobSecondaryEndpoint=https://host;AccountKey=HUSH",
        "=HUSH",
        "HUSH HUSH=HUSH",
        "AccountName=a23;AccountKey=HUSH;AccountKey=other",
        "DefaultEndpointsProtocol=ftp;AccountName=a23;AccountKey=HUSH",
        "EndpointSuffix=evil.example/HUSH;AccountName=a23",
        "EndpointSuffix=HUSH@evil.example;AccountName=a23",
        "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://me:HUSH@host",
        "UseDevelopmentStorage=false",
        "AccountName=evil.example/;AccountKey=HUSH",
        "AccountName=evil.example#;AccountKey=HUSH",
    ],
)
def test_what_is_none(text: str) -> None:
    """What cannot be one is refused, with what is missing; no value is shown."""
    with pytest.raises(ConfigurationError, match=r"AZURE\.connection_string is not allowed") as raised:
        parse_connection_string(text)
    assert "HUSH" not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None
